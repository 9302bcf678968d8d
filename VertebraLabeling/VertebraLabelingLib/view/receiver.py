"""Files that the page sends: announced first, so that what is refused is never sent; one upload at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import BodyPartReader, web

from ..core.errors import InputError, VertebraLabelingError
from .folder import Folder
from .uploads import (
    UploadInTheWayError,
    UploadTooLargeError,
    check_announced,
    check_count,
    kept_place,
    scan_of,
    store,
    temporary_folder,
)

if TYPE_CHECKING:
    from .viewer import Viewer

CHUNK_BYTES = 1 << 20
_STATUSES = {UploadTooLargeError: 413, UploadInTheWayError: 409}
_DAMAGED = (ValueError, AssertionError, OSError, EOFError)
"""What aiohttp says of a form that is none, or is cut short."""


class Receiver:
    """Answers the page's uploads; why one is refused stands in the answer and in the page's message."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer

    async def announce(self, request: web.Request) -> web.Response:
        """Whether files may come: ?files=<number>&bytes=<sum>, or ?unread=<name> of one that cannot be read."""
        said = request.query
        try:
            self._check_free()
            self._viewer.workspace.check_idle()
            if "unread" in said:
                raise InputError(f"The browser cannot read '{said['unread'][:80]}'; check its permissions.")
            check_count(int(said.get("files", "")))
            check_announced(int(said.get("bytes", "")), self._viewer.upload_limit_bytes)
        except VertebraLabelingError as error:
            return self._refused(error)
        except ValueError:
            return self._refused(InputError("The page announced no files; reload the page."))
        return web.Response(text="ok")

    async def upload(self, request: web.Request) -> web.Response:
        """Files of a form: a CT in one file or two, the slices of a DICOM series, or points."""
        try:
            self._check_free()
            with self._receiving():
                refusal = await self._open(request)
        except VertebraLabelingError as error:
            return self._refused(error)
        except _DAMAGED:
            return self._refused(InputError("The upload is damaged or could not be stored; choose the file again."))
        return web.Response(status=400 if refusal else 200, text=refusal or "ok")

    def _check_free(self) -> None:
        if self._viewer.workspace.is_receiving:
            raise UploadInTheWayError("Other files are just coming in; wait until they are read.")

    @contextmanager
    def _receiving(self) -> Iterator[None]:
        self._viewer.workspace.show_receiving(True)
        try:
            yield
        finally:
            self._viewer.workspace.show_receiving(False)

    def _refused(self, error: VertebraLabelingError) -> web.Response:
        self._viewer.workspace.tell(str(error), "error")
        return web.Response(status=_STATUSES.get(type(error), 400), text=str(error))

    async def _open(self, request: web.Request) -> str:
        """Why what came is not opened, which the page is told; "" when it is."""
        check_announced(request.content_length, self._viewer.upload_limit_bytes)
        with temporary_folder() as folder:
            path, name = scan_of(folder, await self._receive(request, folder))
            return await self._viewer.opener.open(path, Folder(folder), name)

    async def _receive(self, request: web.Request, folder: Path) -> list[str]:
        """Places of the files of a form, which then are under the folder."""
        if not request.content_type.startswith("multipart/"):
            raise InputError("The upload is no form with files; use the page.")
        places: dict[str, None] = {}
        folders: dict[str, str] = {}
        left_bytes = self._viewer.upload_limit_bytes
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or not part.filename:
                raise InputError("The upload holds something that is no file; use the page.")
            check_count(len(places) + 1)
            place = kept_place(part.filename, folders)
            if place in places:
                raise InputError(f"The file {Path(place).name} came twice; choose each file once.")
            places[place] = None
            path = folder / place
            path.parent.mkdir(exist_ok=True)
            await store(_chunks(part), path, left_bytes)
            left_bytes -= path.stat().st_size
        check_count(len(places))
        return list(places)


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(CHUNK_BYTES):
        yield chunk
