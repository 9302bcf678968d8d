"""The DICOM series that a CT came from, to which a report of its points refers."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import InputError, VertebraLabelingError

if TYPE_CHECKING:
    from ..core.formats.dicom_sr import DicomSource


@dataclass(frozen=True)
class Series:
    """Headers of its slices, kept because the files of an upload are gone once they are read.

    refusal: why no report can refer to it, a sentence; "" when one can.
    """

    headers: DicomSource | None
    refusal: str = ""

    def source(self) -> DicomSource:
        """What the writer of reports asks for; InputError where there can be no report."""
        if self.headers is None:
            raise InputError(self.refusal)
        return self.headers


def read_series(path: Path, name: str) -> Series | None:
    """The series in a folder or a multi-frame file; None for a CT that is no DICOM.  For any thread, never raises.

    name: how the user knows the path, which stands in no refusal.
    """
    from ..core.formats.dicom_sr import read_source

    if not _is_dicom(path):
        return None
    try:
        return Series(read_source(path))
    except VertebraLabelingError as error:
        return Series(None, str(error).replace(str(path), name))
    except Exception:  # of whatever kind, it must not keep the CT from being shown
        logging.exception("the headers of a DICOM series could not be read")
        return Series(None, "The headers of the DICOM series are damaged, so no DICOM report can refer to it.")


def _is_dicom(path: Path) -> bool:
    from ..core.dicom_series import is_dicom_file

    try:
        return path.is_dir() or is_dicom_file(path)
    except OSError:  # of which the reader of the CT tells
        return False
