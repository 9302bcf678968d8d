"""The workspace behind the page: what a person can do in it, on the session that the Slicer module drives as well.

It knows neither trame nor a browser, so that it is tested on MRML alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ..app import job_words
from ..app.session import Session
from ..app.signal import Signal
from ..app.tools import REACHES, CorrectionTools, anomaly_texts
from ..core.errors import UsageError, VertebraLabelingError
from .files import SUFFIXES, Files
from .folder import Folder
from .layout import COLOURS, SIDES_LPS
from .questions import Questions

if TYPE_CHECKING:
    from ..core.correction.column_point import Position
    from ..core.correction.relabel import Anomaly, Reach

NUDGE_MM = 1.0
UNANSWERED = "Answer the question first."
MessageKind = Literal["info", "error"]
Action: TypeAlias = tuple[Callable[..., object], ...]
"""What to do, then what makes each of its arguments of the page's."""


class Workspace:
    """One CT, its points, and all that can be done with them.

    changed(): anything that the page shows is different.  volume_opened(node), volume_closing(node).
    points_arrived(positions_lps_mm): other points are on show, from a run or a file.
    scrolled(view, steps), zoomed(view, steps): asked for by keys.
    message, message_kind: what was last told; messages_told: how often anything was.
    opening_name: the CT that is being read.  is_receiving: whether files come in from the page, until they are read.
    """

    def __init__(self, scene: Any, folder: Folder, **jobs: Any) -> None:
        self.changed, self.points_arrived = Signal(), Signal()
        self.volume_opened, self.volume_closing = Signal(), Signal()
        self.scrolled, self.zoomed = Signal(), Signal()
        self.folder = folder
        self.questions = Questions()
        self.session = Session(scene, ask=self.questions.ask, **jobs)
        self.files = Files(self)
        self.message, self.message_kind, self.messages_told = "", "info", 0
        self.opening_name = ""
        self.is_receiving = False
        self.level, self.reach = "", REACHES[0]
        self.tools = CorrectionTools(self.session, lambda: self.rows, lambda: self.level, lambda: self.reach)
        self._keys: tuple[str, ...] = ()
        self._followed: tuple[str, Position] | None = None
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
        self.message = ""
        try:
            action = self._asked(name, arguments)
            if name == "answer":
                action()
            elif self.questions.text:
                raise UsageError(UNANSWERED)
            else:
                self.questions.run(lambda: self.attempt(action))
        except VertebraLabelingError as error:
            self.tell(str(error), "error")
        except Exception as error:
            logging.exception("'%s' failed", name)
            self.tell(job_words.unexpected(error), "error")
        self.changed.emit()

    def _asked(self, name: str, arguments: Sequence[Any]) -> Callable[[], object]:
        """The action with what the page gave to it, understood; UsageError for what no page of this version asks."""
        if name not in self._actions:
            raise UsageError(f"The page asks for '{name}', which the viewer does not know; reload the page.")
        action, *kinds = self._actions[name]
        try:
            values = [kind(value) for kind, value in zip(kinds, arguments, strict=True)]
        except (TypeError, ValueError, KeyError) as error:
            logging.warning("the page asked for %s%r: %r", name, tuple(arguments), error)
            raise UsageError(f"The page gave '{name}' what it cannot use; reload the page.") from error
        return lambda: action(*values)

    def attempt(self, action: Callable[[], object]) -> None:
        """Also after a question was answered, when nobody is left to whom a failure could be raised."""
        try:
            action()
        except VertebraLabelingError as error:
            self.tell(str(error), "error")

    def check_idle(self) -> None:
        """UsageError while a run is going on, or a question is open that could be about what is on show."""
        if self.session.is_running:
            raise UsageError(self.tools.busy())
        if self.questions.text:
            raise UsageError(UNANSWERED)

    def tell(self, text: str, kind: MessageKind = "info") -> None:
        """Show a sentence until the next action."""
        self.message, self.message_kind = text, kind
        self.messages_told += 1
        self.changed.emit()

    def show_receiving(self, is_receiving: bool) -> None:
        """Show that files come in from the page, or that this has ended."""
        self.is_receiving = is_receiving
        self.changed.emit()

    def poll(self) -> None:
        """Follow the run; call it every 100 to 200 ms."""
        if self.session.is_running:
            self.questions.run(lambda: self.attempt(self._follow_run))

    def _follow_run(self) -> None:
        """Show what a run has brought; points that it did not replace, as the user wished, are kept in a file."""
        session, before, on_show = self.session, self.session.points_node, self.files.nodes
        session.poll()
        if session.last_result is self._shown_result:
            return
        self._shown_result = session.last_result
        if "summary" in session.last_result:  # of a labelling; a refinement only moves points
            self.show_new_points()
        if before not in (None, session.points_node) and before.GetScene() is not None:
            self.files.put_aside(before, on_show)

    def _make_actions(self) -> dict[str, Action]:
        session = self.session
        tools: dict[str, Action] = {name: (self._tool(name),) for name in self.tools.names}
        return tools | {
            "answer": (self.questions.answer, int, _flag),
            "label": (session.label,),
            "cancel": (session.cancel,),
            "method": (lambda method: session.set_options(method=method), str),
            "relabel": (self._relabel, str, _one_of(REACHES)),
            "rename": (
                lambda row, level: self._unless_busy(lambda: session.relabel(row, level, "only")),
                self._row,
                str,
            ),
            "lock": (lambda row, locked: self._unless_busy(lambda: session.confirm((row,), locked)), self._row, _flag),
            "toggleLock": (lambda: self._tool(self.tools.toggle_lock_name())(),),
            "anomaly": (lambda anomaly: self._unless_busy(lambda: session.anomaly(anomaly)), _anomaly),
            "alternative": (lambda index: self._unless_busy(lambda: session.apply_alternative(index)), int),
            "nudge": (lambda side: self._unless_busy(lambda: self._nudge(side)), _one_of(SIDES_LPS)),
            "scroll": (self.scrolled.emit, _one_of(COLOURS), int),
            "zoom": (self.zoomed.emit, _one_of(COLOURS), int),
            "select": (self.select, self._rows),
            "go": (self.go, self._row),
            "quiet": (lambda: None,),
            "save": (self.files.save, _one_of(SUFFIXES), str),
        }

    def _tool(self, name: str) -> Callable[[], object]:
        def use() -> None:
            refusal = self.tools[name].refusal()
            if refusal:
                raise UsageError(refusal)
            self.tools[name].action()

        return use

    def _relabel(self, level: str, reach: Reach) -> None:
        self.level, self.reach = level, reach
        self._tool("relabel")()

    def _nudge(self, side: str) -> None:
        """The marked point `NUDGE_MM` towards a side of the patient."""
        marked = self.session.selected
        if marked is None:
            raise UsageError("Select a point in the table first.")
        x, y, z = self.session.column[marked].position_lps_mm
        right, back, up = SIDES_LPS[side]
        self.session.move(marked, (x + NUDGE_MM * right, y + NUDGE_MM * back, z + NUDGE_MM * up))

    def _unless_busy(self, action: Callable[[], object]) -> None:
        if self.tools.no_points():
            raise UsageError(self.tools.no_points())
        action()

    # ---- selection: the rows of the table; one of them is marked in the views ----

    @property
    def rows(self) -> tuple[int, ...]:
        """The selected rows, ascending."""
        return tuple(i for i, point in enumerate(self.session.column) if point.key in self._keys)

    def _row(self, key: Any) -> int:
        """Of a point that the page names by its key: a row may be another point's since the page was drawn."""
        rows = self._rows([key])
        if not rows:
            raise UsageError("This point is not there any more; look at the table again.")
        return rows[0]

    def _rows(self, keys: Any) -> list[int]:
        """Of the points with these keys that are there, in the order of the keys."""
        row_of = {point.key: row for row, point in enumerate(self.session.column)}
        return [row_of[key] for key in keys if key in row_of]

    def select(self, rows: Sequence[int]) -> None:
        """Select these rows, and go to the last of them when the last one named is new."""
        column = self.session.column
        before = self._keys
        self._keys = tuple(column[row].key for row in rows)
        if rows and self._keys[-1] not in before:
            self.session.select(rows[-1])

    def go(self, row: int) -> None:
        """Select one row and move all views to it."""
        if self.session.select(row):
            self._keys = (self.session.column[row].key,)

    def show_new_points(self) -> None:
        """Bring the whole column into view, the slices through its middle."""
        column = self.session.column
        self.points_arrived.emit([point.position_lps_mm for point in column])
        self.go(len(column) // 2)

    def _session_changed(self) -> None:
        session = self.session
        keys = {point.key for point in session.column}
        self._keys = tuple(key for key in self._keys if key in keys)
        if session.selected is not None:
            marked = session.column[session.selected].key
            self._keys = self._keys if marked in self._keys else (marked,)
        self._follow()
        self.changed.emit()

    def _follow(self) -> None:
        """The slices go with the marked point: when it is dragged, nudged, refined, or put back."""
        index, before = self.session.selected, self._followed
        point = self.session.column[index] if index is not None else None
        self._followed = (point.key, point.position_lps_mm) if point is not None else None
        if point is not None and before is not None and before[0] == point.key and before != self._followed:
            self.session.select(index)


def _flag(value: Any) -> bool:
    return value is True


def _one_of(names: Collection[str]) -> Callable[[Any], Any]:
    def chosen(value: Any) -> Any:
        if value not in names:
            raise ValueError(value)
        return value

    return chosen


def _anomaly(name: Any) -> Anomaly:
    return {anomaly.name: anomaly for anomaly in anomaly_texts()}[name]
