"""What a displacement network is made of; without torch."""

from __future__ import annotations

from dataclasses import dataclass

from ..metadata import Settings


@dataclass(frozen=True)
class DisplacementSettings(Settings):
    """What the weights were trained for; travels in the metadata of a weight file.

    dimensions: 2 or 3.  landmarks: how many.  channels: of the input image.  spacing_mm: of its isotropic pixels.
    widths: channels after each halving of the grid; one output cell (a *patch*) is 2 ** len(widths) pixels wide.
    blocks: residual modules on the grid of the cells.
    presence_reach: a landmark counts as present in a cell up to this many cell widths from the cell's centre along
    every axis; 0.5 is the cell itself, as in the paper, more lets the neighbours vote.
    """

    dimensions: int = 3
    landmarks: int = 1
    channels: int = 1
    spacing_mm: float = 2.0
    widths: tuple[int, ...] = (16, 48)
    blocks: int = 2
    presence_reach: float = 0.5

    @property
    def cell_pixels(self) -> int:
        """Width of an output cell in pixels."""
        return 2 ** len(self.widths)

    @property
    def cell_mm(self) -> float:
        """Width of an output cell."""
        return self.cell_pixels * self.spacing_mm
