"""The points on show as files, for people and programs outside of Slicer.

All positions are written in the CT's own coordinates (LPS mm), that is in the local coordinates of the points node.  A
transform above the CT and its points places both in Slicer's world and is not part of the CT's file either; so the
exported points fit the CT's file, and with `TRANSFORM_NOTE` the panel says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from ..core.errors import InputError, UsageError
from .volume import geometry_of, refusal

if TYPE_CHECKING:
    from ..core.correction.column import Column
    from ..core.formats.dicom_sr import DicomSource

MARKUPS, TABLE, VERSE, REPORT = ".mrk.json", ".csv", "_ctd.json", ".dcm"
SUFFIXES = (
    (MARKUPS, _("Slicer markups")),
    (TABLE, _("Table")),
    (VERSE, _("VerSe centroids")),
    (REPORT, _("DICOM structured report")),
)
"""How a file name may end, and what that format is."""

TIPS = {
    MARKUPS: _("Slicer markups: loads again by drag and drop."),
    TABLE: _("Table with level, position (LPS, mm) and probability."),
    VERSE: _("Centroid file of the VerSe data sets."),
    REPORT: _("DICOM structured report (TID 1500); only for a CT loaded from DICOM."),
}
"""What a front says of each format."""

TRANSFORM_NOTE = _("Positions are written in the CT's own coordinates, without the transform it is under in Slicer.")

_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\\/:*?"<>|]')
"""Windows refuses them in file names; volumes from DICOM are called such as "4: Thorax"."""
_ACQUISITION = "acquisition transform"
"""What Slicer's DICOM reader calls the transform with which it straightens a tilted or uneven series."""


def file_name(name: str) -> str:
    """The name of a node as a part of a file name."""
    return _NOT_IN_NAMES.sub("_", name)


def export(path: Path, column: Column, volume_node, source: Callable[[], DicomSource] | None = None) -> None:
    """Write all points in the format that the end of the name says (`SUFFIXES`), whole or not at all.

    volume_node: the CT of the points, None when it is gone; VerSe needs its grid, a DICOM report its series.
    source(): that series, by default `dicom_source` of the volume.
    CorrectionError for points whose names are no levels or occur twice; UsageError for another name, without a CT that
    the format needs, or when the file cannot be written; InputError when the CT's DICOM series cannot be used.
    """
    from ..core.correction.column import points_of

    path = Path(path)
    if not path.name.lower().endswith(tuple(suffix for suffix, _text in SUFFIXES)):
        endings = ", ".join(suffix for suffix, _text in SUFFIXES)
        raise UsageError(_("'{name}' has no known ending; use {endings}.").format(name=path.name, endings=endings))
    if not column:
        raise UsageError(_("There are no points to export; label a CT first."))
    points = points_of(column)
    if path.name.lower().endswith(REPORT):
        from ..core.formats.dicom_sr import write_sr

        write_sr(path, points, source() if source is not None else dicom_source(volume_node))
        return
    from ..core.formats import write_points
    from ..core.labelling import Labelling

    geometry = _geometry(volume_node) if path.name.lower().endswith(VERSE) else None
    write_points(path, Labelling(points), geometry)


def _geometry(volume_node):
    reason = refusal(volume_node)
    if reason:
        raise UsageError(_("VerSe files count in voxels of the CT. {reason}").format(reason=reason))
    return geometry_of(volume_node)


def dicom_source(volume_node) -> DicomSource:
    """The DICOM series from which a volume was loaded, found in Slicer's DICOM database.

    InputError when there is none, when its files are gone, or when Slicer had to straighten it, so that the volume's
    own coordinates are not those of the series.
    """
    from ..core.formats.dicom_sr import read_source

    uids = (volume_node.GetAttribute("DICOM.instanceUIDs") or "").split() if volume_node is not None else []
    if not uids:
        raise InputError(
            _("The CT was not loaded from DICOM, to which a DICOM report must refer; load its DICOM series instead.")
        )
    transform = volume_node.GetParentTransformNode()
    if transform is not None and _ACQUISITION in transform.GetName().lower():
        raise InputError(
            _("The CT has slices that Slicer had to straighten; its positions fit no DICOM report. Use .mrk.json.")
        )
    return read_source([Path(file) for file in _files(uids)])


def _files(uids: list[str]) -> list[str]:
    database = getattr(slicer, "dicomDatabase", None)
    files = [database.fileForInstance(uid) for uid in uids] if database is not None else []
    if not files or not all(files):
        raise InputError(
            _("The DICOM files of the CT are no longer in Slicer's DICOM database; import the series again.")
        )
    return files
