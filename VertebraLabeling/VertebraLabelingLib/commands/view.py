"""``vertebra-labeling view``: the module's workspace in a browser, for people without Slicer."""

from __future__ import annotations

import argparse
import os
import sys
from ctypes.util import find_library
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..core.errors import ModelError, UsageError
from ..view.uploads import DEFAULT_LIMIT_MB

NEEDED = ("trame_slicer", "slicer_core", "greenlet")
_LARGEST_UPLOAD_MB = 100_000


def add_parser(commands: Any) -> None:
    """Register the sub-command."""
    view = commands.add_parser("view", help="label and correct in the browser, without Slicer", allow_abbrev=False)
    view.add_argument("ct", metavar="CT", type=Path, nargs="?", help="a CT to open at once: file or DICOM folder")
    view.add_argument(
        "--folder",
        metavar="DIR",
        type=Path,
        help="the only folder that the page reads from and saves into (default: that of the CT, else the current one)",
    )
    view.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: any free one)")
    view.add_argument("--no-browser", action="store_true", help="only print the address")
    view.add_argument(
        "--upload-limit",
        metavar="MB",
        type=int,
        default=DEFAULT_LIMIT_MB,
        help="most that can be dropped on the page at once (default: %(default)s)",
    )
    view.add_argument("--debug", action="store_true", help="show the traceback of an unexpected error")
    view.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Serve the page until Ctrl+C."""
    ct, folder = _places(args.ct, args.folder)
    if not 0 <= args.port <= 65535:
        raise UsageError(f"--port {args.port} is no port; give 1 to 65535, or 0 for any free one.")
    if not 0 < args.upload_limit <= _LARGEST_UPLOAD_MB:
        raise UsageError(f"--upload-limit {args.upload_limit} is not possible; give 1 to {_LARGEST_UPLOAD_MB} MB.")
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ModelError(
            f"The viewer needs software that is not installed here ({', '.join(missing)}); run `make view`, which sets "
            "up an environment of its own for it."
        )
    _render_without_a_screen()
    from ..view.folder import Folder
    from ..view.slicer_shim import provide_texts

    provide_texts()  # before anything of app is imported
    from ..view.server import serve

    serve(ct, Folder(folder), args.port, args.upload_limit, not args.no_browser, args.debug)


def _render_without_a_screen() -> None:
    """On Linux without a display VTK would look for one first, and complain."""
    if sys.platform == "linux" and not os.environ.get("DISPLAY") and find_library("EGL"):
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")


def _places(ct: Path | None, folder: Path | None) -> tuple[Path | None, Path]:
    """The CT and the folder, absolute; UsageError when they are not there or do not belong together."""
    if ct is not None and not ct.exists():
        raise UsageError(f"{ct} does not exist; check the path.")
    if folder is None:
        folder = Path.cwd() if ct is None else (ct if ct.is_dir() else ct.parent)
    if not folder.is_dir():
        raise UsageError(f"The folder {folder} does not exist; create it or choose another one with --folder.")
    return (ct.absolute() if ct is not None else None), folder.absolute()
