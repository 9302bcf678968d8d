"""Stand-in for `slicer.app.layoutManager()`: the real logics of the views, without their widgets."""

from __future__ import annotations

import qt


class SliceWidget:
    """What a slice view knows (qMRMLSliceWidget); views.py draws one when a test wants to look."""

    def __init__(self, logic):
        self._logic = logic

    def sliceLogic(self):
        return self._logic

    def mrmlSliceNode(self):
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self):
        return self._logic.GetSliceCompositeNode()

    def fitSliceToBackground(self):
        self._logic.FitSliceToBackground()


class LayoutManager(qt.QObject):
    """Red, Yellow and Green, and one 3D view."""

    def __init__(self):
        super().__init__()
        self._world = None

    def _set_world(self, world) -> None:
        self._world = world

    def mrmlScene(self):
        return self._world.scene

    def sliceViewNames(self):
        return tuple(self._world.slice_logics)

    def sliceWidget(self, name):
        logic = self._world.slice_logics.get(name)
        return SliceWidget(logic) if logic else None

    def mrmlSliceLogics(self):
        return self._world.application_logic.GetSliceLogics()

    def resetSliceViews(self):
        for logic in self._world.slice_logics.values():
            logic.FitSliceToAll()

    def resetThreeDViews(self):
        """The harness has no camera to reset."""
