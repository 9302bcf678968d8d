"""Observers of VTK objects that keep nobody alive and are gone with whoever observes.

With `slicer.util.VTKObservationMixin` a scene holds its observers, so that a session which a script forgot to close
lives on.  When Python's garbage collector ends both at once, the closing scene calls what is half taken apart, and
Slicer crashes.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

Receiver = Callable[[Any, str], object]
"""(the VTK object, name of the event)."""


class Observers:
    """A list of observers that are removed together, at the latest with this list."""

    def __init__(self) -> None:
        self._tags: list[tuple[Any, int]] = []
        weakref.finalize(self, _remove, self._tags)

    def add(self, subject: Any, event: Any, method: Receiver) -> None:
        """Call the bound method `method` at each `event` (number or name) of `subject`, as long as its object lives."""
        weak = weakref.WeakMethod(method)

        def call(caller: Any, name: str) -> None:
            living = weak()
            if living is not None:
                living(caller, name)

        self._tags.append((subject, subject.AddObserver(event, call)))

    def remove_all(self) -> None:
        """Hear nothing more."""
        _remove(self._tags)


def _remove(tags: list[tuple[Any, int]]) -> None:
    for subject, tag in tags:
        subject.RemoveObserver(tag)
    tags.clear()
