"""What the panel and scripts drive: one labelling at a time, run, shown, corrected, undone and exported.

Rules that hold everywhere in this package: a run changes the scene only when its complete result has arrived; nothing
is renamed but by an action of the user; whatever the user does to the points in views or in other modules is seen, kept
as a step of the history, and never refused.
"""

from .session import Session
from .telling import AlternativeOffer

__all__ = ["AlternativeOffer", "Session"]
