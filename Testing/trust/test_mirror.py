"""Family 2: a mirrored patient, or a lost left and right, has the same vertebrae."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from phantoms import neck_phantom, torso_phantom
from test_storage import REAL_SCANS
from trust_support import by_level
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.readers import read_scan
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.options import Labeller
from VertebraLabelingLib.pipeline import LabelledScan


def mirrored(scan: Scan) -> Scan:
    """Left and right of the patient exchanged, on the same grid (whose axes are those of the patient)."""
    assert np.allclose(scan.geometry.direction, np.eye(3).ravel())
    return replace(scan, hu=np.ascontiguousarray(scan.hu[..., ::-1]))


def mirrored_x(x_mm: float, geometry: Geometry) -> float:
    return geometry.corners_lps_mm[:, 0].sum() / 4 - x_mm


def require_mirrored(result: LabelledScan, expected: LabelledScan, median_mm: float, most_mm: float) -> None:
    assert result.labelling.levels == expected.labelling.levels
    there = by_level(result.labelling.points)
    far = []
    for level, (x, y, z) in by_level(expected.labelling.points).items():
        wanted = (mirrored_x(x, expected.scan.geometry), y, z)
        far.append(np.linalg.norm(there[level] - wanted))
    assert np.median(far) < median_mm
    assert max(far) < most_mm


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
