"""All methods that are there, as one: their evidence fused."""

from .method import Ensemble

__all__ = ["Ensemble"]
