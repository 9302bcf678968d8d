"""Family 3: a piece of a scan agrees with the whole wherever it is sure."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import torso_phantom
from trust_support import cut, distances_mm
from VertebraLabelingLib.core.errors import NothingFoundError
from VertebraLabelingLib.pipeline import LabelledScan


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
    assert np.median(list(distances_mm(piece, labelled).values())) < 1.0


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
