"""Small pictures: a palette that keeps what is coloured and what is plain; for the greys of a CT less is enough."""

from __future__ import annotations

import numpy as np
from PIL import Image

_GREYS, _PLAIN, _GREY_WITHIN = 96, 48, 12


def small(picture: Image.Image, colours: int = 256) -> Image.Image:
    """An RGB picture with a palette, a third of the size of one with all colours."""
    return picture.quantize(palette=_palette(picture, colours), dither=Image.Dither.NONE)


def _palette(picture: Image.Image, colours: int) -> Image.Image:
    """Greys, the most frequent colours as they are, and the others spread out: small things in colour keep theirs."""
    pixels = np.asarray(picture).reshape(-1, 3)
    greys = np.repeat(np.linspace(0, 255, _GREYS).round().astype(np.uint8), 3).tolist()
    palette = greys + _frequent(pixels)
    coloured, left = pixels[np.ptp(pixels, axis=1) > _GREY_WITHIN], colours - len(palette) // 3
    if len(coloured):
        kept = Image.fromarray(coloured[None]).quantize(left, method=Image.Quantize.MAXCOVERAGE)
        palette += kept.getpalette()[: 3 * left]
    result = Image.new("P", (1, 1))
    result.putpalette(palette)
    return result


def _frequent(pixels: np.ndarray) -> list[int]:
    """The colours of the plain surfaces, r, g, b after each other."""
    codes = pixels.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    values, counts = np.unique(codes, return_counts=True)
    most = values[np.argsort(counts)[::-1][:_PLAIN]]
    return np.stack([most >> 16, most >> 8 & 255, most & 255], axis=1).ravel().tolist()
