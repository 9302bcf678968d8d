"""From masks of whole vertebrae to body centroids: synthetic vertebrae whose body centre is known."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.scan import Scan

from training.datasets.masks import points_of_labels, points_of_masks
from training.phantom import PhantomSpec
from training.phantom.canvas import Bone, Canvas
from training.phantom.spine import Spine, build_spine
from training.phantom.vertebra import paint_vertebra

SOLID = Bone(1000.0, 1000.0, 1.0)


@cache
def spine() -> Spine:
    return build_spine(PhantomSpec(), np.random.default_rng(3))


@cache
def vertebra_mask(level: Level, spacing_mm: float = 1.5, top_mm: float = 45.0) -> Scan:
    """A whole vertebra as 1; the grid ends `top_mm` above the body centre."""
    centre = spine()[level].frame.origin_lps_mm
    low, high = centre - [45, 35, 42], centre + [45, 75, top_mm]
    nx, ny, nz = (int(n) for n in np.ceil((high - low) / spacing_mm))
    x, y, z = (float(v) for v in low)
    grid = Geometry((nz, ny, nx), (spacing_mm,) * 3, (x, y, z))
    canvas = Canvas(grid)
    paint_vertebra(canvas, spine()[level], SOLID, SOLID, np.random.default_rng(0))
    return Scan((np.asarray(canvas.hu) > 0).astype(np.float32), grid)


def write(file: Path, scan: Scan, value: int = 1, orientation: str = "LPS") -> Path:
    image = sitk.DICOMOrient(sitk.Cast(scan.to_sitk(), sitk.sitkUInt8) * value, orientation)
    sitk.WriteImage(image, str(file))
    return file


@pytest.mark.parametrize(
    "level", [Level.C1, Level.C2, Level.C4, Level.C7, Level.T6, Level.L1, Level.L5], ids=lambda level: level.name
)
def test_the_body_centre_is_found_to_3_mm(level: Level, tmp_path: Path) -> None:
    file = write(tmp_path / "mask.nii.gz", vertebra_mask(level))
    (point,) = points_of_masks({level: file}, tmp_path)
    true = spine()[level].frame.origin_lps_mm
    assert point.level is level
    assert np.linalg.norm(np.array(point.position_lps_mm) - true) < 3.0


def test_the_centroid_of_the_whole_mask_would_be_far_off() -> None:
    mask = vertebra_mask(Level.L1)
    centroid = mask.geometry.lps_from_index_zyx(np.argwhere(mask.hu > 0)).mean(axis=0)
    assert np.linalg.norm(centroid - spine()[Level.L1].frame.origin_lps_mm) > 8.0


def test_the_orientation_of_the_file_does_not_matter(tmp_path: Path) -> None:
    stored = [write(tmp_path / f"{code}.nii.gz", vertebra_mask(Level.T6), 13, code) for code in ("LPS", "PIR")]
    first, second = (points_of_labels(file, {13: Level.T6})[0].position_lps_mm for file in stored)
    np.testing.assert_allclose(first, second, atol=1.0)


def test_a_cut_body_is_left_out_and_alone_makes_the_scan_useless(tmp_path: Path) -> None:
    cut = write(tmp_path / "cut.nii.gz", vertebra_mask(Level.L1, top_mm=6.0))
    whole = write(tmp_path / "whole.nii.gz", vertebra_mask(Level.L5))
    points = points_of_masks({Level.L1: cut, Level.L5: whole}, tmp_path)
    assert [point.level for point in points] == [Level.L5]
    with pytest.raises(InputError, match="only pieces"):
        points_of_masks({Level.L1: cut}, tmp_path)


def test_empty_masks_and_unknown_numbers_give_no_point(tmp_path: Path) -> None:
    mask = vertebra_mask(Level.T6)
    empty = write(tmp_path / "empty.nii.gz", Scan(np.zeros_like(mask.hu), mask.geometry))
    assert points_of_masks({Level.T6: empty}, tmp_path) == ()
    assert points_of_labels(write(tmp_path / "other.nii.gz", mask, 99), {13: Level.T6}) == ()


@pytest.mark.parametrize("level", [Level.C1, Level.L1, Level.S1], ids=lambda level: level.name)
def test_a_mask_without_a_body_gives_no_point(level: Level, tmp_path: Path) -> None:
    hu = np.zeros((40, 60, 200), np.float32)
    # two wings far from the middle; and a sheet so thin that no voxel of 1 mm is half full of it
    hu[10:30, 10:50, 4:24] = hu[10:30, 10:50, 176:196] = 1
    wings = write(tmp_path / "wings.nii.gz", Scan(hu, Geometry(hu.shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))))
    thin = np.zeros((60, 60, 60), np.float32)
    thin[4:56, 4:56, 30] = 1
    sheet = write(tmp_path / "sheet.nii.gz", Scan(thin, Geometry(thin.shape, (0.2, 1.0, 1.0), (0.0, 0.0, 0.0))))
    for file in (sheet, wings) if level is Level.S1 else (sheet,):
        with pytest.raises(InputError, match="no whole body"):
            points_of_masks({level: file}, tmp_path)
