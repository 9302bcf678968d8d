"""The model store: what is written is read, and what was touched is refused."""

from __future__ import annotations

import hashlib
import json
import pickle

import pytest
import torch
from VertebraLabelingLib.core.errors import ModelError, UsageError
from VertebraLabelingLib.engines import weights as store
from VertebraLabelingLib.engines.weights import find_model, load_model, load_weights, register_model, save_weights
from VertebraLabelingLib.methods.integral_regression.method import CONFIGURATIONS
from VertebraLabelingLib.methods.registry import (
    CONFIGS,
    DEFAULT_METHOD,
    METHODS,
    PAPER_METHODS,
    check_choice,
    load_method,
)

METADATA = {"model": "sites", "network": {"widths": [8, 16], "spacing_mm": 2.0}}


@pytest.fixture
def state():
    return {"a.weight": torch.tensor([[0.5, -1.25]]), "a.count": torch.tensor(7), "a.empty": torch.zeros(0)}


@pytest.fixture
def file(tmp_path, state):
    path = tmp_path / "sites.pt"
    save_weights(path, state, METADATA)
    return path


def test_round_trip(tmp_path, state):
    path = tmp_path / "w.pt"
    sha256 = save_weights(path, state, METADATA)
    loaded = load_weights(path, sha256)
    assert loaded.metadata == METADATA
    assert loaded.sha256 == sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded.path == path
    assert loaded.state_dict.keys() == state.keys()
    assert torch.equal(loaded.state_dict["a.weight"], state["a.weight"])
    assert loaded.state_dict["a.weight"].dtype == torch.float32
    assert loaded.state_dict["a.count"].dtype == torch.int64
    assert loaded.state_dict["a.count"] == 7


def test_floats_are_stored_in_half_and_the_file_needs_no_pickled_code(file):
    bundle = torch.load(file, weights_only=True)
    assert bundle["state_dict"]["a.weight"].dtype == torch.float16
    assert bundle["format"] == "vertebra-labeling-weights/1"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_values_beyond_half_are_refused_and_leave_no_file(tmp_path, value):
    with pytest.raises(ValueError, match="float16"):
        save_weights(tmp_path / "w.pt", {"w": torch.tensor([1.0, value])}, METADATA)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("metadata", [{}, {"model": "other"}, {"model": "sites", "x": float("nan")}])
def test_bad_metadata_are_refused(tmp_path, state, metadata):
    with pytest.raises(ValueError):
        save_weights(tmp_path / "w.pt", state, metadata)


def test_missing_file(tmp_path):
    with pytest.raises(ModelError, match="missing"):
        load_weights(tmp_path / "w.pt")


def test_a_folder_is_not_a_weight_file(tmp_path):
    with pytest.raises(ModelError):
        load_weights(tmp_path)


def test_one_changed_bit_is_noticed_before_the_file_is_interpreted(file, monkeypatch):
    expected = hashlib.sha256(file.read_bytes()).hexdigest()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("an altered file was opened"))
    with pytest.raises(ModelError, match="altered"):
        load_weights(file, expected)


class Harmful:
    """Unpickling this would call a function."""

    def __reduce__(self):
        return print, ("harm",)


@pytest.mark.parametrize(
    "content", [b"", b"not a zip", pickle.dumps({"format": store.FORMAT}, 2), pickle.dumps(Harmful(), 2)], ids=len
)
def test_foreign_bytes(tmp_path, content, capsys):
    path = tmp_path / "w.pt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a weight file"):
        load_weights(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("bundle", [{}, [1], {"format": "other/1", "metadata": "{}", "state_dict": {}}])
def test_torch_files_of_another_format(tmp_path, bundle):
    path = tmp_path / "w.pt"
    torch.save(bundle, path)
    with pytest.raises(ModelError, match="not a weight file"):
        load_weights(path)


def test_registering_copies_and_lists(tmp_path, file):
    folder = tmp_path / "Models"
    entry = register_model(file, folder, version="0.1.0", licence="Apache-2.0")
    assert entry.path == folder / "sites.pt"
    assert entry.path.read_bytes() == file.read_bytes()
    listed = json.loads((folder / "models.json").read_text())["models"]
    assert listed == [
        {
            "id": "sites",
            "file": "sites.pt",
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "bytes": file.stat().st_size,
            "version": "0.1.0",
            "licence": "Apache-2.0",
        }
    ]
    assert load_model("sites", folder).metadata == METADATA


def test_registering_again_replaces_only_that_model(tmp_path, file, state):
    folder = tmp_path / "Models"
    register_model(file, folder)
    save_weights(tmp_path / "corridor.pt", state, {"model": "corridor"})
    register_model(tmp_path / "corridor.pt", folder)
    save_weights(file, {"other": torch.ones(2)}, METADATA)
    register_model(file, folder)
    assert [e["id"] for e in json.loads((folder / "models.json").read_text())["models"]] == ["corridor", "sites"]
    assert load_model("sites", folder).state_dict.keys() == {"other"}
    assert load_model("corridor", folder).state_dict.keys() == state.keys()


def test_a_shipped_file_that_was_altered_is_refused(tmp_path, file):
    folder = tmp_path / "Models"
    entry = register_model(file, folder)
    save_weights(entry.path, {"other": torch.ones(2)}, METADATA)
    with pytest.raises(ModelError, match="altered"):
        load_model("sites", folder)


def test_a_shipped_file_that_is_gone(tmp_path, file):
    folder = tmp_path / "Models"
    register_model(file, folder).path.unlink()
    with pytest.raises(ModelError, match="missing"):
        load_model("sites", folder)


@pytest.mark.parametrize(
    ("manifest", "word"),
    [
        (None, "missing"),
        ("{", "damaged"),
        ('{"models": [{"id": "sites"}]}', "damaged"),
        ('{"models": []}', "No weights"),
    ],
)
def test_manifests_that_do_not_help(tmp_path, manifest, word):
    if manifest is not None:
        (tmp_path / "models.json").write_text(manifest)
    with pytest.raises(ModelError, match=word):
        find_model("sites", tmp_path)


def test_weights_of_another_method_are_refused(file):
    with pytest.raises(ModelError, match="'sites', not for 'integral-regression'"):
        load_method("integral-regression", file)


@pytest.mark.parametrize(("name", "config"), [("other", "default"), ("sites", "other")])
def test_unknown_method_or_configuration(name, config):
    with pytest.raises(UsageError, match="'other' is unknown"):
        load_method(name, None, "cpu", config)


def test_only_methods_from_a_paper_have_its_configuration():
    assert set(PAPER_METHODS) < set(METHODS)
    assert set(CONFIGURATIONS) == set(CONFIGS)
    check_choice("integral-regression", "paper")
    with pytest.raises(UsageError, match="not from a paper"):
        load_method("sites", None, "cpu", "paper")


def test_the_default_method_is_listed():
    assert DEFAULT_METHOD in METHODS


def test_the_store_lies_where_slicer_looks_for_resources():
    assert store.MODELS_FOLDER.parts[-3:] == ("VertebraLabeling", "Resources", "Models")
