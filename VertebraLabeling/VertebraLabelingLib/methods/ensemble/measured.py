"""What the word of each method is worth; `python -m training calibrate --method ensemble` writes this file.

Measured on 20 training scans, 2 crops of each of them with more than three vertebrae, and 12 phantoms that no network
has seen.
See `trust.Trust` for what the numbers mean, and `training/trust.py` for how they are found.
"""

from __future__ import annotations

from collections.abc import Mapping

from .trust import Trust

TRUST: Mapping[str, Trust] = {
    "sites": Trust(
        presence=1.0,
        alone=1.0,
        names=1.0,
        place=1.0,
        share=0.743,
        chance=0.0392,
        border_chance=0.211,
        recall=(0.9375, 0.9964, 0.9865, 0.9583),
        error_mm=(2.7203, 1.8015, 2.5941, 4.4455),
    ),
    "global-to-local": Trust(
        presence=0.5771,
        alone=0.4529,
        names=1.0,
        place=0.2247,
        share=0.8484,
        chance=0.0291,
        border_chance=0.1319,
        recall=(0.9792, 0.9348, 0.7568, 0.75),
        error_mm=(4.1952, 3.9779, 4.8959, 5.0873),
    ),
    "multi-view": Trust(
        presence=0.5651,
        alone=0.5514,
        names=0.2808,
        place=0.0987,
        share=0.4563,
        chance=0.1349,
        border_chance=0.1509,
        recall=(0.5486, 0.8768, 0.7973, 0.375),
        error_mm=(6.0906, 4.719, 6.0735, 7.001),
    ),
    "integral-regression": Trust(
        presence=0.087,
        alone=0.0943,
        names=0.0866,
        place=0.1097,
        share=0.3602,
        chance=0.1414,
        border_chance=0.037,
        recall=(0.5486, 0.663, 0.3243, 0.2917),
        error_mm=(5.7257, 5.8388, 6.6387, 7.8059),
    ),
}
"""By method."""
