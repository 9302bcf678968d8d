"""Slice and 3D views drawn off screen by Slicer's own displayable managers: to look at, and to drag points in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from harness.world import SLICE_VIEWS

SLICE_MANAGERS = (
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
)
# without vtkMRMLViewDisplayableManager (box, letters, background): taking it away crashes the process
THREE_D_MANAGERS = (
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLVolumeRenderingDisplayableManager",
    "vtkMRMLCameraDisplayableManager",
)


class _View:
    """A window with its renderer, interactor and displayable managers."""

    def __init__(self, size_px: tuple[int, int]):
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetSize(*size_px)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkGenericRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())  # in place of VTK's camera styles

    def _show(self, factory, managers: tuple[str, ...], node) -> None:
        factory.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        for name in managers:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self.group = slicer.vtkMRMLDisplayableManagerGroup()
        self.group.Initialize(factory, self.renderer)
        self.group.SetMRMLDisplayableNode(node)

    def render(self) -> np.ndarray:
        """The picture, uint8 (rows, columns, RGB), top row first."""
        self.window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self.window)
        grabber.SetInputBufferTypeToRGB()
        grabber.ReadFrontBufferOff()
        grabber.Update()
        image = grabber.GetOutput()
        columns, rows, _ = image.GetDimensions()
        return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, 3)[::-1].copy()

    def save(self, path: str | Path) -> None:
        """Write the picture as PNG."""
        from matplotlib.image import imsave

        imsave(str(path), self.render())

    def close(self) -> None:
        """Let go of the scene; views left open observe a scene that a later test has replaced."""
        self.group.SetMRMLDisplayableNode(None)
        self.group = None
        self.interactor.SetInteractorStyle(None)
        self.interactor.SetRenderWindow(None)
        self.window.Finalize()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class SliceView(_View):
    """One of the three slice views, by orientation: "Axial", "Sagittal" or "Coronal"."""

    def __init__(self, orientation: str = "Sagittal", size_px: tuple[int, int] = (400, 400)):
        super().__init__(size_px)
        name = next(name for name, shown in SLICE_VIEWS.items() if shown == orientation)
        self.logic = slicer.app.layoutManager().sliceWidget(name).sliceLogic()
        self.node = self.logic.GetSliceNode()
        self.logic.ResizeSliceNode(*size_px)
        self._add_image()
        self._show(slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance(), SLICE_MANAGERS, self.node)
        self._add_style()

    def _add_image(self) -> None:
        """The slice itself in the renderer behind, points and outlines in the one before it."""
        self.window.SetNumberOfLayers(2)
        self.renderer.SetLayer(1)
        self.mapper, background = vtk.vtkImageMapper(), vtk.vtkRenderer()
        self.mapper.SetColorWindow(255)
        self.mapper.SetColorLevel(127.5)
        actor = vtk.vtkActor2D()
        actor.SetMapper(self.mapper)
        background.AddViewProp(actor)
        self.window.AddRenderer(background)

    def _add_style(self) -> None:
        self.style = slicer.vtkMRMLSliceViewInteractorStyle()
        self.style.SetSliceLogic(self.logic)
        self.style.SetDisplayableManagers(self.group)
        self.style.SetInteractor(self.interactor)

    def show(self, volume_node) -> None:
        """Put a volume behind the points and fit the view to it."""
        self.logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume_node.GetID())
        self.logic.FitSliceToAll()

    def jump(self, position_ras_mm) -> None:
        """Show the slice through a place, centred on it."""
        self.node.JumpSliceByCentering(*position_ras_mm)

    def render(self) -> np.ndarray:
        self.logic.UpdatePipeline()
        self.mapper.SetInputConnection(self.logic.GetImageDataConnection())
        return super().render()

    def pixel(self, position_ras_mm) -> tuple[int, int]:
        """Where a place is in the window, pixels from the left and from below."""
        to_pixels = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.node.GetXYToRAS(), to_pixels)
        x, y, _, _ = to_pixels.MultiplyPoint((*position_ras_mm, 1.0))
        return round(x), round(y)

    def click(self, position_ras_mm) -> None:
        self.drag(position_ras_mm, position_ras_mm)

    def drag(self, from_ras_mm, to_ras_mm, steps: int = 4) -> None:
        """Move the mouse with the left button down from one place to another, as a user drags a point."""
        self.render()
        start, end = np.array(self.pixel(from_ras_mm)), np.array(self.pixel(to_ras_mm))
        self._mouse(start, "MouseMoveEvent")
        self._mouse(start, "LeftButtonPressEvent")
        for step in range(1, steps + 1):
            self._mouse(start + (end - start) * step / steps, "MouseMoveEvent")
        self._mouse(end, "LeftButtonReleaseEvent")
        self.render()

    def _mouse(self, pixel, event: str) -> None:
        self.interactor.SetEventInformation(*(round(value) for value in pixel), 0, 0, chr(0), 0, None)
        self.interactor.InvokeEvent(event)


class ThreeDView(_View):
    """The 3D view."""

    def __init__(self, size_px: tuple[int, int] = (400, 400)):
        super().__init__(size_px)
        self.node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLViewNode")
        self.renderer.SetBackground(self.node.GetBackgroundColor())
        self.renderer.SetBackground2(self.node.GetBackgroundColor2())
        self.renderer.GradientBackgroundOn()
        self._show(slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance(), THREE_D_MANAGERS, self.node)

    def look(self, towards=(0, -1, 0), up=(0, 0, 1)) -> None:
        """Look at all that is shown, along `towards` with `up` upwards, both in RAS (by default from in front)."""
        camera = self.renderer.GetActiveCamera()
        camera.SetFocalPoint(0, 0, 0)
        camera.SetPosition(*(-value for value in towards))
        camera.SetViewUp(*up)
        self.renderer.ResetCamera()
