"""The files of a run: checked before the work begins, written after it, all of them or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any

from .core.errors import UsageError
from .core.files import require_writable_folder
from .core.temporary import remove_abandoned, temporary_folder
from .record import record_path, record_text

if TYPE_CHECKING:
    from .core.formats.dicom_sr import DicomSource
    from .pipeline import LabelledScan

Writer = Callable[[Path], object]
"""Writes one file to the path it is given; what it returns does not matter."""


@dataclass(frozen=True)
class OutputPaths:
    """Where the results go; the run record always lies beside the markups."""

    markups: Path
    csv: Path | None = None
    verse: Path | None = None
    preview: Path | None = None
    sr: Path | None = None

    def named(self) -> dict[str, Path]:
        """The files that will be written, by what they are."""
        paths = vars(self)
        return {name: path for name, path in paths.items() if path} | {"record": record_path(self.markups)}

    def check(self, source: Path) -> None:
        """Raise UsageError unless all files can be written without touching `source` or each other."""
        _require_suffix(self.markups, "--output", ".mrk.json")
        _require_suffix(self.csv, "--csv", ".csv")
        _require_suffix(self.verse, "--verse", ".json", unlike=".mrk.json")
        _require_suffix(self.preview, "--preview", ".png")
        _require_suffix(self.sr, "--sr", ".dcm")
        if self.sr:
            _require_dicom(source)
        paths = list(self.named().values())
        _require_distinct(paths, source)
        for path in paths:
            _require_writable(path)

    def tidy(self) -> None:
        """Remove what killed runs have left behind where these files will lie."""
        for folder in {path.parent for path in self.named().values()}:
            remove_abandoned(folder)


def _require_suffix(path: Path | None, option: str, suffix: str, unlike: str | None = None) -> None:
    """UsageError unless the name ends with `suffix`, and not with `unlike`, because writers go by the name."""
    name = path.name.lower() if path else suffix
    if unlike and name.endswith(unlike):
        raise UsageError(f"{option} '{path}' must end with {suffix}, not {unlike}.")
    if not name.endswith(suffix):
        raise UsageError(f"{option} '{path}' must end with {suffix}.")


def _require_dicom(source: Path) -> None:
    """UsageError for a file that is no DICOM: a report refers to the images it is about."""
    from .core.dicom_series import is_dicom_file

    if source.is_file() and not is_dicom_file(source):
        raise UsageError(f"--sr needs DICOM input, and '{source}' is none; give the DICOM folder, or leave out --sr.")


def _require_distinct(paths: list[Path], source: Path) -> None:
    resolved = [path.resolve() for path in paths]
    if len(set(resolved)) < len(resolved):
        raise UsageError("Two outputs have the same file name; give each its own.")
    if source.resolve() in resolved:
        raise UsageError(f"The output '{source}' is the input itself; choose another name.")


def _require_writable(path: Path) -> None:
    try:
        if path.is_dir():
            raise UsageError(f"The output '{path}' is a folder; give a file name.")
        require_writable_folder(nearest_folder(path))
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        reason = error.strerror or error
        raise UsageError(f"The output '{path}' cannot be written ({reason}); choose another output place.") from error


def nearest_folder(path: Path) -> Path:
    """The closest folder above `path` that exists; missing ones below it are made when the results are written."""
    return next(folder for folder in path.absolute().parents if folder.exists())


def writers(
    outputs: OutputPaths,
    result: LabelledScan,
    record: Mapping[str, Any],
    phantom: bool = False,
    images: DicomSource | None = None,
) -> dict[Path, Writer]:
    """What writes each output file of a labelling, for `write_together`; the record, with its values of then, last.

    record: as of `run_record`.  images: those that a DICOM report refers to, needed for one.
    """
    from .core.formats import write_points

    scan, labelling = result.scan, result.labelling
    points = partial(write_points, labelling=labelling, geometry=scan.geometry)
    chosen: dict[Path, Writer] = {path: points for path in (outputs.markups, outputs.csv, outputs.verse) if path}
    if outputs.preview:
        from .preview import draw_preview

        chosen[outputs.preview] = lambda path: draw_preview(path, scan, labelling, phantom)
    if outputs.sr and images:
        from .core.formats.dicom_sr import write_sr

        chosen[outputs.sr] = lambda path: write_sr(path, labelling.points, images)
    chosen[record_path(outputs.markups)] = lambda path: path.write_text(record_text(record), encoding="utf-8")
    return chosen


def write_together(writers: Mapping[Path, Writer]) -> None:
    """Write every file to a temporary folder beside its place, then move all into place, the last one first.

    Of the files of `writers` that is the record, and the markups come last: where they lie, all else does.
    Whatever goes wrong, no file of the run appears and earlier ones stay.  Raises UsageError when the disk refuses.
    """
    try:
        with ExitStack() as stack:
            written = {target: _written(target, writer, stack) for target, writer in writers.items()}
            _move_all(written)
    except OSError as error:
        where = f" to '{error.filename}'" if error.filename else ""
        reason = error.strerror or error
        raise UsageError(f"The results cannot be written{where} ({reason}); choose another output place.") from error


def _written(target: Path, writer: Writer, stack: ExitStack) -> Path:
    """The temporary file, under its final name because writers choose the format by it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = stack.enter_context(temporary_folder(target.parent)) / target.name
    writer(temporary)
    return temporary


def _move_all(written: dict[Path, Path]) -> None:
    """Move the temporary files to their targets; when one move fails, as to a file open in Excel, undo the others."""
    undo: list[Callable[[], object]] = []
    try:
        for target, temporary in reversed(written.items()):
            earlier = temporary.with_name("earlier")
            if target.exists():
                copyfile(target, earlier)
                undo.append(partial(earlier.replace, target))
            else:
                undo.append(partial(target.unlink, missing_ok=True))
            temporary.replace(target)
    except BaseException:
        for step in reversed(undo):
            step()
        raise
