"""Family 3: a piece of a scan agrees with the whole wherever it is sure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from phantoms import torso_phantom
from trust_support import cut, distances_mm
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import NothingFoundError
from VertebraLabelingLib.core.readers import read_scan
from VertebraLabelingLib.core.sequence import DEFAULT_SETTINGS
from VertebraLabelingLib.pipeline import LabelledScan

from training.certainty import SHIFTED, WRONG, judge_all
from training.crops import CROP, pieces_of
from training.datasets import read_dataset

REAL_SCANS = ("acrin-001-a", "lungdx-a0001", "neck-201", "neck-230")
REAL_CROPS = 6
"""Of each, 3 to 10 vertebrae long, a third of them cut in plane too."""


def agreement(piece: LabelledScan, whole: LabelledScan) -> tuple[int, int]:
    """(points of the piece that lie on a vertebra of the whole, those of them that bear its name)."""
    places = np.array([p.position_lps_mm for p in whole.labelling.points])
    shared = same = 0
    for point in piece.labelling.points:
        offsets = np.linalg.norm(places - point.position_lps_mm, axis=1)
        if offsets.min() < 10:
            shared += 1
            same += whole.labelling.points[int(offsets.argmin())].level == point.level
    return shared, same


def test_the_lower_half_agrees_with_the_whole(phantom, labeller, labelled):
    """The sacrum is in view in both."""
    piece = labeller.label(cut(phantom.scan, 0.0, 0.6))
    shared, same = agreement(piece, labelled)
    assert shared >= 4
    assert same == shared
    # the bodies of the sacrum have grown together and end nowhere
    far = [mm for level, mm in distances_mm(piece, labelled).items() if level < Level.S1]
    assert np.median(far) < max(labelled.scan.geometry.spacing_xyz_mm)


@pytest.mark.slow
def test_pieces_of_a_torso_agree_or_say_that_the_level_is_unsure(labeller):
    scan = torso_phantom().scan
    whole = labeller.label(scan)
    sure_wrong, shared_sum, same_sum, unsure = [], 0, 0, 0
    for low in np.arange(0.0, 0.75, 0.1):
        for height in (0.25, 0.4):
            try:
                piece = labeller.label(cut(scan, low, min(low + height, 1.0)))
            except NothingFoundError:
                continue
            shared, same = agreement(piece, whole)
            if not piece.labelling.level_certain:
                unsure += 1
                continue
            shared_sum, same_sum = shared_sum + shared, same_sum + same
            if same < shared:
                sure_wrong.append((round(float(low), 2), height, shared - same))
    print(
        f"crop vs whole: {same_sum} of {shared_sum} points agree, {unsure} pieces unsure, sure and wrong: {sure_wrong}"
    )
    assert shared_sum > 20
    assert same_sum / shared_sum >= 0.97


@pytest.mark.slow
@pytest.mark.shared
def test_crops_of_real_scans_agree_with_the_whole_or_say_that_the_level_is_unsure(shared_data, labeller, counts):
    """As `python -m training crops` judges all scans of val, with twice as many crops."""
    pieces = []
    for item in read_dataset(shared_data):
        if item.id in REAL_SCANS:
            scan = replace(read_scan(item.scan_file), name=item.id)
            pieces += pieces_of(scan, item.points, labeller.method, REAL_CROPS, seed=0)
    verdicts = [v for v in judge_all(pieces, DEFAULT_SETTINGS) if v.piece.kind == CROP]
    sure, off = [v for v in verdicts if not v.flagged], [v for v in verdicts if v.column in (SHIFTED, WRONG)]
    same, both = (sum(getattr(v, name) for v in sure) for name in ("same", "both"))
    flagged, blind = sum(v.flagged for v in off), [v.flagged for v in off if not v.anchor]
    all_same, all_both = (sum(getattr(v, name) for v in verdicts) for name in ("same", "both"))
    print(
        f"{len(verdicts)} crops, {len(sure)} of them sure: {same} of {both} vertebrae named as in the whole scan; "
        f"of all crops {all_same} of {all_both}; {flagged} of {len(off)} crops that are not right say so, "
        f"{sum(blind)} of the {len(blind)} without an anchor"
    )
    counts.update(cases=len(verdicts))
    assert len(verdicts) == REAL_CROPS * len(REAL_SCANS)
    assert both > 30
    assert same / both >= 0.97
    assert len(blind) >= 3, "else the next line says nothing"
    assert sum(blind) >= 0.9 * len(blind)
    assert flagged >= 0.9 * len(off)
