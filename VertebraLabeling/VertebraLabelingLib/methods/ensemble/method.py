"""Several methods on the same scan, one after the other, and what they find together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ...core.errors import NothingFoundError, UsageError
from ...core.labelling import Evidence
from ...core.progress import Progress, part
from ...core.scan import Scan
from ..base import Method
from .fusing import fuse
from .measured import TRUSTS
from .trust import Trust

_UNMEASURED = (
    "The ensemble leaves out the method '{name}', of which nobody has measured how far it is right; "
    "'python -m training calibrate --method ensemble' does."
)


class Ensemble:
    """Takes as long as its members together; they may share a corridor, which then finds the spine once.

    members: those unknown to `measured.TRUSTS` are left out, and the evidence says so; UsageError when none is known.
    """

    name = "ensemble"

    def __init__(self, members: Sequence[Method]) -> None:
        self._members = tuple(member for member in members if member.name in TRUSTS[0])
        self._notes = tuple(_UNMEASURED.format(name=m.name) for m in members if m not in self._members)
        if not self._members:
            raise UsageError(" ".join(self._notes) or "The ensemble needs a member.")
        hashes = [member.weights_sha256 for member in self._members]
        self.weights_sha256 = {role: digest for each in hashes for role, digest in each.items()}

    def variant(self, members: Sequence[str]) -> Ensemble:
        """Only these of its members, by their names; UsageError for one that it does not have."""
        own = {member.name: member for member in self._members}
        if unknown := [name for name in members if name not in own]:
            raise UsageError(f"The ensemble has no member '{unknown[0]}'; use some of: {', '.join(own)}.")
        return Ensemble([own[name] for name in members])

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
        return replace(fuse(found, trust_in(found), scan.geometry), notes=self._notes)


def trust_in(members: Iterable[str]) -> Mapping[str, Trust]:
    """What was measured with just these members, else what was measured with all: who is there decides who leads."""
    names = set(members)
    return next((trust for trust in TRUSTS if trust.keys() == names), TRUSTS[0])
