"""The workspace behind the page: what a person can do in it, on the session that the Slicer module drives as well.

It knows neither trame nor a browser, so that it is tested on MRML alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from ..app.exporting import MARKUPS, TABLE, VERSE, file_name
from ..app.points_node import is_corrected
from ..app.session import Session
from ..app.signal import Signal
from ..app.tools import REACHES, CorrectionTools, anomaly_texts
from ..core.correction.column import Column
from ..core.errors import UsageError, VertebraLabelingError
from ..core.scan import Scan
from . import opening
from .folder import Folder
from .questions import Questions

SUFFIXES = {"markups": MARKUPS, "csv": TABLE, "verse": VERSE}
"""Kinds of files that the page saves."""
MessageKind = Literal["info", "error"]


class Workspace:
    """One CT, its points, and all that can be done with them.

    changed(): anything that the page shows is different.  volume_opened(node), volume_closing(node).
    points_arrived(positions_lps_mm): other points are on show, from a run or a file.
    message, message_kind: what was last told.  opening_name: the CT that is being read.
    """

    def __init__(self, scene: Any, folder: Folder, **jobs: Any) -> None:
        self.changed, self.points_arrived = Signal(), Signal()
        self.volume_opened, self.volume_closing = Signal(), Signal()
        self.folder = folder
        self.questions = Questions()
        self.session = Session(scene, ask=self.questions.ask, **jobs)
        self.message, self.message_kind = "", "info"
        self.opening_name = ""
        self.level, self.reach = "", REACHES[0]
        self.tools = CorrectionTools(self.session, lambda: self.rows, lambda: self.level, lambda: self.reach)
        self._scene = scene
        self._keys: tuple[str, ...] = ()
        self._saved: Column = ()
        self._shown_result: Any = None
        self._actions = self._make_actions()
        self.session.changed.connect(self._session_changed)
        self.session.progressed.connect(self.changed.emit)
        self.session.failed.connect(lambda text: self.tell(text, "error"))
        self.questions.changed.connect(self.changed.emit)

    def close(self) -> None:
        """End a run and let go of the scene."""
        self.session.close()

    # ---- what the page asks for ----

    def act(self, name: str, *arguments: Any) -> None:
        """Do what a control of the page stands for; whatever goes wrong is told by `message`."""
        action = self._actions.get(name)
        try:
            if action is None:
                raise UsageError(f"The page asks for '{name}', which the viewer does not know; reload the page.")
            if self.questions.text and name != "answer":
                raise UsageError("Answer the question first.")
            self.message = ""
            if name == "answer":
                action(*arguments)
            else:
                self.questions.run(lambda: self.attempt(lambda: action(*arguments)))
        except VertebraLabelingError as error:
            self.tell(str(error), "error")
        except (TypeError, ValueError, IndexError, KeyError):
            self.tell(f"The page gave '{name}' what it cannot use; reload the page.", "error")
        self.changed.emit()

    def attempt(self, action: Callable[[], object]) -> None:
        """Also after a question was answered, when nobody is left to whom a failure could be raised."""
        try:
            action()
        except VertebraLabelingError as error:
            self.tell(str(error), "error")

    def tell(self, text: str, kind: MessageKind = "info") -> None:
        """Show a sentence until the next action."""
        self.message, self.message_kind = text, kind
        self.changed.emit()

    def poll(self) -> None:
        """Follow the run; call it every 100 to 200 ms."""
        if self.session.is_running:
            self.questions.run(lambda: self.attempt(self.session.poll))

    def _make_actions(self) -> dict[str, Callable[..., object]]:
        tools: dict[str, Callable[..., object]] = {name: self._tool(name) for name in self.tools.names}
        return tools | {
            "answer": lambda yes: self.questions.answer(yes is True),
            "label": self.session.label,
            "cancel": self.session.cancel,
            "method": lambda method: self.session.set_options(method=str(method)),
            "relabel": self._relabel,
            "rename": lambda row, level: self._unless_busy(lambda: self.session.relabel(int(row), str(level), "only")),
            "lock": lambda row, locked: self._unless_busy(lambda: self.session.confirm((int(row),), locked is True)),
            "toggleLock": lambda: self._tool(self.tools.toggle_lock_name())(),
            "anomaly": self._anomaly,
            "alternative": lambda index: self._unless_busy(lambda: self.session.apply_alternative(int(index))),
            "select": self.select,
            "go": self.go,
            "quiet": lambda: None,
            "save": self.save,
            "points": lambda place: self.open_points(self.folder.file(str(place))),
        }

    def _tool(self, name: str) -> Callable[[], object]:
        def use() -> None:
            refusal = self.tools[name].refusal()
            if refusal:
                raise UsageError(refusal)
            self.tools[name].action()

        return use

    def _relabel(self, level: str, reach: str) -> None:
        if reach not in REACHES:
            raise ValueError(reach)
        self.level, self.reach = str(level), reach
        self._tool("relabel")()

    def _anomaly(self, value: str) -> None:
        chosen = {anomaly.name: anomaly for anomaly in anomaly_texts()}[value]
        self._unless_busy(lambda: self.session.anomaly(chosen))

    def _unless_busy(self, action: Callable[[], object]) -> None:
        if self.tools.no_points():
            raise UsageError(self.tools.no_points())
        action()

    # ---- selection: the rows of the table; one of them is marked in the views ----

    @property
    def rows(self) -> tuple[int, ...]:
        """The selected rows, ascending."""
        return tuple(i for i, point in enumerate(self.session.column) if point.key in self._keys)

    def select(self, rows: Sequence[int]) -> None:
        """Select these rows, and go to the last of them when the last one named is new."""
        column = self.session.column
        chosen = [int(row) for row in rows if 0 <= int(row) < len(column)]
        before = self._keys
        self._keys = tuple(column[row].key for row in chosen)
        if chosen and self._keys[-1] not in before:
            self.session.select(chosen[-1])

    def go(self, row: int) -> None:
        """Select one row and move all views to it."""
        if self.session.select(int(row)):
            self._keys = (self.session.column[int(row)].key,)

    def _show_new_points(self) -> None:
        """Bring the whole column into view, the slices through its middle."""
        column = self.session.column
        self.points_arrived.emit([point.position_lps_mm for point in column])
        self.go(len(column) // 2)

    def _session_changed(self) -> None:
        session = self.session
        if session.last_result is not self._shown_result:
            self._shown_result = session.last_result
            self._show_new_points()
        keys = {point.key for point in session.column}
        self._keys = tuple(key for key in self._keys if key in keys)
        if session.selected is not None:
            marked = session.column[session.selected].key
            self._keys = self._keys if marked in self._keys else (marked,)
        self.changed.emit()

    # ---- files ----

    def open_scan(self, scan: Scan) -> None:
        """Show another CT in place of the one on show; asks when that would lose corrections."""
        self.questions.run(lambda: self.attempt(lambda: self._open_scan(scan)))
        self.changed.emit()

    def _open_scan(self, scan: Scan) -> None:
        self.check_idle()
        if not self._may_leave("Open the other CT"):
            return
        old = [self.session.points_node, self.session.state.curve, self.session.input_volume]
        self.session.set_points_node(None)
        if old[-1] is not None:
            self.volume_closing.emit(old[-1])
        self.session.set_input_volume(opening.add_volume(scan))
        for node in filter(None, old):
            self._scene.RemoveNode(node)
        self._saved, self._keys = (), ()
        self.volume_opened.emit(self.session.input_volume)
        self.tell(" ".join([f"{scan.name} is open.", *scan.notes]))

    def open_points(self, path: Path) -> None:
        """Show the points of a file on the CT on show; asks when that would lose corrections."""
        self.check_idle()
        if self.session.input_volume is None:
            raise UsageError("Open the CT of these points first.")
        volume = self.session.input_volume
        column = opening.points_in(path, volume)  # before any question: an upload is gone when it is answered
        if not self._may_leave(f"Open {path.name}"):
            return
        node, old = opening.add_points(column, path.name, volume), self.session.points_node
        self.session.set_points_node(node)
        if old is not None:
            self._scene.RemoveNode(old)
        self._saved = self.session.column
        self._show_new_points()
        self.tell(f"{path.name} is open.")

    def check_idle(self) -> None:
        """UsageError while a run is going on."""
        if self.session.is_running:
            raise UsageError(self.tools.busy())

    def _may_leave(self, what: str) -> bool:
        if not self.has_unsaved_corrections:
            return True
        return self.questions.ask(f"Your corrections of these points are not saved. {what} anyway?")

    @property
    def has_unsaved_corrections(self) -> bool:
        """Whether the user has changed points since they were labelled, opened or saved."""
        node = self.session.points_node
        return node is not None and is_corrected(node) and self.session.column != self._saved

    @property
    def proposed_name(self) -> str:
        """A file name, without suffix, for the points on show."""
        volume = self.session.input_volume
        return file_name(volume.GetName()) if volume is not None else "points"

    def save(self, kind: str, name: str) -> None:
        """Write the points into the folder; asks before a file is replaced."""
        path = self.folder.target(str(name), SUFFIXES[kind])
        question = f"'{path.name}' exists already. Replace it?"
        if path.exists() and not self.questions.ask(question):
            return
        if self.session.export(path):
            self._saved = self.session.column
            self.tell(f"Saved: {path}")

    def export_to(self, folder: Path, kind: str) -> Path | None:
        """Write the points into a temporary folder for a download; None, told by `message`, when that fails."""
        path = folder / f"{self.proposed_name}{SUFFIXES[kind]}"
        if not self.session.export(path):
            return None
        self._saved = self.session.column
        self.changed.emit()
        return path
