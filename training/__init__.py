"""Training and evaluation outside Slicer: ``python -m training --help``."""
