"""Family 4: what is no CT of a spine is refused with the reason, and never named with confidence."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from phantoms import neck_phantom, small_phantom
from scipy import ndimage
from small_ct import trunk_hu
from trust_support import image_of, label, scan_of, written, wrong_names
from VertebraLabelingLib.core.errors import InputError, NothingFoundError
from VertebraLabelingLib.core.labelling import UNCERTAIN_BELOW
from VertebraLabelingLib.core.scan import Scan

RANDOM = np.random.default_rng(3)


def saved(hu, name="a.nii.gz", voxel_mm=(6.0, 6.0, 6.0)) -> Callable[[Path], Path]:
    return lambda folder: written(folder / name, image_of(np.asarray(hu), voxel_mm))


def noisy(values: float, sigma: float) -> np.ndarray:
    return (values + RANDOM.normal(0, sigma, trunk_hu().shape)).astype(np.float32)


def as_mr() -> np.ndarray:
    """Fat bright, bone dark, nothing below zero."""
    hu = trunk_hu()
    picture = np.select([hu < -500, hu < 0, hu > 200], [10.0, 900.0, 60.0], 400.0)
    return np.abs(ndimage.gaussian_filter(picture, 0.6) + RANDOM.normal(0, 12, hu.shape)).astype(np.float32)


def with_nan(share: float) -> np.ndarray:
    hu = trunk_hu().astype(np.float32)
    hu[RANDOM.random(hu.shape) < share] = np.nan
    return hu


def water_phantom() -> np.ndarray:
    return np.where(trunk_hu() > -500, 0, -1000) + noisy(0, 12)


def truncated(folder: Path) -> Path:
    path = saved(trunk_hu(), "a.nrrd")(folder)
    path.write_bytes(path.read_bytes()[:-2000])
    return path


def empty_gzip(folder: Path) -> Path:
    path = folder / "a.nii.gz"
    path.write_bytes(gzip.compress(b""))
    return path


def colour(folder: Path) -> Path:
    picture = np.repeat(np.clip(trunk_hu() // 8 + 128, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)
    return written(folder / "a.nrrd", sitk.GetImageFromArray(picture, isVector=True))


def phases(folder: Path) -> Path:
    return written(folder / "a.nii.gz", sitk.JoinSeries([image_of(trunk_hu()), image_of(trunk_hu())]))


LABEL_MAP = (np.select([trunk_hu() < -500, trunk_hu() < 0, trunk_hu() > 200], [0, 1, 20], 5)).astype(np.uint8)
MANY_LABELS = (LABEL_MAP.astype(np.int16) * 100 + np.arange(30)[:, None, None] * (LABEL_MAP > 0)).astype(np.int16)
PROBABILITY_MAP = ndimage.gaussian_filter((LABEL_MAP == 20).astype(np.float32), 1.0)

REFUSED = {
    "all NaN": (saved(with_nan(1.1)), "NaN"),
    "mostly NaN": (saved(with_nan(0.7)), "NaN"),
    "constant zero": (saved(np.zeros((30, 24, 24), np.int16)), "constant"),
    "constant number": (saved(np.full((30, 24, 24), -1024, np.int16)), "constant"),
    "air": (saved(noisy(-1000, 60)), "only air"),
    "air without noise": (saved(noisy(-1000, 20)), "scaled or not CT"),
    "water": (saved(water_phantom()), "no bone"),
    "MR": (saved(as_mr()), "not a CT"),
    "MR times four": (saved(as_mr() * 4), "not a CT"),
    "label map": (saved(LABEL_MAP), "segmentation"),
    "label map as float": (saved(LABEL_MAP.astype(np.float32)), "segmentation"),
    "label map of many numbers": (saved(MANY_LABELS), "not a CT"),
    "probability map": (saved(PROBABILITY_MAP), "scaled"),
    "noise": (saved(RANDOM.uniform(-1000, 1000, (30, 24, 24)).astype(np.float32)), "not a CT"),
    "X-ray, 2-D": (saved(trunk_hu()[:, 12], voxel_mm=(1.0, 1.0)), "2-D"),
    "X-ray, one slice": (saved(trunk_hu()[:, 12:13]), "only 1 slice"),
    "X-ray picture": (saved(np.clip(trunk_hu()[:, 12], 0, 255).astype(np.uint8), "a.png", (1.0, 1.0)), "2-D"),
    "4-D": (phases, "4 dimensions"),
    "colour": (colour, "3 values per voxel"),
    "empty": (lambda folder: (folder / "a.nii.gz").touch() or folder / "a.nii.gz", "empty"),
    "empty gzip": (empty_gzip, "not an image"),
    "truncated": (truncated, "cut short"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.usefixtures("no_network")
def test_it_is_refused_with_the_reason_and_without_output(name, tmp_path, capsys):
    make, reason = REFUSED[name]
    path, out = make(tmp_path), tmp_path / "out"
    out.mkdir()
    assert label(path, out) == 3
    message = capsys.readouterr().err
    assert reason in message
    assert message.count("\n") == 1
    assert message.rstrip().endswith(".")
    assert list(out.iterdir()) == []


@pytest.mark.usefixtures("no_network")
def test_the_trunk_of_these_tests_is_a_ct(tmp_path):
    """Else every refusal above could have another cause."""
    assert label(saved(trunk_hu())(tmp_path), tmp_path, "--quiet") == 0


@pytest.mark.usefixtures("no_network")
def test_a_few_nan_are_repaired_and_the_record_says_so(tmp_path):
    assert label(saved(with_nan(0.01))(tmp_path), tmp_path, "--quiet") == 0
    (note,) = json.loads((tmp_path / "a.run.json").read_text(encoding="utf-8"))["notes"]
    assert "not numbers" in note


@pytest.mark.usefixtures("no_network")
def test_numbers_beyond_any_density_are_repaired_too(tmp_path):
    """The least 32-bit number as padding would turn to NaN when voxels are averaged."""
    hu = trunk_hu().astype(np.float32)
    hu[:, :2] = np.finfo(np.float32).min
    assert label(saved(hu)(tmp_path), tmp_path, "--quiet") == 0
    assert "not numbers" in (tmp_path / "a.run.json").read_text(encoding="utf-8")


def require_not_confident(labeller, scan: Scan) -> None:
    """Refused, nothing found, or every name in doubt."""
    try:
        labelling = labeller.label(scan).labelling
    except (InputError, NothingFoundError):
        return
    assert not labelling.level_certain
    assert all(point.probability < UNCERTAIN_BELOW for point in labelling.points), labelling.summary()


def test_a_rod_of_bone_in_a_trunk_is_no_spine(labeller):
    rod = ndimage.zoom(trunk_hu().astype(np.float32), 2, order=1)
    image = image_of(rod, (3.0, 3.0, 3.0))
    require_not_confident(labeller, scan_of(image))


@dataclass(frozen=True)
class ConeBeam:
    """What a C-arm or a dental scanner makes of a CT: grey values = scale * HU + offset, with its faults.

    cupping: how much brighter the rim is.  streaks, noise: their strength.  radius: of the round picture, as a share.
    """

    scale: float = 0.9
    offset: float = 0.0
    cupping: float = 80.0
    streaks: float = 30.0
    noise: float = 60.0
    radius: float = 0.95

    def of(self, scan: Scan) -> Scan:
        _, y, x = np.indices(scan.hu.shape)
        middle_y, middle_x = scan.hu.shape[1] / 2, scan.hu.shape[2] / 2
        radius, angle = np.hypot(y - middle_y, x - middle_x) / middle_y, np.arctan2(y - middle_y, x - middle_x)
        grey = self.scale * scan.hu + self.cupping * radius**2 + self.streaks * np.sin(31 * angle) + self.offset
        noise = np.random.default_rng(3).normal(0, self.noise, grey.shape)
        return Scan(np.where(radius < self.radius, grey + noise, -1000).astype(np.float32), scan.geometry, "cone beam")


CONE_BEAMS = {
    "grey values": ConeBeam(0.55, 300.0, 250.0, 60.0),
    "near HU": ConeBeam(),
    "noisy": ConeBeam(noise=150.0),
    "cupped": ConeBeam(0.8, -100.0, 400.0),
    "streaky": ConeBeam(streaks=200.0),
    "narrow": ConeBeam(radius=0.6),
    "weak": ConeBeam(0.4, -200.0),
    "bright": ConeBeam(1.4, 50.0),
    "dark": ConeBeam(0.8, -300.0),
}


def cone_beam_is_sure(labeller, phantom, name: str) -> bool:
    """Whether the level is certain in it, and so every name right; else it is refused, or says that it is unsure."""
    try:
        result = labeller.label(CONE_BEAMS[name].of(phantom.scan))
    except (InputError, NothingFoundError):
        return False
    assert not result.labelling.level_certain or wrong_names(result, phantom.centroids) == []
    return result.labelling.level_certain


def test_a_cone_beam_scan_is_refused_unsure_or_right(phantom, labeller):
    assert not cone_beam_is_sure(labeller, phantom, "grey values")
    assert cone_beam_is_sure(labeller, phantom, "near HU")


@pytest.mark.slow
@pytest.mark.parametrize("make", [small_phantom, neck_phantom])
def test_no_cone_beam_scan_has_a_wrong_name_with_confidence(make, labeller, counts):
    """Always to be unsure would not do either."""
    sure = [cone_beam_is_sure(labeller, make(), name) for name in CONE_BEAMS]
    counts.update(cases=len(sure), sure=sum(sure))
    assert sum(sure) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_blobs_of_bone_are_no_spine(labeller, seed):
    """Round densities at random places in soft tissue."""
    random = np.random.default_rng(seed)
    hu = ndimage.zoom(np.where(trunk_hu() > 200, 45, trunk_hu()).astype(np.float32), 2, order=1)
    blobs = ndimage.gaussian_filter((random.random(hu.shape) < 4e-4).astype(float), 3.0)
    hu = np.where((blobs > np.quantile(blobs, 0.97)) & (hu > 0), 350.0, hu) + random.normal(0, 15, hu.shape)
    require_not_confident(labeller, scan_of(image_of(hu.astype(np.float32), (3.0, 3.0, 3.0))))
