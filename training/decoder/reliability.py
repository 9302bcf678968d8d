"""Are things as frequent as their probability says: expected calibration error, NaN for nothing, and its picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.files import atomic_write

from ..certainty import expected_calibration_error, reliability

Array = NDArray[np.float64]

PANELS_A_ROW = 5


def calibration_error(probabilities: Array, correct: NDArray[np.bool_]) -> float:
    """`certainty.expected_calibration_error`; NaN where there is nothing to judge by."""
    error = expected_calibration_error(probabilities, correct)
    return float("nan") if error is None else error


def write_diagram(path: Path, series: dict[str, tuple[Array, NDArray[np.bool_]]]) -> None:
    """PNG: observed against stated frequency per bin, the area of a dot as the number of points; one panel a series."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, columns = -(-len(series) // PANELS_A_ROW), min(len(series), PANELS_A_ROW)
    figure = Figure(figsize=(3.4 * columns, 3.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes in panels[len(series) :]:
        axes.set_axis_off()
    for axes, (name, (probabilities, correct)) in zip(panels, series.items(), strict=False):
        counts, stated, observed = reliability(probabilities, correct).T
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        axes.plot(stated, observed, color="tab:blue", linewidth=1)
        axes.scatter(stated, observed, s=8 + 300 * counts / max(counts.sum(), 1), color="tab:blue", alpha=0.7)
        error = calibration_error(probabilities, correct)
        axes.set(title=f"{name}\nECE {error:.3f}, n = {len(correct)}", xlabel="stated probability", xlim=(0, 1.02))
        axes.title.set_fontsize(9)
    panels[0].set(ylabel="share named right", ylim=(0, 1.02))
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
