"""Ways to make one position per level out of the votes of overlapping windows; ours and the paper's are in the core."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.fuse import Fused, Votes, fused_by, kmeans_fusion, weighted_fusion


def larger_cluster_fusion(votes: Votes, threshold: float = 0.5) -> Fused:
    """`Fused` by K-means with two clusters per level, of which the larger counts; one cluster for a lone vote."""

    def position(level: int, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        from sklearn.cluster import KMeans

        points = votes.positions_lps_mm[chosen, level]
        distinct = len(np.unique(points, axis=0))
        found = KMeans(n_clusters=min(2, distinct), n_init=4, random_state=0).fit(points)
        return found.cluster_centers_[np.bincount(found.labels_).argmax()]

    return fused_by(votes, threshold, position)


FUSIONS: dict[str, Callable[[Votes, float], Fused]] = {
    "k-means": kmeans_fusion,
    "k-means-2": larger_cluster_fusion,
    "weighted": weighted_fusion,
}
