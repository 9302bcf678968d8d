"""What `app` asks of the application around MRML, where there is no Slicer application: four names, nothing else.

`slicer` itself (nodes, logics, `slicer.util`) is the real one, from slicer-core.
"""

from __future__ import annotations

import sys
import tempfile
import types
from typing import Any


def provide_texts() -> None:
    """Make `slicer.i18n`; call it before anything of `app` is imported.  The page speaks English only."""
    import slicer

    i18n = types.ModuleType("slicer.i18n", "Every text as it is.")
    i18n.tr = lambda text: text  # type: ignore[attr-defined]
    sys.modules["slicer.i18n"] = slicer.i18n = i18n


def provide_application(scene: Any, markups_logic: Any) -> tempfile.TemporaryDirectory[str]:
    """Make `slicer.mrmlScene`, `slicer.app` and `slicer.modules`; returns the temporary folder, to be kept alive."""
    import slicer

    folder = tempfile.TemporaryDirectory(prefix="vertebra-labeling-", ignore_cleanup_errors=True)
    slicer.mrmlScene = scene
    slicer.app = types.SimpleNamespace(temporaryPath=folder.name)
    slicer.modules = types.SimpleNamespace(markups=types.SimpleNamespace(logic=lambda: markups_logic))
    return folder
