"""The interface every method has, so that nothing downstream knows which one ran."""

from __future__ import annotations

from typing import Protocol

from ..core.labelling import Evidence
from ..core.progress import Progress
from ..core.scan import Scan


class Method(Protocol):
    """A way to get evidence from a scan.

    name: as on the command line.
    weights_sha256: hash of each weight file in use, by its role ("corridor", "sites", ...).
    """

    name: str
    weights_sha256: dict[str, str]

    def find(self, scan: Scan, progress: Progress) -> Evidence:
        """Candidate vertebrae of a prepared scan (LPS axes, 2 mm).

        Raises NothingFoundError when no spine is in view and CancelledError from within `progress`.
        """
        ...
