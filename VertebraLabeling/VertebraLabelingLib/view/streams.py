"""From a view of the scene to pictures in the page, and from the mouse in the page to the view."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from trame_rca.encoders import RcaImageEncoder
from trame_rca.schedulers import RcaImageRenderScheduler
from trame_rca.utils import RcaViewAdapter
from trame_slicer.rca_view.rca_view_factory import RcaRenderStrategy, RcaWindow

Resized = Callable[[Callable[[], None]], None]
QUALITY = 88
"""Of the JPEG pictures; one for moving and resting views, else every change is rendered twice."""
FPS = 20.0
REST_S = 0.6
"""A slow view is drawn again when nothing has changed for that long, so that it holds up no drag in the others."""
SLOW_PIXELS = 200_000
"""A slow view is not larger than that; the page enlarges it."""


def stream(name: str, view: Any, state: Any, resized: Resized | None = None, is_slow: bool = False) -> RcaViewAdapter:
    """The adapter of a view, to be registered with the server under its name.

    resized(resize): called in place of a resize, which it has to do.
    """
    cursor = f"cursor_{name}"
    state.setdefault(cursor, "default")
    window = _Window(view.render_window(), state=state, active_view_cursor=cursor)
    window.resized = resized or window.resized
    scheduler = RcaImageRenderScheduler(
        window,
        interactive_quality=QUALITY,
        still_quality=QUALITY,
        rca_encoder=RcaImageEncoder.TURBO_JPEG,
        target_fps=FPS,
    )
    view.set_scheduled_render(_AtRest(scheduler, window) if is_slow else RcaRenderStrategy(scheduler))
    adapter = RcaViewAdapter(window=window, name=name, scheduler=scheduler, do_schedule_render_on_interaction=False)
    if is_slow:
        adapter.max_pixel_count = SLOW_PIXELS
    return adapter


class _Window(RcaWindow):
    """Knows when the mouse was last used in it, and lets others have a word when it gets another size."""

    used_s = 0.0

    def resized(self, resize: Callable[[], None]) -> None:
        resize()

    def process_resize_event(self, width: int, height: int) -> None:
        self.resized(partial(super().process_resize_event, width, height))

    def process_interaction_event(self, event: dict[str, Any]) -> None:
        if "Move" not in event["type"]:
            self.used_s = time.monotonic()
        super().process_interaction_event(event)


class _AtRest(RcaRenderStrategy):
    """Draws at once what the user turns with the mouse, and everything else when it has come to rest."""

    def __init__(self, scheduler: Any, window: _Window) -> None:
        super().__init__(scheduler)
        self._window = window
        self._timer: asyncio.TimerHandle | None = None

    def schedule_render(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait_s = 0.0 if time.monotonic() - self._window.used_s < REST_S else REST_S
        self._timer = asyncio.get_event_loop().call_later(wait_s, super().schedule_render)
