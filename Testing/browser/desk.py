"""A page of the viewer in Chromium, driven as a person drives it; asserted is the server's state and DOM text."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright
from VertebraLabelingLib.core.formats import read_points
from viewer_process import ViewerProcess

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE_S = float(os.environ.get("BROWSER_PATIENCE_S", "120"))
"""How long anything may take before a test fails; far beyond what it takes on a computer that is not busy."""
SIZE_PX = (1360, 860)
BETWEEN_LOOKS_MS = 50
SAME_MM = 0.05
BAR_SHARE = 0.5
"""A bar of the crosshair covers more of its row or column of pixels than that; dots and names cover the rest."""
SHOWN = """() => [...document.querySelectorAll("[data-testid^=view-] .canvas img")]
    .filter(image => image.complete && image.naturalWidth > 50).length"""
"""How many of the views show a picture."""
COPY = 1
"""What a drag from outside of the browser may do with its files."""
State = dict[str, Any]


def allowed_s(seconds: float) -> float:
    """A time that is promised on a computer of 2 cores that does nothing else, on one as busy as this is now.

    Says on what it goes, so that no test passes by it unseen.
    """
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    allowed = seconds * max(1.0, load / cores)
    print(f"\nload {load:.1f} on {cores} cores: {allowed:.1f} s are allowed, {seconds:.0f} s without load")
    return allowed


expect.set_options(timeout=1000 * PATIENCE_S)


@contextmanager
def browser(path: str) -> Iterator[Browser]:
    """Headless Chromium."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


class Desk:
    """A page and the viewer behind it.

    requests: addresses of everything that the page asked for.  complaints: what the page said in the console.
    """

    def __init__(self, page: Page, viewer: ViewerProcess, folder: Path) -> None:
        self.page, self.viewer, self.folder = page, viewer, folder
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._may_be_refused, self._refusals = False, 0
        page.set_default_timeout(1000 * PATIENCE_S)
        page.context.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda socket: self.requests.append(socket.url))
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        is_refusal = "status of 4" in message.text and self._may_be_refused
        self._refusals += is_refusal
        if message.type == "error" and not is_refusal:
            self.complaints.append(f"{message.text} {message.location.get('url', '')}")

    def __getitem__(self, test_id: str) -> Locator:
        return self.page.get_by_test_id(test_id)

    # ---- waiting ----

    def open(self) -> Desk:
        """Open the page and wait until it is connected."""
        self.page.goto(self.viewer.address)
        expect(self["page"]).to_have_attribute("data-ready", "true")
        return self

    @property
    def state(self) -> State:
        return self.viewer.state()

    def until(self, is_so: Callable[[State], Any], what: str) -> State:
        """The first state of which `is_so` holds."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not is_so(state := self.state):
            if time.monotonic() > deadline_s:
                raise AssertionError(f"{what}: waited {PATIENCE_S:.0f} s; names {names_of(state)}, {_short(state)}")
            self.page.wait_for_timeout(BETWEEN_LOOKS_MS)
        return state

    def until_names(self, *names: str) -> State:
        return self.until(lambda state: names_of(state) == list(names), f"points {names}")

    def until_told(self, part: str, kind: str) -> str:
        """The message on the page, once it holds `part`."""
        expect(self["message"]).to_contain_text(part)
        expect(self["message"]).to_have_attribute("data-kind", kind)
        return self["message"].inner_text()

    def until_shown(self, count: int = 4) -> None:
        """So many views show a picture."""
        self.page.wait_for_function(f"() => ({SHOWN})() >= {count}")

    def until_saved(self, path: Path) -> None:
        """The points on show are in this file."""
        self.until(lambda state: path.is_file() and not state["unsaved"], f"{path.name} saved")

    # ---- what a person does ----

    def open_file(self, place: str) -> None:
        """Choose a file of the folder and open it."""
        self["folder-list"].focus()
        expect(self["folder-list"].locator(f"option[value='{place}']")).to_be_attached()
        self["folder-list"].select_option(place)
        self["open-button"].click()

    def open_points(self, place: str) -> State:
        """Open a point list unless its points are there untouched; corrections that are on show are given up."""
        state, is_there = self.state, _shows(self.folder / place)
        if is_there(state):
            return state
        self._put_aside(state)
        self.open_file(place)
        if state["unsaved"]:
            self["question-yes"].click()
        state = self.until(is_there, f"points of {place}")
        self._follows(state)
        return state

    def until_series(self) -> State:
        """The DICOM series that was uploaded is on show."""
        state = self.until(lambda s: s["ct"]["name"] == "DICOM series" and not s["receiving"], "the series")
        self.until_shown(4)
        return state

    def back_to_the_phantom(self) -> None:
        """For whoever comes next."""
        self.open_file("phantom.nii.gz")
        self.until(lambda s: s["ct"]["name"] == "phantom" and not s["opening"], "the phantom again")

    def _follows(self, state: State) -> None:
        """Wait until the page shows the points of a state that nothing has been done to."""
        for button in ("undo", "redo"):
            expect(self[button]).to_be_disabled()
        rows = self.page.locator("[data-testid^=point-row-]")
        expect(rows).to_have_count(len(state["points"]))
        for index, name in enumerate(names_of(state)):
            expect(rows.nth(index)).to_have_attribute("data-name", name)

    def _put_aside(self, state: State) -> None:
        """End what a test that failed has left: a question, a run."""
        if state["question"]:
            self["question-no"].click()
            state = self.until(lambda state: not state["question"], "the question gone")
        if state["running"]:
            self["cancel-button"].click()
            self.until(lambda state: not state["running"], "the end of a run")

    def select(self, name: str) -> State:
        """Click the row of a point."""
        self.row(name).click()
        return self.until(lambda state: state["selected"] == names_of(state).index(name), f"{name} selected")

    def select_by_keyboard(self, name: str) -> None:
        """Walk the table to a point; the focus stays in it."""
        self["points-table"].focus()
        self.page.keyboard.press("Home")
        for _step in range(self.viewer.names.index(name)):
            self.page.keyboard.press("ArrowDown")
        expect(self.row(name)).to_have_attribute("data-selected", "true")

    def row(self, name: str) -> Locator:
        return self.page.locator(f"[data-testid^=point-row-][data-name='{name}']")

    def upload(self, *paths: Path) -> None:
        self["file-input"].set_input_files([str(path) for path in paths])

    def drop(self, *paths: Path) -> None:
        """Drag files and folders from outside of the browser onto the page, and let go of them."""
        box = self.page.locator("main").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": COPY}
        session = self.page.context.new_cdp_session(self.page)
        for kind in ("dragEnter", "dragOver", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})
            if kind != "drop":
                expect(self["page"]).to_contain_class("dropping")
        expect(self["page"]).not_to_contain_class("dropping")
        session.detach()

    def on_screen(self, view: str, name: str) -> tuple[float, float]:
        """Where in the window a point is drawn in the slice of a view, in which it must lie."""
        state = self.until(lambda state: point_of(state, name)["in_slice"][view], f"{name} in the slice")
        box = self[f"view-{view}"].locator("img").bounding_box()
        assert box is not None
        across, down = point_of(state, name)["at"][view]
        return box["x"] + across, box["y"] + down

    def drag(
        self, view: str, name: str, right_px: float, down_px: float, shown: Callable[[], Any] | None = None
    ) -> State:
        """Take a point with the mouse in a slice view that shows it, and put it elsewhere; the state with it there.

        shown: called on the way, with the mouse button down.
        """
        x, y = self.on_screen(view, name)
        place = point_of(self.state, name)["position_lps_mm"]
        mouse = self.page.mouse
        mouse.move(x - 12, y - 12)
        mouse.move(x, y, steps=4)
        mouse.down()
        mouse.move(x + right_px, y + down_px, steps=6)
        self.until(lambda state: point_of(state, name)["position_lps_mm"] != place, f"{name} moves")
        mouse.move(x + right_px, y + down_px + 1)
        mouse.move(x + right_px, y + down_px)
        if shown is not None:
            shown()
        mouse.up()
        return self.until(lambda state: state["can_undo"], f"{name} put down")

    # ---- what is drawn ----

    def middle_of(self, view: str) -> tuple[float, float]:
        """In the window."""
        box = self[f"view-{view}"].locator("img").bounding_box()
        assert box is not None
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def picture(self, view: str) -> np.ndarray:
        """(rows, columns, 3) what a view shows, without what the page lays over it."""
        with Image.open(BytesIO(self[f"view-{view}"].locator("img").screenshot())) as shot:
            return np.asarray(shot.convert("RGB")).astype(int)

    def crosshair(self, view: str) -> tuple[int, int] | None:
        """Column and row of its bars, pixels from the upper left corner; None where there is none."""
        pixels = self.picture(view)
        blue = (pixels[..., 2] - pixels[..., 0] > 25) & (pixels[..., 2] >= pixels[..., 1])
        column, row = int(blue.mean(axis=0).argmax()), int(blue.mean(axis=1).argmax())
        is_there = blue[:, column].mean() > BAR_SHARE and blue[row].mean() > BAR_SHARE
        return (column, row) if is_there else None

    def lightest(self, view: str, left: float, row: float, width: int) -> int:
        """The greatest grey in a piece of a row of pixels."""
        first = round(left)
        return int(self.picture(view)[round(row), first : first + width].min(axis=-1).max())

    # ---- what must hold at the end ----

    def expects_refusal(self) -> None:
        """From now on the viewer refuses requests, of which Chromium complains in the console."""
        self._may_be_refused = True

    @contextmanager
    def refusal(self) -> Iterator[None]:
        """The viewer refuses one request of the block, of which Chromium complains in the console."""
        before, self._may_be_refused = self._refusals, True
        yield
        deadline_s = time.monotonic() + PATIENCE_S
        while self._refusals == before:
            assert time.monotonic() < deadline_s, "nothing was refused"
            self.page.wait_for_timeout(BETWEEN_LOOKS_MS)
        self._may_be_refused = False

    def stays_at_home(self) -> None:
        """Nothing was asked of another computer or another server, and nothing went wrong in the page."""
        strange = [address for address in self.requests if not _is_of(self.viewer, address)]
        assert strange == []
        assert self.complaints == []


def _is_of(viewer: ViewerProcess, address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme in ("data", "blob") or parts.netloc == f"127.0.0.1:{viewer.port}"


def middle(control: Locator) -> tuple[float, float]:
    """Of a control, in the window."""
    box = control.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@contextmanager
def desk_of(
    chromium: Browser, viewer: ViewerProcess, folder: Path, size_px: tuple[int, int] = SIZE_PX
) -> Iterator[Desk]:
    """A page of its own on a viewer, opened."""
    width, height = size_px
    context = chromium.new_context(viewport={"width": width, "height": height}, accept_downloads=True)
    desk = Desk(context.new_page(), viewer, folder)
    yield desk.open()
    desk.stays_at_home()
    context.close()


def _shows(path: Path) -> Callable[[State], bool]:
    """Whether the points of a file are on show as they are there."""
    kept = [(point.level.name, point.position_lps_mm) for point in read_points(path)]

    def is_there(state: State) -> bool:
        is_touched = any(state[what] for what in ("can_undo", "can_redo", "unsaved", "question", "running"))
        shown = [(point["name"], point["position_lps_mm"]) for point in state["points"]]
        return not is_touched and len(shown) == len(kept) and all(map(_is_same, shown, kept))

    return is_there


def _is_same(one: tuple[str, Sequence[float]], other: tuple[str, Sequence[float]]) -> bool:
    return one[0] == other[0] and math.dist(one[1], other[1]) < SAME_MM


def _short(state: State) -> State:
    return {key: value for key, value in state.items() if key not in ("points", "tools")}


def names_of(state: State) -> list[str]:
    return [point["name"] for point in state["points"]]


def point_of(state: State, name: str) -> State:
    return next(point for point in state["points"] if point["name"] == name)
