"""A scene with the module logics that the application would give it: all of it real, from slicer-core."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SLICE_VIEWS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}
SLICE_COLOURS = {"Red": (0.95, 0.29, 0.2), "Yellow": (0.93, 0.84, 0.3), "Green": (0.43, 0.69, 0.29)}


@dataclass
class World:
    """What one test sees: scene, application logic, module logics by name and view logics by layout name."""

    scene: Any
    application_logic: Any
    logics: dict[str, Any] = field(default_factory=dict)
    slice_logics: dict[str, Any] = field(default_factory=dict)
    view_logics: dict[str, Any] = field(default_factory=dict)


def new_world() -> World:
    """An empty scene, logics in the order that slicer-core needs (colours first), three slice views and one 3D view."""
    import slicer

    world = World(slicer.vtkMRMLScene(), slicer.vtkSlicerApplicationLogic())
    world.application_logic.SetMRMLScene(world.scene)
    for name, logic_class in _logic_classes(slicer).items():
        world.logics[name] = _wired(logic_class(), name, world)
        if name == "Colors":
            world.logics[name].AddDefaultColorNodes()
    _add_views(slicer, world)
    return world


def _logic_classes(slicer) -> dict[str, type]:
    return {
        "Colors": slicer.vtkMRMLColorLogic,
        "Markups": slicer.vtkSlicerMarkupsLogic,
        "Volumes": slicer.vtkSlicerVolumesLogic,
        "SubjectHierarchy": slicer.vtkSlicerSubjectHierarchyModuleLogic,
        "Tables": slicer.vtkSlicerTablesLogic,
    }


def _wired(logic, name: str, world: World):
    if hasattr(logic, "SetMRMLApplicationLogic"):
        logic.SetMRMLApplicationLogic(world.application_logic)
    logic.SetMRMLScene(world.scene)
    world.application_logic.SetModuleLogic(name, logic)
    return logic


def _add_views(slicer, world: World) -> None:
    """Slice nodes (with their composite nodes), a 3D view and the crosshair, which the application's layout makes."""
    import vtk

    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(world.scene, True)
    world.scene.AddNewNodeByClass("vtkMRMLCrosshairNode").SetSingletonTag("default")
    slice_logics, view_logics = vtk.vtkCollection(), vtk.vtkCollection()
    world.application_logic.SetSliceLogics(slice_logics)
    world.application_logic.SetViewLogics(view_logics)
    for name, orientation in SLICE_VIEWS.items():
        logic = world.slice_logics[name] = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(world.application_logic)
        logic.SetMRMLScene(world.scene)
        node = logic.AddSliceNode(name)
        node.SetOrientation(orientation)
        node.SetLayoutColor(*SLICE_COLOURS[name])
        slice_logics.AddItem(logic)
    logic = world.view_logics["1"] = slicer.vtkMRMLViewLogic()
    logic.SetMRMLApplicationLogic(world.application_logic)
    logic.SetMRMLScene(world.scene)
    logic.AddViewNode("1")
    view_logics.AddItem(logic)
