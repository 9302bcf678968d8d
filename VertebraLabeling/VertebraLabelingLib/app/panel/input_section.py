"""Input: which CT, which part of it, which point list."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import slicer

from .widgets import quiet

if TYPE_CHECKING:
    from ..session import Session


_VOLUME = "vtkMRMLScalarVolumeNode"
_CHOSEN = "currentNodeChanged(vtkMRMLNode*)"


class InputSection:
    """Keeps the three node selectors and the session alike."""

    def __init__(self, ui: Any, session: Session):
        self._session = session
        self._receivers: list[tuple[Any, Callable[[Any], None]]] = []
        self._selectors = (
            (ui.inputSelector, "input_volume", session.set_input_volume),
            (ui.roiSelector, "roi", session.set_roi),
            (ui.pointsSelector, "points_node", session.set_points_node),
        )
        for selector, _name, choose in self._selectors:
            self._follow(selector, choose)

    def refresh(self) -> None:
        """Show what the session has."""
        for selector, name, _choose in self._selectors:
            with quiet(selector):
                selector.setCurrentNode(getattr(self._session, name))

    def choose_first_volume(self) -> None:
        """Take the first volume that the selector lists when none is chosen yet, as other modules do."""
        volumes = slicer.util.getNodesByClass(_VOLUME)
        listed = [node for node in volumes if node.GetClassName() == _VOLUME and not node.GetHideFromEditors()]
        if self._session.input_volume is None and listed:
            self._session.set_input_volume(listed[0])

    def close(self) -> None:
        """Let go of the selectors: after a reload of the module the old ones live on, hidden, and see every node."""
        for selector, receiver in self._receivers:
            selector.disconnect(_CHOSEN, receiver)
        self._receivers.clear()

    def _follow(self, selector: Any, choose: Callable[[Any], object]) -> None:
        def chosen(node: Any) -> None:
            if not slicer.mrmlScene.IsBatchProcessing():  # a scene that closes or loads empties the selectors by itself
                choose(node)

        selector.connect(_CHOSEN, chosen)
        self._receivers.append((selector, chosen))
