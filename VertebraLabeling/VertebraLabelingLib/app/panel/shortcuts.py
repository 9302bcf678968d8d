"""Keyboard shortcuts: plain Z and Y as in Slicer's Segment Editor, because Ctrl+Z and Ctrl+Y are the main window's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import qt


class Shortcuts:
    """Active only while the module is open.

    everywhere: key -> action, in the whole main window.  in_table: key -> action, only while the table has the focus:
    in a view, Del removes the point under the mouse.
    """

    def __init__(
        self,
        window: Any,
        everywhere: Mapping[str, Callable[[], object]],
        table: Any,
        in_table: Mapping[str, Callable[[], object]],
    ):
        self._shortcuts = [
            *(_shortcut(key, window, qt.Qt.WindowShortcut, action) for key, action in everywhere.items()),
            *(_shortcut(key, table, qt.Qt.WidgetWithChildrenShortcut, action) for key, action in in_table.items()),
        ]
        self.set_active(False)

    def set_active(self, active: bool) -> None:
        """Switch all of them."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(active)

    def remove(self) -> None:
        """Give the keys back for good."""
        self.set_active(False)
        for shortcut in self._shortcuts:
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts = []


def _shortcut(key: str, parent: Any, context: Any, action: Callable[[], object]) -> Any:
    shortcut = qt.QShortcut(parent)
    shortcut.setKey(qt.QKeySequence(key))
    shortcut.setContext(context)
    shortcut.connect("activated()", lambda: action())
    return shortcut
