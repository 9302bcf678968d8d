"""The methods: each turns a prepared scan into evidence; the networks live here, torch is imported inside functions."""
