"""Where a failure is told: beside the button that was clicked, or in a message box when nothing was clicked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .widgets import say


class Messages:
    """Receives `Session.failed`; a correction that cannot be done is no reason for a pop-up."""

    def __init__(self, tell: Callable[[str], None]):
        """`tell` shows a message to which no label belongs."""
        self._tell = tell
        self._label: Any = None

    def show(self, message: str) -> None:
        """Tell a failure."""
        if self._label is None:
            self._tell(message)
        else:
            say(self._label, message)

    @contextmanager
    def beside(self, label: Any) -> Iterator[None]:
        """Whatever fails meanwhile is told in `label`, which is emptied first."""
        say(label, "")
        before, self._label = self._label, label
        try:
            yield
        finally:
            self._label = before
