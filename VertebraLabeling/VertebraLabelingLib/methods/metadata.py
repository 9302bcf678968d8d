"""Settings of a network out of the metadata of its weight file, where JSON has turned tuples into lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field, asdict, fields
from typing import Any, ClassVar, TypeVar

AnySettings = TypeVar("AnySettings", bound="Settings")


class Settings:
    """Base of frozen dataclasses that travel in the metadata of a weight file; every field has a default.

    A field whose default is a tuple holds a row of numbers, or of pairs when that is what its default holds.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    LATER: ClassVar[Sequence[str]] = ("score_calibration",)
    """Rows that older weight files do not have."""

    @classmethod
    def from_metadata(cls: type[AnySettings], values: Mapping[str, Any]) -> AnySettings:
        """Settings from plain JSON values.

        KeyError for a row that is missing, ValueError or TypeError for a value that is no row, or of no field.
        """
        rows = [field for field in fields(cls) if isinstance(field.default, tuple)]
        there = [row for row in rows if row.name in values or row.name not in cls.LATER]
        return cls(**{**values, **{row.name: _row(values[row.name], row.default) for row in there}})

    def to_metadata(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def _row(value: Any, like: tuple[Any, ...]) -> Any:
    """A row of pairs or of numbers as tuples; None, which some rows may be, stays."""
    if value is None:
        return None
    return tuple((low, high) for low, high in value) if isinstance(like[0], tuple) else tuple(value)
