"""VertebraLabeling: named vertebral body centroids from CT.  Importing this package imports nothing heavy."""

__version__ = "0.1.0"
