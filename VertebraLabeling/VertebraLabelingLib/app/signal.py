"""A signal without Qt: whoever wants to know connects a function."""

from __future__ import annotations

from collections.abc import Callable


class Signal:
    """Calls the connected functions, in the order in which they were connected."""

    def __init__(self) -> None:
        self._receivers: list[Callable[..., object]] = []

    def connect(self, receiver: Callable[..., object]) -> None:
        """Call `receiver` at each `emit`; once, however often it is connected."""
        if receiver not in self._receivers:
            self._receivers.append(receiver)

    def disconnect(self, receiver: Callable[..., object]) -> None:
        """Call it no more; nothing happens when it was not connected."""
        if receiver in self._receivers:
            self._receivers.remove(receiver)

    def emit(self, *values: object) -> None:
        """Call all receivers with these values; one that a receiver disconnects meanwhile is not called any more."""
        for receiver in tuple(self._receivers):
            if receiver in self._receivers:
                receiver(*values)
