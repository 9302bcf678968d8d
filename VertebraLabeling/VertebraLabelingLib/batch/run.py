"""A batch run: find the scans, have those worked on that are not done yet, keep every result at once."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..console import cancellable
from ..core.errors import CancelledError, UsageError, VertebraLabelingError
from ..core.progress import Progress, silent
from ..core.temporary import remove_abandoned
from ..options import Labeller
from .alone import work_alone
from .desk import Desk
from .discover import Entry, discover
from .lock import only_run
from .manifest import opened
from .report import reporter
from .standings import Standings
from .state import settings_id
from .task import Job, LabellerLike

if TYPE_CHECKING:
    from ..record import Recipe


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
    with reporter(args) as says, cancellable(silent, args.cancel_file) as check:
        says.progress("looking for scans", 0.0)
        entries = _found(root, output, args.exclude)
        _make_folder(output)
        with only_run(output) as run, opened(output) as manifest:
            standings = Standings(output, entries)
            job = _job(args, labellers, run)
            _run(args, labellers, Desk(job, manifest, standings, says, check), standings)


def _job(args: argparse.Namespace, labellers: Labellers, run: str) -> Job:
    names = tuple(name for name in ("csv", "preview") if getattr(args, name))
    settings = settings_id(labellers.recipe(args))
    return Job(args.input.absolute(), args.output.absolute(), settings, names, args.retry_failed, args.debug, run)


def _run(args: argparse.Namespace, labellers: Labellers, desk: Desk, standings: Standings) -> None:
    """The run proper, under the lock; whatever ends it, the summary is written."""
    says, folders = desk.says, _folders(desk.job, standings)
    try:
        _remove_leftovers(folders)
        if desk.plan(args.limit):
            _work(args, labellers, desk)
    except (CancelledError, KeyboardInterrupt):
        desk.release()
        standings.write_if_possible()
        says.result(standings.values(says.pace.done, cancelled=True))
        raise CancelledError(
            f"Cancelled after {says.pace.done} of {says.pace.count} scans; run the same command again to go on."
        ) from None
    except BaseException:
        desk.release()
        standings.write_if_possible()
        raise
    finally:
        _remove_leftovers(folders)  # of workers that were killed
    standings.write(is_over=True)
    says.result(standings.values(says.pace.done, cancelled=False))
    _require_all_done(standings)


def _work(args: argparse.Namespace, labellers: Labellers, desk: Desk) -> None:
    """Have the scans worked on by whom the options ask for."""
    if args.scheduler:
        from .cluster import work_on_cluster

        work_on_cluster(desk, args, labellers)
    elif args.workers > 1 or args.scan_timeout:  # only a process of its own can be ended
        from .pool import work_in_pool

        work_in_pool(desk, args, labellers, args.workers)
    else:
        work_alone(desk, labellers.load(args, desk.progress))


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


def _folders(job: Job, standings: Standings) -> set[Path]:
    """Where this program writes."""
    return {job.output, *(job.outputs(outcome.entry).markups.parent for outcome in standings)}


def _remove_leftovers(folders: Iterable[Path]) -> None:
    """Remove what killed runs have left behind; a `label` that writes here meanwhile is not disturbed."""
    for folder in folders:
        remove_abandoned(folder)


def _require_all_done(standings: Standings) -> None:
    """SomeFailedError when scans failed, in this run or an earlier one."""
    failed = sum(outcome.state == "failed" for outcome in standings)
    if failed:
        raise SomeFailedError(
            f"{failed} of {len(list(standings))} scans failed; {standings.page_path} says why, all others are kept."
        )
