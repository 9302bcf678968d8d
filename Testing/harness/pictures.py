"""Puts the pictures of the panel and of the views together, as the windows of Slicer lie beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import slicer
from matplotlib import font_manager
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
_COLOURS = 160


def panel_picture(widget, sections: Sequence[str] = ("input", "label", "result", "correct")) -> Image.Image:
    """The module's panel, 400 pixels wide and as high as it needs, with these sections open, the others shut.

    Sections that come first and are shut are shown; sections shut behind the last open one are cut off when only some
    of the panel is wanted (fewer than four open sections).
    """
    names = ("input", "label", "result", "correct", "export", "advanced")
    for name in names:
        getattr(widget.ui, f"{name}CollapsibleButton").setCollapsed(name not in sections)
    _fit_table(widget.ui.pointsTable)
    widget.parent.setFixedWidth(PANEL_WIDTH_PX)
    widget.parent.show()
    for _settle in range(3):
        slicer.app.processEvents()
        widget.parent.resize(PANEL_WIDTH_PX, widget.parent.heightForWidth(PANEL_WIDTH_PX))
    picture = _grabbed(widget.parent)
    if len(sections) < 4:
        last = getattr(widget.ui, f"{[name for name in names if name in sections][-1]}CollapsibleButton")
        picture = picture.crop((0, 0, picture.width, last.geometry.bottom() + 10))
    return picture


def _fit_table(table) -> None:
    """All rows are seen and no empty space below them."""
    rows = sum(table.rowHeight(row) for row in range(table.rowCount))
    table.setFixedHeight(table.horizontalHeader().height + rows + 2 * table.frameWidth)


def _grabbed(widget) -> Image.Image:
    image = widget.grab().toImage().convertToFormat(4)  # QImage::Format_RGB32
    pixels = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)
    return Image.fromarray(np.ascontiguousarray(pixels[..., 2::-1]))


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
    """Write a PNG with a palette, a third of the size of one with all colours."""
    small = picture.quantize(_COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    content = BytesIO()
    small.save(content, "PNG", optimize=True)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content.getvalue())
