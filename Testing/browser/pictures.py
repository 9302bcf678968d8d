"""Makes the pictures of the page anew, for README.

    .venv-view/bin/python Testing/browser/pictures.py [--output FOLDER]

in the environment that `make test-view` sets up.  Page, viewer, labelling and mouse are the real ones; all data are the
phantom of the extension.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "Testing")]  # as pytest does

import numpy as np  # noqa: E402
import SimpleITK as sitk  # noqa: E402
from desk import Desk, browser, desk_of, middle, names_of  # noqa: E402
from needs import CHROMIUM, MISSING  # noqa: E402
from palette import small  # noqa: E402
from PIL import Image, ImageDraw  # noqa: E402
from playwright.sync_api import expect  # noqa: E402
from viewer_process import running_viewer  # noqa: E402

FOLDER = ROOT / "Resources" / "Screenshots"
SAMPLE = ROOT / "VertebraLabeling" / "Resources" / "SampleData" / "VertebraLabelingPhantom.nrrd"
UNSURE_RAS_MM = ((-60.0, -60.0, 100.0), (60.0, 75.0, 180.0))
"""Corners of a box in the phantom that shows nothing to count from, as in harness/screenshots.py."""
SIZE_PX = (1240, 780)
FILM_WIDTH_PX, FILM_COLOURS = 930, 200
FILE = "phantom.nrrd"
BY_PX = (26, 14)
"""How far L3 is dragged."""
SECONDS = 1.6
"""How long the film shows a picture."""
ARROW = ((0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (13, 12))

PICTURES = "() => [...document.querySelectorAll('.canvas img')].map(image => image.src).join()"
REST_MS = 700
"""A view that has not sent another picture for that long is drawn in full quality."""


class Camera:
    """Takes pictures of a page, for files and for the film."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self.desk, self.folder = desk, folder
        self.film: list[Image.Image] = []

    def take(self, name: str = "", mouse_px: tuple[float, float] | None = None) -> None:
        """A picture for the film; with a name one as a file too.  mouse_px: where the pointer is drawn."""
        with Image.open(BytesIO(self.desk.page.screenshot())) as shot:
            picture = shot.convert("RGB")
        if mouse_px is not None:
            arrow = [(mouse_px[0] + x, mouse_px[1] + y) for x, y in ARROW]
            ImageDraw.Draw(picture).polygon(arrow, fill="white", outline="black")
        self.film.append(picture)
        if name:
            small(picture).save(self.folder / name, optimize=True)

    def cut(self, path: Path) -> None:
        """Write the film as an animated GIF."""
        width, height = SIZE_PX
        size = (FILM_WIDTH_PX, round(FILM_WIDTH_PX * height / width))
        film = [picture.resize(size, Image.Resampling.LANCZOS) for picture in self.film]
        strip = Image.fromarray(np.concatenate([np.asarray(picture) for picture in film]))
        flat = small(strip, FILM_COLOURS)  # one palette for all: what stays as it was costs nothing
        height = size[1]
        frames = [flat.crop((0, i * height, size[0], (i + 1) * height)) for i in range(len(film))]
        frames[0].save(
            path, save_all=True, append_images=frames[1:], duration=round(1000 * SECONDS), loop=0, optimize=True
        )


def write_unsure(path: Path) -> None:
    """The box of the phantom that shows nothing to count from, as a CT of its own."""
    image = sitk.ReadImage(str(SAMPLE))
    corners = [image.TransformPhysicalPointToContinuousIndex((-x, -y, z)) for x, y, z in UNSURE_RAS_MM]
    low, high = ([round(f(pair)) for pair in zip(*corners, strict=True)] for f in (min, max))
    sitk.WriteImage(image[low[0] : high[0], low[1] : high[1], low[2] : high[2]], str(path))


def label(desk: Desk) -> None:
    """Label the CT and wait until points and curved view are on the page."""
    desk["label-button"].click()
    desk.until(lambda state: not state["running"] and state["points"], "points")
    expect(desk["curved-label-0"]).to_be_visible()


def make(desk: Desk, folder: Path) -> None:
    """All pictures, in the order in which a person sees them."""
    camera = Camera(desk, folder)
    desk.until(lambda state: state["ct"] and not state["opening"], "the CT")
    desk.until_shown(4)
    desk["folder-list"].select_option(FILE)
    quiet(desk)
    camera.take(mouse_px=middle(desk["label-button"]))
    desk["label-button"].click()
    desk.until(lambda state: state["fraction"] > 0.3, "a third of the run")
    expect(desk["progress-text"]).to_contain_text("left")
    camera.take()
    desk.until(lambda state: not state["running"] and state["points"], "points")
    expect(desk["curved-label-0"]).to_be_visible()
    desk.select("L3")
    quiet(desk)
    camera.take("view-labelled.png")
    drag_and_save(desk, camera)
    unsure(desk, camera)
    camera.cut(folder / "view.gif")


def drag_and_save(desk: Desk, camera: Camera) -> None:
    """L3 is put elsewhere, that is taken back, and the points are saved."""
    x, y = desk.on_screen("sagittal", "L3")
    desk.drag("sagittal", "L3", *BY_PX, shown=lambda: camera.take(mouse_px=(x + BY_PX[0], y + BY_PX[1])))
    desk["undo"].click()
    desk.until(lambda state: not state["can_undo"], "the point where it was")
    desk["save-markups"].click()
    desk.until_told("Saved", "info")
    camera.take(mouse_px=middle(desk["save-markups"]))


def unsure(desk: Desk, camera: Camera) -> None:
    """A piece of the phantom of which only the names below each other are sure: another naming, and all one down."""
    desk.open_file("piece.nrrd")
    desk.until(lambda state: state["ct"]["size_ijk"][2] < 100 and not state["opening"], "the piece")
    label(desk)
    quiet(desk)
    camera.take("view-unsure.png", middle(desk["alternative-0"]))
    for button in ("alternative-0", "shift-down"):
        before = desk.viewer.names
        desk[button].click()
        state = desk.until(lambda state, names=before: names_of(state) != names, f"other names by {button}")
        expect(desk["curved-label-0"]).to_have_text(names_of(state)[0])
        quiet(desk)
        camera.take(mouse_px=middle(desk["shift-down"]))


def quiet(desk: Desk) -> None:
    """Close the message, which has been read, and wait until all views are drawn at rest."""
    if desk["message"].is_visible():
        desk["message"].get_by_role("button").click()
        expect(desk["message"]).to_be_hidden()
    desk.page.wait_for_load_state("networkidle")
    seen = ""
    while (now := desk.page.evaluate(PICTURES)) != seen:
        seen = now
        desk.page.wait_for_timeout(REST_MS)


def main() -> None:
    parser = argparse.ArgumentParser(prog="pictures", description=__doc__)
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder for the pictures")
    arguments = parser.parse_args()
    if MISSING:
        parser.error(f"not installed here: {', '.join(MISSING)}; `make view` sets up what the viewer needs")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        ct = shutil.copy(SAMPLE, folder / FILE)
        write_unsure(folder / "piece.nrrd")
        with (
            browser(CHROMIUM) as chromium,
            running_viewer(folder / "log.txt", ct) as viewer,
            desk_of(chromium, viewer, folder, SIZE_PX) as desk,
        ):
            make(desk, arguments.output)


if __name__ == "__main__":
    main()
