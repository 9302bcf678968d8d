"""The sequence decoder's numbers, fitted to a list of real spines and judged on the patients kept apart."""
