"""Starts the viewer: one process, one scene, one page on 127.0.0.1.

`slicer_shim.provide_texts` comes before the import of this file.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from trame.app import get_server
from trame_client.module import vue3
from trame_rca import module as streams
from trame_slicer.core import SlicerApp

from ..core.errors import UsageError
from . import slicer_shim
from .access import HOST, Access, new_token
from .folder import Folder
from .redirect import open_page
from .rescue import rescue
from .viewer import Viewer
from .web import Web


def serve(
    path: Path | None, folder: Folder, port: int, upload_limit_mb: int, opens_browser: bool, debug: bool = False
) -> None:
    """Serve until Ctrl+C, or until the system ends the process; corrections that are not saved are kept in a file.

    path: a CT to open at once.  port: 0 for any free one; UsageError when it is taken.  debug: also say what VTK warns
    of.
    """
    access = Access(new_token(), _free_port(port))
    asyncio.set_event_loop(asyncio.new_event_loop())
    application = SlicerApp()
    if not debug:
        _quiet_vtk()
    temporary = slicer_shim.provide_application(application.scene, application.app_logic.GetModuleLogic("Markups"))
    server = get_server("vertebra-labeling", client_type="vue3")
    server.enable_module(vue3)
    server.enable_module(streams)
    viewer = Viewer(server, application, folder, upload_limit_mb)
    arguments = ExitStack()

    def bind(bound: Any) -> None:
        arguments.close()
        Web(viewer, access, Path(vue3.www), server.serve).mount(bound.app)

    def ready(**_state: Any) -> None:
        print(f"Open {access.address} in a browser; Ctrl+C ends the viewer.", flush=True)
        _end_with_the_terminal()
        viewer.start(path)
        if opens_browser:
            open_page(access.address, Path(temporary.name))

    server.controller.on_server_bind.add(bind)
    server.controller.on_server_ready.add(ready)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.getLogger("wslink.protocol").addFilter(_is_no_lost_tab)
    try:
        arguments.enter_context(_trame_arguments(f"--ws-endpoint {access.token}/ws --no-http"))
        server.start(port=access.port, host=HOST, open_browser=False, show_connection_info=False, timeout=0)
    except KeyboardInterrupt:  # on Windows; elsewhere the server takes it for its end itself
        pass
    finally:
        arguments.close()
        _rescue(viewer)
        viewer.close()
        temporary.cleanup()


def _end_with_the_terminal() -> None:
    """When the window of the terminal is closed the viewer ends as with Ctrl+C; from within the loop."""
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, signal.raise_signal, signal.SIGTERM)


def _is_no_lost_tab(_record: logging.LogRecord) -> bool:
    """A filter: a tab that is closed while an answer is on its way to it is no mistake."""
    return not isinstance(sys.exc_info()[1], ConnectionError)


def _rescue(viewer: Viewer) -> None:
    try:
        path = rescue(viewer.workspace)
    except Exception:
        logging.exception("corrections that were not saved are lost")
        return
    if path is not None:
        with suppress(OSError):  # the terminal may be gone
            print(f"Your corrections were not saved; they are now in {path}", flush=True)


def _quiet_vtk() -> None:
    """VTK's warnings are for programmers, such as one about trame-slicer's use of an event; errors are still shown."""
    from vtkmodules.vtkCommonCore import vtkLogger, vtkOutputWindow

    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_ERROR)
    vtkOutputWindow.GetInstance().SetDisplayModeToNever()


def _free_port(port: int) -> int:
    """The port, or any free one for 0; the address is needed before trame listens."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            reason = error.strerror or error
            raise UsageError(
                f"Port {port} cannot be used ({reason}); choose another --port, or leave it out."
            ) from error
        return int(probe.getsockname()[1])


@contextmanager
def _trame_arguments(arguments: str) -> Iterator[None]:
    """trame reads the command line of the process, unless this variable says what to read instead.

    It is gone before any other process is started, because the token stands in it.
    """
    before = os.environ.get("TRAME_ARGS")
    os.environ["TRAME_ARGS"] = arguments
    try:
        yield
    finally:
        if before is None:
            del os.environ["TRAME_ARGS"]
        else:
            os.environ["TRAME_ARGS"] = before
