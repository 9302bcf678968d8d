"""Which methods there are, what they need, and what is said when that is not there."""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from VertebraLabelingLib import options
from VertebraLabelingLib.core.errors import ModelError, UsageError
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.engines import weights
from VertebraLabelingLib.engines.weights import MANIFEST_NAME, MODEL_IDS, listed_models
from VertebraLabelingLib.methods import registry
from VertebraLabelingLib.methods.corridor import Corridor, curve
from VertebraLabelingLib.methods.corridor.settings import CorridorSettings
from VertebraLabelingLib.methods.registry import (
    MEMBERS,
    METHODS,
    PAPER_METHODS,
    check_choice,
    load_method,
    missing_models,
    models_of,
    refusal,
    used_methods,
    uses_sequence,
    weights_sha256,
)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes the store list these models only."""

    def only(*names: str) -> None:
        manifest = {"models": [{"id": name, "file": f"{name}.npz", "sha256": f"hash of {name}"} for name in names]}
        (tmp_path / MANIFEST_NAME).write_text(json.dumps(manifest))
        for function in ("listed_models", "find_model", "load_model"):
            monkeypatch.setattr(weights, function, partial(getattr(weights, function), folder=tmp_path))

    return only


def test_every_method_has_weights_that_the_store_knows_and_a_sentence():
    needed = {model for name in MEMBERS for model in models_of(name)}
    assert needed <= set(MODEL_IDS)
    assert [*MEMBERS, "ensemble"] == list(METHODS)
    assert all(len(sentence) > 40 and sentence.endswith(".") for sentence in METHODS.values())


def test_the_help_tells_when_to_take_which(capsys: pytest.CaptureFixture[str]):
    parser = argparse.ArgumentParser()
    options.add_method_options(parser)
    parser.print_help()
    told = " ".join(capsys.readouterr().out.split())
    assert all(" ".join(f"{name}: {sentence}".split()) in told for name, sentence in METHODS.items())


@pytest.mark.parametrize("name", PAPER_METHODS)
def test_a_papers_own_system_ends_without_our_decoder(name: str):
    assert not uses_sequence(name, "paper") and uses_sequence(name, "default")


@pytest.mark.parametrize("name", ["sites", "ensemble"])
def test_what_is_of_no_paper_has_no_such_configuration(name: str):
    assert uses_sequence(name, "default")
    with pytest.raises(UsageError, match="not from a paper"):
        check_choice(name, "paper")


def test_weights_of_ones_own_are_for_one_method(tmp_path: Path):
    check_choice("multi-view", "default", tmp_path / "mine.npz")
    with pytest.raises(UsageError, match="several networks"):
        load_method("ensemble", tmp_path / "mine.npz")


def test_a_method_without_weights_refuses_and_says_what_to_do(installed):
    installed("corridor", "sites")
    for call in (load_method, weights_sha256):
        with pytest.raises(ModelError, match=r"'global-to-local' has no weights here \(global-to-local, refinement mi"):
            call("global-to-local")
    assert ModelError.exit_code == 5
    assert missing_models("sites") == () and missing_models("multi-view") == ("multi-view",)


def test_weights_of_ones_own_take_the_place_of_missing_ones(installed):
    installed("corridor", "sites")
    assert refusal("multi-view") and not refusal("multi-view", has_own_weights=True)
    assert "refinement missing" in refusal("global-to-local", has_own_weights=True)


def test_multi_view_needs_torch_and_says_so(installed):
    installed(*MODEL_IDS)
    assert not refusal("multi-view", "torch")
    with pytest.raises(ModelError, match="PyTorch"):
        load_method("multi-view", engine="onnx")


def test_the_ensemble_is_made_of_what_can_run(installed):
    installed("corridor", "sites", "multi-view", "global-to-local")
    assert used_methods("ensemble") == ("sites", "multi-view")
    assert used_methods("ensemble", "onnx") == ("sites",)
    assert used_methods("multi-view") == ("multi-view",)
    assert missing_models("ensemble") == ()
    installed("corridor")
    assert missing_models("ensemble") == MEMBERS
    with pytest.raises(ModelError, match="install VertebraLabeling again"):
        load_method("ensemble")


def test_the_hashes_are_those_of_what_would_run(installed):
    installed(*MODEL_IDS)
    assert weights_sha256("global-to-local") == {
        name: f"hash of {name}" for name in ("global-to-local", "corridor", "refinement")
    }
    assert set(weights_sha256("ensemble")) == set(MODEL_IDS)
    assert set(weights_sha256("ensemble", engine="onnx")) == set(MODEL_IDS) - {"multi-view"}


def _arguments(**values: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    options.add_method_options(parser)
    return argparse.Namespace(**{**vars(parser.parse_args([])), **values})


def test_the_recipe_of_the_ensemble_follows_the_engine(installed, monkeypatch: pytest.MonkeyPatch):
    installed(*MODEL_IDS)
    monkeypatch.setattr(options, "choose_engine", lambda name: {"auto": "onnx"}[name])
    recipe = options.Labeller.recipe(_arguments(method="ensemble"))
    assert "multi-view" not in recipe.weights_sha256 and recipe.uses_sequence
    assert "multi-view" in options.Labeller.recipe(_arguments(method="multi-view")).weights_sha256


def test_the_loaded_ensemble_has_the_hashes_of_its_recipe():
    pytest.importorskip("torch")
    method = load_method("ensemble")
    assert method.weights_sha256 == weights_sha256("ensemble")


@pytest.mark.parametrize("name", MEMBERS)
def test_every_method_whose_weights_are_there_is_loaded(name: str):
    pytest.importorskip("torch")
    if missing_models(name):
        pytest.skip("its weights are not there")
    method = load_method(name)
    assert method.name == name and method.weights_sha256 == weights_sha256(name)


def test_the_corridor_finds_the_spine_of_a_scan_once(monkeypatch: pytest.MonkeyPatch):
    shared = Corridor(_Everywhere(), CorridorSettings())
    calls = []
    found = curve._found_curve
    monkeypatch.setattr(curve, "_found_curve", lambda *args: calls.append(1) or found(*args))
    scans = [_scan(), _scan()]
    first, again = shared.spine_curve(scans[0]), shared.spine_curve(scans[0])
    assert np.array_equal(first, again) and len(first) > 3 and len(calls) == 1
    first[:] = 0
    assert np.array_equal(shared.spine_curve(scans[0]), again), "a caller's changes stay with it"
    shared.spine_curve(scans[1])
    assert len(calls) == 2


def test_a_damaged_store_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / MANIFEST_NAME).write_text("{")
    monkeypatch.setattr(weights, "listed_models", partial(listed_models, tmp_path))
    with pytest.raises(ModelError, match="damaged"):
        load_method("sites")
    with pytest.raises(ModelError, match="damaged"):
        registry.missing_models("ensemble")


class _Everywhere:
    device = "cpu"

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        return {"output": np.full(image[:, 0].shape, 5.0, np.float32)}


def _scan() -> Scan:
    return Scan(np.full((40, 20, 20), 40.0, np.float32), Geometry((40, 20, 20), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0)))
