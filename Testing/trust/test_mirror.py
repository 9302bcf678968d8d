"""Family 2: a mirrored patient, or a lost left and right, has the same vertebrae."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from phantoms import neck_phantom, torso_phantom
from test_storage import REAL_SCANS
from trust_support import by_level
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import positions_of
from VertebraLabelingLib.core.readers import read_scan
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.options import Labeller
from VertebraLabelingLib.pipeline import BORDER_MM, LabelledScan


def mirrored(scan: Scan) -> Scan:
    """Left and right of the patient exchanged, on the same grid (whose axes are those of the patient)."""
    assert np.allclose(scan.geometry.direction, np.eye(3).ravel())
    return replace(scan, hu=np.ascontiguousarray(scan.hu[..., ::-1]))


def mirrored_x(x_mm: float, geometry: Geometry) -> float:
    return geometry.corners_lps_mm[:, 0].sum() / 4 - x_mm


def require_mirrored(result: LabelledScan, expected: LabelledScan, median_mm: float, most_mm: float) -> None:
    """The same levels at the mirrored places; one that the border of the scan cuts may be missing in one of both."""
    there, wanted = by_level(result.labelling.points), by_level(expected.labelling.points)
    assert uncut(result) <= wanted.keys()
    assert uncut(expected) <= there.keys()
    far = []
    for level in there.keys() & wanted.keys():
        x, y, z = wanted[level]
        far.append(np.linalg.norm(there[level] - (mirrored_x(x, expected.scan.geometry), y, z)))
    assert np.median(far) < median_mm
    assert max(far) < most_mm


def uncut(result: LabelledScan) -> set[Level]:
    """The levels that do not lie beside the border."""
    distances_mm = result.scan.geometry.border_distance_mm(positions_of(result.labelling.points))
    return {p.level for p, mm in zip(result.labelling.points, distances_mm, strict=True) if mm >= BORDER_MM}


def test_a_mirrored_lumbar_spine_has_the_same_levels(phantom, labeller, labelled):
    require_mirrored(labeller.label(mirrored(phantom.scan)), labelled, median_mm=1.5, most_mm=5.0)


@pytest.mark.slow
@pytest.mark.parametrize("make", [torso_phantom, neck_phantom])
def test_a_mirrored_torso_and_neck_have_the_same_levels(make, labeller: Labeller):
    scan = make().scan
    require_mirrored(labeller.label(mirrored(scan)), labeller.label(scan), median_mm=1.5, most_mm=8.0)


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("name", REAL_SCANS)
def test_mirrored_real_scans_have_the_same_levels(shared_data, labeller: Labeller, name):
    scan = read_scan(shared_data / REAL_SCANS[name])
    require_mirrored(labeller.label(mirrored(scan)), labeller.label(scan), median_mm=2.0, most_mm=8.0)
