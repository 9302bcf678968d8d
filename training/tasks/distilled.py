"""An ensemble distilled into one network: the student learns from the truth and from the mean of its teachers.

Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015), at temperature 1.  Each teacher sees
the window of the student from one side or the other, as chance wants, and so stands for its mirror image too.  Where
nobody has annotated a scan (split `scan_list.UNLABELLED`) the teachers are all there is to learn from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from VertebraLabelingLib.core.errors import UsageError
from VertebraLabelingLib.engines.network import load_module
from VertebraLabelingLib.engines.weights import load_weights
from VertebraLabelingLib.methods.centre_map import centre_loss
from VertebraLabelingLib.methods.sites.method import build_network
from VertebraLabelingLib.methods.sites.network import SitesOutput

from ..sampling import Window
from . import Sample
from .sites import WEIGHTS, SitesTask

LEAST_PEAK = 0.3
"""Where the teachers on average are less sure of a centre, they are not asked for its place and level."""


@dataclass(frozen=True)
class Lesson:
    """What the teachers say of a batch of windows on average.

    centre: (B, z, y, x) probabilities.  Of each window, seeds: (n, 3) voxels where that peaks; sites_mm: (n, 3) from
    the window's corner; levels: (n, levels) probabilities.
    """

    centre: Tensor
    seeds: list[Tensor]
    sites_mm: list[Tensor]
    levels: list[Tensor]


class DistilledTask:
    """A `SitesTask` with teachers.  share: of their loss; that of the truth has the rest."""

    model_id = SitesTask.model_id

    def __init__(self, task: SitesTask, teachers: Sequence[nn.Module], share: float) -> None:
        self._task, self._share = task, share
        self._teachers = [teacher.requires_grad_(False).eval() for teacher in teachers]
        self.settings, self.windows = task.settings, task.windows

    def build_network(self) -> nn.Module:
        """The student with random weights."""
        return self._task.build_network()

    def metadata(self) -> dict[str, Any]:
        """Those of the student; nothing in its weight file tells of its teachers."""
        return self._task.metadata()

    def sample(self, window: Window, rng: np.random.Generator) -> Sample:
        """As without teachers."""
        return self._task.sample(window, rng)

    def loss(self, network: nn.Module, batch: Sample) -> dict[str, Tensor]:
        """The losses against the truth, and "taught_centre", "taught_position" (mm) and "taught_level"."""
        output: SitesOutput = network(batch["image"])
        losses = self._task.losses(network, output, batch)
        taught = self._agreement(output, self.lesson(batch["image"]))
        total = sum(WEIGHTS[name] * value for name, value in taught.items())
        mixed = torch.lerp(losses["loss"], total, self._share)
        return {**losses, **{f"taught_{name}": value for name, value in taught.items()}, "loss": mixed}

    @torch.no_grad()
    def lesson(self, image: Tensor) -> Lesson:
        """The mean opinion of the teachers on images (B, channels, z, y, x)."""
        said = [_from_either_side(teacher.to(image.device), image) for teacher in self._teachers]
        centre = torch.stack([one.centre.sigmoid() for one in said]).mean(0)
        seeds = [_peaks(window) for window in centre]
        places, names = self._task.places_mm, self._task.names_at
        sites = [torch.stack([places(one, n, voxels) for one in said]).mean(0) for n, voxels in enumerate(seeds)]
        levels = [torch.stack([names(one, n, at).softmax(1) for one in said]).mean(0) for n, at in enumerate(sites)]
        return Lesson(centre, seeds, sites, levels)

    def _agreement(self, output: SitesOutput, lesson: Lesson) -> dict[str, Tensor]:
        """How far the student is from its teachers; each loss as that against the truth is made."""
        count = max(1, sum(map(len, lesson.seeds)))
        position, level = output.centre.new_zeros(()), output.centre.new_zeros(())
        for n, (seeds, sites, levels) in enumerate(zip(lesson.seeds, lesson.sites_mm, lesson.levels, strict=True)):
            found, names = self._task.places_mm(output, n, seeds), self._task.names_near(output, n, sites)
            position = position + F.smooth_l1_loss(found, sites, reduction="sum") / count
            level = level + F.cross_entropy(names, levels, reduction="sum") / count
        centre = centre_loss(output.centre, lesson.centre, torch.ones_like(lesson.centre), count)
        return {"centre": centre, "position": position, "level": level}


def with_teachers(task: Any, teachers: Sequence[str], share: float) -> DistilledTask:
    """The task with the networks of these weight files as teachers.

    UsageError when the task is not `sites` or there is no teacher; ModelError when a file is no weight file of it.
    """
    if not isinstance(task, SitesTask) or not teachers:
        raise UsageError("[distil] needs the task 'sites' and at least one weight file of it as teacher.")
    return DistilledTask(task, [_teacher(Path(file)) for file in teachers], share)


def _teacher(file: Path) -> nn.Module:
    weights = load_weights(file)
    weights.require_model(SitesTask.model_id)
    return load_module(weights, build_network)


def _from_either_side(teacher: nn.Module, image: Tensor) -> SitesOutput:
    """What a teacher says of windows, or of their mirror images, turned back."""
    if torch.rand(()) < 0.5:
        return teacher(image)
    seen = teacher(image.flip(-1))
    return SitesOutput(*(getattr(seen, field.name).flip(-1) for field in fields(seen)))


def _peaks(centre: Tensor) -> Tensor:
    """(n, 3) voxels where a map (z, y, x) is highest among its neighbours, and at least `LEAST_PEAK`."""
    highest = F.max_pool3d(centre[None, None], 3, stride=1, padding=1)[0, 0]
    return ((centre == highest) & (centre >= LEAST_PEAK)).nonzero()
