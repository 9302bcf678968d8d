"""Puts the pictures of the panel and of the views together, as the windows of Slicer lie beside each other."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import slicer
from matplotlib import font_manager
from palette import small
from PIL import Image, ImageDraw, ImageFont
from VertebraLabelingLib.core.files import atomic_write

from harness.views import SliceView
from harness.world import SLICE_COLOURS, SLICE_VIEWS

GAP_PX = 4
BAR_PX = 18
PANEL_WIDTH_PX = 400
PAPER = (239, 239, 239)
"""Behind the panel: the window colour of its style."""

_LETTERS = {"Red": "R", "Yellow": "Y", "Green": "G"}


def panel_picture(widget) -> Image.Image:
    """The module's panel as it opens, as high as it needs with all rows of the table."""
    _fit_table(widget.ui.pointsTable)
    widget.parent.setFixedWidth(PANEL_WIDTH_PX)
    widget.parent.show()
    for _settle in range(3):
        slicer.app.processEvents()
        widget.parent.resize(PANEL_WIDTH_PX, widget.parent.heightForWidth(PANEL_WIDTH_PX))
    return _grabbed(widget.parent)


def _fit_table(table) -> None:
    """All rows are seen and no empty space below them."""
    rows = sum(table.rowHeight(row) for row in range(table.rowCount))
    table.setFixedHeight(table.horizontalHeader().height + rows + 2 * table.frameWidth)


def _grabbed(widget) -> Image.Image:
    file = Path(slicer.app.temporaryPath) / "panel.png"
    widget.grab().save(str(file))
    with Image.open(file) as picture:
        return picture.convert("RGB")


def slice_picture(view: SliceView) -> Image.Image:
    """A slice view below a bar in its colour, as Slicer has one above each."""
    name = view.node.GetName()
    picture = Image.fromarray(view.render())
    framed = Image.new("RGB", (picture.width, picture.height + BAR_PX), _bytes(SLICE_COLOURS[name]))
    framed.paste(picture, (0, BAR_PX))
    pen = ImageDraw.Draw(framed)
    pen.text((6, BAR_PX / 2), _LETTERS[name], fill="black", font=_font(bold=True), anchor="lm")
    pen.text((24, BAR_PX / 2), SLICE_VIEWS[name], fill="black", font=_font(), anchor="lm")
    offset = f"{view.node.GetSliceOffset():.1f} mm"
    pen.text((picture.width - 6, BAR_PX / 2), offset, fill="black", font=_font(), anchor="rm")
    return framed


def _bytes(colour) -> tuple[int, ...]:
    return tuple(round(255 * value) for value in colour)


def _font(bold: bool = False):
    properties = font_manager.FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
    return ImageFont.truetype(font_manager.findfont(properties), 12)


def beside(*pictures: Image.Image, colour=PAPER) -> Image.Image:
    """Pictures from left to right, level at the top."""
    width = sum(picture.width for picture in pictures) + GAP_PX * (len(pictures) - 1)
    return _pasted(pictures, (width, max(picture.height for picture in pictures)), (1, 0), colour)


def below(*pictures: Image.Image, colour=PAPER) -> Image.Image:
    """Pictures from above to below, level at the left."""
    height = sum(picture.height for picture in pictures) + GAP_PX * (len(pictures) - 1)
    return _pasted(pictures, (max(picture.width for picture in pictures), height), (0, 1), colour)


def _pasted(pictures, size_px, direction, colour) -> Image.Image:
    canvas, place = Image.new("RGB", size_px, colour), np.zeros(2, int)
    for picture in pictures:
        canvas.paste(picture, tuple(int(value) for value in place))
        place += (np.array(picture.size) + GAP_PX) * direction
    return canvas


def save(path: Path, picture: Image.Image) -> None:
    """Write a small PNG."""
    content = BytesIO()
    small(picture).save(content, "PNG", optimize=True)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content.getvalue())
