"""The crew of one: the scans are worked on in this process, the next one being read meanwhile."""

from __future__ import annotations

from functools import partial

from .desk import Desk
from .read_ahead import ReadAhead
from .task import LabellerLike, work


def work_alone(desk: Desk, labeller: LabellerLike) -> None:
    """Work on all scans of the desk; errors as `work`."""
    desk.start()
    ahead = ReadAhead()
    try:
        following = desk.take()
        while following is not None:
            assignment, following = following, desk.take()
            desk.begin(assignment, "", charged=True)
            ahead.begin(assignment.entry)
            if following is not None and not (assignment.alone or following.alone):
                ahead.begin(following.entry)
            progress = partial(desk.progress, entry=assignment.entry)
            desk.ended(assignment.entry, work(assignment, desk.job, labeller, ahead.read, progress))
    finally:
        ahead.close()
