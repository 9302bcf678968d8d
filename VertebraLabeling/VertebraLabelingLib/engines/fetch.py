"""Fetching one file from an address: only over https (or from a disk), never larger than allowed, cancellable."""

from __future__ import annotations

from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from ..core.errors import ModelError, UsageError
from ..core.progress import Progress

SCHEMES = ("https", "file")
TIMEOUT_S = 30.0
_CHUNK_BYTES = 2**18


def fetch(address: str, target: Path, largest_bytes: int, progress: Progress) -> None:
    """Write what lies at `address` into `target`; `progress` may raise to stop.

    UsageError for an address of another kind, ModelError in a sentence that says how to do without a network when it
    cannot be reached or sends too much.  The content is not judged: the caller compares its hash.
    """
    check_address(address)
    try:
        with opener().open(Request(address), timeout=TIMEOUT_S) as response, target.open("wb") as file:
            _copy(response, file, largest_bytes, progress)
    except (OSError, HTTPException, ValueError) as error:
        raise ModelError(
            f"The download failed ({_reason(error)}); check the network and the proxy of this computer, or download "
            f"{address} on another computer and import the file."
        ) from error


def check_address(address: str) -> None:
    """UsageError unless the address is of https with a host or of a file on this computer."""
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise UsageError(f"'{address}' is no address ({error}); give one that begins with https://.") from error
    if parts.scheme not in SCHEMES or not (parts.hostname if parts.scheme == "https" else parts.path):
        raise UsageError(f"'{address}' is no address of https or of a file; give one that begins with https://.")


def opener() -> OpenerDirector:
    """Opens addresses with the proxy settings of the system."""
    return build_opener(_SecureRedirects)


class _SecureRedirects(HTTPRedirectHandler):
    """Follows redirections to https only: a file:// target would read from this computer's disk."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        """The request for the new place; ValueError when it is not an https one."""
        if urlsplit(newurl).scheme != "https":
            raise ValueError(f"the server sends on to '{newurl}', which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _copy(response: Any, file: BinaryIO, largest_bytes: int, progress: Progress) -> None:
    promised, done = int(response.headers.get("Content-Length") or 0), 0
    _check_size(promised, largest_bytes)
    progress("downloading", 0.0)
    while chunk := response.read(_CHUNK_BYTES):
        done += len(chunk)
        _check_size(done, largest_bytes)
        file.write(chunk)
        progress("downloading", min(done / promised, 1.0) if promised else 0.0)
    if done < promised:
        raise HTTPException(f"only {done:,} of {promised:,} bytes came")


def _check_size(size: int, largest_bytes: int) -> None:
    if size > largest_bytes:
        raise ModelError(f"The file is larger than {largest_bytes:,} bytes and so no weight file; check the address.")


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"the server answers {error.code} {error.reason}"
    return str(getattr(error, "reason", None) or error or type(error).__name__)
