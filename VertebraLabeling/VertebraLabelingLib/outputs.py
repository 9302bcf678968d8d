"""The files of a run: checked before the work begins, written after it, all of them or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from .core.errors import UsageError
from .core.files import require_writable_folder
from .record import record_path

Writer = Callable[[Path], None]


@dataclass(frozen=True)
class OutputPaths:
    """Where the results go; the run record always lies beside the markups."""

    markups: Path
    csv: Path | None = None
    verse: Path | None = None
    preview: Path | None = None

    def named(self) -> dict[str, Path]:
        """The files that will be written, by what they are."""
        paths = {"markups": self.markups, "csv": self.csv, "verse": self.verse, "preview": self.preview}
        return {name: path for name, path in paths.items() if path} | {"record": record_path(self.markups)}

    def check(self, source: Path) -> None:
        """Raise UsageError unless all files can be written without touching `source` or each other."""
        _require_suffix(self.markups, "--output", ".mrk.json")
        _require_suffix(self.csv, "--csv", ".csv")
        _require_suffix(self.verse, "--verse", ".json", other=".mrk.json")
        _require_suffix(self.preview, "--preview", ".png")
        paths = list(self.named().values())
        resolved = [path.resolve() for path in paths]
        if len(set(resolved)) < len(resolved):
            raise UsageError("Two outputs have the same file name; give each its own.")
        if source.resolve() in resolved:
            raise UsageError(f"The output '{source}' is the input itself; choose another name.")
        for path in paths:
            if path.is_dir():
                raise UsageError(f"The output '{path}' is a folder; give a file name.")
            require_writable_folder(nearest_folder(path))


def _require_suffix(path: Path | None, option: str, suffix: str, other: str = "/") -> None:
    """UsageError unless the name ends with `suffix`, and not with `other`, because writers go by the name."""
    name = path.name.lower() if path else suffix
    if not name.endswith(suffix) or name.endswith(other):
        raise UsageError(f"{option} '{path}' must end with {suffix}{f', not {other}' if name.endswith(other) else ''}.")


def nearest_folder(path: Path) -> Path:
    """The closest folder above `path` that exists; missing ones below it are made when the results are written."""
    return next(folder for folder in path.absolute().parents if folder.exists())


def write_together(writers: Mapping[Path, Writer]) -> None:
    """Write every file to a temporary folder beside its place, then move all into place.

    Whatever goes wrong while writing, no file of the run appears.  Raises UsageError when the disk refuses.
    """
    try:
        with ExitStack() as stack:
            written = {target: _written(target, writer, stack) for target, writer in writers.items()}
            for target, temporary in written.items():
                temporary.replace(target)
    except OSError as error:
        raise UsageError(f"The results cannot be written: {error.strerror or error} ({error.filename}).") from error


def _written(target: Path, writer: Writer, stack: ExitStack) -> Path:
    """The temporary file, under its final name because writers choose the format by it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = stack.enter_context(TemporaryDirectory(prefix=".vertebra-labeling-", dir=target.parent))
    temporary = Path(folder) / target.name
    writer(temporary)
    return temporary
