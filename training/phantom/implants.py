"""What surgeons leave in a spine: screws with rods, cages between bodies, cement in them."""

from __future__ import annotations

import numpy as np
from VertebraLabelingLib.core.anatomy import Level

from .canvas import Canvas
from .solids import ellipsoid, rod, tube
from .spec import PhantomSpec
from .spine import Spine, Vertebra
from .vertebra import SIDES

METAL_HU = 6000.0
CEMENT_HU = 1600.0


def paint_implants(canvas: Canvas, spine: Spine, spec: PhantomSpec, rng: np.random.Generator) -> None:
    """The implants of the spec on two to five neighbours somewhere in the field of view."""
    if spec.disease.implants == "none":
        return
    seen = [v for v in spine.vertebrae if spec.first <= v.level <= spec.last and Level.C3 <= v.level <= Level.S1]
    if not seen:
        return
    count = int(rng.integers(2, 6))
    start = int(rng.integers(0, max(len(seen) - count, 0) + 1))
    treated = seen[start : start + count]
    {"screws": _screws, "cage": _cages, "cement": _cement}[spec.disease.implants](canvas, treated, rng)


def _screws(canvas: Canvas, vertebrae: list[Vertebra], rng: np.random.Generator) -> None:
    """A screw through each pedicle into the body and a rod along their heads on both sides."""
    for side in SIDES:
        heads = []
        for vertebra in vertebrae:
            size = vertebra.size
            pedicle_u = side * (size.canal_width_mm / 2 + 3)
            height = 0.15 * vertebra.height_mm
            head = (pedicle_u * 1.2, size.depth_mm / 2 + size.canal_depth_mm + 10, height)
            tip = (pedicle_u * 0.6, -0.25 * size.depth_mm, height)
            canvas.paint(rod(vertebra.frame, head, tip, 2.8 if vertebra.level >= Level.T1 else 1.8), METAL_HU)
            heads.append(vertebra.frame.to_lps(head))
            canvas.paint(ellipsoid(heads[-1], (6.0, 6.0, 6.0)), METAL_HU)
        if len(heads) > 1:
            canvas.paint_all(tube(np.stack(heads), 2.8), METAL_HU)


def _cages(canvas: Canvas, vertebrae: list[Vertebra], rng: np.random.Generator) -> None:
    """A cage in the disc below each but the last vertebra, and screws for half of the patients."""
    for vertebra in vertebrae[:-1]:
        half, floor = vertebra.size.width_mm * 0.3, -vertebra.height_mm / 2 - vertebra.size.disc_mm / 2
        canvas.paint(rod(vertebra.frame, (-half, 0, floor), (half, 0, floor), 4.0, (1.0, 2.2, 1.0)), 2200.0)
        canvas.paint(rod(vertebra.frame, (-half, 0, floor), (half, 0, floor), 2.2, (1.0, 2.2, 1.0)), 250.0)
    if rng.random() < 0.5:
        _screws(canvas, vertebrae, rng)


def _cement(canvas: Canvas, vertebrae: list[Vertebra], rng: np.random.Generator) -> None:
    """Clouds of cement in each body, more on one side."""
    for vertebra in vertebrae:
        reach = np.array([vertebra.size.width_mm, vertebra.size.depth_mm, vertebra.height_mm]) / 2
        for _ in range(4):
            centre = vertebra.frame.to_lps(rng.uniform(-0.5, 0.5, 3) * reach)
            canvas.paint(ellipsoid(centre, rng.uniform(0.15, 0.4, 3) * reach), CEMENT_HU)
