"""Several methods on the same scan, one after the other, and what they find together."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.errors import NothingFoundError
from ...core.labelling import Evidence
from ...core.progress import Progress, part
from ...core.scan import Scan
from ..base import Method
from .fusing import fuse
from .measured import TRUST


class Ensemble:
    """Takes as long as its members together; they may share a corridor, which then finds the spine once.

    members: at least one, each known to `measured.TRUST` by its name.
    """

    name = "ensemble"

    def __init__(self, members: Sequence[Method]) -> None:
        self._members = tuple(members)
        self.weights_sha256 = {role: digest for member in members for role, digest in member.weights_sha256.items()}

    def find(self, scan: Scan, progress: Progress) -> Evidence:
        """What the members find, fused; see `Method.find`.  NothingFoundError only when every member raises it."""
        found: dict[str, Evidence] = {}
        failures: list[NothingFoundError] = []
        for n, member in enumerate(self._members):
            share = part(progress, n / len(self._members), (n + 1) / len(self._members))
            try:
                found[member.name] = member.find(scan, share)
            except NothingFoundError as failure:
                failures.append(failure)
                found[member.name] = Evidence.nothing()
        if len(failures) == len(self._members):
            raise failures[0]
        return fuse(found, TRUST, scan.geometry)
