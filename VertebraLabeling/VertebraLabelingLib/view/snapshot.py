"""What the page shows, as plain values for JSON; pure functions of the workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..app import point_words
from ..app.exporting import TIPS
from ..app.session.edited_points import listed
from ..app.tools import ANOMALY_TIP, anomaly_texts, level_names
from ..app.volume import geometry_of
from ..app.volume import refusal as refused
from ..core.anatomy import REGION_COLOURS
from ..methods.registry import METHODS, refusal
from .files import SUFFIXES
from .layout import COLOURS, EDGES, css
from .uploads import MOST_FILES

if TYPE_CHECKING:
    from ..core.correction.column import ColumnPoint
    from .workspace import Workspace


def snapshot(workspace: Workspace) -> dict[str, Any]:
    """The whole page but the pictures in its views."""
    session = workspace.session
    return {
        "ct": _ct(session.input_volume),
        "opening": workspace.opening_name,
        "receiving": workspace.is_receiving,
        "message": {"text": workspace.message, "kind": workspace.message_kind, "number": workspace.messages_told},
        "question": workspace.questions.text,
        "question_number": workspace.questions.number,
        "running": session.is_running,
        "stopping": session.stopping,
        "fraction": round(session.fraction, 3),
        "progress": point_words.progress(session.stage, session.seconds_left),
        "refusal": session.refusal,
        "method": session.options.method,
        "summary": list(session.summary_lines),
        "is_level_unsure": session.is_level_unsure,
        "alternatives": [{"index": offer.index, "text": offer.text} for offer in session.alternatives],
        "problems": [*session.problems, *_outside(workspace)],
        "points": _points(workspace),
        "selected": session.selected,
        "can_undo": session.can_undo,
        "can_redo": session.can_redo,
        "tools": _tools(workspace),
        "name": workspace.files.proposed_name,
        "kinds": [
            {"name": kind, "ending": SUFFIXES[kind], "tip": TIPS[SUFFIXES[kind]]} for kind in workspace.files.kinds
        ],
        "unsaved": workspace.files.has_unsaved_corrections,
    }


def constants(workspace: Workspace, upload_limit_mb: int) -> dict[str, Any]:
    """What does not change while the viewer runs."""
    return {
        "methods": [{"name": name, "text": text, "refusal": refusal(name, "onnx")} for name, text in METHODS.items()],
        "levels": level_names(),
        "anomalies": [{"name": anomaly.name, "text": text} for anomaly, text in anomaly_texts().items()],
        "folder": str(workspace.folder.root),
        "upload_limit_mb": upload_limit_mb,
        "most_files": MOST_FILES,
        "edges": EDGES,
        "colours": _colours(),
    }


def _colours() -> dict[str, str]:
    """CSS variables: "--region-L" of regions of the spine, "--view-axial" of views."""
    regions = {f"--region-{region.value}": css(colour) for region, colour in REGION_COLOURS.items()}
    return regions | {f"--view-{name}": css(colour) for name, colour in COLOURS.items()}


def _ct(volume_node: Any) -> dict[str, Any] | None:
    if volume_node is None or volume_node.GetImageData() is None:
        return None
    return {
        "name": volume_node.GetName(),
        "size_ijk": list(volume_node.GetImageData().GetDimensions()),
        "spacing_mm": [round(mm, 3) for mm in volume_node.GetSpacing()],
    }


def _outside(workspace: Workspace) -> list[str]:
    """A sentence on points that were dragged out of the CT, or belong to another one."""
    session = workspace.session
    if refused(session.input_volume):
        return []
    contains = geometry_of(session.input_volume).contains_lps
    away = [point.label for point in session.column if not contains(point.position_lps_mm)]
    if len(away) > 1:
        return [f"{listed(away)} lie outside of the CT; do they belong to another one?"]
    return [f"{label} lies outside of the CT; drag it back, undo, or delete it." for label in away]


def _tools(workspace: Workspace) -> dict[str, Any]:
    tools = {name: workspace.tools[name] for name in workspace.tools.names}
    shown = {name: {"tip": tool.tip(), "refusal": tool.refusal()} for name, tool in tools.items()}
    return shown | {"anomaly": {"tip": ANOMALY_TIP, "refusal": workspace.tools.no_points()}}


def _points(workspace: Workspace) -> list[dict[str, Any]]:
    session, rows = workspace.session, workspace.rows
    gaps_mm = point_words.gaps_mm(session.column, session.segment_lengths_mm)
    return [
        _point(point, gap_mm) | {"is_selected": row in rows}
        for row, (point, gap_mm) in enumerate(zip(session.column, gaps_mm, strict=True))
    ]


def _point(point: ColumnPoint, gap_mm: float | None) -> dict[str, Any]:
    return {
        "key": point.key,
        "name": point.label,
        "position_lps_mm": [round(mm, 2) for mm in point.position_lps_mm],
        "certainty": point_words.certainty(point),
        "gap": "" if gap_mm is None else f"{gap_mm:.0f} mm",
        "locked": point.locked,
        "is_doubtful": point_words.is_doubtful(point),
        "remark": point_words.remark(point),
        "region": point.level.region.value if point.level is not None else "",
    }
