"""The methods: each turns a prepared scan into evidence; the networks live here.

`registry` and `base` do not import torch; a method, which does, is imported when it is loaded.
"""
