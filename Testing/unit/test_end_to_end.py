"""From a CT file to the result files with the weights that ship: nothing is faked here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from phantoms import small_phantom
from VertebraLabelingLib import predict
from VertebraLabelingLib.core.formats import read_points
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import LabelledPoint
from VertebraLabelingLib.core.readers import read_scan
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.engines.device import choose_engine
from VertebraLabelingLib.engines.weights import MANIFEST_NAME, MODELS_FOLDER
from VertebraLabelingLib.methods.registry import DEFAULT_METHOD, MEMBERS, load_method, models_of, used_methods


def require_registered(model: str) -> None:
    """Skip while the weights are not part of the repository; whatever is wrong with registered ones must fail."""
    entries = json.loads((MODELS_FOLDER / MANIFEST_NAME).read_text(encoding="utf-8"))["models"]
    if model not in {entry["id"] for entry in entries}:
        pytest.skip(f"the weights of '{model}' are not registered in {MODELS_FOLDER} yet")


def label(ct: Path, folder: Path, method: str = DEFAULT_METHOD) -> tuple[LabelledPoint, ...]:
    """Points of a run with all outputs on the CPU; they lie in the volume, all files tell the same."""
    markups, table, verse, picture = (folder / f"out{suffix}" for suffix in (".mrk.json", ".csv", "_ctd.json", ".png"))
    files = ["--output", markups, "--csv", table, "--verse", verse, "--preview", picture]
    options = ["--method", method, "--device", "cpu", "--quiet"]
    assert predict.main(["label", str(ct), *map(str, files), *options]) == 0
    assert {path.name for path in folder.iterdir()} == {
        "out.mrk.json", "out.csv", "out_ctd.json", "out.png", "out.run.json",
    }  # fmt: skip
    points = read_points(markups)
    geometry = read_scan(ct).geometry
    require_same(points, read_points(table), read_points(verse, geometry))
    require_plausible(points, geometry)
    record = json.loads((folder / "out.run.json").read_text(encoding="utf-8"))
    members = used_methods(method, choose_engine("auto"))
    assert record["settings"]["weights_sha256"].keys() == {model for member in members for model in models_of(member)}
    return points


def require_same(points: tuple[LabelledPoint, ...], *others: tuple[LabelledPoint, ...]) -> None:
    for other in others:
        assert [p.level for p in other] == [p.level for p in points]
        np.testing.assert_allclose(positions(other), positions(points), atol=0.01)


def require_plausible(points: tuple[LabelledPoint, ...], geometry: Geometry) -> None:
    assert points
    assert geometry.contains_lps(positions(points)).all()
    assert all(0 <= point.probability <= 1 for point in points)


def positions(points: tuple[LabelledPoint, ...]) -> np.ndarray:
    return np.array([point.position_lps_mm for point in points]).reshape(-1, 3)


def mean_hu_around(scan: Scan, point_lps_mm: np.ndarray, radius_mm: float = 5.0) -> float:
    """Mean HU in a ball."""
    centre = scan.geometry.index_zyx_from_lps(point_lps_mm)
    reach = radius_mm / np.array(scan.geometry.spacing_zyx_mm)
    low = np.maximum(np.floor(centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(centre + reach) + 1, scan.hu.shape).astype(int)
    index = np.moveaxis(np.indices(tuple(high - low)), 0, -1) + low
    inside = np.linalg.norm(scan.geometry.lps_from_index_zyx(index) - point_lps_mm, axis=-1) <= radius_mm
    return float(scan.hu[tuple(slice(a, b) for a, b in zip(low, high, strict=True))][inside].mean())


@pytest.mark.parametrize("model", MEMBERS)
def test_shipped_weights_fit_this_version(model):
    require_registered(model)
    require_registered("corridor")
    assert load_method(model).weights_sha256.keys() == {*models_of(model)}


def test_a_phantom_is_labelled_with_the_shipped_weights(tmp_path):
    """Finding is asked for, naming is not: a lumbar stretch of 3 mm voxels has hardly more than the sacrum to tell."""
    require_registered(DEFAULT_METHOD)
    phantom, ct, out = small_phantom(), tmp_path / "phantom.nii.gz", tmp_path / "out"
    out.mkdir()
    sitk.WriteImage(phantom.scan.to_sitk(), str(ct))
    found = positions(label(ct, out))
    distances = np.linalg.norm(found[:, None] - np.array(list(phantom.centroids.values())), axis=-1)
    assert np.mean(distances.min(axis=0) < 10) >= 0.5, "fewer than half of the vertebrae were found"
    assert np.mean(distances.min(axis=1) < 15) >= 0.5, "most points lie beside the vertebrae"


@pytest.mark.shared
def test_a_real_scan_is_labelled_with_points_in_bone(shared_data, tmp_path):
    """A kyphotic chest, C7-T8 (Soft-tissue-Sarcoma, TCIA)."""
    require_registered(DEFAULT_METHOD)
    ct = shared_data / "ct" / "sts-037.nii.gz"
    points, scan = label(ct, tmp_path), read_scan(ct)
    assert len(points) >= 5
    in_bone = [mean_hu_around(scan, point) > 50 for point in positions(points)]
    assert np.mean(in_bone) > 0.7


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize(
    ("method", "least_found", "least_named"),
    [("multi-view", 0.55, 0.75), ("global-to-local", 0.55, 0.75), ("ensemble", 0.9, 0.9)],
)
def test_the_other_methods_name_a_real_chest(method, least_found, least_named, shared_data, tmp_path):
    """C6-T12 of split val (Lung-PET-CT-Dx, TCIA): shares of the vertebrae, named as the VerSe metric counts."""
    points = label(shared_data / "ct" / "lungdx-a0001.nii.gz", tmp_path, method)
    truth = read_points(shared_data / "annotations" / "lungdx-a0001.csv")
    distances = np.linalg.norm(positions(truth)[:, None] - positions(points), axis=-1)
    same_level = np.array([[point.level == true.level for point in points] for true in truth])
    assert np.mean(distances.min(axis=1) < 10) >= least_found
    assert np.mean((same_level & (distances < 20)).any(axis=1)) >= least_named
