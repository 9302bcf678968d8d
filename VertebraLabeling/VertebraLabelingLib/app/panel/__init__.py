"""The panel of the Slicer module, one small class for each of its sections."""
