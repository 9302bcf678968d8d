"""What is said of the labelling on show, honest after corrections too; pure functions of points and the run's words."""

from __future__ import annotations

from dataclasses import dataclass

from slicer.i18n import tr as _

from ...core.anatomy import Level
from ...core.correction.column import Column, named, points_of
from ...core.errors import CorrectionError
from ...core.labelling import Alternative, Labelling
from ..state import AlternativeInfo, ResultInfo


@dataclass(frozen=True)
class AlternativeOffer:
    """Another naming that can be applied now: its number for `Session.apply_alternative`, and words for the user."""

    index: int
    text: str


def summary_lines(column: Column, info: ResultInfo | None, is_corrected: bool) -> tuple[str, ...]:
    """First which vertebrae and how sure their level is, then what the run remarked; () without points."""
    if not column:
        return ()
    if info is None:
        return (_("{extent}, not named by this module").format(extent=extent(column)),)
    if not is_corrected:
        return (info.summary, *info.remarks)
    lines = (_("{summary}; corrected by hand").format(summary=_corrected_summary(column, info)),)
    return lines + info.remarks if is_as_written(column, info) else lines


def _corrected_summary(column: Column, info: ResultInfo) -> str:
    """As the run would say it of the points as they are now; no doubt is left where the user decided."""
    if is_level_set_by_user(column, info):
        return _("{extent}, level set by you").format(extent=extent(column))
    try:
        points = points_of(column)
    except CorrectionError:  # `problems` says why
        return extent(column)
    levels = {point.level for point in points}
    anchors = tuple(Level[name] for name in info.anchors if Level[name] in levels)
    is_certain = info.level_certain or any(point.confirmed for point in points)
    return Labelling(points, tuple(map(_core, info.alternatives)), anchors, is_certain).summary()


def extent(column: Column) -> str:
    """Such as ``T9-S2, 11 vertebrae``."""
    levels = sorted({level for level, _point in named(column)})
    ends = "-".join(dict.fromkeys((levels[0].name, levels[-1].name))) if levels else _("no level named")
    return f"{ends}, " + (_("1 vertebra") if len(column) == 1 else _("{n} vertebrae").format(n=len(column)))


def _core(info: AlternativeInfo) -> Alternative:
    levels = tuple(Level[name] if name is not None else None for name in info.levels)
    return Alternative(levels, info.shift, info.probability)


def is_as_written(column: Column, info: ResultInfo) -> bool:
    """Whether these are the points of the run, none more, none less, under the names that it gave them."""
    return _names_by_key(column) == dict(zip(info.keys, info.levels, strict=True))


def is_level_set_by_user(column: Column, info: ResultInfo) -> bool:
    """Whether the user chose another level than the run's: every point that is left of it bears another name, or all
    the names are those of an alternative.
    """
    now = _names_by_key(column)
    kept = [(now[key], name) for key, name in zip(info.keys, info.levels, strict=True) if key in now]
    all_renamed = bool(kept) and all(name_now != name for name_now, name in kept)
    return all_renamed or any(now == alternative_names(info, i) for i in range(len(info.alternatives)))


def is_level_unsure(column: Column, info: ResultInfo) -> bool:
    """Whether the whole column could still be one level off, for all that the run and the user have said."""
    is_settled = info.level_certain or any(point.locked for point in column)
    return not is_settled and not is_level_set_by_user(column, info)


def alternative_names(info: ResultInfo, index: int) -> dict[str, str]:
    """Key -> name of an alternative, without the points that it drops."""
    names = zip(info.keys, info.alternatives[index].levels, strict=True)
    return {key: name for key, name in names if name is not None}


def offers(column: Column, info: ResultInfo | None) -> tuple[AlternativeOffer, ...]:
    """The alternatives that differ from the names of now; () once points were added or deleted.

    Their own words ("1 level lower") say how they differ from the run's names; once these have changed, the range says
    what they come to.
    """
    if info is None or {point.key for point in column} != set(info.keys):
        return ()
    now, as_written = _names_by_key(column), is_as_written(column, info)
    return tuple(
        AlternativeOffer(i, other.text if as_written else _range_text(other))
        for i, other in enumerate(info.alternatives)
        if alternative_names(info, i) != now
    )


def _range_text(other: AlternativeInfo) -> str:
    names = [name for name in other.levels if name is not None]
    return f"{names[0]}-{names[-1]} ({other.probability:.0%})"


def _names_by_key(column: Column) -> dict[str, str]:
    return {point.key: point.label for point in column}
