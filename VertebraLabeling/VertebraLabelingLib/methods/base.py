"""The interface every method has, so that nothing downstream knows which one ran."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from ..core.errors import ModelError
from ..core.labelling import Evidence
from ..core.progress import Progress
from ..core.scan import Scan

if TYPE_CHECKING:
    from ..engines.weights import Weights


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


@contextmanager
def fitting(weights: Weights) -> Iterator[None]:
    """While a network is rebuilt from `weights`: whatever does not fit becomes a ModelError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"Weights '{weights.path}' do not fit this version ({reason}); choose another file."
        ) from error
