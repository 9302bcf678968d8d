"""The model store: weight files with their metadata, and the manifest of the weights that ship with the package.

A weight file is ``torch.save`` of {"format", "metadata" (JSON text), "state_dict"} and holds tensors and text only, so
that ``torch.load(weights_only=True)`` opens it.  Everything a network needs to be rebuilt is in its metadata.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import ModelError
from ..core.files import atomic_write

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "vertebra-labeling-weights/1"
MODELS_FOLDER = Path(__file__).resolve().parents[2] / "Resources" / "Models"
MANIFEST_NAME = "models.json"
MODEL_IDS = ("corridor", "sites", "integral-regression")
_LARGEST_HALF = 65504.0


@dataclass(frozen=True)
class Weights:
    """Weights of one network.

    state_dict: parameter name -> tensor on the CPU, floating ones in float32.  metadata: plain JSON values, with
    "model" (one of MODEL_IDS) among them.  sha256: hash of the file at `path`.
    """

    state_dict: Mapping[str, Tensor] = field(repr=False)
    metadata: Mapping[str, Any]
    sha256: str
    path: Path

    def require_model(self, model_id: str) -> None:
        """Raise ModelError unless these weights belong to `model_id`."""
        found = self.metadata.get("model")
        if found != model_id:
            raise ModelError(f"'{self.path}' holds weights for '{found}', not for '{model_id}'; choose another file.")


@dataclass(frozen=True)
class ModelEntry:
    """One line of the manifest; `details` are further values such as version and licence."""

    id: str
    path: Path
    sha256: str
    details: Mapping[str, Any]


def save_weights(path: Path, state_dict: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> str:
    """Write a weight file atomically, floating tensors as float16; returns its SHA-256.

    ValueError when the metadata names no known "model", is not plain JSON, or a value does not fit float16.
    """
    if metadata.get("model") not in MODEL_IDS:
        raise ValueError(f"metadata['model'] must be one of {MODEL_IDS}, not {metadata.get('model')!r}")
    content = _packed(state_dict, json.dumps(dict(metadata), allow_nan=False))
    with atomic_write(path) as temporary:
        Path(temporary).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def _packed(state_dict: Mapping[str, Tensor], metadata_json: str) -> bytes:
    import torch

    half = {name: _half(name, tensor) for name, tensor in state_dict.items()}
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "metadata": metadata_json, "state_dict": half}, buffer)
    return buffer.getvalue()


def _half(name: str, tensor: Tensor) -> Tensor:
    """The tensor on the CPU as float16, integers as they are."""
    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point():
        return tensor.clone()
    # the comparison is False for NaN as well
    if tensor.numel() and not bool((tensor.abs() <= _LARGEST_HALF).all()):
        raise ValueError(f"'{name}' holds values that do not fit float16")
    return tensor.half()


def load_weights(path: Path, expected_sha256: str | None = None) -> Weights:
    """Weights of a file; the hash is compared before anything in the file is interpreted.

    Raises ModelError when the file is missing, altered or not a weight file of this project.
    """
    content = _bytes_of(path)
    sha256 = hashlib.sha256(content).hexdigest()
    if expected_sha256 is not None and sha256 != expected_sha256:
        raise ModelError(f"Weights '{path}' have been altered (wrong SHA-256); install VertebraLabeling again.")
    state_dict, metadata = _unpacked(content, path)
    return Weights(state_dict, metadata, sha256, path)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"Weights '{path}' are missing; check the path or install VertebraLabeling again.") from None
    except OSError as error:
        raise ModelError(
            f"Weights '{path}' cannot be read ({error.strerror}); check the path and its permissions."
        ) from error


def _unpacked(content: bytes, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    import torch

    try:
        bundle = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if bundle["format"] != FORMAT:
            raise ValueError(f"format {bundle['format']!r}")
        metadata = json.loads(bundle["metadata"])
        tensors = {name: t.float() if t.is_floating_point() else t for name, t in bundle["state_dict"].items()}
        return tensors, dict(metadata)
    except MemoryError:
        raise
    except Exception as error:  # a foreign file fails in many ways (zip, pickle, key, type), all with one meaning
        raise ModelError(
            f"'{path}' is not a weight file of VertebraLabeling ({FORMAT}); choose another file."
        ) from error


def find_model(model_id: str, folder: Path = MODELS_FOLDER) -> ModelEntry:
    """Manifest entry of a shipped model; ModelError when the manifest or the entry is missing or broken."""
    for entry in _manifest(folder):
        if entry.get("id") == model_id:
            details = {key: entry[key] for key in entry.keys() - {"id", "file", "sha256"}}
            return ModelEntry(model_id, folder / entry["file"], entry["sha256"], details)
    raise ModelError(f"No weights for '{model_id}' are installed in '{folder}'; install VertebraLabeling again.")


def load_model(model_id: str, folder: Path = MODELS_FOLDER) -> Weights:
    """Shipped weights of a model, verified against the manifest."""
    entry = find_model(model_id, folder)
    weights = load_weights(entry.path, entry.sha256)
    weights.require_model(model_id)
    return weights


def register_model(weights_file: Path, folder: Path = MODELS_FOLDER, **details: Any) -> ModelEntry:
    """Copy a weight file into the store and write it into the manifest; replaces the model's earlier entry.

    details: further manifest values, e.g. version="0.1.0", licence="Apache-2.0".  The file is copied before the
    manifest names it, so that a reader in between sees at worst an altered file, never a wrong one.
    """
    weights = load_weights(weights_file)
    model_id = str(weights.metadata["model"])
    target = folder / f"{model_id}.pt"
    content = weights_file.read_bytes()
    entry = {"id": model_id, "file": target.name, "sha256": weights.sha256, "bytes": len(content), **details}
    known = _manifest(folder) if (folder / MANIFEST_NAME).exists() else []
    entries = [e for e in known if e.get("id") != model_id] + [entry]
    entries.sort(key=lambda e: MODEL_IDS.index(e["id"]))
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as temporary:
        Path(temporary).write_bytes(content)
    with atomic_write(folder / MANIFEST_NAME) as temporary:
        Path(temporary).write_text(json.dumps({"models": entries}, indent=2) + "\n", encoding="utf-8")
    return find_model(model_id, folder)


def _manifest(folder: Path) -> list[dict[str, Any]]:
    path = folder / MANIFEST_NAME
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["models"]
        if not all(isinstance(e["id"], str) and e["file"] and e["sha256"] for e in entries):
            raise ValueError("an entry without id, file or sha256")
        return list(entries)
    except FileNotFoundError:
        raise ModelError(f"The list of models '{path}' is missing; install VertebraLabeling again.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"The list of models '{path}' is damaged; install VertebraLabeling again.") from error
