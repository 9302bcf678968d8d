"""Candidates outside the body, or outside what a mask left of it, are no vertebrae."""

from __future__ import annotations

import numpy as np

from .labelling import Evidence
from .scan import Scan

LEAST_HU = -200.0
"""Mean around a body centre; 16 HU was the lowest at the hand-placed centroids of this project, fat has -100."""


def in_tissue(evidence: Evidence, scan: Scan) -> Evidence:
    """The candidates around which a prepared scan shows tissue rather than air: mean of 3x3x3 voxels, HU."""
    size = np.array(scan.hu.shape)
    index = np.rint(scan.geometry.index_zyx_from_lps(evidence.positions_lps_mm)).astype(int)
    offsets = np.indices((3, 3, 3)).reshape(3, -1).T - 1
    z, y, x = np.moveaxis(np.clip(index[:, None] + offsets, 0, size - 1), -1, 0)
    keep = scan.hu[z, y, x].mean(axis=1) > LEAST_HU
    return evidence.taken(keep)
