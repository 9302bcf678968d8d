"""The views of the scene: axial, sagittal, coronal and 3-D, each rendered here and streamed to the page as pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import slicer
import vtk
from trame_slicer.core import SlicerApp
from trame_slicer.views import SliceView, ThreeDView
from trame_slicer.views.render_scheduler import NoScheduleRendering

from ..app.frames import flipped, flipped_all
from ..app.points_node import column_index, read_column
from ..core.correction.column_point import Position
from .bone import remove_bone, show_bone
from .dots import Dots
from .layout import ACROSS, COLOURS, SLICES, offset_text
from .point_displays import show_in_views
from .streams import stream

FRAME_MARGIN_MM, LEAST_FRAME_MM = 25.0, 150.0
"""Around the points that are framed, and the least that is shown."""
THREED_MARGIN_MM = 40.0
NEAR_MM = 1.0
"""A point is drawn as lying in a slice that is nearer than that."""
CROSSHAIR = (0.42, 0.62, 0.80)
TURN_DEG, ZOOM = 10.0, 1.2
"""For one key."""
SAME_PLACE_MM = 1e-6
_BY_AXIS = sorted((axis, name) for name, (axis, _sides) in ACROSS.items())


class SceneViews:
    """Makes the views in a scene.

    state: of the server; its "slices" says where each slice lies.  register(adapter): what a server does with the
    stream of each view.
    """

    def __init__(self, application: SlicerApp, state: Any, register: Callable[[Any], None]) -> None:
        self._application, self._state = application, state
        self._rendering = application.app_logic.GetModuleLogic("VolumeRendering")
        self._framed_lps_mm: tuple[Position, ...] = ()
        self._fitted_mm: dict[str, tuple[float, ...]] = {}
        self._slices = {name: self._slice_view(name) for name in SLICES}
        self._threed = ThreeDView(application.scene, application.app_logic, "1", NoScheduleRendering())
        self._style_threed()
        self._dots = Dots(self._threed)
        for name, view in self._slices.items():
            register(stream(name, view, state, partial(self._resized, name)))
            view.get_view_node().AddObserver(vtk.vtkCommand.ModifiedEvent, self._slice_moved)
        register(stream("3d", self._threed, state, is_slow=True))
        self._crosshair = _crosshair(application.scene)
        self._telling_is_due = False
        state.slices = {}

    def _slice_view(self, name: str) -> Any:
        orientation, node_name = SLICES[name]
        view = SliceView(self._application.scene, self._application.app_logic, node_name, NoScheduleRendering())
        view.set_orientation(orientation)
        view.set_layout_color([round(255 * value) for value in COLOURS[name]])
        view.set_background_color([0, 0, 0])
        view.render_window().SetMultiSamples(0)  # costs more than all else where there is no graphics card
        return view

    def _style_threed(self) -> None:
        self._threed.render_window().SetMultiSamples(0)
        # with the points in front, whose hidden parts are translucent, this renderer's picture would have holes
        self._threed.renderer().SetUseDepthPeelingForVolumes(False)
        # the bars of the crosshair would stick out of the bone
        self._threed.get_displayable_manager_by_class("vtkMRMLCrosshairDisplayableManager3D").SetMRMLScene(None)
        node = self._threed.get_view_node()
        node.SetBoxVisible(False)
        node.SetAxisLabelsVisible(False)
        node.SetBackgroundColor(0.06, 0.07, 0.09)
        node.SetBackgroundColor2(0.12, 0.14, 0.18)

    def show_volume(self, volume_node: Any) -> None:
        """Show a CT in all views, the slices through its middle."""
        for view in self._slices.values():
            view.set_background_volume_id(volume_node.GetID())
        show_bone(self._rendering, volume_node)
        self._framed_lps_mm = ()
        for name in self._slices:
            self._fit(name)
        self._threed.fit_view_to_content()
        self._crosshair.SetCrosshairMode(self._crosshair.ShowIntersection)
        self._slice_moved()

    def frame(self, positions_lps_mm: Sequence[Position]) -> None:
        """Show the part of the slices where these points are, as large as it fits."""
        self._framed_lps_mm = tuple(positions_lps_mm)
        for name in self._slices:
            self._fit(name)
        self._frame_threed()

    def _frame_threed(self) -> None:
        """From the front, the bone around the points and not that of the whole scan."""
        if self._framed_lps_mm:
            places_ras = flipped_all(self._framed_lps_mm)
            low, high = places_ras.min(axis=0) - THREED_MARGIN_MM, places_ras.max(axis=0) + THREED_MARGIN_MM
            self._threed.renderer().ResetCamera(low[0], high[0], low[1], high[1], low[2], high[2])
            self._threed.schedule_render()

    def _fit(self, name: str) -> None:
        view = self._slices[name]
        offset_mm = view.get_slice_value()
        view.fit_view_to_content()
        node = view.get_view_node()
        if self._framed_lps_mm:
            _zoom(node, self._framed_lps_mm)
            view.set_slice_value(offset_mm)
        self._fitted_mm[name] = node.GetFieldOfView()

    def _resized(self, name: str, resize: Callable[[], None]) -> None:
        """The page has another size: show the same again, unless the user has zoomed in it."""
        is_fitted = self._slices[name].get_view_node().GetFieldOfView() == self._fitted_mm.get(name)
        resize()
        if is_fitted:
            self._fit(name)

    def hide_volume(self, volume_node: Any) -> None:
        """Take a CT that is about to leave the scene out of all views, with what was made to render it."""
        for view in self._slices.values():
            view.set_background_volume_id(None)
        remove_bone(self._rendering, volume_node)
        self._crosshair.SetCrosshairMode(self._crosshair.NoCrosshair)

    def show_points(self, points_node: Any) -> None:
        """Show points in every view as it suits that view; what is shown already stays."""
        if points_node is None:
            self._dots.show((), None)
            return
        ids = {name: view.get_view_node_id() for name, view in self._slices.items()}
        show_in_views(points_node, ids | {"3d": self._threed.get_view_node_id()})
        marked = column_index(points_node, points_node.GetDisplayNode().GetActiveControlPoint())
        self._dots.show(read_column(points_node), marked)

    # ---- where the slices are ----

    def jump(self, place_lps_mm: Position) -> None:
        """Move all slices to a place."""
        slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *flipped(place_lps_mm))

    def scroll(self, name: str, steps: int) -> None:
        """Move a slice by so many of its CT's slices, within the CT; turn the 3-D view."""
        if name not in self._slices:
            self._threed.renderer().GetActiveCamera().Azimuth(TURN_DEG * steps)
            self._threed.schedule_render()
            return
        view = self._slices[name]
        low, high = view.get_slice_range()
        view.set_slice_value(min(max(view.get_slice_value() + steps * view.get_slice_step(), low), high))

    def zoom(self, name: str, steps: int) -> None:
        """Enlarge (negative: shrink) what a view shows, about its middle."""
        if name not in self._slices:
            self._threed.renderer().GetActiveCamera().Zoom(ZOOM**steps)
            self._threed.schedule_render()
            return
        node = self._slices[name].get_view_node()
        across, down, depth = node.GetFieldOfView()
        node.SetFieldOfView(across * ZOOM**-steps, down * ZOOM**-steps, depth)

    def _slice_moved(self, *_event: Any) -> None:
        """The crosshair is where the slices meet, and the page says where that is."""
        place_ras = [self._origin_ras(name)[axis] for axis, name in _BY_AXIS]
        if np.abs(np.subtract(self._crosshair.GetCrosshairRAS(), place_ras)).max() > SAME_PLACE_MM:
            self._crosshair.SetCrosshairRAS(*place_ras)
        if not self._telling_is_due:
            self._telling_is_due = True
            asyncio.get_event_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._telling_is_due = False
        with self._state as state:
            state.slices = {name: offset_text(name, self._origin_ras(name)) for name in self._slices}

    def _origin_ras(self, name: str) -> tuple[float, float, float]:
        to_ras = self._slices[name].get_view_node().GetSliceToRAS()
        return (to_ras.GetElement(0, 3), to_ras.GetElement(1, 3), to_ras.GetElement(2, 3))

    def places(self, positions_lps_mm: Sequence[Position]) -> list[dict[str, Any]]:
        """For each point where the slice views draw it, and whether it lies in their slice; for tests and the page.

        at: view -> (x, y) in pixels from the upper left corner, None outside of the view.
        """
        return [
            {
                "at": {name: _pixel(view, place) for name, view in self._slices.items()},
                "in_slice": {name: bool(abs(_xyz(view, place)[2]) <= NEAR_MM) for name, view in self._slices.items()},
            }
            for place in positions_lps_mm
        ]

    @property
    def slices(self) -> dict[str, dict[str, Any]]:
        """Orientation, offset and size in pixels of each slice view."""
        return {
            name: {
                "orientation": view.get_orientation(),
                "offset_mm": round(view.get_slice_value(), 3),
                "size": list(view.render_window().GetSize()),
            }
            for name, view in self._slices.items()
        }


def _crosshair(scene: Any) -> Any:
    """The scene's crosshair, which follows the slices alone: nothing of it can be dragged."""
    node = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    node = node if node is not None else scene.AddNewNodeByClass("vtkMRMLCrosshairNode")
    node.SetCrosshairToFine()
    node.SetCrosshairColor(*CROSSHAIR)
    return node


def _zoom(node: Any, positions_lps_mm: Sequence[Position]) -> None:
    """Pan and zoom a slice view to the box around points; never further out than it is."""
    places_ras = flipped_all(positions_lps_mm)
    axes = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())[:3, :2]
    extent_mm = np.ptp(places_ras @ axes, axis=0) + 2 * FRAME_MARGIN_MM
    field_mm = np.array(node.GetFieldOfView())
    share = min(1.0, float(np.max(np.maximum(extent_mm, LEAST_FRAME_MM) / field_mm[:2])))
    node.SetFieldOfView(*(field_mm[:2] * share), field_mm[2])
    node.JumpSliceByCentering(*((places_ras.min(axis=0) + places_ras.max(axis=0)) / 2))


def _xyz(view: Any, place_lps_mm: Position) -> np.ndarray:
    """Pixels from the lower left corner, and mm from the slice."""
    node = view.get_view_node()
    xy_to_ras = slicer.util.arrayFromVTKMatrix(node.GetXYToRAS())
    place_ras = [*flipped(place_lps_mm), 1.0]
    xyz = np.linalg.solve(xy_to_ras, place_ras)[:3]
    slice_to_ras = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
    xyz[2] = np.linalg.solve(slice_to_ras, place_ras)[2]
    return xyz


def _pixel(view: Any, place_lps_mm: Position) -> list[float] | None:
    x, y, _depth = _xyz(view, place_lps_mm)
    width, height = view.render_window().GetSize()
    return [round(float(x), 1), round(float(height - y), 1)] if 0 <= x < width and 0 <= y < height else None
