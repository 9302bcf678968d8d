"""Opens the page in the user's browser without the token in the command line of any program.

Other users of the computer see command lines (``ps``), but no file that only its owner may read.  So the browser gets
such a file, which sends it on to the page.
"""

from __future__ import annotations

import os
import webbrowser
from html import escape
from pathlib import Path

_TEXT = """<!DOCTYPE html>
<meta charset="utf-8"><meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={address}">
<title>Vertebra Labeling</title>
<p><a href="{address}">Open the viewer</a></p>
"""


def open_page(address: str, folder: Path) -> None:
    """Have the browser open a new file in `folder`, which goes on to `address`; to be removed with the folder."""
    path = folder / "open.html"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(_TEXT.format(address=escape(address)))
    webbrowser.open(path.absolute().as_uri())
