"""The table of points: one row per control point, in the order of the node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import qt

from ..point_words import certainty, is_doubtful, remark
from .widgets import quiet

if TYPE_CHECKING:
    from ...core.correction.column import Column, ColumnPoint

LEVEL, SURE, NEXT, LOCK, REMARK = range(5)
_CHIP_SIZE = 12


class PointsTable:
    """Shows a column of points and keeps selection and focus while it changes.

    selected(): the user selected other rows.  clicked(row): a row was clicked or reached by the arrow keys.
    renamed(row, text), locked(row, bool): a cell was edited.
    """

    def __init__(
        self,
        table: Any,
        selected: Callable[[], object],
        clicked: Callable[[int], object],
        renamed: Callable[[int, str], object],
        locked: Callable[[int, bool], object],
    ):
        self._table, self._clicked, self._renamed, self._locked = table, clicked, renamed, locked
        self._keys: tuple[str, ...] = ()
        self._current: int | None = None
        self._chips: dict[str, Any] = {}
        header = table.horizontalHeader()
        for index in (LEVEL, SURE, NEXT, LOCK):
            header.setSectionResizeMode(index, qt.QHeaderView.ResizeToContents)
        table.connect("itemSelectionChanged()", lambda: selected())
        table.connect("cellClicked(int,int)", lambda row, _index: self._go_to(row))
        table.connect("currentCellChanged(int,int,int,int)", self._current_changed)
        table.connect("cellChanged(int,int)", self._edited)

    @property
    def rows(self) -> tuple[int, ...]:
        """The selected rows, ascending."""
        return tuple(row for row in range(self._table.rowCount) if self._table.item(row, LEVEL).isSelected())

    def show(self, column: Column, gaps_mm: Sequence[float | None], current: int | None) -> None:
        """Fill in the points; gaps_mm[i]: distance from point i to its lower neighbour.

        current: the point that is marked in the views; its row is selected when another one gets the mark.
        """
        keys = tuple(point.key for point in column)
        with quiet(self._table):
            chosen = {self._keys[row] for row in self.rows if row < len(self._keys)}
            self._table.setRowCount(len(column))
            for row, (point, gap) in enumerate(zip(column, gaps_mm, strict=True)):
                self._fill(row, point, gap)
            if keys != self._keys:
                self._select([row for row, key in enumerate(keys) if key in chosen])
                self._keys = keys
            if current is not None and current != self._current:
                self._table.setCurrentCell(current, LEVEL)
            self._current = current

    def _fill(self, row: int, point: ColumnPoint, gap_mm: float | None) -> None:
        uncertain = is_doubtful(point)
        texts = (
            point.label,
            certainty(point),
            "" if gap_mm is None else f"{gap_mm:.0f} mm",
            "",
            remark(point),
        )
        for index, text in enumerate(texts):
            item = self._item(row, index)
            if item.text() != text:
                item.setText(text)
            _mark(item, uncertain)
        self._table.item(row, LEVEL).setIcon(self._chip(point))
        self._table.item(row, LOCK).setCheckState(qt.Qt.Checked if point.locked else qt.Qt.Unchecked)
        self._table.item(row, REMARK).setToolTip(texts[REMARK])

    def _item(self, row: int, index: int) -> Any:
        """The item of a cell, made when it is new: an item that stays keeps selection, focus and an open editor."""
        item = self._table.item(row, index)
        if item is None:
            item = qt.QTableWidgetItem()
            item.setFlags(_FLAGS[index]())
            self._table.setItem(row, index, item)
        return item

    def _chip(self, point: ColumnPoint) -> Any:
        """A square in the colour of the region; grey for a name that is no level."""
        region = point.level.region.value if point.level is not None else ""
        if region not in self._chips:
            red, green, blue = point.level.colour if point.level is not None else (0.5, 0.5, 0.5)
            pixmap = qt.QPixmap(_CHIP_SIZE, _CHIP_SIZE)
            pixmap.fill(qt.QColor(round(255 * red), round(255 * green), round(255 * blue)))
            self._chips[region] = qt.QIcon(pixmap)
        return self._chips[region]

    def _select(self, rows: Sequence[int]) -> None:
        self._table.clearSelection()
        for row in rows:
            for index in range(REMARK + 1):
                self._table.item(row, index).setSelected(True)

    def _current_changed(self, row: int, _index: int, row_before: int, _index_before: int) -> None:
        if row >= 0 and row != row_before:
            self._go_to(row)

    def _go_to(self, row: int) -> None:
        self._current = row  # the selection is the user's, who may be adding rows to it or taking them away
        self._clicked(row)

    def _edited(self, row: int, index: int) -> None:
        item = self._table.item(row, index)
        if index == LEVEL:
            self._renamed(row, item.text())
        elif index == LOCK:
            self._locked(row, item.checkState() == qt.Qt.Checked)


def _mark(item: Any, uncertain: bool) -> None:
    """Bold on amber, readable in light and dark themes; the remark says it in words."""
    font = item.font()
    if font.bold() != uncertain:
        font.setBold(uncertain)
        item.setFont(font)
        item.setBackground(qt.QBrush(qt.QColor(255, 224, 150)) if uncertain else qt.QBrush())
        item.setForeground(qt.QBrush(qt.QColor(60, 40, 0)) if uncertain else qt.QBrush())


def _plain() -> Any:
    return qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable


_FLAGS: dict[int, Callable[[], Any]] = {
    LEVEL: lambda: _plain() | qt.Qt.ItemIsEditable,
    SURE: _plain,
    NEXT: _plain,
    LOCK: lambda: _plain() | qt.Qt.ItemIsUserCheckable,
    REMARK: _plain,
}
