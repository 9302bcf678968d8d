"""A labelling from given evidence, to the digits that matter: who changes it raises `RESULTS_VERSION`."""

from __future__ import annotations

import numpy as np
from small_ct import trunk_hu
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import Evidence
from VertebraLabelingLib.core.progress import Progress
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.methods.ensemble import Ensemble, method
from VertebraLabelingLib.methods.ensemble.trust import Trust
from VertebraLabelingLib.pipeline import label_scan

COLUMN = (Level.T11, Level.T12, Level.L1, Level.L2, Level.L3)
EXPECTED = {
    Level.T11: (2.0, -4.831, 60.0, 0.952),
    Level.T12: (2.0, -4.831, 29.0, 0.951),
    Level.L1: (2.0, -4.870, -2.0, 0.961),
    Level.L2: (2.0, -4.870, -33.0, 0.961),
    Level.L3: (2.0, -4.870, -64.0, 0.9605),
}
"""Position in LPS mm, probability."""
TRUSTS = {
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
}
"""Numbers of some day; those that ship change with every measurement."""


class Member:
    """Sees the column, one level lower with some probability, and says how bright it is there."""

    weights_sha256 = {}  # noqa: RUF012

    def __init__(self, name: str, shift_mm: float, doubt: float) -> None:
        self.name, self._shift_mm, self._doubt = name, shift_mm, doubt

    def find(self, scan: Scan, progress: Progress) -> Evidence:
        places = np.array([[2.0, -5.0 + self._shift_mm, 60.0 - 31.0 * n] for n in range(len(COLUMN))])
        probabilities = np.full((len(COLUMN), len(Level)), 0.02 / len(Level))
        probabilities[np.arange(len(COLUMN)), COLUMN] += 0.98 - self._doubt
        probabilities[np.arange(len(COLUMN)), [Level(level + 1) for level in COLUMN]] += self._doubt
        index = np.round(scan.geometry.index_zyx_from_lps(places)).astype(int)
        return Evidence(places, np.log(probabilities), np.clip(scan.hu[tuple(index.T)] / 400, 0.1, 0.95))


def test_the_same_evidence_gives_the_labelling_of_this_results_version(monkeypatch):
    """Where this fails and shall: put here what it says now, and raise `RESULTS_VERSION`.

    Not where only fitted numbers have changed, as by `calibrate`: `Recipe.numbers_sha256` knows them.
    """
    monkeypatch.setattr(method, "TRUSTS", (TRUSTS,))
    scan = Scan(trunk_hu(), Geometry((30, 24, 24), (6.0, 6.0, 6.0), (-69.0, -69.0, -87.0)))
    labelling = label_scan(scan, Ensemble([Member("sites", 0.0, 0.45), Member("global-to-local", 4.0, 0.45)])).labelling
    found = {point.level: (*point.position_lps_mm, point.probability) for point in labelling.points}
    assert list(found) == list(EXPECTED)
    assert np.allclose(list(found.values()), list(EXPECTED.values()), rtol=0, atol=6e-4)
