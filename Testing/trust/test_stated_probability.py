"""Family 8: of the points that are said to be right with probability p, a share of p is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from phantoms import small_phantom
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.labelling import LabelledPoint
from VertebraLabelingLib.core.readers import read_scan
from VertebraLabelingLib.core.sequence import DEFAULT_SETTINGS
from VertebraLabelingLib.pipeline import LabelledScan

from training.certainty import Verdict, expected_calibration_error, judge, judge_all, pooled
from training.crops import PHANTOM, Piece, phantom_pieces, pieces_of
from training.datasets import read_dataset
from training.phantom import Phantom, read_poses

MOST_ECE = 0.05
"""On whole scans and phantoms; parts of scans without an anchor are not calibrated, see MODEL_CARD.md."""
FRESH = range(100, 120)
"""Numbers of phantoms that neither training nor the choice of any setting has seen."""
MOST_ECE_SMALL = 0.15
"""On a few easy phantoms, where one wrong name of 24 makes a gap of 0.04."""
SEEDS = (1, 2, 3)


def verdict(phantom: Phantom, result: LabelledScan) -> Verdict:
    """A labelling against the truth of a phantom."""
    truth = tuple(LabelledPoint(level, place) for level, place in sorted(phantom.centroids.items()))
    piece = Piece(phantom.scan.name, phantom.scan.name, PHANTOM, phantom.scan.geometry, truth, None)
    return judge(piece, result.labelling)


def one_level_up(result: LabelledScan) -> LabelledScan:
    """The same points, each with the name of the vertebra above it."""
    renamed = tuple(replace(point, level=Level(point.level - 1)) for point in result.labelling.points)
    return replace(result, labelling=replace(result.labelling, points=renamed))


def test_probabilities_on_small_phantoms_are_those_of_being_right(labeller):
    """And would not pass if the names were wrong, or if the probabilities were one half."""
    phantoms = [small_phantom(seed) for seed in SEEDS]
    results = [labeller.label(phantom.scan) for phantom in phantoms]
    probabilities, hits = pooled(map(verdict, phantoms, results))
    error = expected_calibration_error(probabilities, hits)
    print(f"{len(hits)} points, {hits.mean():.0%} right, ECE {error:.3f}")
    assert len(hits) >= 7 * len(SEEDS)
    assert error <= MOST_ECE_SMALL
    shifted = pooled(map(verdict, phantoms, map(one_level_up, results)))
    assert expected_calibration_error(*shifted) > 0.5
    assert expected_calibration_error(np.full(len(hits), 0.5), hits) > MOST_ECE_SMALL


@pytest.mark.slow
@pytest.mark.shared
def test_probabilities_on_val_and_fresh_phantoms_are_those_of_being_right(shared_data, labeller, counts):
    """Whole scans, as `python -m training crops` judges them."""
    pieces = list(phantom_pieces(labeller.method, FRESH, read_poses(shared_data / "spines.csv.gz")))
    for item in read_dataset(shared_data):
        if item.split == "val":
            scan = replace(read_scan(item.scan_file), name=item.id)
            pieces += pieces_of(scan, item.points, labeller.method, 0, seed=0)
    verdicts = judge_all(pieces, DEFAULT_SETTINGS)
    probabilities, hits = pooled(verdicts)
    error = expected_calibration_error(probabilities, hits)
    print(f"{len(verdicts)} scans, {len(hits)} points, {hits.mean():.1%} right, ECE {error:.3f}")
    counts.update(cases=len(verdicts))
    assert len(hits) > 250
    assert error <= MOST_ECE
