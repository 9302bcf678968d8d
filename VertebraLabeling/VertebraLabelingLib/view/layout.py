"""What the page and the scene agree on: the views, their colours, and which side of the patient lies where in them."""

from __future__ import annotations

SLICES = {"axial": ("Axial", "Red"), "sagittal": ("Sagittal", "Yellow"), "coronal": ("Coronal", "Green")}
"""Name in the page -> orientation, and name of the slice node as Slicer's own layouts have it."""
EDGES = {"axial": "RLAP", "sagittal": "APSI", "coronal": "RLSI"}
"""Side of the patient at the left, right, upper and lower edge of a slice view."""
ACROSS = {"axial": (2, "SI"), "sagittal": (0, "RL"), "coronal": (1, "AP")}
"""RAS axis across a slice, and the sides at which that coordinate is positive and negative."""
SIDES_LPS = {
    "R": (-1.0, 0.0, 0.0), "L": (1.0, 0.0, 0.0), "A": (0.0, -1.0, 0.0),
    "P": (0.0, 1.0, 0.0), "S": (0.0, 0.0, 1.0), "I": (0.0, 0.0, -1.0),
}  # fmt: skip
"""Unit vector towards each side."""
COLOURS = {
    "axial": (0.95, 0.29, 0.20), "sagittal": (0.93, 0.84, 0.30), "coronal": (0.43, 0.69, 0.29),
    "3d": (0.48, 0.53, 0.85), "curved": (0.71, 0.55, 0.88),
}  # fmt: skip
"""Of the views, RGB in 0..1, as Slicer has them."""


def css(rgb: tuple[float, float, float]) -> str:
    """A colour, RGB in 0..1, as "#rrggbb"."""
    return "#" + "".join(f"{round(255 * share):02x}" for share in rgb)


def offset_text(view: str, origin_ras_mm: tuple[float, float, float]) -> str:
    """Where a slice lies, such as "R 12.4 mm".  origin_ras_mm: any place in it."""
    axis, (positive, negative) = ACROSS[view]
    mm = origin_ras_mm[axis]
    return f"{negative if mm < 0 else positive} {abs(mm):.1f} mm"
