"""A labelling without a panel: start it and wait for its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from .session import Session

POLL_INTERVAL_S = 0.1


def label_and_wait(session: Session, volume_node: Any, roi_node: Any = None, **options: Any) -> Any:
    """A new vtkMRMLMarkupsFiducialNode with the named points of a CT; the session is closed at the end.

    roi_node: None for the whole volume.  options: see `RunOptions`.  The application stays alive meanwhile.
    Raises RuntimeError with the reason when nothing was labelled.
    """
    failures: list[str] = []
    session.failed.connect(failures.append)
    try:
        session.set_input_volume(volume_node)
        session.set_roi(roi_node)
        session.set_points_node(None)
        session.set_options(**options)
        session.label()
        while session.is_running:
            time.sleep(POLL_INTERVAL_S)
            slicer.app.processEvents()
            session.poll()
        if session.points_node is None:
            raise RuntimeError(failures[0] if failures else _("Nothing was labelled."))
        return session.points_node
    finally:
        session.close()
