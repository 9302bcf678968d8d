"""Local refinement: each named centroid moved to where the patches around it say that it is."""

from .refine import Refinement, load, load_shipped

__all__ = ["Refinement", "load", "load_shipped"]
