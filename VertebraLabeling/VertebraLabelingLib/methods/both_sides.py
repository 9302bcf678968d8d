"""A spine is nearly the same in the mirror: a network that sees both sides of a window is asked twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..engines.network import Network

Maps = dict[str, NDArray[np.float32]]


def seen_from_both_sides(network: Network, image: NDArray[np.float32]) -> tuple[Maps, Maps]:
    """What a network says of a window (1, channels, *pixels), and what of its mirror image along the last axis.

    The second is turned back, values (1, ..., *cells); a vector in it still points as in the mirror.
    """
    maps = network(np.concatenate([image, image[..., ::-1]]))
    return {name: m[:1] for name, m in maps.items()}, {name: m[1:, ..., ::-1] for name, m in maps.items()}
