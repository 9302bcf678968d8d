"""The few Qt gestures that every section of the panel uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any


def on_click(button: Any, action: Callable[[], object]) -> None:
    """Call `action`, without arguments, when a button is clicked."""
    button.connect("clicked(bool)", lambda: action())


@contextmanager
def quiet(widget: Any) -> Iterator[None]:
    """While the program changes a widget, not the user: its signals are held back."""
    was_blocked = widget.blockSignals(True)
    try:
        yield
    finally:
        widget.blockSignals(was_blocked)


def offer(button: Any, tip: str, refusal: str = "") -> None:
    """Enable a button, or disable it and say in its tooltip why (`refusal`, a sentence)."""
    button.setEnabled(not refusal)
    button.setToolTip(f"{tip}\n{refusal}".strip() if refusal else tip)


def say(label: Any, text: str) -> None:
    """Show a text; an empty label takes no room."""
    label.setText(text)
    label.setVisible(bool(text))


def fill_combo(combo: Any, texts: Sequence[str], index: int | None = None) -> None:
    """Give a combo box its items, in silence; a list that did not change is left alone (it may be open).

    index: what is chosen; None for the first item of another list, and for the user's choice in one that stays.
    """
    with quiet(combo):
        if [combo.itemText(i) for i in range(combo.count)] != list(texts):
            combo.clear()
            combo.addItems(list(texts))
        if index is not None:
            combo.setCurrentIndex(index)
