"""The levels of the human spine: order, regions, colours and codes.

The order is cranio-caudal, C1 first.  T13 and L6 are the supernumerary levels that occur in life; the networks of this
project (as those of Qin et al.) know the 26 `REGULAR_LEVELS`, the sequence decoder knows all 28.
"""

from __future__ import annotations

from enum import Enum, IntEnum


class Region(Enum):
    """Part of the column; the value is the letter that begins the level's name."""

    CERVICAL = "C"
    THORACIC = "T"
    LUMBAR = "L"
    SACRAL = "S"


class Level(IntEnum):
    """One vertebral level; the integer is its place in cranio-caudal order (C1 = 0 ... S2 = 27)."""

    C1 = 0
    C2 = 1
    C3 = 2
    C4 = 3
    C5 = 4
    C6 = 5
    C7 = 6
    T1 = 7
    T2 = 8
    T3 = 9
    T4 = 10
    T5 = 11
    T6 = 12
    T7 = 13
    T8 = 14
    T9 = 15
    T10 = 16
    T11 = 17
    T12 = 18
    T13 = 19
    L1 = 20
    L2 = 21
    L3 = 22
    L4 = 23
    L5 = 24
    L6 = 25
    S1 = 26
    S2 = 27

    @property
    def region(self) -> Region:
        """Cervical, thoracic, lumbar or sacral."""
        return Region(self.name[0])

    @property
    def is_supernumerary(self) -> bool:
        """True for T13 and L6."""
        return self in (Level.T13, Level.L6)

    @property
    def colour(self) -> tuple[float, float, float]:
        """Display colour of the region, RGB in 0..1."""
        return REGION_COLOURS[self.region]

    @property
    def snomed(self) -> tuple[str, str]:
        """SNOMED CT (code, meaning); levels without a code of their own are a plain `Vertebra`."""
        code = _SNOMED_CODES.get(self.name)
        return (code, f"{self.name} vertebra") if code else ("51282000", "Vertebra")

    @property
    def verse_id(self) -> int:
        """Integer label of the VerSe data sets (T13 = 28; S2 = 29 follows TPTBox, VerSe itself has none)."""
        return _VERSE_IDS[self]

    @classmethod
    def parse(cls, name: str) -> Level:
        """Level of a name such as ``"T12"``, ``"t12"`` or ``"T 12"``; ValueError for anything else."""
        try:
            return cls[name.strip().upper().replace(" ", "")]
        except KeyError:
            raise ValueError(f"'{name}' is not a vertebral level (C1..C7, T1..T13, L1..L6, S1, S2)") from None

    @classmethod
    def from_verse_id(cls, verse_id: int) -> Level:
        """Inverse of `verse_id`; ValueError for an unknown one (27, the coccyx, among them)."""
        for level, known in _VERSE_IDS.items():
            if known == verse_id:
                return level
        raise ValueError(f"{verse_id} is not a vertebra label of VerSe (1..26, 28, 29)")


REGULAR_LEVELS: tuple[Level, ...] = tuple(level for level in Level if not level.is_supernumerary)
"""The 26 levels of Qin et al., cranio-caudal; index in this tuple = output channel of the networks."""

REGION_COLOURS: dict[Region, tuple[float, float, float]] = {
    Region.CERVICAL: (0.35, 0.78, 0.98),
    Region.THORACIC: (0.55, 0.88, 0.35),
    Region.LUMBAR: (1.00, 0.72, 0.25),
    Region.SACRAL: (0.95, 0.45, 0.70),
}

ABSENT_BETWEEN: dict[tuple[Level, Level], Level] = {
    (Level.T11, Level.L1): Level.T12,
    (Level.L4, Level.S1): Level.L5,
}
"""What a spine lacks in which the pair lies one directly over the other."""

_SNOMED_CODES = {
    "C1": "14806007", "C2": "39976000", "C3": "113205007", "C4": "5329002", "C5": "36978003",
    "C6": "36054005", "C7": "87391001",
    "T1": "64864005", "T2": "53733008", "T3": "1626008", "T4": "73071006", "T5": "56401006", "T6": "46295009",
    "T7": "62487009", "T8": "11068009", "T9": "82687006", "T10": "7610001", "T11": "12989004", "T12": "23215003",
    "L1": "66794005", "L2": "14293000", "L3": "36470004", "L4": "11994002", "L5": "49668003",
    "S1": "65985001",
}  # fmt: skip

_VERSE_IDS: dict[Level, int] = {
    **{level: i + 1 for i, level in enumerate(x for x in REGULAR_LEVELS if x < Level.S1)},
    Level.L6: 25,
    Level.S1: 26,
    Level.T13: 28,
    Level.S2: 29,
}


def regular_shift(level: Level, steps: int) -> Level | None:
    """The level `steps` further down (negative: up) in the regular order, None beyond either end.

    A supernumerary level counts as the one above it (T13 as T12, L6 as L5).
    """
    regular = Level(level - 1) if level.is_supernumerary else level
    index = REGULAR_LEVELS.index(regular) + steps
    return REGULAR_LEVELS[index] if 0 <= index < len(REGULAR_LEVELS) else None
