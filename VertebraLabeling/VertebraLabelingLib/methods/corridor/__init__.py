"""Where the spine runs, found by a small network at 8 mm."""

from .curve import Corridor, curve_in_map, load_corridor

__all__ = ["Corridor", "curve_in_map", "load_corridor"]
