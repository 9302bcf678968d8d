"""Between the scene's frame (RAS) and that of the points and files (LPS): the same places with other signs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Place = tuple[float, float, float]


def flipped(place_mm: Sequence[float]) -> Place:
    """A place of one of the two frames in the other, mm."""
    x, y, z = place_mm
    return (-x, -y, z)


def flipped_all(places_mm: Sequence[Sequence[float]] | NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3) places of one of the two frames in the other, mm."""
    import numpy as np

    return np.asarray(places_mm, float).reshape(-1, 3) * (-1.0, -1.0, 1.0)


def flipped_matrix(to_one_frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 4) that maps to one of the two frames, as one that maps to the other."""
    import numpy as np

    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ to_one_frame
