"""Where network windows go: over the whole volume, or along the curve of the spine.

A window is (start, size) in voxels, array axes z, y, x; it may stick out of the volume, `crop` pads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

END_MARGIN = 1 / 8
"""Share of a window's length that lies beyond each end of the curve: a last vertebra should not sit on the border."""


def dense_windows(
    shape_zyx: tuple[int, int, int], window_zyx: tuple[int, int, int], overlap: float = 0.5
) -> NDArray[np.int64]:
    """Starts (n, 3) of the fewest equally spaced windows that cover the volume.

    overlap: least share (0 <= overlap < 1) of a window that its neighbour along an axis covers as well.
    An axis shorter than the window gets one window, centred on the volume.
    """
    axes = (_axis_starts(n, w, overlap) for n, w in zip(shape_zyx, window_zyx, strict=True))
    return np.array(list(product(*axes)), dtype=np.int64)


def windows_along(
    curve_index_zyx: NDArray[np.float64], window_zyx: tuple[int, int, int], stride_z: int
) -> NDArray[np.int64]:
    """Starts (n, 3) of windows along a curve, by rising z.

    curve_index_zyx: (m, 3) fractional array indices, ordered cranio-caudal or caudo-cranial.  The windows cover the
    z range of the curve and an eighth of a window beyond each end, in equal steps of at most `stride_z` voxels; a short
    curve gets one window, centred on it.  In y and x each is centred on the curve's mean within its central half.
    """
    curve = np.asarray(curve_index_zyx, float)
    curve = curve[np.argsort(curve[:, 0], kind="stable")]
    return np.array([_start_at(z, curve, window_zyx) for z in _centres_z(curve, window_zyx[0], stride_z)])


def crop(
    array: NDArray[np.float32], start_zyx: Sequence[int] | NDArray[np.int64], window_zyx: Sequence[int], fill: float
) -> NDArray[np.float32]:
    """The window of a volume (z, y, x) as a new array of shape `window_zyx`; `fill` wherever it sticks out."""
    window = np.full(tuple(window_zyx), fill, dtype=array.dtype)
    low = np.maximum(start_zyx, 0)
    high = np.minimum(np.add(start_zyx, window_zyx), array.shape)
    if np.all(low < high):
        inside = tuple(slice(a, b) for a, b in zip(low - start_zyx, high - start_zyx, strict=True))
        window[inside] = array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return window


def _axis_starts(length: int, window: int, overlap: float) -> list[int]:
    """Equally spaced starts from 0 to length - window, at most (1 - overlap) windows apart."""
    room = length - window
    if room <= 0:
        return [room // 2]
    steps = int(np.ceil(room / max(1.0, window * (1 - overlap)) - 1e-9))
    return [round(i * room / steps) for i in range(steps + 1)]


def _centres_z(curve: NDArray[np.float64], window_z: int, stride_z: int) -> NDArray[np.float64]:
    """Centres (in voxel indices) of the windows along z."""
    first, last = curve[0, 0], curve[-1, 0]
    inset = window_z * (0.5 - END_MARGIN)
    room = last - first - 2 * inset
    if room <= 0:
        return np.array([(first + last) / 2])
    return np.linspace(first + inset, last - inset, int(np.ceil(room / stride_z - 1e-9)) + 1)


def _start_at(centre_z: float, curve: NDArray[np.float64], window_zyx: tuple[int, int, int]) -> NDArray[np.int64]:
    """Start of the window around `centre_z`, centred in plane on the curve within its central half."""
    z = centre_z + np.linspace(-0.25, 0.25, 9) * window_zyx[0]
    centre = [centre_z, *(float(np.interp(z, curve[:, 0], curve[:, axis]).mean()) for axis in (1, 2))]
    return np.round(np.array(centre) - (np.array(window_zyx) - 1) / 2).astype(np.int64)
