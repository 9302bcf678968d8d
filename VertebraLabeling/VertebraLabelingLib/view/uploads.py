"""Files that come through the page: limited before anything is stored, kept only until they are read."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ..core.errors import InputError

MEGABYTE = 1_000_000
DEFAULT_LIMIT_MB = 2000
MOST_FILES = 5000
"""In one upload; a CT of the whole body in thin slices has less than half of it."""
SERIES = "DICOM series"
"""How a CT is called that came as many files, whose names are only numbers."""
_DETACHED_HEADERS = (".mhd", ".nhdr", ".hdr")


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that only this user can read; gone with all that is in it at the end."""
    with tempfile.TemporaryDirectory(prefix="vertebra-labeling-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def safe_name(name: str) -> str:
    """The last part of a file name as a browser says it; InputError when nothing is left of it."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1].replace("\0", "").strip()
    if last.strip(".") == "" or len(last.encode("utf-8", "replace")) > 255:
        raise InputError("The file has no usable name; rename it.")
    return last


def kept_place(said: str, folders: dict[str, str]) -> str:
    """Where under the folder of the upload a file is kept that the browser calls "series/1/x.dcm": "folder-0/x.dcm".

    Files of one folder stay together, and two folders may hold files of one name.  folders: those of the upload so far,
    as the browser calls them and as they are called here; completed.  InputError as for `safe_name`.
    """
    above, _, name = said.replace("\\", "/").rpartition("/")
    if not above:
        return safe_name(name)
    return f"{folders.setdefault(above, f'folder-{len(folders)}')}/{safe_name(name)}"


class UploadTooLargeError(InputError):
    """More bytes than the limit."""


class UploadInTheWayError(InputError):
    """Another upload is coming in."""


def check_count(count: int) -> None:
    """InputError for no file, or for more than `MOST_FILES`."""
    if count < 1:
        raise InputError("No file came with the upload; choose one.")
    if count > MOST_FILES:
        raise InputError(f"These are more than {MOST_FILES} files; choose the slices of one series only.")


def check_announced(size_bytes: int | None, limit_bytes: int) -> None:
    """UploadTooLargeError for an upload that says itself that it is too large."""
    if size_bytes is not None and size_bytes > limit_bytes:
        raise UploadTooLargeError(too_large(limit_bytes))


def too_large(limit_bytes: int) -> str:
    """The sentence for an upload beyond the limit."""
    return (
        f"The file is larger than {limit_bytes // MEGABYTE} MB; put it into the viewer's folder and open it from the "
        "list, or start the viewer with a higher --upload-limit."
    )


def scan_of(folder: Path, names: Sequence[str]) -> tuple[Path, str]:
    """What is to be opened of the files that came together, and what to call it; InputError when they are no one scan.

    One file, or one header with its data, or the slices of a DICOM series with whatever lies beside them.  names: the
    places of the files under `folder`.
    """
    headers = [name for name in names if name.lower().endswith(_DETACHED_HEADERS)]
    if len(names) == 1 or len(headers) == 1:
        name = (headers or names)[0]
        return folder / name, PurePosixPath(name).name
    from ..core.dicom_series import image_files

    if headers or not image_files(folder):
        raise InputError("These files are no one scan; choose one CT, a header with its data, or all DICOM slices.")
    return folder, SERIES


async def store(chunks: AsyncIterator[bytes], path: Path, limit_bytes: int) -> None:
    """Write an upload piece by piece; UploadTooLargeError as soon as it is beyond the limit, whatever it announced."""
    written = 0
    with path.open("xb") as file:
        async for chunk in chunks:
            written += len(chunk)
            if written > limit_bytes:
                raise UploadTooLargeError(too_large(limit_bytes))
            file.write(chunk)
