"""The module's workspace in a browser, on a real MRML scene without Slicer; the only part that imports trame."""
