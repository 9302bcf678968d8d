"""`qt.QUiLoader` that makes our classes; connections in the form are made in Python (Qt does not know MRML signals)."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import qt
from PySide6.QtCore import QBuffer, QByteArray
from PySide6.QtUiTools import QUiLoader as PySideUiLoader

from harness.refusal import loading_a_form


class QUiLoader(PySideUiLoader):
    """`load(file)` as in Slicer; a class in the form that has no stand-in is an error."""

    def load(self, file, parent=None):
        self._unknown = []
        form = ET.fromstring(bytes(file.readAll().data()))
        connections = _taken_out(form)
        _numbers_for_flags(form)
        buffer = QBuffer()
        buffer.setData(QByteArray(ET.tostring(form)))
        buffer.open(QBuffer.ReadOnly)
        with loading_a_form():
            widget = super().load(buffer, parent)
        if self._unknown:
            raise NotImplementedError(f"no stand-in in Testing/harness for {', '.join(sorted(set(self._unknown)))}")
        for connection in connections:
            _connect(widget, *connection)
        return widget

    def createWidget(self, className, parent=None, name=""):
        widget_class = _widget_class(className)
        if widget_class is None:
            self._unknown.append(className)
            return super().createWidget("QWidget", parent, name)
        widget = widget_class(parent) if parent else widget_class()
        widget.setObjectName(name)
        return widget


def _widget_class(name: str) -> type | None:
    """Of Qt, or one of our stand-ins."""
    import ctk
    import slicer

    if name.startswith("Q"):
        return getattr(qt, name, None)
    return vars(ctk).get(name) or vars(slicer).get(name)


def _taken_out(form: ET.Element) -> list[tuple[str, str, str, str]]:
    """The connections of the form (sender, signal, receiver, slot), which are removed from it."""
    element = form.find("connections")
    if element is None:
        return []
    form.remove(element)
    return [tuple(entry.findtext(key) for key in ("sender", "signal", "receiver", "slot")) for entry in element]


def _numbers_for_flags(form: ET.Element) -> None:
    """Flags of our stand-ins as numbers, for their classes have no C++ enumerations."""
    for element in form.iter("set"):
        flags = [flag.strip().partition("::") for flag in (element.text or "").split("|")]
        if all(owner.startswith(("ctk", "qMRML", "qSlicer")) for owner, _, _ in flags):
            element.tag = "number"
            element.text = str(sum(getattr(_widget_class(owner), name) for owner, _, name in flags))


def _connect(widget, sender: str, signal: str, receiver: str, slot: str) -> None:
    def named(name):
        return widget if widget.objectName == name else widget.findChild(qt.QObject, name)

    named(sender).connect(signal, getattr(named(receiver), slot.partition("(")[0]))
