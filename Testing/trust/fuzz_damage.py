"""How files are damaged: bytes, numbers, lines and values exchanged for hostile ones, by hypothesis."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

HOSTILE_NUMBERS = (0, 1, -1, 2, 127, 255, 32767, -32768, 65535, 2**31 - 1, -(2**31), 100000)
HOSTILE_WORDS = (
    b"", b"0", b"-1", b"1e308", b"-1e308", b"nan", b"inf", b"100000 100000 100000", b"100000", b"2147483648",
    b"99999999999999999999", b"3", b"%s%n%d", b"../../../../etc/passwd", b"LIST", b"LOCAL", b"True", b"gzip", b"raw",
    b"(1,0,0) (0,1,0) (0,0,0)", b"1 0 0 1 0 0 0 0 1", b"none", b"A" * 3000, b"\x00", b"\xff\xfe", "Größe".encode(),
    b"MET_DOUBLE", b"MET_CHAR_ARRAY", b"double", b"block", b"/dev/zero", b".",
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One damage.  kind: what is done.  place: where, as a share of the header or of the file.  value: with what."""

    kind: str
    place: float
    value: Any = None

    def applied(self, data: bytes, header_bytes: int) -> bytes:
        within = (
            len(data) if self.kind in ("cut", "flip anywhere", "repeat", "remove") else min(header_bytes, len(data))
        )
        at = min(int(self.place * within), max(len(data) - 1, 0))
        return getattr(self, "_" + self.kind.replace(" ", "_"))(data, at, header_bytes)

    def _cut(self, data: bytes, at: int, _: int) -> bytes:
        return data[:at]

    def _flip_anywhere(self, data: bytes, at: int, _: int) -> bytes:
        return data[:at] + self.value + data[at + len(self.value) :]

    _bytes = _number = _flip_anywhere

    def _repeat(self, data: bytes, at: int, _: int) -> bytes:
        return data[:at] + data[at : at + 200] * 3 + data[at:]

    def _remove(self, data: bytes, at: int, _: int) -> bytes:
        return data[:at] + data[at + 1 + len(self.value) * 20 :]

    def _line(self, data: bytes, at: int, header_bytes: int) -> bytes:
        """Another value on one line of a header of text, after its ``:`` or ``=``."""
        lines = data[:header_bytes].split(b"\n")
        number = int(self.place * (len(lines) - 1))
        for mark in (b":=", b": ", b" = ", b"="):
            key, found, _ = lines[number].partition(mark)
            if found:
                lines[number] = key + found + self.value
                break
        return b"\n".join(lines) + data[header_bytes:]

    def _lose_line(self, data: bytes, at: int, header_bytes: int) -> bytes:
        lines = data[:header_bytes].split(b"\n")
        del lines[int(self.place * (len(lines) - 1))]
        return b"\n".join(lines) + data[header_bytes:]


def changes(is_text: bool) -> st.SearchStrategy[list[Change]]:
    """One to three damages, most of them in the header."""
    place = st.floats(0, 1, exclude_max=True)
    number = st.builds(lambda n, size: (n % 2 ** (8 * size)).to_bytes(size, "little"),
                       st.sampled_from(HOSTILE_NUMBERS), st.sampled_from((1, 2, 4, 8)))  # fmt: skip
    real = st.floats(width=32).map(lambda x: struct.pack("<f", x))
    raw = st.binary(min_size=1, max_size=8)
    kinds = [
        st.builds(Change, st.just("number"), place, number | real),
        st.builds(Change, st.just("bytes"), place, raw),
        st.builds(Change, st.sampled_from(("cut", "repeat")), place),
        st.builds(Change, st.sampled_from(("remove", "flip anywhere")), place, raw),
    ]
    if is_text:
        kinds += [st.builds(Change, st.just("line"), place, st.sampled_from(HOSTILE_WORDS))] * 3
        kinds += [st.builds(Change, st.just("lose line"), place)]
    return st.lists(st.one_of(kinds), min_size=1, max_size=3)


def damaged(data: bytes, header_bytes: int, damage: list[Change]) -> bytes:
    for change in damage:
        data = change.applied(data, header_bytes)
    return data


# --- JSON -------------------------------------------------------------------------------------------------------------

words = st.sampled_from([word.decode("latin-1") for word in HOSTILE_WORDS]) | st.text(max_size=8)
scalars = words | st.none() | st.booleans() | st.integers() | st.sampled_from(HOSTILE_NUMBERS) | st.floats()
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3))
"""Any JSON content."""


@dataclass(frozen=True)
class Exchange:
    """Another value at one place of a JSON content.  place: as a share of all places."""

    place: float
    value: Any

    def applied(self, data: bytes) -> bytes:
        content = json.loads(data)
        places = list(_places(content))
        return json.dumps(_exchanged(content, places[int(self.place * len(places))], self.value)).encode()


def exchanges() -> st.SearchStrategy[Exchange]:
    """Any value at any place."""
    return st.builds(Exchange, st.floats(0, 1, exclude_max=True), values)


def _places(content: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a JSON content, as keys and indices."""
    yield before
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in inner:
        yield from _places(value, (*before, key))


def _exchanged(content: Any, keys: tuple[Any, ...], value: Any) -> Any:
    if not keys:
        return value
    content[keys[0]] = _exchanged(content[keys[0]], keys[1:], value)
    return content
