"""Makes PySide6 behave as PythonQt does in Slicer: the module `qt`.

Qt properties are attributes (`button.text`, not `button.text()`), signals are connected by their C++ signature
(`button.connect("clicked(bool)", function)`), and plain Qt objects take no new attributes and no keyword arguments.
Stricter than Slicer on purpose: connecting a signal that does not exist raises ValueError.
"""

from __future__ import annotations

import sys
import types

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import QObject

from harness.refusal import accepts_attribute
from harness.signals import connect, disconnect

# getters of properties that are virtual in C++: reading them through the property would call Python again, for ever
VIRTUAL_GETTERS = ("sizeHint", "minimumSizeHint")
# methods whose result may be an object that Qt made itself
ACCESSORS = (
    "actions",
    "addAction",
    "addButton",
    "addMenu",
    "button",
    "buttons",
    "checkedAction",
    "checkedButton",
    "children",
    "clipboard",
    "cornerWidget",
    "defaultAction",
    "findChild",
    "findChildren",
    "header",
    "horizontalHeader",
    "horizontalScrollBar",
    "itemDelegate",
    "layout",
    "lineEdit",
    "menu",
    "model",
    "parent",
    "parentWidget",
    "selectionModel",
    "tabBar",
    "verticalHeader",
    "verticalScrollBar",
    "view",
    "viewport",
    "widget",
    "window",
)
# PySide class -> our subclass of it, which the module `qt` exports
ADAPTED: dict[type, type] = {}


class AdaptedType(type(QObject)):
    """Class of our classes: what Qt made itself is an instance of ours, too."""

    def __instancecheck__(cls, instance) -> bool:
        raw = cls.__mro__[1] if ADAPTED.get(cls.__mro__[1]) is cls else cls
        return type.__instancecheck__(raw, instance)


class Property:
    """Attribute for a Qt property; on the class it is what it was (`QTimer.singleShot` is a static method, too)."""

    def __init__(self, name: str, original):
        self.name, self.original = name, original

    def __get__(self, instance, owner=None):
        if instance is None:
            return self.original
        value = QObject.property(instance, self.name)
        if value is None and callable(self.original):
            value = self.original(instance)  # of a type that QVariant does not know
        return tuple(value) if isinstance(value, list) else value

    def __set__(self, instance, value):
        QObject.setProperty(instance, self.name, value)


class VirtualProperty(Property):
    """As Property, read by the getter of the class itself."""

    def __get__(self, instance, owner=None):
        return self.original if instance is None else self.original(instance)

    def __set__(self, instance, value):
        raise AttributeError(f"Property '{self.name}' of {type(instance).__name__} object is not writable")


def install() -> types.ModuleType:
    """The module `qt`, complete and in `sys.modules`."""
    qt = sys.modules["qt"] = types.ModuleType("qt", __doc__)
    parts = (QtCore, QtGui, QtWidgets)
    found = {name: getattr(part, name) for part in parts for name in dir(part) if name.startswith(("Q", "q"))}
    qobjects = [value for value in found.values() if isinstance(value, type) and issubclass(value, QObject)]
    for qt_class in qobjects:
        _add_properties(qt_class)
        _adopt_results(qt_class)
    QObject.className = lambda self: self.metaObject().className()
    QObject.name = property(lambda self: self.objectName, lambda self, name: self.setObjectName(name))
    for name, value in found.items():
        setattr(qt, name, _adapted(value) if value in qobjects else value)
    qt.Qt = QtCore.Qt
    return qt


def adopted(value):
    """`value`, or what is in it, able to connect signals as our own classes are (their class cannot be changed)."""
    if isinstance(value, list | tuple):
        return type(value)(adopted(entry) for entry in value)
    if type(value) in ADAPTED:
        value.connect = types.MethodType(connect, value)
        value.disconnect = types.MethodType(disconnect, value)
    return value


def _add_properties(qt_class: type) -> None:
    meta = qt_class.staticMetaObject
    names = {meta.property(index).name() for index in range(meta.propertyOffset(), meta.propertyCount())}
    for name in names - set(VIRTUAL_GETTERS):
        setattr(qt_class, name, Property(name, qt_class.__dict__.get(name)))
    for name in VIRTUAL_GETTERS:
        if issubclass(qt_class, QtWidgets.QWidget) and name in qt_class.__dict__:
            setattr(qt_class, name, VirtualProperty(name, qt_class.__dict__[name]))


def _adopt_results(qt_class: type) -> None:
    for name in ACCESSORS:
        original = qt_class.__dict__.get(name)
        if original is not None and not isinstance(original, Property | staticmethod):
            setattr(qt_class, name, _adopting(original))


def _adopting(original):
    def accessor(self, *args):
        # a class in findChild() is ours; what it finds may be of PySide's
        return adopted(original(self, *(_plain(argument) for argument in args)))

    return accessor


def _plain(argument):
    """PySide's class for ours; anything else as it is."""
    is_ours = isinstance(argument, type) and ADAPTED.get(argument.__base__) is argument
    return argument.__base__ if is_ours else argument


def _adapted(qt_class: type) -> type:
    """Our subclass, with what Python code in Slicer sees of such an object."""
    members = {
        "connect": connect,
        "disconnect": disconnect,
        "__module__": "qt",
        "__init__": _constructor(qt_class),
        "__setattr__": _attribute_setter(qt_class),
        "__init_subclass__": classmethod(_prepare_subclass),
    }
    ADAPTED[qt_class] = AdaptedType(qt_class.__name__, (qt_class,), members)
    return ADAPTED[qt_class]


def _constructor(qt_class: type):
    def __init__(self, *args, **keywords):
        if keywords:
            raise TypeError(f"{type(self).__name__}: PythonQt constructors take no keyword arguments")
        qt_class.__init__(self, *args)

    return __init__


def _prepare_subclass(cls, **keywords) -> None:
    """PySide looks `connect` up in the very class of an object, not in its bases."""
    cls.connect = cls.__dict__.get("connect", connect)
    cls.disconnect = cls.__dict__.get("disconnect", disconnect)


def _attribute_setter(qt_class: type):
    def __setattr__(self, name: str, value) -> None:
        """Properties only, unless the class was made in Python (as in PythonQt)."""
        if type(self) is not ADAPTED[qt_class] or accepts_attribute(self, name):
            qt_class.__setattr__(self, name, value)

    return __setattr__
