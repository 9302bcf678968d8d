"""Sizes of the human spine, ribs and trunk in millimetres: means of an adult, supine.

Sources: spacings and posterior shifts are summary statistics of the VerSe 2020 centroids; bodies, canals and processes
follow Panjabi et al. 1991/1992, with lumbar spinous processes shortened to what CT shows; discs (mean of middle and
posterior height), ribs, sacrum and Hounsfield units are means of published CT series.  T13 and L6 borrow from their
neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

from VertebraLabelingLib.core.anatomy import Level, Region

L = Level


@dataclass(frozen=True)
class Step:
    """From one body centroid to the next one down: length, posterior shift, SD of the length as a fraction."""

    length_mm: float
    posterior_mm: float
    relative_sd: float


STEPS: dict[Level, Step] = {
    # C1 here is the middle of the ring and C2 the body with the base of the dens, lower than in VerSe
    L.C1: Step(21.5, -10.0, 0.06),
    L.C2: Step(19.0, 1.6, 0.04),
    L.C3: Step(15.9, 2.6, 0.06),
    L.C4: Step(16.1, 3.7, 0.06),
    L.C5: Step(16.1, 5.0, 0.055),
    L.C6: Step(17.7, 8.3, 0.053),
    L.C7: Step(18.8, 9.4, 0.047),
    L.T1: Step(20.9, 9.6, 0.045),
    L.T2: Step(22.2, 10.0, 0.036),
    L.T3: Step(22.3, 8.3, 0.033),
    L.T4: Step(22.8, 6.3, 0.032),
    L.T5: Step(23.5, 4.5, 0.030),
    L.T6: Step(24.0, 2.3, 0.026),
    L.T7: Step(24.3, -0.3, 0.031),
    L.T8: Step(24.9, -1.5, 0.031),
    L.T9: Step(25.7, -3.0, 0.028),
    L.T10: Step(27.6, -4.7, 0.034),
    L.T11: Step(29.8, -5.4, 0.037),
    L.T12: Step(32.0, -5.5, 0.040),
    L.T13: Step(33.5, -6.0, 0.040),
    L.L1: Step(33.4, -7.3, 0.036),
    L.L2: Step(34.1, -6.0, 0.034),
    L.L3: Step(33.8, -2.9, 0.035),
    L.L4: Step(31.7, 3.1, 0.049),
    L.L5: Step(34.5, 21.5, 0.045),
    L.L6: Step(34.5, 22.5, 0.045),
    L.S1: Step(29.0, 24.0, 0.05),
}
"""Step below each level, in the regular column.  L5 above L6 is drawn as `L5_TO_L6`."""

L5_TO_L6 = Step(30.6, 7.8, 0.05)
T11_TO_L1 = Step(31.0, -5.5, 0.04)
SACRAL_TAIL_STEPS = ((24.0, 15.0), (21.0, 5.0), (18.0, -4.0))
"""(length, posterior shift) from S2 to S3, S3 to S4, S4 to S5."""

STATURE_SD = 0.065
STATURE_RANGE = (0.84, 1.16)


@dataclass(frozen=True)
class VertebraSize:
    """One vertebra: endplates, canal, transverse process span, spinous length from the posterior wall, disc below."""

    upper_width_mm: float
    upper_depth_mm: float
    lower_width_mm: float
    lower_depth_mm: float
    canal_width_mm: float
    canal_depth_mm: float
    process_span_mm: float
    spinous_mm: float
    disc_mm: float

    def scaled(self, factor: float) -> VertebraSize:
        """The same vertebra with every length multiplied by `factor`."""
        return VertebraSize(*(factor * value for value in vars(self).values()))

    @property
    def width_mm(self) -> float:
        """Mean width of the two endplates."""
        return (self.upper_width_mm + self.lower_width_mm) / 2

    @property
    def depth_mm(self) -> float:
        """Mean depth of the two endplates."""
        return (self.upper_depth_mm + self.lower_depth_mm) / 2


SIZES: dict[Level, VertebraSize] = {
    L.C1: VertebraSize(26.6, 28.2, 26.6, 28.2, 26.6, 28.2, 72.0, 24.0, 0.0),
    L.C2: VertebraSize(18.0, 15.0, 17.0, 15.6, 23.5, 19.0, 52.0, 34.0, 3.4),
    L.C3: VertebraSize(15.8, 15.0, 17.2, 15.6, 22.9, 16.2, 50.0, 30.0, 3.3),
    L.C4: VertebraSize(17.2, 15.3, 17.0, 15.9, 24.7, 17.7, 49.0, 30.0, 3.3),
    L.C5: VertebraSize(17.5, 15.2, 19.4, 17.9, 24.9, 17.4, 47.0, 29.0, 3.3),
    L.C6: VertebraSize(18.5, 16.4, 22.0, 18.5, 25.8, 18.1, 48.0, 34.0, 3.4),
    L.C7: VertebraSize(21.8, 18.1, 23.4, 16.8, 24.5, 15.2, 67.0, 46.0, 3.4),
    L.T1: VertebraSize(24.5, 18.5, 27.8, 19.7, 21.8, 16.4, 75.0, 50.0, 3.2),
    L.T2: VertebraSize(24.9, 19.6, 27.4, 21.6, 19.5, 15.6, 70.0, 51.0, 3.4),
    L.T3: VertebraSize(24.6, 22.7, 25.9, 23.3, 18.3, 15.9, 61.0, 52.0, 3.0),
    L.T4: VertebraSize(24.5, 23.3, 26.0, 24.5, 17.1, 16.2, 60.0, 52.0, 2.9),
    L.T5: VertebraSize(24.9, 24.3, 27.0, 25.8, 17.3, 16.4, 61.0, 53.0, 3.1),
    L.T6: VertebraSize(26.2, 26.0, 28.2, 26.9, 17.3, 16.5, 61.0, 55.0, 3.5),
    L.T7: VertebraSize(27.8, 27.4, 29.1, 28.5, 17.2, 15.8, 61.0, 54.0, 3.9),
    L.T8: VertebraSize(29.5, 27.9, 30.5, 29.4, 17.7, 15.9, 60.0, 53.0, 4.3),
    L.T9: VertebraSize(30.6, 29.3, 33.0, 31.0, 17.9, 15.7, 59.0, 52.0, 4.8),
    L.T10: VertebraSize(31.9, 30.5, 35.4, 31.6, 18.2, 15.5, 58.0, 50.0, 5.4),
    L.T11: VertebraSize(34.9, 31.9, 39.1, 31.8, 19.4, 16.1, 52.0, 48.0, 6.0),
    L.T12: VertebraSize(39.0, 32.8, 42.1, 33.4, 22.2, 18.1, 47.0, 47.0, 6.8),
    L.T13: VertebraSize(40.5, 33.6, 43.0, 34.6, 23.0, 18.6, 52.0, 51.0, 7.4),
    L.L1: VertebraSize(41.2, 34.1, 43.3, 35.3, 23.7, 19.0, 71.0, 57.0, 7.9),
    L.L2: VertebraSize(42.6, 34.6, 45.5, 34.9, 23.8, 18.2, 76.0, 60.0, 9.3),
    L.L3: VertebraSize(44.1, 35.2, 48.0, 34.8, 24.3, 17.5, 86.0, 61.0, 10.8),
    L.L4: VertebraSize(46.6, 35.5, 49.5, 33.9, 25.4, 18.6, 79.0, 58.0, 11.5),
    L.L5: VertebraSize(47.3, 34.7, 49.4, 33.2, 27.1, 19.7, 92.0, 51.0, 10.5),
    L.L6: VertebraSize(48.0, 34.7, 49.6, 33.2, 27.4, 19.7, 92.0, 49.0, 9.5),
    L.S1: VertebraSize(48.0, 32.0, 36.0, 24.0, 29.0, 15.0, 122.0, 40.0, 2.5),
    L.S2: VertebraSize(35.0, 23.0, 29.0, 18.0, 24.0, 11.0, 102.0, 32.0, 1.5),
}

SACRAL_TAIL_SIZES = ((28.0, 16.0, 76.0), (23.0, 12.0, 50.0), (18.0, 9.0, 34.0))
"""(body width, body depth, outer width) of S3, S4, S5."""

RIB_LENGTHS_MM = (145.0, 210.0, 255.0, 285.0, 305.0, 315.0, 320.0, 310.0, 290.0, 255.0, 200.0, 115.0, 60.0)
"""Bony arc length of ribs 1..13; the last one belongs to T13."""

RIB_SLOPES = (0.30, 0.34, 0.36, 0.37, 0.38, 0.38, 0.38, 0.38, 0.38, 0.40, 0.48, 0.55, 0.5)
"""Descent of each rib per millimetre of its length."""

CHEST: dict[Level, tuple[float, float, float]] = {
    L.C7: (30.0, 35.0, 30.0),
    L.T1: (52.0, 45.0, 34.0),
    L.T2: (76.0, 58.0, 42.0),
    L.T3: (96.0, 74.0, 47.0),
    L.T4: (108.0, 90.0, 50.0),
    L.T6: (122.0, 112.0, 54.0),
    L.T8: (130.0, 130.0, 55.0),
    L.T10: (134.0, 140.0, 52.0),
    L.T12: (132.0, 144.0, 48.0),
    L.L2: (126.0, 140.0, 44.0),
    L.L4: (120.0, 136.0, 42.0),
}
"""Surface on which the ribs lie at the height of a body: half width, reach in front of and behind the centroid."""

TRUNK: dict[Level, tuple[float, float, float]] = {
    L.C1: (56.0, 42.0, 56.0),
    L.C3: (54.0, 46.0, 52.0),
    L.C6: (56.0, 46.0, 56.0),
    L.C7: (68.0, 48.0, 62.0),
    L.T1: (98.0, 58.0, 68.0),
    L.T2: (138.0, 74.0, 72.0),
    L.T3: (154.0, 92.0, 76.0),
    L.T5: (156.0, 118.0, 78.0),
    L.T8: (148.0, 144.0, 74.0),
    L.T12: (142.0, 154.0, 76.0),
    L.L3: (132.0, 142.0, 84.0),
    L.L5: (146.0, 138.0, 86.0),
    L.S1: (156.0, 154.0, 66.0),
    L.S2: (164.0, 176.0, 50.0),
}
"""Outer surface of the muscles, without the fat: half width, reach in front of and behind the centroid."""

TRUNK_BELOW_S2 = ((-60.0, 172.0, 186.0, 60.0), (-130.0, 168.0, 178.0, 60.0), (-400.0, 150.0, 165.0, 50.0))
"""(height relative to S2, half width, front, back): the outline goes on to the thighs."""


WIDEST_COSTAL_MM = 100.0
"""A lumbar process span beyond this, at the usual body width, reaches the wings of the sacrum."""


def joins_sacrum(level: Level, size: VertebraSize) -> bool:
    """Whether a vertebra is a lumbar one of such a size that it is a transitional one."""
    return level.region is Region.LUMBAR and size.process_span_mm > WIDEST_COSTAL_MM * size.width_mm / 49


def trabecular_hu(level: Level) -> float:
    """Mean HU of the spongiosa of a healthy body: about 300 in the neck, falling to 165 in the lumbar spine."""
    if level.region is Region.CERVICAL:
        return 300.0 - 6.0 * level
    return max(260.0 - 5.0 * (level - Level.C7), 165.0)
