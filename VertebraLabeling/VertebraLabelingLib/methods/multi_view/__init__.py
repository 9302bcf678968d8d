"""Wu et al.: vertebrae found and named in projections of the CT seen from many sides (MICCAI 2023)."""

from .method import MultiView, load

__all__ = ["MultiView", "load"]
