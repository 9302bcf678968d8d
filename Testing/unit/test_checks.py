from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from VertebraLabelingLib.core.checks import check_ct
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.readers import read_scan
from VertebraLabelingLib.core.scan import Scan

SHAPE = (48, 64, 64)
RANDOM = np.random.default_rng(7)
_Z, _Y, _X = np.indices(SHAPE)


def scan_of(hu: np.ndarray, spacing_mm: float = 3.0) -> Scan:
    return Scan(np.asarray(hu, np.float32), Geometry(hu.shape, (spacing_mm,) * 3), "case")


def tissue_map() -> np.ndarray:
    """0 air, 1 fat, 2 soft tissue, 3 lung, 4 bone: an elliptic trunk with a spine."""
    tissue = np.zeros(SHAPE, int)
    radius = np.hypot((_X - 32) / 28, (_Y - 32) / 20)
    tissue[radius < 1] = 1
    tissue[radius < 0.8] = 2
    tissue[(np.hypot((_X - 18) / 7, (_Y - 28) / 9) < 1) & (_Z > 24)] = 3
    tissue[np.hypot(_X - 32, _Y - 42) < 6] = 4
    return tissue


def painted(values, blur: float = 0.7, noise: float = 20.0) -> np.ndarray:
    """The trunk with one value per tissue, blurred, with noise."""
    picture = ndimage.gaussian_filter(np.asarray(values, float)[tissue_map()], blur)
    return picture + RANDOM.normal(0, noise, SHAPE)


def ct() -> np.ndarray:
    return np.maximum(painted((-1000, -100, 40, -800, 400)), -1024)


ACCEPTED = {
    "plain": ct(),
    "whole numbers": np.round(ct()),
    "12 bit": np.clip(np.round(ct()), -1024, 3071),
    "padding": np.where(np.hypot(_X - 32, _Y - 32) < 31, ct(), -3024),
    "masked like a dose region": np.where(np.hypot(_X - 32, _Y - 40) < 11, ct(), -1024),
    "metal": np.where(np.hypot(_X - 32, _Y - 42) < 2, 20000, ct()),
    "contrast": np.where(np.hypot(_X - 40, _Y - 30) < 3, 350, ct()),
    "low dose": ct() + RANDOM.normal(0, 80, SHAPE),
    "inside the body only": ct()[:, 20:50, 20:46],
    "windowed to -200..300": np.clip(ct(), -200, 300),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_ct_passes_as_the_same_object(name):
    scan = scan_of(ACCEPTED[name])
    assert check_ct(scan) is scan


def label_map() -> np.ndarray:
    return tissue_map() * 300.0


REFUSED = {
    "constant": (np.full(SHAPE, 40.0), "constant"),
    "segmentation": (label_map(), "segmentation"),
    "scaled to 0..1": ((ct() + 1024) / 4095, "values .* scaled"),
    "8 bit window": (np.round(np.clip((ct() + 160) / 400, 0, 1) * 255), "values 0 to 255"),
    "z-score": ((ct() - ct().mean()) / ct().std(), "scaled"),
    "T1 MR": (np.abs(painted((0, 900, 400, 20, 250))), "not a CT"),
    "T2 MR": (np.abs(painted((0, 300, 150, 10, 500))), "not a CT"),
    "MR with ringing below zero": (painted((0, 900, 400, 20, 250)), "not a CT"),
    "MR around 1024": (np.abs(painted((0, 1020, 400, 20, 700), noise=40)), "not a CT"),
    "bone window from 0 up": (np.clip(ct(), 0, None), "not a CT"),
    "PET": (np.abs(painted((0, 800, 3000, 900, 9000), noise=100)), "not a CT"),
    "pure air": (np.full(SHAPE, -1000.0) + RANDOM.normal(0, 60, SHAPE), "only air"),
    "water": (np.where(np.hypot(_X - 32, _Y - 32) < 25, 0.0, -1000.0) + RANDOM.normal(0, 20, SHAPE), "no bone"),
    "uniform noise": (RANDOM.uniform(-1000, 1000, SHAPE), "not a CT"),
    "noise with the histogram of a CT": (RANDOM.permutation(ct().ravel()).reshape(SHAPE), "noise"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_ct_is_refused_with_its_reason(name):
    values, reason = REFUSED[name]
    with pytest.raises(InputError, match=reason):
        check_ct(scan_of(values))


@pytest.mark.parametrize("scale", [0.3, 0.5, 0.7, 1.0, 1.3, 2.0, 4.0])
@pytest.mark.parametrize("contrast", [(0, 900, 400, 20, 250), (0, 700, 350, 10, 800), (0, 500, 600, 30, 200)])
def test_mr_is_refused_at_any_scale(scale, contrast):
    """No scale makes fat and muscle of an MR look like CT numbers + 1024 or like HU."""
    with pytest.raises(InputError):
        check_ct(scan_of(np.abs(painted(np.multiply(contrast, scale), noise=15 * scale))))


def test_forgotten_rescale_is_corrected_and_noted():
    hu = np.maximum(np.round(ct()), -1024).astype(np.float32)
    scan = replace(scan_of(hu + 1024), notes=("first",))
    checked = check_ct(scan)
    np.testing.assert_array_equal(checked.hu, hu)
    assert checked.notes[0] == "first" and "1024 was subtracted" in checked.notes[1]
    assert checked.geometry == scan.geometry
    assert scan.hu.min() >= 0


def test_too_small_volumes_are_refused():
    with pytest.raises(InputError, match="too small"):
        check_ct(scan_of(ct(), spacing_mm=0.3))
    with pytest.raises(InputError, match="2 slice"):
        check_ct(scan_of(ct()[:2], spacing_mm=20.0))


def real_scans(folder: Path) -> list[Path]:
    """Torso and neck CTs without their label maps."""
    files = [*folder.glob("ct/*.nii.gz"), *folder.glob("neck/*.nii.gz")]
    return sorted(path for path in files if not path.name.endswith("_organs.nii.gz"))


def passes_as_it_is_and_corrected_when_raw(path: Path) -> None:
    scan = read_scan(path)
    assert check_ct(scan) is scan, path.name
    raw = replace(scan, hu=np.maximum(scan.hu, -1024) + 1024)
    np.testing.assert_array_equal(check_ct(raw).hu, np.maximum(scan.hu, -1024), err_msg=path.name)


@pytest.mark.shared
def test_a_few_small_real_scans_pass_and_are_corrected_when_raw(shared_data):
    """A masked neck, a pelvis without a single lung, a thigh."""
    for name in ("neck/neck-017.nii.gz", "ct/vhm-pelvis.nii.gz", "ct/sts-001.nii.gz"):
        passes_as_it_is_and_corrected_when_raw(shared_data / name)


@pytest.mark.slow
@pytest.mark.shared
def test_all_real_scans_pass_and_are_corrected_when_raw(shared_data):
    paths = real_scans(shared_data)
    assert len(paths) > 150
    for path in paths:
        passes_as_it_is_and_corrected_when_raw(path)


@pytest.mark.shared
def test_real_label_maps_are_refused(shared_data):
    for path in sorted((shared_data / "neck").glob("*_organs.nii.gz"))[:3]:
        with pytest.raises(InputError, match="segmentation"):
            check_ct(read_scan(path))
