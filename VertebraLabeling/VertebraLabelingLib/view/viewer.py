"""Joins workspace, views and page to one trame server: pushes what has changed, polls the run, opens files."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from trame_slicer.core import SlicerApp

from ..app import job_words
from ..core.errors import VertebraLabelingError
from .curved import CurvedView
from .folder import Folder
from .opener import Opener
from .scene_views import SceneViews
from .snapshot import constants, snapshot
from .uploads import MEGABYTE
from .web import PAGE
from .workspace import Workspace

POLL_INTERVAL_S = 0.15
CURVED_DELAY_S = 0.4
"""The curved view follows when the points have been at rest for that long."""
INFO_S = 10.0
"""That long a sentence is shown that is no failure."""


class Viewer:
    """What one server shows; `start` when its loop runs."""

    def __init__(self, server: Any, application: SlicerApp, folder: Folder, upload_limit_mb: int) -> None:
        self.upload_limit_bytes = upload_limit_mb * MEGABYTE
        self.workspace = Workspace(application.scene, folder)
        self.opener = Opener(self.workspace)
        self.curved_picture: Any = None
        self._server, self._adapters = server, []
        self._views = SceneViews(application, server.state, self._adapters.append)
        self._curved = CurvedView()
        self._push_is_due = False
        self._curved_timer: asyncio.TimerHandle | None = None
        self._listing: asyncio.Task[None] | None = None
        self._told_of_cut = False
        self._tasks: list[asyncio.Task[Any]] = []
        self.workspace.changed.connect(self._changed)
        self.workspace.volume_opened.connect(self._views.show_volume)
        self.workspace.volume_closing.connect(self._views.hide_volume)
        self.workspace.points_arrived.connect(self._views.frame)
        self.workspace.scrolled.connect(self._views.scroll)
        self.workspace.zoomed.connect(self._views.zoom)
        state = server.state
        state.trame__title = "Vertebra Labeling"
        state.trame__favicon = None
        state.trame__template_main = (PAGE / "page.html").read_text(encoding="utf-8")
        state.trame__template_error = (PAGE / "gone.html").read_text(encoding="utf-8")
        state.update({"vl": snapshot(self.workspace), "fixed": constants(self.workspace, upload_limit_mb)})
        state.update({"files": {"scans": [], "points": []}, "chosen_file": "", "level": "", "big": ""})
        state.update({"curved": None, "curved_problem": "", "save_name": "", "renaming": "", "keys": False})
        server.controller.trigger("act")(self._act)
        server.controller.trigger("open")(self._open)
        server.controller.trigger("list")(self._list)
        server.controller.trigger("curved")(self._go_in_curved)

    def start(self, path: Path | None) -> None:
        """Begin to serve: in the running loop of the server.  path: a CT to open at once."""
        asyncio.get_running_loop().set_exception_handler(_report)
        for adapter in self._adapters:
            self._server.controller.rc_area_register(adapter)
        self._spawn(self._poll())
        self._list()
        if path is not None:
            self._spawn(self.opener.open(path, within=None))

    def close(self) -> None:
        """End a run and all tasks."""
        for task in filter(None, (*self._tasks, self._listing)):
            task.cancel()
        self.workspace.close()

    def _spawn(self, work: Any) -> None:
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    # ---- from the page ----

    def _act(self, name: str, *arguments: Any) -> None:
        self.workspace.act(name, *arguments)
        if name in ("save", "answer"):
            self._list()

    def _open(self, place: str) -> None:
        """Open what was chosen in the list of the folder."""
        folder = self.workspace.folder
        try:
            path = folder.file(place)
        except VertebraLabelingError as error:
            self.workspace.tell(str(error), "error")
            return
        self._spawn(self.opener.open(path, within=folder))

    def _go_in_curved(self, across: float, down: float) -> None:
        """Move the slices to a place of the curved picture, given as shares of its width and height."""
        picture = self.curved_picture
        place = picture.place_at(across * picture.width, down * picture.height) if picture is not None else None
        if place is not None:
            self._views.jump(place)

    def _list(self) -> None:
        """Look through the folder again, beside the loop: it may be large."""
        if self._listing is None or self._listing.done():
            self._listing = asyncio.get_running_loop().create_task(self._look_through_folder())

    async def _look_through_folder(self) -> None:
        folder = self.workspace.folder
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(None, folder.listing)
        self._show({"files": {"scans": list(found.scans), "points": list(found.point_files)}})
        if found.is_cut and not self._told_of_cut:
            self._told_of_cut = True
            self.workspace.tell(f"{folder.root} holds more than the list shows; drop other files on the page.")

    async def _poll(self) -> None:
        """Follow the run; a mistake of this program must not end the following."""
        while True:
            await asyncio.sleep(POLL_INTERVAL_S)
            try:
                self.workspace.poll()
            except Exception as error:
                logging.exception("a run could not be followed")
                self.workspace.tell(job_words.unexpected(error), "error")

    # ---- to the page ----

    def state(self) -> dict[str, Any]:
        """The snapshot with the places of the points in the views."""
        values = snapshot(self.workspace)
        places = self._views.places([point.position_lps_mm for point in self.workspace.session.column])
        points = [point | place for point, place in zip(values["points"], places, strict=True)]
        return values | {"points": points, "views": self._views.slices}

    def _changed(self) -> None:
        """Push once, however often something changed in this turn of the loop."""
        if not self._push_is_due:
            self._push_is_due = True
            asyncio.get_event_loop().call_soon(self._push)

    def _push(self) -> None:
        self._push_is_due = False
        self._views.show_points(self.workspace.session.points_node)
        values = snapshot(self.workspace)
        changes: dict[str, Any] = {"vl": values}
        before = self._server.state.vl
        if _marked_name(values) != _marked_name(before):
            changes["level"] = _marked_name(values)
        if values["name"] != before["name"]:
            changes["save_name"] = values["name"]
        self._show(changes)
        self._plan_curved()
        if values["message"] != before["message"] and values["message"]["kind"] == "info":
            asyncio.get_event_loop().call_later(INFO_S, self._forget, values["message"]["number"])

    def _forget(self, number: int) -> None:
        if self.workspace.messages_told == number:
            self.workspace.tell("")

    def _plan_curved(self) -> None:
        if self._curved_timer is not None:
            self._curved_timer.cancel()
        self._curved_timer = asyncio.get_event_loop().call_later(CURVED_DELAY_S, self._show_curved)

    def _show_curved(self) -> None:
        session, version = self.workspace.session, self._curved.version
        self._curved.update(session.input_volume, session.column)
        if self._curved.version != version:
            self.curved_picture = self._curved.picture()
            values = _curved_values(self.curved_picture, self._curved.version)
            self._show({"curved": values, "curved_problem": self._curved.problem})

    def _show(self, changes: dict[str, Any]) -> None:
        with self._server.state as state:
            state.update(changes)


def _report(loop: asyncio.AbstractEventLoop, trouble: dict[str, Any]) -> None:
    """A tab that is closed while a picture is on its way to it is no mistake."""
    if not isinstance(trouble.get("exception"), ConnectionError):
        loop.default_exception_handler(trouble)


def _marked_name(values: dict[str, Any]) -> str:
    selected = [point["name"] for point in values["points"] if point["is_selected"]]
    return selected[0] if len(selected) == 1 else ""


def _curved_values(picture: Any, version: int) -> dict[str, Any] | None:
    if picture is None:
        return None
    labels = [
        {
            "key": label.key,
            "name": label.name,
            "text": label.text,
            "x": 100 * label.x_px / picture.width,
            "x_coronal": 100 * label.x_coronal_px / picture.width,
            "x_text": 100 * label.text_x_px / picture.width,
            "y": 100 * label.y_px / picture.height,
            "colour": label.colour,
            "uncertain": label.uncertain,
        }
        for label in picture.labels
    ]
    return {"version": version, "width": picture.width, "height": picture.height, "labels": labels}
