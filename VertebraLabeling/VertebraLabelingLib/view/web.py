"""What the viewer answers to HTTP requests: the page, its files, state, uploads and downloads; all else is 403."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import web

from .files import SUFFIXES
from .receiver import Receiver
from .uploads import temporary_folder

if TYPE_CHECKING:
    from .access import Access
    from .viewer import Viewer

PAGE = Path(__file__).parent / "page"
RELOAD_GRACE_S = 2.0
"""A page that is loaded again comes before its old connection has ended."""
ANSWER_S = 0.5
"""Before a connection is ended, for what it has asked: the page takes a lost answer for a mistake."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Web:
    """Routes of the viewer below its token, for one user at a time."""

    def __init__(self, viewer: Viewer, access: Access, client_folder: Path, modules: dict[str, Any]) -> None:
        self._viewer, self._access = viewer, access
        self._client_folder, self._modules = client_folder, modules
        self._receiver = Receiver(viewer)
        self._connection: web.Request | None = None

    def mount(self, app: web.Application) -> None:
        """Add the routes and the guard to trame's application, which has the websocket already."""
        app.middlewares.append(self._guard)
        app.on_response_prepare.append(self._protect)
        base = f"/{self._access.token}"
        app.router.add_get(f"{base}/", self._page)
        app.router.add_get(f"{base}/index.html", self._page)
        app.router.add_get(f"{base}/state.json", self._state)
        app.router.add_get(f"{base}/curved.png", self._curved)
        app.router.add_get(f"{base}/download/{{kind}}", self._download)
        app.router.add_post(f"{base}/announce", self._receiver.announce)
        app.router.add_post(f"{base}/upload", self._receiver.upload)
        app.router.add_post(f"{base}/take-over", self._take_over)
        app.router.add_post(f"{base}/paraview/", self._connection_place)
        app.router.add_static(f"{base}/page", PAGE)
        for name, folder in self._modules.items():
            app.router.add_static(f"{base}/{name}", folder[0] if isinstance(folder, (tuple, list)) else folder)
        app.router.add_static(base, self._client_folder)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        is_websocket = request.headers.get("Upgrade", "").lower() == "websocket"
        refusal = self._access.refusal(
            request.path, request.headers.get("Host"), request.headers.get("Origin"), is_websocket
        )
        if refusal:
            return web.Response(status=403, text=refusal)
        if is_websocket:
            return await self._connect(request, handler)
        return await handler(request)

    async def _protect(self, _request: web.Request, response: web.StreamResponse) -> None:
        """On every answer, refusals and errors too."""
        response.headers.update(self._headers())

    def _headers(self) -> dict[str, str]:
        """The page loads nothing from anywhere else, stands in no frame, and tells its address to no other."""
        own = f"ws://127.0.0.1:{self._access.port} ws://localhost:{self._access.port}"
        policy = (
            "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
            f"img-src 'self' blob: data:; connect-src 'self' {own}; font-src 'self'; base-uri 'self'; "
            "form-action 'self'; frame-ancestors 'none'"
        )
        return {
            "Content-Security-Policy": policy,
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }

    # ---- one user at a time ----

    async def _connect(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._connection is not None:
            return web.Response(status=409, text="The viewer is open in another tab.")
        self._connection = request
        try:
            return await handler(request)
        finally:
            self._connection = None

    async def _take_over(self, _request: web.Request) -> web.StreamResponse:
        """End the connection of the other tab, which says so, and let this one in."""
        await asyncio.sleep(ANSWER_S)
        if self._connection is not None and self._connection.transport is not None:
            self._connection.transport.close()
        await self._is_free()
        raise web.HTTPSeeOther("./")

    async def _is_free(self) -> bool:
        deadline_s = asyncio.get_running_loop().time() + RELOAD_GRACE_S
        while self._connection is not None and asyncio.get_running_loop().time() < deadline_s:
            await asyncio.sleep(0.05)
        return self._connection is None

    # ---- the page ----

    async def _page(self, _request: web.Request) -> web.Response:
        if not await self._is_free():
            return web.Response(text=(PAGE / "busy.html").read_text(encoding="utf-8"), content_type="text/html")
        return web.Response(text=page_html(self._client_folder / "index.html"), content_type="text/html")

    async def _connection_place(self, request: web.Request) -> web.Response:
        """trame's page asks a launcher first where its websocket is."""
        return web.json_response({"sessionURL": f"ws://{request.headers['Host']}/{self._access.token}/ws"})

    async def _state(self, _request: web.Request) -> web.Response:
        return web.json_response(self._viewer.state())

    async def _curved(self, _request: web.Request) -> web.Response:
        picture = self._viewer.curved_picture
        if picture is None:
            raise web.HTTPNotFound(text="There are no points yet.")
        return web.Response(body=picture.png, content_type="image/png")

    # ---- files ----

    async def _download(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        if kind not in SUFFIXES:
            raise web.HTTPNotFound(text="There is no such format.")
        with temporary_folder() as folder:
            path = self._viewer.workspace.files.export_to(folder, kind)
            if path is None:
                raise web.HTTPConflict(text=self._viewer.workspace.message)
            body = path.read_bytes()
        plain = path.name.encode("ascii", "replace").decode().replace('"', "_")
        return web.Response(
            body=body,
            content_type="application/octet-stream",
            headers={
                "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(path.name, safe='')}"
            },
        )


def page_html(client_index: Path) -> str:
    """trame's own start page under the viewer's title, with the viewer's style and keys."""
    text = client_index.read_text(encoding="utf-8")
    own = '<link rel="stylesheet" href="page/page.css"><script src="page/page.js" defer></script>'
    own += '<script src="page/files.js" defer></script></head>'
    text = re.sub(r"<title>.*?</title>", "<title>Vertebra Labeling</title>", text, flags=re.DOTALL)
    text = re.sub(r'<meta\s+name="(description|keywords)".*?/>', "", text, flags=re.DOTALL)
    text = text.replace('href="logo.png"', 'href="page/icon.png"')
    text = text.replace("We're sorry but trame built by Kitware", "This viewer")
    return text.replace("</head>", own, 1)
