"""Stand-in for `slicer.i18n`: what it does where no translation is loaded; every text comes back as it is."""

from __future__ import annotations

import sys
from pathlib import Path


def getContext(sourceFile: str) -> str:
    """The translation context of a source file: `file`, or `package.file` inside a package."""
    path = Path(sourceFile)
    return f"{path.parent.name}.{path.stem}" if (path.parent / "__init__.py").is_file() else path.stem


def tr(text: str) -> str:
    """`text` in the user's language, in the context of the calling file."""
    return translate(getContext(sys._getframe(1).f_code.co_filename), text)


def translate(context: str, text: str) -> str:
    """`text` of `context` in the user's language."""
    import slicer

    return slicer.app.translate(context, text)
