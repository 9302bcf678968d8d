"""Reading the next scan while the networks are busy with the one before."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from ..core.progress import Progress, silent
from .discover import Entry
from .task import read_entry

if TYPE_CHECKING:
    from ..core.scan import Scan

_LOOK_EVERY_S = 0.1


class ReadAhead:
    """Reads one scan after the other on a thread of its own; `read` is the `Read` of a task."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        self._read: dict[Entry, Future[Scan]] = {}

    def begin(self, entry: Entry) -> None:
        """Begin to read a scan that will be asked for, after those that were begun before."""
        if entry not in self._read:
            self._read[entry] = self._thread.submit(read_entry, entry, silent)

    def read(self, entry: Entry, progress: Progress) -> Scan:
        """The scan, as soon as it is there; errors as `read_scan`, and what `progress` raises to stop the run."""
        self.begin(entry)
        future = self._read.pop(entry)
        progress("reading", 0.0)
        while not wait([future], _LOOK_EVERY_S).done:
            progress("reading", 0.0)
        return future.result()

    def close(self) -> None:
        """Forget what was read; a scan that is being read is read to its end, for nobody."""
        self._read.clear()
        self._thread.shutdown(wait=False, cancel_futures=True)
