"""The model store: weight files with their metadata, and the manifest of the models that ship with the package.

A weight file is a numpy ``.npz`` of one array per parameter and one JSON text, `HEADER`, with {"format", "metadata"}.
No engine is needed to read it, and nothing in it is ever unpickled.  Everything a network needs to be rebuilt is in its
metadata.  A shipped model has also an ONNX graph without weights, for the engine that cannot rebuild it from code.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import ModelError
from ..core.files import atomic_write

FORMAT = "vertebra-labeling-weights/2"
HEADER = "header"
MODELS_FOLDER = Path(__file__).resolve().parents[2] / "Resources" / "Models"
MANIFEST_NAME = "models.json"
MODEL_IDS = ("corridor", "sites", "integral-regression", "multi-view", "global-to-local", "refinement")
LARGEST_FILE_BYTES = 500_000_000
_LARGEST_HALF = 65504.0


@dataclass(frozen=True)
class Weights:
    """Weights of one network.

    arrays: parameter name -> array, floating ones in float32.  metadata: plain JSON values, with "model" (one of
    MODEL_IDS) among them.  sha256: hash of the file at `path`.
    """

    arrays: Mapping[str, NDArray[Any]] = field(repr=False)
    metadata: Mapping[str, Any]
    sha256: str
    path: Path

    def require_model(self, model_id: str) -> None:
        """Raise ModelError unless these weights belong to `model_id`."""
        found = self.metadata.get("model")
        if found != model_id:
            raise ModelError(f"'{self.path}' holds weights for '{found}', not for '{model_id}'; choose another file.")


@contextmanager
def fitting(weights: Weights) -> Iterator[None]:
    """While a network is rebuilt from `weights`: whatever does not fit becomes a ModelError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"Weights '{weights.path}' do not fit this version ({reason}); choose another file."
        ) from error


@dataclass(frozen=True)
class VerifiedFile:
    """A file of the store with the hash it must have."""

    path: Path
    sha256: str

    def read(self) -> bytes:
        """Its content; ModelError when it is missing or altered."""
        return _verified_bytes(self.path, self.sha256)


@dataclass(frozen=True)
class ModelEntry:
    """One entry of the manifest.

    graph: the network as ONNX without its weights; None when it was registered without.  details: further values such
    as version and licence.
    """

    id: str
    weights: VerifiedFile
    graph: VerifiedFile | None
    details: Mapping[str, Any]


def save_weights(path: Path, arrays: Mapping[str, ArrayLike], metadata: Mapping[str, Any]) -> str:
    """Write a weight file atomically, floating arrays as float16; returns its SHA-256.

    arrays: parameter name -> array or tensor on the CPU.
    ValueError when the metadata names no known "model", is not plain JSON, or a value does not fit float16.
    """
    if metadata.get("model") not in MODEL_IDS:
        raise ValueError(f"metadata['model'] must be one of {MODEL_IDS}, not {metadata.get('model')!r}")
    header = json.dumps({"format": FORMAT, "metadata": dict(metadata)}, allow_nan=False)
    half = {name: _half(name, np.asarray(values)) for name, values in arrays.items()}
    buffer = io.BytesIO()
    np.savez(buffer, **half, **{HEADER: np.array(header)})  # type: ignore[arg-type]
    _write(path, buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as temporary:
        Path(temporary).write_bytes(content)


def _half(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """The array as float16, integers as they are."""
    if not np.issubdtype(array.dtype, np.floating):
        return array
    # the comparison is False for NaN as well
    if not (np.abs(array) <= _LARGEST_HALF).all():
        raise ValueError(f"'{name}' holds values that do not fit float16")
    return array.astype(np.float16)


def load_weights(path: Path, expected_sha256: str | None = None) -> Weights:
    """Weights of a file; the hash is compared before anything in the file is interpreted.

    Raises ModelError when the file is missing, altered or not a weight file of this project.
    """
    content = _verified_bytes(path, expected_sha256)
    arrays, metadata = _unpacked(content, path)
    return Weights(arrays, metadata, hashlib.sha256(content).hexdigest(), path)


def _verified_bytes(path: Path, expected_sha256: str | None) -> bytes:
    """Content of a file, compared with its hash; None compares nothing."""
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES or not path.is_file():  # a device would be read without end
            raise ModelError(f"'{path}' is no file, or larger than any of VertebraLabeling; choose another one.")
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"'{path}' is missing; check the path or install VertebraLabeling again.") from None
    except OSError as error:
        raise ModelError(f"'{path}' cannot be read ({error.strerror}); check the path and its permissions.") from error
    if expected_sha256 is not None and hashlib.sha256(content).hexdigest() != expected_sha256:
        raise ModelError(f"'{path}' has been altered (wrong SHA-256); install VertebraLabeling again.")
    return content


def _unpacked(content: bytes, path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    try:
        _require_true(content)
        with np.load(io.BytesIO(content), allow_pickle=False) as bundle:
            stored = dict(bundle)
        header = json.loads(str(stored.pop(HEADER)))
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']!r}")
        return {name: _single(array) for name, array in stored.items()}, dict(header["metadata"])
    except MemoryError:
        raise
    except Exception as error:  # a foreign file fails in many ways (zip, pickle, key, type), all with one meaning
        raise ModelError(
            f"'{path}' is not a weight file of VertebraLabeling ({FORMAT}); choose another file."
        ) from error


def _require_true(content: bytes) -> None:
    """ValueError for a bundle that unpacks to more than itself, or says so: `save_weights` compresses nothing."""
    with zipfile.ZipFile(io.BytesIO(content)) as bundle:
        if sum(member.file_size for member in bundle.infolist()) > len(content):
            raise ValueError("compressed")
        for member in bundle.infolist():
            with bundle.open(member) as file:
                np.lib.format.read_magic(file)
                shape, _, kind = np.lib.format.read_array_header_1_0(file)
            if math.prod(shape) * kind.itemsize > member.file_size:
                raise ValueError(f"an array of {shape}")


def _single(array: NDArray[Any]) -> NDArray[Any]:
    """Floating arrays as float32."""
    return array.astype(np.float32) if np.issubdtype(array.dtype, np.floating) else array


def find_model(model_id: str, folder: Path = MODELS_FOLDER) -> ModelEntry:
    """Manifest entry of a shipped model; ModelError when the manifest or the entry is missing or broken."""
    for entry in _manifest(folder):
        if entry.get("id") == model_id:
            details = {key: entry[key] for key in entry.keys() - {"id", "file", "sha256", "graph"}}
            graph = _listed(folder, entry["graph"]) if "graph" in entry else None
            return ModelEntry(model_id, _listed(folder, entry), graph, details)
    raise ModelError(f"No weights for '{model_id}' are installed in '{folder}'; install VertebraLabeling again.")


def listed_models(folder: Path = MODELS_FOLDER) -> tuple[str, ...]:
    """Ids of the shipped models; ModelError when the manifest is missing or broken."""
    return tuple(entry["id"] for entry in _manifest(folder))


def _listed(folder: Path, values: Mapping[str, Any]) -> VerifiedFile:
    return VerifiedFile(folder / values["file"], values["sha256"])


def load_model(model_id: str, folder: Path = MODELS_FOLDER) -> Weights:
    """Shipped weights of a model, verified against the manifest."""
    entry = find_model(model_id, folder)
    weights = load_weights(entry.weights.path, entry.weights.sha256)
    weights.require_model(model_id)
    return weights


def register_model(
    weights_file: Path, folder: Path = MODELS_FOLDER, graph: bytes | None = None, **details: Any
) -> ModelEntry:
    """Copy a weight file into the store and write it into the manifest; replaces the model's earlier entry.

    graph: the network as ONNX without weights; without it only torch can run the model.  details: further manifest
    values, e.g. version="0.1.0", licence="Apache-2.0".  The files are copied before the manifest names them, so that a
    reader in between sees at worst an altered file, never a wrong one.
    """
    model_id = str(load_weights(weights_file).metadata["model"])
    folder.mkdir(parents=True, exist_ok=True)
    entry = {"id": model_id, **_stored(folder / f"{model_id}.npz", weights_file.read_bytes()), **details}
    if graph is not None:
        entry["graph"] = _stored(folder / f"{model_id}.onnx", graph)
    known = _manifest(folder) if (folder / MANIFEST_NAME).exists() else []
    entries = [e for e in known if e.get("id") != model_id] + [entry]
    entries.sort(key=lambda e: MODEL_IDS.index(e["id"]))
    _write(folder / MANIFEST_NAME, (json.dumps({"models": entries}, indent=2) + "\n").encode())
    return find_model(model_id, folder)


def _stored(path: Path, content: bytes) -> dict[str, Any]:
    """Write a file of the store; returns what the manifest says of it."""
    _write(path, content)
    return {"file": path.name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _manifest(folder: Path) -> list[dict[str, Any]]:
    path = folder / MANIFEST_NAME
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["models"]
        files = [*entries, *(e["graph"] for e in entries if "graph" in e)]
        wanted = [e["id"] for e in entries] + [value for f in files for value in (f["file"], f["sha256"])]
        if not all(value and isinstance(value, str) for value in wanted):
            raise ValueError("an entry without id, file or sha256")
        return list(entries)
    except FileNotFoundError:
        raise ModelError(f"The list of models '{path}' is missing; install VertebraLabeling again.") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"The list of models '{path}' is damaged; install VertebraLabeling again.") from error
