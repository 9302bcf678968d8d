"""A batch run: find the scans, load the networks once, label what is not done yet, keep every result at once."""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..console import cancellable
from ..core.errors import CancelledError, UsageError, VertebraLabelingError
from ..core.progress import Progress
from ..options import Labeller
from .discover import Entry, discover
from .lock import only_run
from .report import Reporter, reporter
from .standings import Standings
from .state import settings_id
from .task import Job, LabellerLike, standing, work

if TYPE_CHECKING:
    from ..record import Recipe

_LEFTOVER = re.compile(r"\.vertebra-labeling-.+|\.[0-9a-f]{32}\..+")
"""Temporary folders of `write_together` and files of `atomic_write`, which a killed run leaves behind."""


class Labellers(Protocol):
    """Gives the labeller that checked options ask for."""

    def recipe(self, args: argparse.Namespace) -> Recipe:
        """What its labellings depend on, told without loading a network."""
        ...

    def load(self, args: argparse.Namespace, progress: Progress) -> LabellerLike:
        """The labeller with its networks in memory."""
        ...


class SomeFailedError(VertebraLabelingError):
    """Some scans failed; all others are done."""

    exit_code = 7


def run_batch(args: argparse.Namespace, labellers: Labellers = Labeller) -> None:
    """Label all scans below ``args.input``.

    Raises UsageError when nothing is found, the output cannot be written or another run writes to it, ModelError when
    the networks cannot be loaded, CancelledError with everything kept that is done, and SomeFailedError at the end when
    scans failed.
    """
    root, output = args.input.absolute(), args.output.absolute()
    _require_folder(root)
    with reporter(args) as says, cancellable(says.progress, args.cancel_file) as progress:
        progress("looking for scans", 0.0)
        entries = _found(root, output, args.exclude)
        _make_folder(output)
        with only_run(output):
            standings = Standings(output, entries)
            _run(args, labellers, standings, says, progress)


def _run(
    args: argparse.Namespace, labellers: Labellers, standings: Standings, says: Reporter, progress: Progress
) -> None:
    """The run proper, under the lock; whatever ends it, the summary is written."""
    try:
        names = tuple(name for name in ("csv", "preview") if getattr(args, name))
        settings = settings_id(labellers.recipe(args))
        job = Job(args.input.absolute(), args.output.absolute(), settings, names, args.retry_failed, args.debug)
        todo = _plan(job, standings, progress)[: args.limit]
        if todo:
            _work(todo, job, labellers.load(args, progress), standings, says, progress)
    except (CancelledError, KeyboardInterrupt):
        standings.write_if_possible()
        says.result(standings.values(says.pace.done, cancelled=True))
        raise CancelledError(
            f"Cancelled after {says.pace.done} of {says.pace.count} scans; run the same command again to go on."
        ) from None
    except BaseException:
        standings.write_if_possible()
        raise
    standings.write(is_over=True)
    says.result(standings.values(says.pace.done, cancelled=False))
    _require_all_done(standings)


def _plan(job: Job, standings: Standings, progress: Progress) -> list[Entry]:
    """The scans to label, in order; how the others stand is known now."""
    for outcome in standings:
        progress("looking what is done", 0.0)
        standings.set(standing(outcome.entry, job))
    _remove_leftovers({job.output, *(job.outputs(outcome.entry).markups.parent for outcome in standings)})
    return [outcome.entry for outcome in standings if outcome.state == "waiting"]


def _work(
    todo: Sequence[Entry], job: Job, labeller: LabellerLike, standings: Standings, says: Reporter, progress: Progress
) -> None:
    """Label the scans one by one, except those whose place has changed since they were planned."""
    says.start(len(todo))
    for entry in todo:
        standings.write_if_due()
        says.scan_started(entry.relative)
        outcome = standing(entry, job)
        if outcome.state == "waiting":
            outcome = work(entry, job, labeller, progress)
        standings.set(outcome)
        says.scan_ended(outcome)


def _require_folder(root: Path) -> None:
    try:
        if root.is_file():
            raise UsageError(f"--input {root} is a file; give a folder, or use 'vertebra-labeling label' for one scan.")
        if not root.is_dir():
            raise UsageError(f"--input {root} does not exist; check the path.")
    except OSError as error:  # below a folder that may not be entered
        reason = error.strerror or error
        raise UsageError(f"--input {root} cannot be opened ({reason}); check path and permissions.") from error


def _found(root: Path, output: Path, exclude: list[str]) -> tuple[Entry, ...]:
    entries = discover(root, output, exclude)
    if not entries:
        raise UsageError(f"No CT was found below {root}; give a folder with NIfTI, NRRD, MetaImage or DICOM files.")
    return entries


def _make_folder(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"The output folder {output} cannot be made ({reason}); choose another one.") from error


def _remove_leftovers(folders: Iterable[Path]) -> None:
    """Remove what earlier runs could not, because they were killed; under the lock nobody else writes here."""
    for folder in folders:
        for path in folder.iterdir() if folder.is_dir() else ():
            if not _LEFTOVER.fullmatch(path.name):
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _require_all_done(standings: Standings) -> None:
    """SomeFailedError when scans failed, in this run or an earlier one."""
    failed = sum(outcome.state == "failed" for outcome in standings)
    if failed:
        raise SomeFailedError(
            f"{failed} of {len(list(standings))} scans failed; {standings.page_path} says why, all others are kept."
        )
