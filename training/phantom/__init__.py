"""Procedural spine CT with exact centroids: ``make_phantom(seed, PhantomSpec(...))``."""

from .draw import random_spec
from .generate import Phantom, make_phantom, make_phantoms, phantom_stream, write_phantom
from .poses import Pose, draw_pose, read_poses
from .spec import Acquisition, Anatomy, Disease, PhantomSpec
from .surfaces import Shapes, read_shapes

__all__ = [
    "Acquisition", "Anatomy", "Disease", "Phantom", "PhantomSpec", "Pose", "Shapes", "draw_pose",
    "make_phantom", "make_phantoms", "phantom_stream", "random_spec", "read_poses", "read_shapes", "write_phantom",
]  # fmt: skip
