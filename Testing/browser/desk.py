"""A page of the viewer in Chromium, driven as a person drives it; asserted is the server's state and DOM text."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright
from viewer_process import ViewerProcess

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE_S = float(os.environ.get("BROWSER_PATIENCE_S", "120"))
"""How long anything may take before a test fails; far beyond what it takes on a computer that is not busy."""
SIZE_PX = {"width": 1360, "height": 860}
BETWEEN_LOOKS_MS = 50
SHOWN = """() => [...document.querySelectorAll("[data-testid^=view-] .canvas img")]
    .filter(image => image.complete && image.naturalWidth > 50).length"""
"""How many of the views show a picture."""
State = dict[str, Any]

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
        self._may_be_refused = False
        page.set_default_timeout(1000 * PATIENCE_S)
        page.context.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda socket: self.requests.append(socket.url))
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        is_refusal = "status of 4" in message.text and self._may_be_refused
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

    # ---- what a person does ----

    def open_file(self, place: str) -> None:
        """Choose a file of the folder and open it."""
        self["folder-list"].focus()
        expect(self["folder-list"].locator(f"option[value='{place}']")).to_be_attached()
        self["folder-list"].select_option(place)
        self["open-button"].click()

    def open_points(self, place: str) -> State:
        """Open a point list, whatever becomes of corrections that are on show."""
        self.open_file(place)
        loses = self.state["unsaved"]
        if loses:
            self["question-yes"].click()
        expect(self["message"]).to_contain_text(f"{place} is open.")
        return self.until(lambda state: state["points"] and not state["question"], f"points of {place}")

    def select(self, name: str) -> State:
        """Click the row of a point."""
        self.row(name).click()
        return self.until(lambda state: state["selected"] == names_of(state).index(name), f"{name} selected")

    def select_by_keyboard(self, name: str) -> State:
        """Walk the table to a point; the focus stays in it."""
        self["points-table"].focus()
        self.page.keyboard.press("Home")
        state = self.until(lambda state: state["selected"] == 0, "the first row")
        for index in range(1, names_of(state).index(name) + 1):
            self.page.keyboard.press("ArrowDown")
            state = self.until(lambda state, i=index: state["selected"] == i, f"row {index}")
        return state

    def row(self, name: str) -> Locator:
        return self.page.locator(f"[data-testid^=point-row-][data-name='{name}']")

    def upload(self, *paths: Path) -> None:
        self["file-input"].set_input_files([str(path) for path in paths])

    def drag(self, view: str, name: str, right_px: float, down_px: float) -> State:
        """Take a point with the mouse in a slice view that shows it, and put it elsewhere; the state with it there."""
        before = self.until(lambda state: point_of(state, name)["in_slice"][view], f"{name} in the slice")
        place = point_of(before, name)["position_lps_mm"]
        picture = self[f"view-{view}"].locator("img")
        box = picture.bounding_box()
        assert box is not None
        x, y = (a + b for a, b in zip((box["x"], box["y"]), point_of(before, name)["at"][view], strict=True))
        mouse = self.page.mouse
        mouse.move(x - 12, y - 12)
        mouse.move(x, y, steps=4)
        mouse.down()
        mouse.move(x + right_px, y + down_px, steps=6)
        self.until(lambda state: point_of(state, name)["position_lps_mm"] != place, f"{name} moves")
        mouse.move(x + right_px, y + down_px + 1)
        mouse.move(x + right_px, y + down_px)
        mouse.up()
        return self.until(lambda state: state["can_undo"], f"{name} put down")

    # ---- what must hold at the end ----

    def expects_refusal(self) -> None:
        """From now on the viewer refuses requests, of which Chromium complains in the console."""
        self._may_be_refused = True

    def stays_at_home(self) -> None:
        """Nothing was asked of another computer or another server, and nothing went wrong in the page."""
        strange = [address for address in self.requests if not _is_of(self.viewer, address)]
        assert strange == []
        assert self.complaints == []


def _is_of(viewer: ViewerProcess, address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme in ("data", "blob") or parts.netloc == f"127.0.0.1:{viewer.port}"


@contextmanager
def desk_of(chromium: Browser, viewer: ViewerProcess, folder: Path) -> Iterator[Desk]:
    """A page of its own on a viewer, opened."""
    context = chromium.new_context(viewport=SIZE_PX, accept_downloads=True)
    desk = Desk(context.new_page(), viewer, folder)
    yield desk.open()
    desk.stays_at_home()
    context.close()


def _short(state: State) -> State:
    return {key: value for key, value in state.items() if key not in ("points", "tools")}


def names_of(state: State) -> list[str]:
    return [point["name"] for point in state["points"]]


def point_of(state: State, name: str) -> State:
    return next(point for point in state["points"] if point["name"] == name)
