"""The model store: what is written is read, and what was touched is refused."""

from __future__ import annotations

import hashlib
import json
import pickle

import numpy as np
import pytest
from damage import flip_one_bit
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
    return {"a.weight": np.array([[0.5, -1.25]], np.float32), "a.count": np.array(7), "a.empty": np.zeros(0)}


@pytest.fixture
def file(tmp_path, state):
    path = tmp_path / "sites.npz"
    save_weights(path, state, METADATA)
    return path


def test_round_trip(tmp_path, state):
    path = tmp_path / "w.npz"
    sha256 = save_weights(path, state, METADATA)
    loaded = load_weights(path, sha256)
    assert loaded.metadata == METADATA
    assert loaded.sha256 == sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded.path == path
    assert loaded.arrays.keys() == state.keys()
    np.testing.assert_array_equal(loaded.arrays["a.weight"], state["a.weight"])
    assert {array.dtype for array in loaded.arrays.values()} == {np.dtype(np.float32), np.dtype(np.int64)}
    assert loaded.arrays["a.count"] == 7


def test_floats_are_stored_in_half_and_the_file_needs_no_pickled_code(file):
    bundle = np.load(file, allow_pickle=False)
    assert bundle["a.weight"].dtype == np.float16
    assert json.loads(str(bundle["header"])) == {"format": "vertebra-labeling-weights/2", "metadata": METADATA}


def test_tensors_are_as_good_as_arrays_and_the_same_values_give_the_same_file(tmp_path, file, state):
    torch = pytest.importorskip("torch")
    tensors = {name: torch.from_numpy(array) for name, array in state.items()}
    save_weights(tmp_path / "w.npz", tensors, METADATA)
    assert (tmp_path / "w.npz").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_values_beyond_half_are_refused_and_leave_no_file(tmp_path, value):
    with pytest.raises(ValueError, match="float16"):
        save_weights(tmp_path / "w.npz", {"w": np.array([1.0, value])}, METADATA)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("metadata", [{}, {"model": "other"}, {"model": "sites", "x": float("nan")}])
def test_bad_metadata_are_refused(tmp_path, state, metadata):
    with pytest.raises(ValueError):
        save_weights(tmp_path / "w.npz", state, metadata)


def test_missing_file(tmp_path):
    with pytest.raises(ModelError, match="missing"):
        load_weights(tmp_path / "w.npz")


def test_a_folder_is_not_a_weight_file(tmp_path):
    with pytest.raises(ModelError):
        load_weights(tmp_path)


def test_one_changed_bit_is_noticed_before_the_file_is_interpreted(file, monkeypatch):
    expected = hashlib.sha256(file.read_bytes()).hexdigest()
    flip_one_bit(file)
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("an altered file was opened"))
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
    path = tmp_path / "w.npz"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a weight file"):
        load_weights(path)
    assert capsys.readouterr().out == ""


HEADER = json.dumps({"format": store.FORMAT, "metadata": METADATA})


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"header": np.array("no JSON")},
        {"header": np.array(json.dumps({"format": "other/1", "metadata": {}}))},
        {"header": np.array(json.dumps({"format": store.FORMAT}))},
        {"header": np.array(HEADER), "w": np.array([Harmful()])},
        {"header": np.array([Harmful()])},
    ],
    ids=["empty", "no JSON", "format", "no metadata", "pickled parameter", "pickled header"],
)
def test_numpy_files_of_another_format(tmp_path, arrays, capsys):
    path = tmp_path / "w.npz"
    np.savez(path, **arrays)
    with pytest.raises(ModelError, match="not a weight file"):
        load_weights(path)
    assert capsys.readouterr().out == ""


def test_a_file_cut_short(file):
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(ModelError, match="not a weight file"):
        load_weights(file)


def test_compressed_arrays_are_refused_before_they_are_unpacked(tmp_path, monkeypatch):
    """A few megabytes could become many gigabytes; what this program writes is not compressed."""
    path = tmp_path / "w.npz"
    np.savez_compressed(path, header=np.array(HEADER), w=np.zeros(100_000))
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("it was unpacked"))
    with pytest.raises(ModelError, match="not a weight file"):
        load_weights(path)


def test_a_file_larger_than_any_of_weights_is_not_read(file, monkeypatch):
    monkeypatch.setattr(store, "LARGEST_FILE_BYTES", 100)
    with pytest.raises(ModelError, match="larger"):
        load_weights(file)


def test_a_single_array_is_no_weight_file(tmp_path):
    np.save(tmp_path / "w.npy", np.zeros(3))
    with pytest.raises(ModelError, match="not a weight file"):
        load_weights(tmp_path / "w.npy")


def test_registering_copies_and_lists(tmp_path, file):
    folder = tmp_path / "Models"
    entry = register_model(file, folder, version="0.1.0", licence="Apache-2.0")
    assert entry.weights.path == folder / "sites.npz"
    assert entry.weights.path.read_bytes() == file.read_bytes()
    listed = json.loads((folder / "models.json").read_text())["models"]
    assert listed == [
        {
            "id": "sites",
            "file": "sites.npz",
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "bytes": file.stat().st_size,
            "version": "0.1.0",
            "licence": "Apache-2.0",
        }
    ]
    assert load_model("sites", folder).metadata == METADATA
    assert entry.graph is None


def test_a_graph_is_registered_beside_its_weights_and_verified(tmp_path, file):
    folder = tmp_path / "Models"
    graph = register_model(file, folder, b"graph", version="0.1.0").graph
    assert graph.path == folder / "sites.onnx"
    assert graph.read() == b"graph"
    listed = json.loads((folder / "models.json").read_text())["models"][0]["graph"]
    assert listed == {"file": "sites.onnx", "sha256": hashlib.sha256(b"graph").hexdigest(), "bytes": 5}
    graph.path.write_bytes(b"grave")
    with pytest.raises(ModelError, match="altered"):
        find_model("sites", folder).graph.read()
    graph.path.unlink()
    with pytest.raises(ModelError, match="missing"):
        graph.read()


def test_registering_again_replaces_only_that_model(tmp_path, file, state):
    folder = tmp_path / "Models"
    register_model(file, folder)
    save_weights(tmp_path / "corridor.npz", state, {"model": "corridor"})
    register_model(tmp_path / "corridor.npz", folder)
    save_weights(file, {"other": np.ones(2)}, METADATA)
    register_model(file, folder)
    assert [e["id"] for e in json.loads((folder / "models.json").read_text())["models"]] == ["corridor", "sites"]
    assert load_model("sites", folder).arrays.keys() == {"other"}
    assert load_model("corridor", folder).arrays.keys() == state.keys()


def test_a_shipped_file_that_was_altered_is_refused(tmp_path, file):
    folder = tmp_path / "Models"
    entry = register_model(file, folder)
    save_weights(entry.weights.path, {"other": np.ones(2)}, METADATA)
    with pytest.raises(ModelError, match="altered"):
        load_model("sites", folder)


def test_a_shipped_file_that_is_gone(tmp_path, file):
    folder = tmp_path / "Models"
    register_model(file, folder).weights.path.unlink()
    with pytest.raises(ModelError, match="missing"):
        load_model("sites", folder)


@pytest.mark.parametrize(
    ("manifest", "word"),
    [
        (None, "missing"),
        ("{", "damaged"),
        ('{"models": [{"id": "sites"}]}', "damaged"),
        ('{"models": [{"id": "sites", "file": "a", "sha256": "b", "graph": {}}]}', "damaged"),
        ('{"models": [{"id": "sites", "file": 5, "sha256": "b"}]}', "damaged"),
        ('{"models": ' + "[" * 100_000, "damaged"),
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
