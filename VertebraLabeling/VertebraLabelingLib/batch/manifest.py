"""The manifest of a batch run: what became of every scan, in one SQLite file in the output folder.

It is the one truth on the state of a scan.  Only the process that has the lock of the folder writes it, one short
transaction per change; a rollback journal rather than WAL, which network file systems cannot do.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..core.anatomy import Level
from ..core.errors import UsageError
from ..core.files import printable

MANIFEST_NAME = "manifest.sqlite"
_APPLICATION_ID = 0x56744C62  # "VtLb"
_VERSION = 1
_STATES = ("waiting", "running", "done", "failed")
_LARGEST = 2**31
_WAIT_S = 60.0
"""So long a reader of the user's may hold the file."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS scans (
    stem TEXT PRIMARY KEY, scan TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    exit_code INTEGER, message TEXT NOT NULL, attempts INTEGER NOT NULL, deaths INTEGER NOT NULL,
    worker TEXT NOT NULL, begun_utc TEXT, ended_utc TEXT, seconds TEXT NOT NULL,
    input TEXT NOT NULL, settings TEXT NOT NULL, markups_sha256 TEXT, files TEXT NOT NULL, told TEXT NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class Row:
    """What is known of a scan.

    scan: its place below the input folder.  state: "waiting", "running", "done" or "failed".
    attempts: how often the work on it was begun since it last ended; deaths: how often the process ended under it.
    seconds: wall time by stage.  input, settings: what the result was made from, see `state.Identity`.
    markups_sha256: hash of the markups written last, whatever became of the scan since.
    files: names of the outputs, as `OutputPaths.named` has them, that are a batch run's own to replace.
    told: what the tables say of a labelling, a part of the run record.
    """

    scan: str
    state: str = "waiting"
    exit_code: int | None = None
    message: str = ""
    attempts: int = 0
    deaths: int = 0
    worker: str = ""
    begun_utc: str | None = None
    ended_utc: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    input: str = ""
    settings: str = ""
    markups_sha256: str | None = None
    files: tuple[str, ...] = ()
    told: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """TypeError, ValueError, KeyError or AttributeError for values that no run has written."""
        numbers = (self.attempts, self.deaths, self.exit_code or 0)
        texts = (self.scan, self.message, self.worker, self.input, self.settings, *self.files)
        if self.state not in _STATES or not all(isinstance(text, str) for text in texts):
            raise ValueError("a state or a text is none")
        if not all(isinstance(number, int) and abs(number) < _LARGEST for number in numbers):
            raise ValueError("a number is none")
        if not all(isinstance(seconds, (int, float)) for seconds in self.seconds.values()):
            raise ValueError("a time is none")
        if self.told != {}:
            told_by(self.told)


def told_by(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the tables need of a run record, or of an earlier `told`; raises as `Row` where it does not tell it."""
    labelling = record["labelling"]
    points = [_point(values) for values in labelling["points"]]
    if not points or not isinstance(labelling["level_certain"], bool):
        raise ValueError("no labelling")
    kept = {name: labelling[name] for name in ("summary", "level_certain")}
    kept |= {"remarks": _texts(labelling["remarks"]), "points": points}
    return {"notes": _texts(record["notes"]), "labelling": kept}


def _point(values: Mapping[str, Any]) -> dict[str, Any]:
    level, probability = Level[values["level"]].name, float(values["probability"])
    return {"level": level, "probability": probability, "confirmed": values.get("confirmed", False)}


def _texts(values: Any) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError("no texts")
    return values


_COLUMNS = tuple(item.name for item in fields(Row))
_AS_JSON = ("seconds", "files", "told")


class Manifest:
    """The rows by the stem of their scan's outputs (`Entry.stem`); UsageError when the file cannot be used."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self._path, self._database = path, database

    def get(self, stem: str) -> Row | None:
        """What is known of a scan; None for one that was never looked at."""
        with _told(self._path):
            found = self._database.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM scans WHERE stem = ?", (printable(stem),)
            ).fetchone()
            return None if found is None else _row(dict(zip(_COLUMNS, found, strict=True)))

    def put(self, stem: str, row: Row) -> None:
        """Replace what is known of a scan; it is on the disk when this returns."""
        values = {**vars(row), **{name: json.dumps(getattr(row, name)) for name in _AS_JSON}}
        marks = ", ".join("?" * (len(_COLUMNS) + 1))
        with _told(self._path), self._database:
            self._database.execute(
                f"INSERT OR REPLACE INTO scans (stem, {', '.join(_COLUMNS)}) VALUES ({marks})",
                (printable(stem), *(values[name] for name in _COLUMNS)),
            )


def _row(values: dict[str, Any]) -> Row:
    read = {name: json.loads(values[name]) for name in _AS_JSON}
    return Row(**{**values, **read, "files": tuple(read["files"])})


@contextmanager
def opened(folder: Path) -> Iterator[Manifest]:
    """The manifest of an output folder, made where there is none; to be used under the lock of the folder.

    UsageError when there is a file of that name that is none of this program's, or damaged, or cannot be written.
    """
    path = folder / MANIFEST_NAME
    with _told(path):
        database = _connected(path)
    try:
        yield Manifest(path, database)
    finally:
        database.close()


def _connected(path: Path) -> sqlite3.Connection:
    """The open file; without the locks of SQLite where the file system has none, since we have the folder's."""
    try:
        return _prepared(_connect(path, ""), path)
    except sqlite3.OperationalError as error:
        if "is locked" in str(error):  # by a program that reads it
            raise
        return _prepared(_connect(path, "?nolock=1"), path)


def _connect(path: Path, how: str) -> sqlite3.Connection:
    place = path.absolute().as_posix()
    root = "file://" if place.startswith("/") else "file:///"
    return sqlite3.connect(f"{root}{quote(place, errors='surrogateescape')}{how}", timeout=_WAIT_S, uri=True)


def _prepared(database: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """The database with its table; closed again when that fails."""
    try:
        _require_own(database, path)
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute("PRAGMA synchronous = FULL")
        with database:
            database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {_VERSION}")
            database.execute(_SCHEMA)
    except BaseException:
        database.close()
        raise
    return database


def _require_own(database: sqlite3.Connection, path: Path) -> None:
    """UsageError for somebody else's database, or one of a later version of this program."""
    pages, application, version = (
        database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "application_id", "user_version")
    )
    if pages and application != _APPLICATION_ID:
        raise UsageError(f"{path} exists and is not of a batch run; move it away or choose another output folder.")
    if version > _VERSION:
        raise UsageError(f"{path} is of a later version of this program; install that one, or move the file away.")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What SQLite and stored text can go wrong with, as UsageError."""
    try:
        yield
    except sqlite3.OperationalError as error:  # full disk, no permission, held by another program
        raise UsageError(f"{path} cannot be used ({error}); make room, close what holds it and run again.") from error
    except (sqlite3.DatabaseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{path} is damaged ({error}); move it away and run again: results are known again by their records."
        ) from error
