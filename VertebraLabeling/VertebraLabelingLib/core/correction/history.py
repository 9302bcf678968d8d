"""Undo and redo."""

from __future__ import annotations

from ..errors import CorrectionError
from .column_point import Column

MAX_STATES = 100


class History:
    """The states of a column, at most `MAX_STATES`, and which of them is current.

    record() after each correction; a state equal to the current one is no new step.
    """

    def __init__(self, column: Column = ()) -> None:
        self.clear(column)

    def clear(self, column: Column = ()) -> None:
        """Forget all steps and begin with `column`."""
        self._states: list[tuple[Column, str]] = [(column, "")]
        self._at = 0

    def record(self, column: Column, what: str) -> None:
        """`column` is what the step `what` (a few words for the user) has made of the current state."""
        if column == self._states[self._at][0]:
            return
        states = [*self._states[: self._at + 1], (column, what)]
        self._states = states[-MAX_STATES:]
        self._at = len(self._states) - 1

    @property
    def can_undo(self) -> bool:
        """Whether there is a state before the current one."""
        return self._at > 0

    @property
    def can_redo(self) -> bool:
        """Whether a step was undone and nothing recorded since."""
        return self._at + 1 < len(self._states)

    @property
    def undo_text(self) -> str:
        """What undo() would take back; "" when nothing."""
        return self._states[self._at][1] if self.can_undo else ""

    @property
    def redo_text(self) -> str:
        """What redo() would do again; "" when nothing."""
        return self._states[self._at + 1][1] if self.can_redo else ""

    def undo(self) -> Column:
        """The state before the current one, which becomes current; CorrectionError when there is none."""
        if not self.can_undo:
            raise CorrectionError("There is nothing to undo.")
        self._at -= 1
        return self._states[self._at][0]

    def redo(self) -> Column:
        """The state that was undone last, which becomes current; CorrectionError when there is none."""
        if not self.can_redo:
            raise CorrectionError("There is nothing to redo.")
        self._at += 1
        return self._states[self._at][0]
