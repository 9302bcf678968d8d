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
            share=0.6715,
            chance=0.0297,
            border_chance=0.1144,
            recall=(0.9795, 0.9943, 0.9919, 0.973),
            error_mm=(2.8685, 1.8966, 1.7591, 4.2734),
        ),
        "integral-regression": Trust(
            presence=0.0,
            alone=0.2223,
            names=0.1185,
            place=0.0706,
            share=0.3116,
            chance=0.2064,
            border_chance=0.0219,
            recall=(0.5616, 0.6232, 0.3145, 0.2973),
            error_mm=(5.7904, 5.9476, 6.5963, 8.2543),
        ),
        "multi-view": Trust(
            presence=0.0,
            alone=0.6881,
            names=0.3627,
            place=0.1171,
            share=0.3512,
            chance=0.2142,
            border_chance=0.2229,
            recall=(0.7671, 0.9263, 0.8145, 0.5405),
            error_mm=(6.0486, 4.48, 5.9764, 7.0848),
        ),
        "global-to-local": Trust(
            presence=0.4522,
            alone=0.4129,
            names=1.0,
            place=0.1617,
            share=0.7989,
            chance=0.0799,
            border_chance=0.0497,
            recall=(0.9726, 0.932, 0.7661, 0.6757),
            error_mm=(4.1188, 4.1175, 5.0948, 6.1133),
        ),
    },
    {
        "integral-regression": Trust(
            presence=0.0,
            alone=0.0,
            names=0.1791,
            place=0.0229,
            share=0.3116,
            chance=0.2324,
            border_chance=0.0493,
            recall=(0.5616, 0.6232, 0.3145, 0.2973),
            error_mm=(5.7904, 5.9476, 6.5963, 8.2543),
        ),
        "multi-view": Trust(
            presence=0.3339,
            alone=0.7756,
            names=1.0,
            place=0.6188,
            share=0.3512,
            chance=0.2672,
            border_chance=0.3571,
            recall=(0.7671, 0.9263, 0.8145, 0.5405),
            error_mm=(6.0486, 4.48, 5.9764, 7.0848),
        ),
        "global-to-local": Trust(
            presence=1.0,
            alone=1.0,
            names=1.0,
            place=1.0,
            share=0.7989,
            chance=0.0979,
            border_chance=0.0691,
            recall=(0.9726, 0.932, 0.7661, 0.6757),
            error_mm=(4.1188, 4.1175, 5.0948, 6.1133),
        ),
    },
)
"""By method: of all members together, then of other sets of them."""
