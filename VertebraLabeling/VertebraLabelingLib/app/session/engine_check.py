"""Whether anything that can run the networks is installed."""

from __future__ import annotations

from slicer.i18n import tr as _


class EngineCheck:
    """Looks again only as long as nothing was found: a look takes some hundredths of a second."""

    def __init__(self) -> None:
        self._was_found = False

    @property
    def refusal(self) -> str:
        """A sentence when no engine is installed; "" when one is."""
        from ..installed import state

        self._was_found = self._was_found or state().can_label
        if self._was_found:
            return ""
        return _(
            "Nothing that runs the networks is installed; install PyTorch or ONNX Runtime (in Slicer: under Advanced)."
        )
