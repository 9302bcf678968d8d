"""The straightened spine as a picture with its levels, and the way from a pixel of it back to the patient.

The picture is grey; lines, dots and names are drawn over it by the page, so that they stay sharp at any size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..core.correction.column_point import Column, ColumnPoint, Position, cranio_caudal
from ..core.errors import CorrectionError
from ..preview import FAINT, LABEL_OFFSET_MM, WINDOW_HU, point_text
from .layout import css

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..core.planes import View
    from ..core.scan import Scan
    from ..core.straighten import StraightSpine

GAP_PX = 8
"""Between the sagittal view on the left and the coronal one on the right."""
SAGITTAL_MM, CORONAL_MM = (-49.0, 53.0), (-33.0, 33.0)
"""What is shown of either view: the bodies with what lies behind and beside them, so that the spine is large."""


@dataclass(frozen=True)
class CurvedLabel:
    """Where the page draws one point, in pixels of the picture from its top left corner.

    key: of the point in the column.  x_px, x_coronal_px: the dot in either view, both at y_px.  text: ends at
    text_x_px, in front of the body.  colour: "#rrggbb" of the region.
    """

    key: str
    name: str
    text: str
    x_px: float
    x_coronal_px: float
    y_px: float
    text_x_px: float
    colour: str
    uncertain: bool


@dataclass(frozen=True)
class Pane:
    """One of the two views: its columns in the picture, and the straight mm of its left border."""

    first_px: int
    width_px: int
    left_mm: float

    def mm_at(self, x_px: float) -> float | None:
        """Straight mm across the spine; None beside the pane."""
        across = x_px - self.first_px
        return self.left_mm + across if 0 <= across < self.width_px else None

    def px_of(self, across_mm: float) -> float:
        """Inverse of `mm_at`, also beside the pane."""
        return self.first_px + across_mm - self.left_mm


@dataclass(frozen=True)
class CurvedPicture:
    """The sagittal view, a gap, and the coronal view; one pixel is one mm along the spine and across it.

    png: the file.  labels: in the order of the column.
    """

    png: bytes
    width: int
    height: int
    labels: tuple[CurvedLabel, ...]
    spine: StraightSpine
    sagittal: Pane
    coronal: Pane

    def place_at(self, x_px: float, y_px: float) -> Position | None:
        """The place that a pixel shows, LPS mm in the frame of the column; None in the gap and beside the picture."""
        back_mm, left_mm = self.sagittal.mm_at(x_px), self.coronal.mm_at(x_px)
        if not 0 <= y_px < self.height or (back_mm is None and left_mm is None):
            return None
        up_mm = float(self.spine.z_mm[0]) + 0.5 - y_px
        place = (left_mm or 0.0, back_mm or 0.0, up_mm)
        x, y, z = (float(mm) for mm in self.spine.lps_from_straight(place))
        return (x, y, z)


def curved_picture(scan: Scan, column: Column) -> CurvedPicture:
    """The scan along the points of a column, of at least one.  CorrectionError for points that lie along no spine."""
    import numpy as np

    from ..core.straighten import straight_view, straightened

    places = np.array([point.position_lps_mm for point in column]).reshape(-1, 3)
    spine = straightened(scan.geometry, places[list(cranio_caudal(column))])
    sagittal = _cropped(straight_view(scan, spine, 1), SAGITTAL_MM)
    coronal = _cropped(straight_view(scan, spine, 0), CORONAL_MM)
    panes = _panes(sagittal, coronal)
    straight = spine.straight_from_lps(places)
    top_mm = sagittal.extent_mm[3]
    labels = tuple(_label(point, place_mm, top_mm, *panes) for point, place_mm in zip(column, straight, strict=True))
    width = panes[1].first_px + panes[1].width_px
    return CurvedPicture(_png(sagittal, coronal), width, len(sagittal.pixels), labels, spine, *panes)


def _cropped(view: View, between_mm: tuple[float, float]) -> View:
    """The columns of a view between these mm."""
    left, right, bottom, top = view.extent_mm
    width = view.pixels.shape[1]
    first, last = (round(width * (mm - left) / (right - left)) for mm in between_mm)
    step_mm = (right - left) / width
    extent_mm = (left + first * step_mm, left + last * step_mm, bottom, top)
    return replace(view, pixels=view.pixels[:, first:last], extent_mm=extent_mm)


def _panes(sagittal: View, coronal: View) -> tuple[Pane, Pane]:
    first = Pane(0, sagittal.pixels.shape[1], sagittal.extent_mm[0])
    return first, Pane(first.width_px + GAP_PX, coronal.pixels.shape[1], coronal.extent_mm[0])


def _label(
    point: ColumnPoint, straight_mm: NDArray[np.float64], top_mm: float, sagittal: Pane, coronal: Pane
) -> CurvedLabel:
    x_mm, y_mm, z_mm = (float(mm) for mm in straight_mm)
    return CurvedLabel(
        key=point.key,
        name=point.label,
        text=point_text(point.label, point),
        x_px=sagittal.px_of(y_mm),
        x_coronal_px=coronal.px_of(x_mm),
        y_px=top_mm - z_mm,
        text_x_px=sagittal.px_of(y_mm + LABEL_OFFSET_MM[1]),
        colour=FAINT if point.level is None else css(point.level.colour),
        uncertain=point.is_uncertain,
    )


def _png(sagittal: View, coronal: View) -> bytes:
    """Both views beside each other in the preview's window, as a PNG file."""
    from io import BytesIO

    import numpy as np
    from PIL import Image

    low, high = WINDOW_HU
    gap = np.full((len(sagittal.pixels), GAP_PX), low)
    hu = np.concatenate([sagittal.pixels, gap, coronal.pixels], axis=1)
    grey = np.clip((hu - low) * (255 / (high - low)), 0, 255).round().astype(np.uint8)
    file = BytesIO()
    Image.fromarray(grey).save(file, "PNG", compress_level=3)
    return file.getvalue()


class CurvedView:
    """Keeps the picture of what was last handed to it; it is drawn when it is asked for.

    version: rises whenever the picture is another one.  problem: why there is none, "" where nothing is wrong.
    """

    def __init__(self) -> None:
        self.version, self.problem = 0, ""
        self._volume_node: Any = None
        self._column: Column = ()
        self._seen: tuple[object, ...] = ()
        self._picture: CurvedPicture | None = None
        self._is_drawn = True

    def update(self, volume_node: Any, column: Column) -> None:
        """Follow the CT (a vtkMRMLScalarVolumeNode or None) and its points; cheap, nothing is drawn."""
        image = volume_node.GetImageData() if volume_node is not None else None
        shown = tuple((p.key, p.label, p.position_lps_mm, p.probability, p.locked) for p in column)
        seen = (volume_node, image.GetMTime() if image is not None else None, shown)
        if seen == self._seen:
            return
        self._seen, self._column = seen, column
        self._volume_node = volume_node if image is not None else None
        self._is_drawn = False
        self.version += 1

    def picture(self) -> CurvedPicture | None:
        """The picture as it is now; None without a CT, without a point, or for what `problem` says."""
        if not self._is_drawn:
            self._picture, self.problem = None, ""
            try:
                self._picture = self._drawn()
            except CorrectionError as error:
                self.problem = str(error)
            self._is_drawn = True
        return self._picture

    def _drawn(self) -> CurvedPicture | None:
        if self._volume_node is None or not self._column:
            return None
        import slicer

        from ..app.volume import geometry_of
        from ..core.scan import Scan

        voxels = slicer.util.arrayFromVolume(self._volume_node)
        return curved_picture(Scan(voxels, geometry_of(self._volume_node)), self._column)
