"""The points in the 3-D view with their names, in front of the bone that they lie in, in the colours of the regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import vtk

from ..app.frames import flipped

if TYPE_CHECKING:
    from ..core.correction.column import Column

RADIUS_MM, MARKED = 5.5, 1.4
"""Of a dot, and how many times larger the marked one is."""
PLAIN = (0.75, 0.78, 0.82)
"""Of points whose names are no levels."""
TEXT_PX, GAP = 14, "   "
"""Height of the names; between a dot and its name."""


class Dots:
    """A layer of its own over a 3-D view: whatever is in it hides what is in the view, also what lies nearer.

    The display of Markups has occluded points too, which volume rendering on the processor draws over.
    """

    def __init__(self, view: Any) -> None:
        self._points, self._colours = vtk.vtkPoints(), vtk.vtkUnsignedCharArray()
        self._sizes, self._names = vtk.vtkFloatArray(), vtk.vtkStringArray()
        self._shown: tuple[object, ...] = ()
        self._data = _data(self._points, self._colours, self._sizes, self._names)
        window = view.render_window()
        layer = vtk.vtkRenderer()
        layer.SetLayer(window.GetNumberOfLayers())
        layer.InteractiveOff()
        layer.SetActiveCamera(view.renderer().GetActiveCamera())
        layer.AddActor(_balls(self._data))
        layer.AddActor2D(_words(self._data))
        window.SetNumberOfLayers(window.GetNumberOfLayers() + 1)
        view.add_renderer(layer)

    def show(self, column: Column, marked: int | None) -> None:
        """Show these points, one of them larger."""
        shown = (marked, *((point.label, point.position_lps_mm) for point in column))
        if shown == self._shown:
            return
        self._shown = shown
        for values in (self._points, self._colours, self._sizes, self._names):
            values.Reset()
        for index, point in enumerate(column):
            self._points.InsertNextPoint(flipped(point.position_lps_mm))
            self._colours.InsertNextTuple(_bytes(point.level.colour if point.level is not None else PLAIN))
            self._sizes.InsertNextValue(MARKED if index == marked else 1.0)
            self._names.InsertNextValue(GAP + point.label)
        self._points.Modified()
        self._data.Modified()


def _bytes(rgb: Sequence[float]) -> list[int]:
    return [round(255 * share) for share in rgb]


def _data(points: Any, colours: Any, sizes: Any, names: Any) -> Any:
    colours.SetName("colour")
    colours.SetNumberOfComponents(3)
    sizes.SetName("size")
    names.SetName("name")
    data = vtk.vtkPolyData()
    data.SetPoints(points)
    data.GetPointData().SetScalars(colours)
    data.GetPointData().AddArray(sizes)
    data.GetPointData().AddArray(names)
    return data


def _balls(data: Any) -> Any:
    ball = vtk.vtkSphereSource()
    ball.SetRadius(RADIUS_MM)
    ball.SetThetaResolution(20)
    ball.SetPhiResolution(14)
    mapper = vtk.vtkGlyph3DMapper()
    mapper.SetInputData(data)
    mapper.SetSourceConnection(ball.GetOutputPort())
    mapper.SetScaleModeToScaleByMagnitude()
    mapper.SetScaleArray("size")
    actor = vtk.vtkActor()
    actor.SetMapper(mapper)
    actor.GetProperty().SetAmbient(0.45)
    actor.GetProperty().SetDiffuse(0.6)
    return actor


def _words(data: Any) -> Any:
    mapper = vtk.vtkLabeledDataMapper()
    mapper.SetInputData(data)
    mapper.SetLabelModeToLabelFieldData()
    mapper.SetFieldDataName("name")
    text = mapper.GetLabelTextProperty()
    text.SetFontSize(TEXT_PX)
    text.SetVerticalJustificationToCentered()
    text.SetItalic(False)
    text.SetBold(True)
    text.SetShadow(True)
    actor = vtk.vtkActor2D()
    actor.SetMapper(mapper)
    return actor
