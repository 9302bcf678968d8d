"""Procedural spine CT with exact centroids: ``make_phantom(seed, PhantomSpec(...))``."""

from .generate import Phantom, make_phantom, write_phantom
from .spec import PhantomSpec, random_spec

__all__ = ["Phantom", "PhantomSpec", "make_phantom", "random_spec", "write_phantom"]
