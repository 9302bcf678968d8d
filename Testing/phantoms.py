"""Small phantoms for tests, made once per process."""

from __future__ import annotations

from functools import cache

from VertebraLabelingLib.core.anatomy import Level

from training.phantom import Phantom, PhantomSpec, make_phantom


@cache
def small_phantom(seed: int = 1) -> Phantom:
    """Lumbar spine and sacrum, T12-S2, 3 mm: about a fifth of a second."""
    spec = PhantomSpec((3.0, 3.0, 3.0), first=Level.T12, last=Level.S2, width_mm=210, depth_mm=210)
    return make_phantom(seed, spec)


@cache
def neck_phantom(seed: int = 1) -> Phantom:
    """Neck and upper chest, C1-T4, 2 mm."""
    return make_phantom(seed, PhantomSpec(first=Level.C1, last=Level.T4, width_mm=200, depth_mm=200))


@cache
def torso_phantom(seed: int = 1) -> Phantom:
    """Chest to pelvis, T1-S2, 3 mm, with ribs and pelvis whole."""
    return make_phantom(seed, PhantomSpec((3.0, 3.0, 3.0), first=Level.T1, last=Level.S2, width_mm=380))
