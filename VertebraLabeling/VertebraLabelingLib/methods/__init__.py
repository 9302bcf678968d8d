"""The methods: each turns a prepared scan into evidence; the networks live here.

Only the files named ``network.py``, and what they share (`blocks`, `trunk`, `centre_map`), import torch.
"""
