"""Qin et al.: one network says of each window which of the 26 levels are in it and where (TNNLS 2020)."""

from .method import IntegralRegression, load

__all__ = ["IntegralRegression", "load"]
