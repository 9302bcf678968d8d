"""Self-test in the real Slicer application; the harness runs the same file (Testing/widget/test_panel_selftest.py).

    Slicer --testing --no-splash --no-main-window --additional-module-paths VertebraLabeling \
        --python-script Testing/slicer/selftest.py [REPORT.json]

First the tests of the module file, then every name of Testing/harness/api.json, which says what the harness may
imitate, is looked for in the application.  The report is printed, and written where a path is given.  Exit code 0: all
is right.
"""

import json
import sys
import unittest
from pathlib import Path

import ctk
import slicer

# an embedded interpreter does not always set __file__
HERE = Path(globals().get("__file__") or sys.argv[0]).resolve().parent
API = HERE.parent / "harness" / "api.json"


def main(arguments=()):
    """Run everything; the exit code."""
    report = {"slicer": slicer.app.applicationVersion, "tests": module_tests(), **api_report()}
    text = json.dumps(report, indent=2)
    print(text)
    if arguments:
        Path(arguments[0]).write_text(text + "\n", encoding="utf-8")
    return int(bool(report["tests"]["failed"] or not report["tests"]["run"] or report["missing"]))


def module_tests():
    """Number of tests of the module file that ran, and what the failed ones say."""
    import VertebraLabeling

    suite = unittest.defaultTestLoader.loadTestsFromTestCase(VertebraLabeling.VertebraLabelingTest)
    result = unittest.TestResult()
    suite.run(result)
    failed = {str(test): text for test, text in [*result.failures, *result.errors]}
    return {"run": result.testsRun, "failed": failed}


def api_report():
    """Names of api.json that the application lacks, and classes of which there is no object to look at."""
    classes = json.loads(API.read_text(encoding="utf-8"))["classes"]
    objects = {name: an_object(name) for name in classes}
    missing = [
        f"{name}: {lack}" for name, spec in classes.items() if objects[name] for lack in lacking(objects[name], spec)
    ]
    return {"missing": missing, "not_looked_at": sorted(name for name, found in objects.items() if not found)}


def lacking(found, spec):
    """Methods and properties that an object has not, and signals that cannot be connected to it."""
    names = [name for kind in ("properties", "methods") for name in spec[kind] if not hasattr(found, name)]
    return names + [signal for signal in spec["signals"] if not connects(found, signal)]


def connects(sender, signal):
    """Whether a signal can be connected by its signature."""

    def receiver():
        """Never called."""

    try:
        return bool(sender.connect(signal, receiver)) and (sender.disconnect(signal, receiver) or True)
    except ValueError:
        return False


def an_object(name):
    """An object of a class of the application; None where there is none to be had."""
    layout = slicer.app.layoutManager()
    existing = {
        "qSlicerApplication": lambda: slicer.app,
        "qSlicerLayoutManager": lambda: layout,
        "qMRMLSliceWidget": lambda: layout.sliceWidget("Red") if layout else None,
        "qSlicerModuleManager": lambda: slicer.app.moduleManager(),
        "qSlicerCoreIOManager": lambda: slicer.app.coreIOManager(),
        "qSlicerLoadableModule": lambda: slicer.modules.markups,
        "qSlicerScriptedLoadableModule": lambda: slicer.modules.vertebralabeling,
        "qSlicerScriptedLoadableModuleWidget": lambda: slicer.util.getModuleWidget("VertebraLabeling").parent,
    }
    if name in existing:
        return existing[name]()
    made = getattr(ctk if name.startswith("ctk") else slicer, name, None)
    return made() if made else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
