"""The plain choices that the decoder has to beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level, Region
from VertebraLabelingLib.core.sequence import SequenceSettings, unary_terms
from VertebraLabelingLib.core.spine_priors import prevalence

from .samples import FALSE, Sample

Names = NDArray[np.intp]

_FIRST = {Region.CERVICAL: Level.C1, Region.THORACIC: Level.T1, Region.LUMBAR: Level.L1}
_LAST = {Region.CERVICAL: Level.C7, Region.THORACIC: Level.T12, Region.LUMBAR: Level.L5}
_REGIONS = (Region.CERVICAL, Region.THORACIC, Region.LUMBAR)


def raw_argmax(sample: Sample) -> Names:
    """(n,) most probable level of every candidate by itself."""
    return np.asarray(sample.evidence.level_log_probs.argmax(axis=1), np.intp)


def independent(sample: Sample, settings: SequenceSettings) -> Names:
    """(n,) the decoder without its steps: of each candidate by itself the level of the highest posterior.

    The same emission and prior of the levels; `FALSE` where a false detection is more probable than any vertebra.
    """
    prior = np.log([prevalence(level) / len(Level) for level in Level])
    terms = unary_terms(sample.evidence, settings) + prior
    is_vertebra = np.logaddexp.reduce(terms, axis=1) > 0
    return np.where(is_vertebra, terms.argmax(axis=1), FALSE).astype(np.intp)


def counted_in_regions(sample: Sample) -> Names:
    """(n,) levels by counting within each region from the border to the next one in view.

    Candidates take their most probable region and are counted by height, downwards from the region above when that is
    in view, else upwards from the region below; a cervical run alone counts down from C1, a lumbar one down from
    L1, a thoracic one up from T12.  Every candidate counts, as nothing here knows a false from a true one.
    """
    region = sample.regions.argmax(axis=1)
    order = np.argsort(-sample.evidence.positions_lps_mm[:, 2], kind="stable")
    names = np.zeros(len(region), np.intp)
    for index, part in enumerate(_REGIONS):
        members = order[region[order] == index]
        above, below = bool((region == index - 1).any()), bool((region == index + 1).any())
        downwards = above or (part is not Region.THORACIC and not below)
        first = _FIRST[part] if downwards else _LAST[part] - len(members) + 1
        names[members] = np.clip(first + np.arange(len(members)), Level.C1, _bottom(part))
    return names


def _bottom(part: Region) -> Level:
    return Level.L6 if part is Region.LUMBAR else _LAST[part]
