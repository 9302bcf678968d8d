"""What the decoder is judged on: candidates of whole spines and of crops, with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level, Region
from VertebraLabelingLib.core.labelling import Evidence

from ..spines import Spine, matched
from .detection_fit import beyond_end
from .region_evidence import RegionModel

FALSE, UNKNOWN = -1, -2
"""Truth of a candidate that is no vertebra, and of one of which the annotation cannot tell."""

CROP_SIZES = (3, 8)
_NEAR_CROP_MM = 20.0
_REGIONS = (Region.CERVICAL, Region.THORACIC, Region.LUMBAR)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """n candidates with their truth.

    truth: (n,) true level, `FALSE` or `UNKNOWN`.  regions: (n, 3) raw probabilities of C, T, L.  missed: number of true
    vertebrae without a candidate.  has_l6: whether the whole spine has one.
    """

    evidence: Evidence
    truth: NDArray[np.intp]
    regions: Array
    missed: int
    has_l6: bool

    @property
    def true_count(self) -> int:
        """Vertebrae to be named right, overlooked ones included."""
        return int((self.truth >= 0).sum()) + self.missed


def whole_sample(spine: Spine, model: RegionModel) -> Sample:
    """All detections of a scan."""
    vertebra = matched(spine)
    truth = np.array([*spine.levels, FALSE])[vertebra].astype(np.intp)
    truth[[i for i in np.flatnonzero(vertebra < 0) if _is_beyond(spine, spine.detections_lps_mm[i])]] = UNKNOWN
    evidence = model.evidence(spine.detections_lps_mm, spine.regions)
    missed = len(spine.levels) - int((vertebra >= 0).sum())
    return Sample(evidence, truth, spine.regions, missed, Level.L6 in spine.levels)


def crop(sample: Sample, rng: np.random.Generator) -> Sample:
    """The candidates of 3 to 8 neighbouring found vertebrae, drawn, and what else was found near them."""
    found = np.flatnonzero(sample.truth >= 0)
    found = found[np.argsort(sample.truth[found])]
    size = min(int(rng.integers(CROP_SIZES[0], CROP_SIZES[1] + 1)), len(found))
    first = int(rng.integers(0, len(found) - size + 1))
    kept = np.zeros(len(sample.truth), bool)
    kept[found[first : first + size]] = True
    positions = sample.evidence.positions_lps_mm
    distance = np.linalg.norm(positions[:, None] - positions[kept][None], axis=-1).min(axis=1, initial=np.inf)
    return _picked(sample, kept | ((sample.truth < 0) & (distance < _NEAR_CROP_MM)))


def _picked(sample: Sample, kept: NDArray[np.bool_]) -> Sample:
    return replace(
        sample, evidence=sample.evidence.taken(kept), truth=sample.truth[kept], regions=sample.regions[kept], missed=0
    )


def regions_of(level_log_probs: Array) -> Array:
    """(n, 3) probability of C, T and L by the levels (n, 28)."""
    members = np.array([[level.region is region for region in _REGIONS] for level in Level], float)
    return np.asarray(np.exp(level_log_probs) @ members)


def whole_samples(spines: Sequence[Spine], model: RegionModel) -> tuple[Sample, ...]:
    """One per spine with a detection."""
    return tuple(whole_sample(spine, model) for spine in spines if len(spine.detections_lps_mm))


def crops(samples: Sequence[Sample], seed: int) -> tuple[Sample, ...]:
    """One crop per sample; those with fewer than three found vertebrae are left out."""
    rng = np.random.default_rng(seed)
    return tuple(crop(sample, rng) for sample in samples if (sample.truth >= 0).sum() >= CROP_SIZES[0])


def _is_beyond(spine: Spine, position: Array) -> bool:
    offsets = position - spine.positions_lps_mm
    nearest = int(np.linalg.norm(offsets, axis=1).argmin())
    return beyond_end(spine, nearest, offsets[nearest])
