"""Questions in the page: code that asks and waits for the answer, while the server goes on.

`Session` asks with a plain call that returns yes or no, as a dialog of Qt does.  Here that call lets go of the thread
until the page answers: the action runs in a greenlet of its own, which is left at the question and resumed with the
answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from ..app.signal import Signal


@dataclass(frozen=True)
class _Open:
    number: int
    text: str
    asker: Any


class Questions:
    """Runs actions that may ask.  changed(): another question is on show, or none."""

    def __init__(self) -> None:
        self.changed = Signal()
        self._open: deque[_Open] = deque()
        self._numbers = count(1)

    @property
    def text(self) -> str:
        """The question on show; "" when there is none."""
        return self._open[0].text if self._open else ""

    @property
    def number(self) -> int:
        """Of the question on show; 0 when there is none."""
        return self._open[0].number if self._open else 0

    def run(self, action: Callable[[], object]) -> None:
        """Do `action` until it ends or asks; what it raises before it asks is raised here."""
        from greenlet import greenlet

        self._go_on(greenlet(action))

    def ask(self, question: str) -> bool:
        """The user's answer; called from within `run`, to which it returns the control meanwhile."""
        from greenlet import getcurrent

        runner = getcurrent().parent
        if runner is None:
            raise RuntimeError("a question can be asked only within Questions.run")
        return bool(runner.switch(question))

    def answer(self, number: int, yes: bool) -> None:
        """Answer the question with this number, and go on with what asked it.

        Nothing happens when that one is not on show: the second of two quick clicks is no answer to the next question.
        """
        if self._open and number == self.number:
            asker = self._open.popleft().asker
            self.changed.emit()
            self._go_on(asker, yes)

    def _go_on(self, asker: Any, *answer: bool) -> None:
        from greenlet import getcurrent

        asker.parent = getcurrent()
        question = asker.switch(*answer)
        if not asker.dead:
            self._open.append(_Open(next(self._numbers), question, asker))
            self.changed.emit()
