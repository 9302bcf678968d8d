"""Noothout et al.: every patch of a window votes for the place of each level, then a local network refines it.

J. M. H. Noothout et al., Deep Learning-Based Regression and Classification for Automatic Landmark Localization in
Medical Images, IEEE Transactions on Medical Imaging 39 (2020).
"""

from .method import GlobalToLocal, load

__all__ = ["GlobalToLocal", "load"]
