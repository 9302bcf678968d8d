"""Starts the viewer: one process, one scene, one page on 127.0.0.1."""

from __future__ import annotations

import asyncio
import logging
import os
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import slicer_shim

slicer_shim.provide_texts()  # before anything of app is imported

from trame.app import get_server  # noqa: E402
from trame_client.module import vue3  # noqa: E402
from trame_rca import module as streams  # noqa: E402
from trame_slicer.core import SlicerApp  # noqa: E402

from .access import HOST, Access, new_token  # noqa: E402
from .folder import Folder  # noqa: E402
from .viewer import Viewer  # noqa: E402
from .web import Web  # noqa: E402


def serve(
    path: Path | None, folder: Folder, port: int, upload_limit_mb: int, opens_browser: bool, debug: bool = False
) -> None:
    """Serve until Ctrl+C.  path: a CT to open at once.  port: 0 for any free one."""
    asyncio.set_event_loop(asyncio.new_event_loop())
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    application = SlicerApp()
    if not debug:
        _quiet_vtk()
    temporary = slicer_shim.provide_application(application.scene, application.app_logic.GetModuleLogic("Markups"))
    server = get_server("vertebra-labeling", client_type="vue3")
    server.enable_module(vue3)
    server.enable_module(streams)
    viewer = Viewer(server, application, folder, upload_limit_mb)
    port = port or _free_port()
    access = Access(new_token(), port)

    def bind(bound: Any) -> None:
        Web(viewer, access, Path(vue3.www), server.serve).mount(bound.app)

    def ready(**_state: Any) -> None:
        print(f"Open {access.address} in a browser; Ctrl+C ends the viewer.", flush=True)
        viewer.start(path)
        if opens_browser:
            webbrowser.open(access.address)

    server.controller.on_server_bind.add(bind)
    server.controller.on_server_ready.add(ready)
    try:
        with _trame_arguments(f"--ws-endpoint {access.token}/ws --no-http"):
            server.start(port=port, host=HOST, open_browser=False, show_connection_info=False, timeout=0)
    finally:
        viewer.close()
        temporary.cleanup()


def _quiet_vtk() -> None:
    """VTK's warnings are for programmers, such as one about trame-slicer's use of an event; errors are still shown."""
    from vtkmodules.vtkCommonCore import vtkLogger, vtkOutputWindow

    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_ERROR)
    vtkOutputWindow.GetInstance().SetDisplayModeToNever()


def _free_port() -> int:
    """A port that is free now; trame is told a number before it listens."""
    import socket

    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def _trame_arguments(arguments: str) -> Iterator[None]:
    """trame reads the command line of the process, unless this variable says what to read instead."""
    before = os.environ.get("TRAME_ARGS")
    os.environ["TRAME_ARGS"] = arguments
    try:
        yield
    finally:
        if before is None:
            del os.environ["TRAME_ARGS"]
        else:
            os.environ["TRAME_ARGS"] = before
