"""Finding and naming apart: the default method."""
