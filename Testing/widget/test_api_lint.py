"""The module uses only names that Slicer has, in the way PythonQt takes them; needs neither Slicer nor Qt."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.lint import problems

MODULE = Path(__file__).resolve().parents[2] / "VertebraLabeling"
FILES = [
    MODULE / "VertebraLabeling.py",
    *sorted((MODULE / "VertebraLabelingLib" / "app").rglob("*.py")),
    *sorted((MODULE / "Scripts").glob("*.py")),
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(MODULE).as_posix())
def test_the_code_uses_what_slicer_has(path):
    assert problems(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "code, told",
    [
        ("qt.QPushButtom()", "qt.QPushButtom is not in"),
        ("ctk.ctkDirectoryButton()", "ctk.ctkDirectoryButton is not in"),
        ("slicer.util.getNodez('CT')", "slicer.util.getNodez is not in"),
        ("slicer.app.sliceViewCount", "slicer.app.sliceViewCount is not in"),
        ("slicer.qMRMLSegmentsTableView()", "slicer.qMRMLSegmentsTableView is not in"),
        ("slicer.modules.segmenteditor.logic()", "slicer.modules.segmenteditor is not in"),
        ("slicer.packaging.pip_please()", "slicer.packaging.pip_please is not in"),
        ("from slicer.util import getNodez", "slicer.util.getNodez is not in"),
        ("from qt import QPushButtom", "qt.QPushButtom is not in"),
        ("from PySide6.QtWidgets import QWidget", "Qt is the module `qt`"),
        ("label.setAlignment(qt.Qt.AlignmentFlag.AlignCenter)", "qt.Qt.AlignCenter"),
        ("mode = qt.QAbstractItemView.SelectionBehavior.SelectRows", "scoped enumeration"),
        ("text = self.ui.button.text()", ".text() calls a property"),
        ("rows = table.rowCount()", ".rowCount() calls a property"),
        ("node = selector.currentNodeID()", ".currentNodeID() calls a property"),
        ("slicer.app.temporaryPath()", ".temporaryPath() calls a property"),
        ("qt.QPushButton(text='Label')", "keyword arguments"),
        ("qt.QFileDialog.getOpenFileName(None, caption='Open')", "keyword arguments"),
        ("_(f'{count} vertebrae')", "_() takes one plain text"),
        ("_('{} vertebrae'.format(count))", "_() takes one plain text"),
        ("_('a' + name)", "_() takes one plain text"),
        ("_(text)", "_() takes one plain text"),
    ],
)
def test_it_finds(code, told):
    assert any(told in problem for problem in problems(code)), problems(code)


@pytest.mark.parametrize(
    "code",
    [
        "button.text",
        "button.setText('a')",
        "button.isEnabled()",
        "item.text()",
        "self.table.item(0, 1).text()",
        "'spine'.title()",
        "self.session.label()",
        "slicer.app.userSettings()",
        "selector.currentNode()",
        "names.count('L1')",
        "settings.value('key')",
        "label.setAlignment(qt.Qt.AlignCenter)",
        "qt.QUrl.fromLocalFile(path)",
        "slicer.vtkMRMLScene()",
        "slicer.modules.markups.logic()",
        "slicer.app.userSettings().value('a')",
        "_('{count} vertebrae').format(count=3)",
        "from slicer.i18n import tr as _",
        "from slicer import packaging",
    ],
)
def test_it_accepts(code):
    assert problems(code) == []


def test_a_finding_names_its_line():
    assert problems("import qt\n\nqt.QNothing()\n")[0].startswith("line 3: ")
