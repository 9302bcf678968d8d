"""What the word of each method is worth; `python -m training calibrate --method ensemble` writes this file.

Measured on 32 cases (train, and 12 phantoms that no network has seen) and 2 crops of each.
See `trust.Trust` for what the numbers mean, and `training/trust.py` for how they are found.
"""

from __future__ import annotations

from collections.abc import Mapping

from .trust import Trust

TRUSTS: tuple[Mapping[str, Trust], ...] = (
    {
        "sites": Trust(
            presence=1.0,
            alone=1.0,
            names=1.0,
            place=1.0,
            share=0.7093,
            chance=0.0383,
            border_chance=0.1453,
            recall=(0.9658, 0.9972, 0.9919, 0.973),
            error_mm=(2.7927, 1.8445, 1.8695, 4.0852),
        ),
        "integral-regression": Trust(
            presence=0.0,
            alone=0.0,
            names=0.0557,
            place=0.1024,
            share=0.3124,
            chance=0.222,
            border_chance=0.033,
            recall=(0.5685, 0.6289, 0.3387, 0.2432),
            error_mm=(5.6186, 5.9156, 6.7165, 8.3776),
        ),
        "multi-view": Trust(
            presence=0.088,
            alone=0.6839,
            names=0.35,
            place=0.0637,
            share=0.3503,
            chance=0.2368,
            border_chance=0.2222,
            recall=(0.7397, 0.9178, 0.8145, 0.5676),
            error_mm=(5.9774, 4.3627, 6.0112, 6.8373),
        ),
        "global-to-local": Trust(
            presence=0.5312,
            alone=0.3291,
            names=1.0,
            place=0.22,
            share=0.786,
            chance=0.0878,
            border_chance=0.0519,
            recall=(0.9726, 0.9377, 0.7177, 0.6757),
            error_mm=(4.0706, 4.134, 4.8124, 5.1785),
        ),
    },
    {
        "integral-regression": Trust(
            presence=0.0,
            alone=0.0,
            names=0.1489,
            place=0.1284,
            share=0.3124,
            chance=0.2304,
            border_chance=0.0651,
            recall=(0.5685, 0.6289, 0.3387, 0.2432),
            error_mm=(5.6186, 5.9156, 6.7165, 8.3776),
        ),
        "multi-view": Trust(
            presence=0.3072,
            alone=0.7988,
            names=1.0,
            place=0.5883,
            share=0.3503,
            chance=0.2631,
            border_chance=0.3443,
            recall=(0.7397, 0.9178, 0.8145, 0.5676),
            error_mm=(5.9774, 4.3627, 6.0112, 6.8373),
        ),
        "global-to-local": Trust(
            presence=1.0,
            alone=1.0,
            names=1.0,
            place=1.0,
            share=0.786,
            chance=0.1005,
            border_chance=0.0926,
            recall=(0.9726, 0.9377, 0.7177, 0.6757),
            error_mm=(4.0706, 4.134, 4.8124, 5.1785),
        ),
    },
)
"""By method: of all members together, then of other sets of them."""
