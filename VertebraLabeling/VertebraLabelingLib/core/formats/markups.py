"""3D Slicer's markups file (.mrk.json): a fiducial list, as `vtkMRMLMarkupsJsonStorageNode` writes it.

Keys, their order and the default values were compared with files written by slicer-core 5.12 and 5.13.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..anatomy import Level
from ..errors import InputError
from ..files import atomic_write
from ..labelling import LabelledPoint
from .common import description_of, in_order, load_json, parse_description, parse_levels, position, quoted

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.4.json#"
)
SURE_COLOUR = (0.35, 0.78, 0.98)
UNCERTAIN_COLOUR = (1.0, 0.6, 0.1)
"""Uncertain points are written unselected, and Slicer draws those in this colour."""

_SCHEMA_PATTERN = re.compile(r"markups-schema-v1\.[0-9]+\.[0-9]+\.json#*$")
_TO_LPS = {"LPS": (1, 1, 1), "RAS": (-1, -1, 1)}
_ORIENTATION = [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0]


def write(path: Path, points: Sequence[LabelledPoint]) -> None:
    """One control point per vertebra, LPS mm; probability and remark become the description ``p=0.97; remark``.

    Confirmed points are locked ones.
    """
    markup = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "fixedNumberOfControlPoints": False,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": len(points),
        "controlPoints": [_control_point(number, point) for number, point in enumerate(points, start=1)],
        "measurements": [],
        "display": _display(),
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps({"@schema": SCHEMA, "markups": [markup]}, indent=4) + "\n", encoding="utf-8")


def _control_point(number: int, point: LabelledPoint) -> dict[str, Any]:
    return {
        "id": str(number),
        "label": point.level.name,
        "description": description_of(point),
        "associatedNodeID": "",
        "position": [float(value) for value in point.position_lps_mm],
        "orientation": _ORIENTATION,
        "selected": not point.is_uncertain,
        "locked": point.confirmed,
        "visibility": True,
        "positionStatus": "defined",
    }


def _display() -> dict[str, Any]:
    """Slicer's defaults, but for points inside bone: not snapped to a surface, and seen from neighbouring slices.

    Slicer's format has no key for the visibility of occluded points; the module sets it on the display node.
    """
    return {
        "visibility": True,
        "opacity": 1.0,
        "color": UNCERTAIN_COLOUR,
        "selectedColor": SURE_COLOUR,
        "activeColor": (0.4, 1.0, 0.0),
        "propertiesLabelVisibility": False,
        "pointLabelsVisibility": True,
        "textScale": 3.0,
        "glyphType": "Sphere3D",
        "glyphScale": 3.0,
        "glyphSize": 5.0,
        "useGlyphScale": True,
        "sliceProjection": True,
        "sliceProjectionUseFiducialColor": False,
        "sliceProjectionOutlinedBehindSlicePlane": False,
        "sliceProjectionColor": (1.0, 1.0, 1.0),
        "sliceProjectionOpacity": 0.6,
        "lineThickness": 0.2,
        "lineColorFadingStart": 1.0,
        "lineColorFadingEnd": 10.0,
        "lineColorFadingSaturation": 1.0,
        "lineColorFadingHueOffset": 0.0,
        "handlesInteractive": False,
        "translationHandleVisibility": True,
        "rotationHandleVisibility": True,
        "scaleHandleVisibility": False,
        "interactionHandleScale": 3.0,
        "snapMode": "unconstrained",
    }


def read(path: Path) -> tuple[LabelledPoint, ...]:
    """Points of the fiducial lists of a file of any schema 1.x, LPS or RAS, in LPS mm and cranio-caudal.

    Points that were never placed are skipped.  InputError for another file, and for points whose label is no level.
    """
    content = load_json(path)
    try:
        if not _SCHEMA_PATTERN.search(content["@schema"]):
            raise InputError(
                f"{path} follows {quoted(content['@schema'])}, not version 1 of Slicer's markups format; "
                "save it again there."
            )
        pairs = [
            (control, markup.get("coordinateSystem", "LPS"))
            for markup in content["markups"]
            if markup["type"] == "Fiducial"
            for control in markup.get("controlPoints", [])
            if control.get("positionStatus", "defined") == "defined"
        ]
        if content["markups"] and not any(markup["type"] == "Fiducial" for markup in content["markups"]):
            raise InputError(f"{path} holds no point list (type Fiducial); give the points of the vertebrae.")
        labels = [control.get("label", "") for control, _ in pairs]
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a markups file of 3D Slicer; give a .mrk.json with a point list.") from error
    levels = parse_levels(labels, path)
    return in_order((_point(level, *pair, path) for level, pair in zip(levels, pairs, strict=True)), path)


def _point(level: Level, control: dict[str, Any], system: object, path: Path) -> LabelledPoint:
    if str(system) not in _TO_LPS:
        raise InputError(f"{path} has the unknown coordinate system {quoted(system)}; LPS or RAS is needed.")
    signs = _TO_LPS[str(system)]
    place = position(control.get("position", ()), path, level.name)
    x, y, z = (sign * value for sign, value in zip(signs, place, strict=True))
    probability, remark = parse_description(str(control.get("description", "")))
    return LabelledPoint(level, (x, y, z), probability, remark, confirmed=control.get("locked") is True)
