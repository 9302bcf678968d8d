"""The stand-ins have no name that the real classes do not have, and refuse what is not imitated."""

from __future__ import annotations

import inspect

import ctk
import harness.packaging
import pytest
import qt
import slicer
from harness import base, i18n, io, layout, lint, modules, pythonqt
from PySide6.QtCore import Property, Signal

CLASSES = lint.API["classes"]
STAND_INS = {
    "qMRMLWidget": slicer.qMRMLWidget,
    "qMRMLNodeComboBox": slicer.qMRMLNodeComboBox,
    "ctkCollapsibleButton": ctk.ctkCollapsibleButton,
    "ctkPathLineEdit": ctk.ctkPathLineEdit,
    "qSlicerApplication": type(slicer.app),
    "qSlicerLayoutManager": layout.LayoutManager,
    "qMRMLSliceWidget": layout.SliceWidget,
    "qSlicerModuleManager": modules.ModuleManager,
    "qSlicerLoadableModule": modules.LoadableModule,
    "qSlicerScriptedLoadableModule": modules.qSlicerScriptedLoadableModule,
    "qSlicerScriptedLoadableModuleWidget": modules.qSlicerScriptedLoadableModuleWidget,
    "qSlicerCoreIOManager": io.CoreIOManager,
}


def own_members(stand_in):
    """Public names that our classes add to Qt's: what Qt has (such as paintEvent) is real by itself."""
    ours = [cls for cls in stand_in.__mro__ if cls.__module__.startswith("harness.")]
    real = [cls for cls in stand_in.__mro__ if cls.__module__.startswith("PySide6")]
    members = {name: value for cls in reversed(ours) for name, value in vars(cls).items() if not name.startswith("_")}
    members.pop("SIGNALS", None)
    return {name: value for name, value in members.items() if not any(hasattr(cls, name) for cls in real)}


def names_of_signals(name):
    return {signature.partition("(")[0] for signature in CLASSES[name]["signals"]}


@pytest.mark.parametrize("name", STAND_INS)
def test_a_stand_in_has_only_names_of_the_real_class_and_of_the_same_kind(name):
    """A property must be a property there, a method a method: `parent.isEntered` has no brackets."""
    excused = set(lint.ALLOWED["missing from headers"])
    for member, value in own_members(STAND_INS[name]).items():
        if isinstance(value, Signal):
            kind = names_of_signals(name)
        elif isinstance(value, Property | property) or inspect.ismemberdescriptor(value):
            kind = CLASSES[name]["properties"]
        elif callable(value):
            kind = CLASSES[name]["methods"]
        else:
            kind = CLASSES[name].get("constants", [])
        assert member in kind or member in excused, member


@pytest.mark.parametrize("name", STAND_INS)
def test_the_signals_of_a_stand_in_have_the_real_signatures(name):
    assert set(getattr(STAND_INS[name], "SIGNALS", {})) <= set(CLASSES[name]["signals"])


def test_instances_add_only_real_properties():
    module = modules.LoadableModule("Markups", None)
    assert {name for name in vars(module) if not name.startswith("_")} <= set(
        CLASSES["qSlicerLoadableModule"]["properties"]
    )
    assert not [name for name in vars(slicer.app) if not name.startswith("_") and not hasattr(type(slicer.app), name)]


def test_every_stand_in_is_held_against_the_list():
    from harness import app, node_combo_box, widgets

    ours = {
        cls
        for file in (app, node_combo_box, widgets, layout, io, modules)
        for cls in vars(file).values()
        if isinstance(cls, type) and cls.__module__ == file.__name__
    }
    assert ours - {widgets.StandIn, modules.Modules} == set(STAND_INS.values())


def public_names(module):
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }


def test_the_stand_in_modules_have_only_real_names():
    controls = {"forget"}  # and the variables, of the recorder
    assert public_names(i18n) <= set(lint.API["modules"]["slicer.i18n"]["names"])
    assert public_names(harness.packaging) - controls <= set(lint.API["modules"]["slicer.packaging"]["names"])
    assert public_names(base) == set(lint.API["modules"]["slicer.ScriptedLoadableModule"]["names"])
    parameters = inspect.signature(harness.packaging.pip_ensure).parameters
    assert list(parameters) == lint.API["modules"]["slicer.packaging"]["pip_ensure"]


@pytest.mark.parametrize("suffix", ["", "Widget", "Logic", "Test"])
def test_the_base_classes_have_only_real_names(suffix):
    name = f"ScriptedLoadableModule{suffix}"
    own = {member for member in vars(getattr(base, name)) if not member.startswith("_")}
    assert own <= set(lint.API["modules"]["slicer.ScriptedLoadableModule"][name])


def test_the_lint_allows_only_what_exists():
    for name in lint.ALLOWED["qt"]:
        assert hasattr(qt, name), name
    for name in lint.ALLOWED["slicer.util"]:
        assert hasattr(slicer.util, name), name
    for name in lint.ALLOWED["QApplication"]:
        assert hasattr(qt.QApplication, name), name
    for name in lint.ALLOWED["ctk"]:
        assert name in vars(ctk), name


def test_the_lints_properties_are_properties_of_qt():
    known = {
        name
        for qt_class in pythonqt.ADAPTED
        for name, member in vars(qt_class).items()
        if isinstance(member, pythonqt.Property)
    }
    assert set(lint.API["properties of Qt"]) <= known


@pytest.mark.parametrize(
    "owner, name", [(slicer, "qMRMLSliceWidget"), (slicer, "qSlicerWidget"), (ctk, "ctkDirectoryButton")]
)
def test_a_class_nobody_imitates_is_there_and_refuses(owner, name):
    with pytest.raises(NotImplementedError, match=name):
        getattr(owner, name)()


def test_what_the_application_does_not_have_is_an_attribute_error(scene):
    for owner, name in ((slicer.app, "sliceViewCount"), (slicer, "nothing"), (ctk, "nothing"), (slicer.modules, "x")):
        with pytest.raises(AttributeError):
            getattr(owner, name)


def test_the_application_has_no_pythonslicer_and_installs_nothing(scene):
    import shutil

    from packaging.requirements import Requirement

    assert shutil.which("PythonSlicer") is None
    slicer.packaging.pip_ensure([Requirement("onnxruntime>=1.20")], requester="VertebraLabeling")
    assert slicer.packaging.calls[0][:2] == ("pip_ensure", ("onnxruntime>=1.20",))
    with pytest.raises(TypeError):
        slicer.packaging.pip_ensure(["onnxruntime"])
