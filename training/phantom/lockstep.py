"""Paint what waits on several canvases together: few operations on much, which is what a device does fast.

A device spends more time on starting an operation than on the few voxels of a rib.  So the shares of the voxels that
many strokes fill, which depend on no other stroke, are computed at once: for a team of one kind, whichever phantoms its
members are of.  Only then they are blended, in steps: every stroke as soon as all that it covers is painted, with all
others of that step.  What a phantom looks like does not depend on its companions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, groupby, pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .canvas import Canvas, Stroke, filled
from .distances import Array

WINDOW_VOXELS = 16_000_000
"""So many are computed before they are blended; each takes 16 bytes, and as many again where boxes are padded."""
TEAM_VOXELS = 4_000_000
"""So many are computed at once; a larger stroke is painted alone."""
SPARE_VOXELS = 400_000
"""So many voxels computed in vain cost less than another team."""


@dataclass(frozen=True)
class Task:
    """A stroke on its canvas, whose first voxel is number `offset` of the sheet, and the step that blends it."""

    canvas: Canvas
    offset: int
    stroke: Stroke
    step: int

    @property
    def shape_zyx(self) -> tuple[int, ...]:
        """Of the box."""
        return tuple(stop - start for start, stop in self.stroke.ranges)

    @property
    def size(self) -> int:
        """Voxels of the box."""
        return prod(self.shape_zyx)

    @property
    def is_alone(self) -> bool:
        """Whether it is painted by itself, as it is large or shows a field of HU."""
        return not self.stroke.is_plain or self.size > TEAM_VOXELS

    @property
    def numbers(self) -> tuple[float, ...]:
        """All in which tasks of one kind differ, but for the place: of the distance, of the canvas, and the HU."""
        return *self.stroke.distance_mm.all_numbers(), self.canvas.per_mm, self.stroke.material


def paint_waiting(canvases: Sequence[Canvas]) -> None:
    """Paint the layers of all canvases, which must live on one device; nothing where nothing waits."""
    waiting = [canvas for canvas in canvases if any(canvas.layers)]
    if not waiting:
        return
    sheet = _on_one_sheet(waiting)
    tasks, offset = [], 0
    for canvas in waiting:
        steps = painting_steps(canvas.layers)
        tasks += [Task(canvas, offset, *pair) for pair in zip(chain(*canvas.layers), steps, strict=True)]
        canvas.layers.clear()
        offset += canvas.hu.numel()
    for window in _windows(sorted(tasks, key=lambda task: task.step)):
        _paint_window(window, sheet)


def painting_steps(layers: Sequence[Sequence[Stroke]]) -> list[int]:
    """The step of each stroke: after those of earlier layers that its box meets, beside none that its box meets."""
    boxes = np.array([stroke.ranges for layer in layers for stroke in layer])
    layer_of = np.repeat(np.arange(len(layers)), [len(layer) for layer in layers])
    start, stop = boxes[..., 0], boxes[..., 1]
    steps = np.zeros(len(boxes), int)
    for i, layer in enumerate(layer_of):
        near = ((start[:i] < stop[i]) & (start[i] < stop[:i])).all(axis=1)
        earlier = layer_of[:i] < layer
        first = steps[:i][near & earlier].max(initial=-1) + 1
        taken = set(steps[:i][near & ~earlier].tolist())
        steps[i] = next(step for step in count(int(first)) if step not in taken)
    return steps.tolist()


def _windows(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """The tasks, in their order, in parts of about `WINDOW_VOXELS`."""
    number = np.cumsum([0 if task.is_alone else task.size for task in tasks]) // WINDOW_VOXELS
    for _, part in groupby(zip(number.tolist(), tasks, strict=True), key=lambda pair: pair[0]):
        yield [task for _, task in part]


def _paint_window(window: Sequence[Task], sheet: Array) -> None:
    """Compute what all tasks do to their voxels, then do it step by step."""
    import torch

    films = defaultdict(list)
    for team in teams([task for task in window if not task.is_alone]):
        for step, film in _films(team, sheet.device):
            films[step].append(film)
    for step, tasks in groupby(window, key=lambda task: task.step):
        for task in tasks:
            if task.is_alone:
                task.canvas.paint_stroke(task.stroke)
        if step in films:
            voxel, keep, add = (torch.cat(parts) for parts in zip(*films.pop(step), strict=True))
            sheet[voxel] = torch.addcmul(add, keep, sheet[voxel])


def teams(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """Tasks of one kind whose boxes are so alike that about half at most of what the largest needs is in vain."""
    alike = defaultdict(list)
    for task in tasks:
        alike[task.stroke.distance_mm.kind].append(task)
    for group in alike.values():
        shapes = np.array([task.shape_zyx for task in group])
        team, largest, used = [], np.zeros(3, int), 0
        for i in np.argsort(-shapes.prod(axis=1), kind="stable"):
            largest, used = np.maximum(largest, shapes[i]), used + shapes[i].prod()
            if team and largest.prod() * (len(team) + 1) > min(2 * used + SPARE_VOXELS, TEAM_VOXELS):
                yield team
                team, largest, used = [], shapes[i], shapes[i].prod()
            team.append(group[i])
        yield team


def _on_one_sheet(canvases: Sequence[Canvas]) -> Array:
    """All voxels of the canvases (n,) one canvas after another; their grids become views of it."""
    import torch

    sheet = torch.cat([canvas.hu.ravel() for canvas in canvases])
    for canvas, part in zip(canvases, sheet.split([canvas.hu.numel() for canvas in canvases]), strict=True):
        canvas.hu = part.view(canvas.geometry.shape_zyx)
    return sheet


def _films(team: Sequence[Task], device: Any) -> Iterator[tuple[int, tuple[Array, Array, Array]]]:
    """For each step of a team, three tensors (n,): numbers of voxels, and what they become: keep * HU + add."""
    team = sorted(team, key=lambda task: task.step)
    places_mm, voxels = _padded_boxes(team)
    numbers = np.array([task.numbers for task in team], np.float32).T.reshape(-1, len(team), 1, 1, 1)
    numbers, z, y, x = _sent([numbers, *places_mm], device)
    number = iter(numbers)
    depth_mm = team[0].stroke.distance_mm.with_numbers(number)(x, y, z)
    share = filled(depth_mm, next(number))
    z, y, x = _sent(voxels, device)
    film = (z + y + x, 1 - share, share * next(number))
    ends = np.flatnonzero(np.diff([task.step for task in team], append=-1)) + 1
    for start, stop in pairwise([0, *ends.tolist()]):
        yield team[start].step, tuple(part[start:stop].ravel() for part in film)


def _padded_boxes(team: Sequence[Task]) -> tuple[list[NDArray[np.float32]], list[NDArray[np.int64]]]:
    """LPS mm of the voxels along z, y and x of all boxes, and what they add to the number of a voxel.

    Arrays (n, nz, 1, 1), (n, 1, ny, 1), (n, 1, 1, nx) of the largest sizes; a smaller box repeats its last voxel, which
    is then written several times with the same value.
    """
    grids, boxes = [task.canvas.geometry for task in team], np.array([task.stroke.ranges for task in team], np.int64)
    origins = np.array([grid.origin_lps_mm[::-1] for grid in grids])
    spacings = np.array([grid.spacing_xyz_mm[::-1] for grid in grids])
    strides = np.array([_strides(grid.shape_zyx) for grid in grids])
    places_mm, voxels = [], []
    for axis in range(3):
        columns = (boxes[..., 0], boxes[..., 1], origins, spacings, strides)
        start, stop, origin, spacing, stride = (column[:, axis, None] for column in columns)
        index = np.minimum(start + np.arange((stop - start).max()), stop - 1)
        shape = (len(team), *np.insert([1, 1], axis, -1))
        places_mm.append((origin + spacing * index).astype(np.float32).reshape(shape))
        voxels.append((stride * index).reshape(shape))
    voxels[0] += np.array([task.offset for task in team]).reshape(-1, 1, 1, 1)
    return places_mm, voxels


def _strides(shape_zyx: tuple[int, int, int]) -> tuple[int, int, int]:
    return shape_zyx[1] * shape_zyx[2], shape_zyx[2], 1


def _sent(arrays: Sequence[NDArray[Any]], device: Any) -> list[Array]:
    """The arrays on a device, in one transfer."""
    import torch

    sent = torch.from_numpy(np.concatenate([array.ravel() for array in arrays])).to(device)
    parts = sent.split([array.size for array in arrays])
    return [part.view(array.shape) for part, array in zip(parts, arrays, strict=True)]
