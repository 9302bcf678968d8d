"""What a network says of fixed windows of scans that it has not seen: presence mAP, localisation error, id-rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS, Region
from VertebraLabelingLib.core.prepare import AIR_HU

from ..cases import Case
from ..data import window_at
from ..evaluate import IDENTIFIED_BELOW_MM
from ..sampling import Window, WindowSettings
from ..tasks import Task

WINDOWS_PER_CASE = 16
BATCH = 8
ALL = "all"
_REGIONS = np.array([level.region.value for level in REGULAR_LEVELS])


@dataclass(frozen=True)
class Answers:
    """Truth and answers over w windows and the 26 regular levels.

    present, known: (w, 26) bool.  probabilities: (w, 26).  coordinates_mm, answers_mm: (w, 26, 3), z, y, x from the
    corner of each window; only those of present levels mean anything.
    """

    present: NDArray[np.bool_]
    known: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    coordinates_mm: NDArray[np.float64]
    answers_mm: NDArray[np.float64]


def fixed_windows(cases: list[Case], settings: WindowSettings, count: int = WINDOWS_PER_CASE) -> Iterator[Window]:
    """`count` windows of every case with vertebrae, always the same, placed as in training and otherwise unchanged."""
    for case in cases:
        rng = np.random.default_rng(list(case.id.encode()))
        for _ in range(count if len(case.levels) else 0):
            near = case.points_zyx_mm[rng.integers(len(case.levels))]
            centre = near + rng.uniform(-1, 1, 3) * settings.jitter_zyx_mm - case.corner_zyx_mm
            window = window_at(case, settings, centre, scan_ends=True)
            yield replace(window, hu=window.hu.clamp(min=AIR_HU))


@torch.inference_mode()
def answers_of(network: nn.Module, task: Task, cases: list[Case]) -> Answers:
    """The network on the fixed windows of the cases, without any augmentation."""
    device = next(network.parameters()).device
    rng = np.random.default_rng(0)
    samples = [task.sample(window, rng) for window in fixed_windows(cases, task.windows)]
    probabilities, coordinates = [], []
    for first in range(0, len(samples), BATCH):
        image = torch.stack([sample["image"] for sample in samples[first : first + BATCH]]).to(device)
        logits, found = network(image)
        probabilities.append(logits.sigmoid().double().cpu())
        coordinates.append(found.double().cpu())
    stacked = {key: torch.stack([s[key] for s in samples]).numpy() for key in ("present", "known", "coordinates")}
    return Answers(
        stacked["present"],
        stacked["known"],
        torch.cat(probabilities).numpy(),
        (stacked["coordinates"].astype(float) + 0.5) * task.windows.spacing_mm,
        (torch.cat(coordinates).numpy() + 0.5) * task.windows.spacing_mm,
    )


def window_scores(answers: Answers) -> dict[str, dict[str, Any]]:
    """Of "all" and of each region: mAP and id_rate (0..1), error_mm, vertebrae, windows; None of nothing.

    error_mm: mean over all present levels, whether identified or not.
    """
    errors, identified = _errors(answers), _identified(answers)
    precisions = _average_precisions(answers)
    scores = {}
    for name in (ALL, *(region.value for region in Region)):
        columns = np.ones(len(_REGIONS), bool) if name == ALL else name == _REGIONS
        present = answers.present & columns
        scores[name] = {
            "mAP": _mean(precisions[columns & np.isfinite(precisions)]),
            "error_mm": _mean(errors[present]),
            "id_rate": _mean(identified[present]),
            "vertebrae": int(present.sum()),
            "windows": len(present),
        }
    return scores


def _errors(answers: Answers) -> NDArray[np.float64]:
    """(w, 26) distance in mm of each answer to the truth of its level."""
    distances: NDArray[np.float64] = np.linalg.norm(answers.answers_mm - answers.coordinates_mm, axis=-1)
    return distances


def _identified(answers: Answers) -> NDArray[np.bool_]:
    """(w, 26): the vertebra of the level is the nearest of those present, and closer than 20 mm."""
    between = np.linalg.norm(answers.answers_mm[:, :, None] - answers.coordinates_mm[:, None], axis=-1)
    nearest = np.where(answers.present[:, None, :], between, np.inf).argmin(-1)
    return (nearest == np.arange(len(_REGIONS))) & (_errors(answers) < IDENTIFIED_BELOW_MM)


def _average_precisions(answers: Answers) -> NDArray[np.float64]:
    """(26,) average precision of each level's presence over the windows where it is known.

    NaN for a level of which there are not both, windows with and without it, and where the probability never changes.
    """
    from sklearn.metrics import average_precision_score

    precisions = np.full(len(_REGIONS), np.nan)
    for level, known in enumerate(answers.known.T):
        truth, probabilities = answers.present[known, level], answers.probabilities[known, level]
        if truth.any() and not truth.all() and np.ptp(probabilities) > 0:
            precisions[level] = average_precision_score(truth, probabilities)
    return precisions


def _mean(values: NDArray[Any]) -> float | None:
    """The mean; None of nothing and of what is not a number."""
    return float(values.mean()) if len(values) and np.isfinite(values).all() else None
