"""The contact sheet: the slab's arithmetic, what it shows, and its pages."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from matplotlib import image as pictures
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import LabelledPoint
from VertebraLabelingLib.core.scan import Scan

from training import contact_sheet as sheets
from training.contact_sheet import Item, contact_sheet, slab_views

SHAPE_ZYX = (60, 41, 41)
GEOMETRY = Geometry(SHAPE_ZYX, (1.0, 1.0, 2.0), (-20.0, -20.0, -60.0))
POINTS = (LabelledPoint(Level.T12, (0.0, 0.0, 20.0)), LabelledPoint(Level.L1, (0.0, 0.0, -12.0), 0.3))


def grey_scan() -> Scan:
    return Scan(np.full(SHAPE_ZYX, 100.0, np.float32), GEOMETRY, "grey")


def coloured(picture: np.ndarray) -> int:
    colours = picture[..., :3].max(axis=-1) - picture[..., :3].min(axis=-1)
    return int((colours > 0.3).sum())


@pytest.mark.parametrize("axis", [0, 1])
def test_the_slab_reaches_six_millimetres_to_either_side_of_the_spine(axis):
    index = np.moveaxis(np.indices(SHAPE_ZYX), 0, -1)
    across = GEOMETRY.lps_from_index_zyx(index)[..., 1 - axis]
    scan = Scan((across**2).astype(np.float32), GEOMETRY)
    sagittal, coronal = slab_views(scan, np.array([p.position_lps_mm for p in POINTS]))
    view = (coronal, sagittal)[axis]
    left, right, bottom, top = view.extent_mm
    assert (left, right) == (-55.5, 54.5)
    assert (top - bottom, view.pixels.shape) == (len(view.pixels), (top - bottom, right - left))
    # offsets -6, -3, 0, 0, 3, 6
    middle = view.pixels.shape[1] // 2
    np.testing.assert_allclose(view.pixels[2:-2, middle - 10 : middle + 10], (36 + 9) * 2 / 6, rtol=1e-5)


def test_without_points_the_middle_of_the_whole_scan_is_shown():
    sagittal, coronal = slab_views(grey_scan(), np.empty((0, 3)))
    for view in (sagittal, coronal):
        left, right, bottom, top = view.extent_mm
        assert (bottom, top) == (-61.0, 59.0)
        assert (left + right) / 2 == pytest.approx(-0.5)


def test_points_are_drawn_in_colour_and_their_absence_is_not(tmp_path):
    with_points, without = tmp_path / "a.png", tmp_path / "b.png"
    contact_sheet([Item("a", grey_scan(), POINTS, "kept")], with_points)
    contact_sheet([Item("a", grey_scan(), (), "kept")], without)
    assert coloured(pictures.imread(with_points)) > 100
    assert coloured(pictures.imread(without)) == 0


def test_pages_are_written_as_the_items_come(tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "SCANS_PER_PAGE", 2)
    path = tmp_path / "sheet.png"

    def items() -> Iterator[Item]:
        for n in range(3):
            assert path.exists() == (n == 2)
            yield Item(f"scan {n}", grey_scan(), POINTS)

    pages = contact_sheet(items(), path, columns=2)
    assert [page.name for page in pages] == ["sheet.png", "sheet-2.png"]
    widths = [pictures.imread(page).shape[1] for page in pages]
    assert widths[0] == 2 * widths[1]
    assert {p.name for p in tmp_path.iterdir()} == {"sheet.png", "sheet-2.png"}


def test_an_empty_sheet_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([], tmp_path / "sheet.png")
