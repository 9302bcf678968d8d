"""Settings of a network out of the metadata of its weight file, where JSON has turned tuples into lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def with_tuples(
    values: Mapping[str, Any], sizes: Sequence[str] = (), ranges: Sequence[str] = (), optional: Sequence[str] = ()
) -> dict[str, Any]:
    """All values, some as tuples again; None stays None.

    sizes: keys of rows of numbers.  ranges: keys of rows of pairs.  optional: of the sizes, those that older weight
    files do not have.  KeyError for any other key that is missing, TypeError for a value that is no row.
    """
    found = [key for key in sizes if key in values or key not in optional]
    tuples: dict[str, Any] = {key: None if values[key] is None else tuple(values[key]) for key in found}
    return {**values, **tuples, **{key: tuple((low, high) for low, high in values[key]) for key in ranges}}
