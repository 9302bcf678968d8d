"""What the module keeps in the scene, behind typed accessors; the only place that knows the names.

The choices live in one plain vtkMRMLScriptedModuleNode, what a run said about its points in an attribute of the points
node (several labellings may stand in one scene).  Both are saved with the scene.  Facts of the machine (device, engine,
model file) are no matter of the scene and are kept in the application's settings instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..methods.registry import DEFAULT_METHOD, METHODS

TAG = "VertebraLabeling"
RESULT = "VertebraLabeling.Result"
_REFINE = {"true": True, "false": False}


@dataclass(frozen=True)
class AlternativeInfo:
    """Another naming: levels[i] is the name of the i-th written point, None drops it; shift: levels down (+) or up."""

    levels: tuple[str | None, ...]
    shift: int
    probability: float
    text: str


@dataclass(frozen=True)
class ResultInfo:
    """What a run said about its points as a whole.

    summary: one line.  level_certain: False when the whole column could be one level off.  anchors: names of the levels
    in view that fix the counting.  remarks: sentences.  keys: ids of the control points as written, in the order of
    each alternative's `levels`.  levels: their names as written.
    """

    summary: str
    level_certain: bool = True
    anchors: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    alternatives: tuple[AlternativeInfo, ...] = ()
    weights_sha256: Mapping[str, str] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()

    @classmethod
    def from_event(cls, event: Mapping[str, Any], keys: Sequence[str]) -> ResultInfo:
        """From the `result` event of the child process (record.labelling_values) and the ids of the written points."""
        return cls(
            summary=event["summary"],
            level_certain=event["level_certain"],
            anchors=tuple(event["anchors"]),
            remarks=tuple(event["remarks"]),
            alternatives=tuple(_offered(values) for values in event["alternatives"]),
            weights_sha256=dict(event.get("weights_sha256", {})),
            keys=tuple(keys),
            levels=tuple(point["level"] for point in event["points"]),
        )

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> ResultInfo:
        """Inverse of `dataclasses.asdict` after a round trip through JSON, which makes lists of tuples."""
        alternatives = tuple(
            AlternativeInfo(tuple(other["levels"]), other["shift"], other["probability"], other["text"])
            for other in values["alternatives"]
        )
        tuples = {name: tuple(values[name]) for name in ("anchors", "remarks", "keys", "levels")}
        return cls(**{**values, **tuples, "alternatives": alternatives})


def _offered(values: Mapping[str, Any]) -> AlternativeInfo:
    from ..core.anatomy import Level
    from ..core.labelling import Alternative

    names = tuple(values["levels"])
    levels = tuple(Level.parse(name) if name is not None else None for name in names)
    shift, probability = values["shift"], values["probability"]
    return AlternativeInfo(names, shift, probability, Alternative(levels, shift, probability).describe())


def result_of(points_node) -> ResultInfo | None:
    """What the run that wrote these points said; None for points that no run (of this version) wrote."""
    text = points_node.GetAttribute(RESULT)
    if not text:
        return None
    try:
        return ResultInfo.from_values(json.loads(text))
    except (ValueError, TypeError, KeyError):
        # a scene saved by another version of this module
        return None


def set_result(points_node, info: ResultInfo | None) -> None:
    """Keep what the run said with its points; None forgets it."""
    if info is None:
        points_node.RemoveAttribute(RESULT)
    else:
        points_node.SetAttribute(RESULT, json.dumps(asdict(info)))


def _reference(role: str, doc: str) -> property:
    """A property that is the node referenced from the module's node in a role."""

    def get(state: ModuleState):
        return state.node.GetNodeReference(role)

    def put(state: ModuleState, node) -> None:
        state.node.SetNodeReferenceID(role, node.GetID() if node is not None else None)

    return property(get, put, doc=doc)


class ModuleState:
    """The module's choices in one scene; reads and writes the node at once and keeps nothing itself.

    The node is the one that Slicer's own `ScriptedLoadableModuleLogic.getParameterNode` would find.  It is looked up
    each time, because closing the scene may take it away.  Whatever is absent or unknown reads as its default.
    """

    def __init__(self, scene):
        self._scene = scene

    @property
    def node(self):
        """The vtkMRMLScriptedModuleNode; made when the scene has none."""
        node = self._scene.GetSingletonNode(TAG, "vtkMRMLScriptedModuleNode")
        return node if node is not None else self._new_node()

    def _new_node(self):
        node = self._scene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        node.SetSingletonTag(TAG)
        node.SetModuleName(TAG)
        node.SetAttribute("ModuleName", TAG)
        node.SetName(self._scene.GenerateUniqueName(TAG))
        return self._scene.AddNode(node)

    input_volume = _reference("InputVolume", "The volume to label, or None.")
    roi = _reference("ROI", "The ROI that limits the search, or None for the whole volume.")
    points = _reference(
        "Points", "The points node that is shown and corrected, or None for a new one with the next run."
    )
    curve = _reference("Curve", "The spine curve through the points, or None.")

    @property
    def method(self) -> str:
        """Name of the method, one of `METHODS`."""
        name = self.node.GetParameter("Method")
        return name if name in METHODS else DEFAULT_METHOD

    @method.setter
    def method(self, name: str) -> None:
        self.node.SetParameter("Method", name)

    @property
    def refine(self) -> bool | None:
        """Whether the local refinement follows; None: as the method does by default."""
        return _REFINE.get(self.node.GetParameter("Refine"))

    @refine.setter
    def refine(self, chosen: bool | None) -> None:
        self.node.SetParameter("Refine", "" if chosen is None else str(chosen).lower())
