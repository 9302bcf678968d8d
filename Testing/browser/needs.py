"""What the browser tests need beside the project, and what of it is missing here."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome") or ""
MISSING = [
    *(name for name in ("trame_slicer", "playwright") if find_spec(name) is None),
    *([] if CHROMIUM else ["chromium"]),
]
