"""Two peaks in one body become one candidate; neighbouring bodies never do."""

from __future__ import annotations

import numpy as np
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.doubles import merge_doubles
from VertebraLabelingLib.core.labelling import Evidence
from VertebraLabelingLib.core.spine_priors import spacing_mm


def _evidence(level: Level, heights_mm: list[float], scores: list[float]) -> Evidence:
    log_probs = np.full((len(heights_mm), len(Level)), -12.0)
    log_probs[:, level] = np.log(1 - 27 * np.exp(-12))
    positions = np.array([[1.0, 2.0, z] for z in heights_mm]).reshape(-1, 3)
    return Evidence(positions, log_probs, np.array(scores))


def test_two_peaks_of_a_lumbar_body_meet_between_them() -> None:
    single = merge_doubles(_evidence(Level.L5, [0.0, 16.0], [0.2, 0.8]))
    np.testing.assert_allclose(single.positions_lps_mm, [[1.0, 2.0, 12.8]])
    np.testing.assert_allclose(single.scores, [0.8])


def test_the_same_distance_in_the_neck_is_two_vertebrae() -> None:
    assert len(merge_doubles(_evidence(Level.C4, [0.0, 16.0], [0.8, 0.2]))) == 2


def test_bodies_at_four_fifths_of_the_mean_spacing_stay_apart_at_every_level() -> None:
    regular = [level for level in Level if not level.is_supernumerary and level != Level.S2]
    following = [level for level in Level if not level.is_supernumerary][1:]
    for above, below in zip(regular, following, strict=True):
        near = 0.8 * spacing_mm(above, below)[0]
        assert len(merge_doubles(_evidence(above, [0.0, near], [0.8, 0.7]))) == 2, above.name


def test_order_of_the_candidates_does_not_matter_and_none_is_fine() -> None:
    a = merge_doubles(_evidence(Level.L3, [0.0, 12.0, 40.0], [0.3, 0.9, 0.5]))
    b = merge_doubles(_evidence(Level.L3, [40.0, 0.0, 12.0], [0.5, 0.3, 0.9]))
    np.testing.assert_allclose(a.positions_lps_mm, b.positions_lps_mm)
    assert len(merge_doubles(_evidence(Level.L3, [], []))) == 0
