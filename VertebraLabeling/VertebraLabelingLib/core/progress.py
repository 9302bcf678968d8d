"""How a long stage reports where it is, and how it learns that the user has had enough."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Called as ``progress(stage, fraction)`` with fraction in 0..1; raises `CancelledError` to stop the run."""


def silent(stage: str, fraction: float) -> None:
    """A progress callback that says nothing."""


def part(progress: Progress, start: float, stop: float) -> Progress:
    """The same callback with the fractions of a sub-task mapped onto start..stop."""
    return lambda stage, fraction: progress(stage, start + (stop - start) * fraction)
