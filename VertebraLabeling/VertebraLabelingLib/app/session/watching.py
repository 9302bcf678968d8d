"""What happens to the scene itself: it closes, loads, loses a node, or someone changes the module's choices."""

from __future__ import annotations

import vtk

from ..signal import Signal
from .observers import Observers


class SceneWatch:
    """closing(): the scene is about to be emptied.  settled(): it has been closed, loaded or restored, or has lost a
    node, or the node with the module's choices has changed; never while the scene is busy with any of this.
    """

    def __init__(self, scene) -> None:
        self.closing, self.settled = Signal(), Signal()
        self._scene = scene
        self._state_node = None
        self._of_scene, self._of_state = Observers(), Observers()
        self._of_scene.add(scene, scene.StartCloseEvent, self._on_closing)
        for event in (scene.EndBatchProcessEvent, scene.NodeRemovedEvent):
            self._of_scene.add(scene, event, self._on_settled)

    def follow(self, node) -> None:
        """Observe this node with the module's choices; after a scene was closed it may be another one."""
        if node is self._state_node:
            return
        self._of_state.remove_all()
        self._state_node = node
        references = (node.ReferenceAddedEvent, node.ReferenceModifiedEvent, node.ReferenceRemovedEvent)
        for event in (vtk.vtkCommand.ModifiedEvent, *references):
            self._of_state.add(node, event, self._on_settled)

    def close(self) -> None:
        """Hear nothing more."""
        self._of_scene.remove_all()
        self._of_state.remove_all()

    def _on_closing(self, _scene, _event) -> None:
        self.closing.emit()

    def _on_settled(self, _caller, _event) -> None:
        if not self._scene.IsBatchProcessing():
            self.settled.emit()
