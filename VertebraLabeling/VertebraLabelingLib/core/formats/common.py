"""What the point formats share: opening, numbers, levels, order."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..anatomy import Level
from ..claims import MAX_ORIGIN_MM
from ..errors import InputError
from ..labelling import LabelledPoint

Position = tuple[float, float, float]
LARGEST_FILE_BYTES = 1 << 25
"""Of a file of points: a thousand times what any spine needs."""
_LONGEST_QUOTE, _MOST_NAMED = 60, 40
_DESCRIPTION = re.compile(r"\s*p=([0-9]{1,4}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})\s*(?:;\s*(.*))?$", re.DOTALL)


def load_text(path: Path) -> str:
    """UTF-8 text of a file, with or without byte order mark; InputError."""
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise InputError(f"{path} is too large for a file of points; give the points of one scan.")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8; save it so, or give another file.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror or error}); check the path.") from error


def load_json(path: Path) -> Any:
    """Content of a JSON file; InputError."""
    text = load_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # also for a number of thousands of digits
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InputError(f"{path} is not valid JSON{where}; export the points again.") from error


def quoted(value: object) -> str:
    """What stands in a file, for a message of one line: cut, and text in quotes and escaped."""
    text = str(value)
    text = text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "..."
    return repr(text) if isinstance(value, str) else text


def position(values: Iterable[Any], path: Path, name: object) -> Position:
    """Three finite coordinates within a kilometre; InputError naming the point."""
    try:
        if isinstance(values, (str, dict)):  # whose letters or keys may be numbers
            raise TypeError("no list")
        x, y, z = (float(value) for value in values)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: the position of {name} is not three numbers; export the points again.") from error
    if not all(math.isfinite(value) for value in (x, y, z)):
        raise InputError(f"{path}: the position of {name} is not finite; place the point again.")
    if not all(abs(value) <= MAX_ORIGIN_MM for value in (x, y, z)):
        raise InputError(f"{path}: the position of {name} is beyond any scan; place the point again.")
    return (x, y, z)


def parse_levels(names: Iterable[object], path: Path) -> tuple[Level, ...]:
    """Levels of the names of a file; InputError that lists the names that are none."""
    levels: list[Level] = []
    unknown: list[str] = []
    for name in names:
        try:
            levels.append(Level.parse(str(name)))
        except ValueError:
            unknown.append(quoted(str(name)))
    if unknown:
        raise InputError(
            f"{path}: {', '.join(unknown[:_MOST_NAMED])} {'are no levels' if len(unknown) > 1 else 'is no level'}; "
            "name the points C1-C7, T1-T13, L1-L6, S1, S2."
        )
    return tuple(levels)


def in_order(points: Iterable[LabelledPoint], path: Path) -> tuple[LabelledPoint, ...]:
    """Cranio-caudal; InputError when a level occurs twice."""
    points = sorted(points, key=lambda point: point.level)
    twice = [level.name for level, count in Counter(p.level for p in points).items() if count > 1]
    if twice:
        raise InputError(f"{path}: {', '.join(twice)} occurs more than once; keep one point of each level.")
    return tuple(points)


def description_of(point: LabelledPoint) -> str:
    """Probability and remark in one line, ``p=0.97; remark``: Slicer has one text field per point."""
    return f"p={point.probability:.2f}" + (f"; {point.remark}" if point.remark else "")


def parse_description(description: str) -> tuple[float, str]:
    """Inverse of `description_of`; a text that this program did not write is all remark, with probability 1."""
    match = _DESCRIPTION.match(description)
    if match and float(match[1]) <= 1.0:
        return float(match[1]), (match[2] or "").strip()
    return 1.0, description.strip()
