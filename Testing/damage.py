"""Harm done to files on purpose."""

from __future__ import annotations

from pathlib import Path


def flip_one_bit(path: Path) -> None:
    """Alter a file in its middle, as a bad disk or a hand would."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
