"""``vertebra-labeling batch``: many scans in one process, each result and each failure kept as soon as it is there."""
