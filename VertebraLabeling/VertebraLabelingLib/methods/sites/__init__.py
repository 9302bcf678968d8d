"""Finding and naming apart: the default method."""

from .method import Sites, load

__all__ = ["Sites", "load"]
