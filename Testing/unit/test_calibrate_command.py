"""`python -m training calibrate`: a weight file of each kind, and the trust of the ensemble."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lightning")

from cached_cases import CASE_LEVELS, CASE_POINTS_ZYX_MM, write_cache
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import UsageError
from VertebraLabelingLib.core.labelling import Evidence
from VertebraLabelingLib.engines.weights import load_weights, save_weights
from VertebraLabelingLib.methods import global_to_local, multi_view, registry, sites
from VertebraLabelingLib.methods.ensemble.trust import Trust
from VertebraLabelingLib.methods.global_to_local.settings import GlobalToLocalSettings
from VertebraLabelingLib.methods.multi_view.settings import MultiViewSettings
from VertebraLabelingLib.methods.sites.settings import SitesSettings

from training import trust_source
from training.__main__ import main

PLACES = np.array(CASE_POINTS_ZYX_MM)[:, ::-1]


class _Good:
    """Sees what is there with 0.8, and something beside it with 0.3."""

    def __init__(self, name: str = "sites", sha256: str = "x") -> None:
        self.name, self.weights_sha256 = name, {name: sha256}

    def find(self, scan: Any, progress: Any) -> Evidence:
        places = np.concatenate([PLACES, PLACES[:2] + [18.0, 0.0, 0.0]])
        log_probs = np.full((len(places), len(Level)), np.log(0.1 / 27))
        log_probs[np.arange(len(places)), [*CASE_LEVELS, *CASE_LEVELS[:2]]] = np.log(0.9)
        scores = np.array([0.8] * len(PLACES) + [0.3] * 2)
        return Evidence(places, log_probs, scores)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return write_cache(tmp_path / "cache")


def _calibrate(tmp_path: Path, cache: Path, *more: str) -> int:
    common = ("--cache", str(cache), "--work", str(tmp_path / "work"), "--phantoms", "0", "--pieces", "0")
    return main(["calibrate", *more, *common])


@pytest.mark.parametrize(
    ("model", "package", "settings", "has_names"),
    [
        ("sites", sites, SitesSettings(), False),
        ("multi-view", multi_view, MultiViewSettings(), True),
        ("global-to-local", global_to_local, GlobalToLocalSettings(), True),
    ],
)
def test_a_weight_file_of_each_method_is_fitted_from_what_it_says_without_calibration(
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    package: ModuleType,
    settings: Any,
    has_names: bool,
):
    file = tmp_path / "weights.npz"
    before = {**settings.to_metadata(), "score_calibration": [3.0, 2.0]}
    save_weights(file, {"a": np.ones(2)}, {"model": model, "network": before, "trained": "long"})
    seen: list[Any] = []

    def load(weights: Any, *rest: Any) -> _Good:
        seen.append(weights.metadata["network"])
        return _Good(model)

    monkeypatch.setattr(package, "load", load)
    assert _calibrate(tmp_path, cache, str(file)) == 0
    assert list(seen[0]["score_calibration"]) == [1.0, 0.0]
    after = load_weights(file)
    network = type(settings).from_metadata(after.metadata["network"])
    slope, _offset = network.score_calibration
    assert slope > 0 and after.metadata["trained"] == "long" and after.arrays["a"].tolist() == [1, 1]
    assert ("level_temperature" in after.metadata["network"]) == has_names
    if has_names:
        assert network.level_temperature == 1.0, "names that are always right are believed"


def test_shipped_weights_are_not_touched_without_a_version(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(multi_view, "load", lambda *_: _Good("multi-view"))
    assert _calibrate(tmp_path, cache, "--method", "multi-view") == 0
    assert "nothing is written" in capsys.readouterr().out


def test_what_has_nothing_to_calibrate_is_refused(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]):
    assert _calibrate(tmp_path, cache) == UsageError.exit_code
    file = tmp_path / "corridor.npz"
    save_weights(file, {"a": np.ones(2)}, {"model": "corridor", "network": {}})
    assert _calibrate(tmp_path, cache, str(file)) == UsageError.exit_code
    assert "is no method" in capsys.readouterr().err
    assert _calibrate(tmp_path, tmp_path / "none", "--method", "multi-view") == UsageError.exit_code


def test_the_trust_of_the_ensemble_is_measured_and_written_as_source(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    source = tmp_path / "measured.py"
    monkeypatch.setattr(trust_source, "SOURCE", source)
    monkeypatch.setattr(registry, "used_methods", lambda name: ("sites", "multi-view", "global-to-local"))
    monkeypatch.setattr(registry, "load_method", _Good)
    assert _calibrate(tmp_path, cache, "--method", "ensemble") == 0
    text = source.read_text(encoding="utf-8")
    assert "| multi-view |" in capsys.readouterr().out and "Measured on 1 cases" in text
    values: dict[str, Any] = {}
    exec(text.replace("from .trust import Trust", ""), {"Trust": Trust, "__name__": "measured"}, values)
    everything, papers = values["TRUSTS"]
    assert [*everything] == ["sites", "multi-view", "global-to-local"] and [*papers] == [
        "multi-view",
        "global-to-local",
    ]
    trust = everything["sites"]
    # one case: all of its vertebrae found, two others as well; one success and one failure are added
    found = len(PLACES)
    assert trust.share == pytest.approx((found + 1) / (found + 2 + 2), abs=1e-4)
    assert trust.presence == 1 and 0 <= everything["multi-view"].presence <= 1
    assert papers["multi-view"].presence == papers["multi-view"].names == 1, "the first of those that are as good"
