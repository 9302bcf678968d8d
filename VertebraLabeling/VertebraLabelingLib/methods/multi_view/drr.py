"""Digitally reconstructed radiographs: line integrals through a CT, seen as `geometry.Views` says; in torch.

Of each view, planes perpendicular to its central ray are sampled one voxel apart, where the rays cross them.  A plane
is bilinear in y and x with weights that all voxels of a line along z share, and linear along z with weights that all
columns share.  Both are weighted sums of contiguous rows, `embedding_bag`, far faster than `grid_sample` in three
dimensions; and every ray gets its own step length.

A ray crosses neighbouring planes at nearly the same height.  So planes are first gathered in slabs, those between two
slabs in proportion to their nearness to each, and only slabs are read along z.  They are so thin that a ray climbs no
more than `SLAB_CLIMB` voxels from one to the next, which blurs less than the linear interpolation itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .geometry import Views
from .settings import MultiViewSettings

SLAB_CLIMB = 0.75
MAX_SLAB_PLANES = 8
CPU_CHUNK, DEVICE_CHUNK = 2**20, 2**26
"""Sampled values held at once, besides the volume: on the CPU per thread, and what its caches take."""
SEEN_MM = 1.0
"""A pixel whose integral is below this sees nothing."""
CLIP = 4.0


def drr(hu: Tensor, views: Views, settings: MultiViewSettings) -> Tensor:
    """Network input (B, K, C, rows, columns) of CT windows (B, z, y, x) in HU, of any size; one channel per HU range.

    Differentiable with respect to `hu` where a range does not clip it.  ValueError when `hu` has another shape.
    """
    if hu.ndim != 4:
        raise ValueError(f"CT windows must have the shape (B, z, y, x), got {tuple(hu.shape)}.")
    return standardised(line_integrals(attenuation_of(hu, settings), views, settings.spacing_mm))


def attenuation_of(hu: Tensor, settings: MultiViewSettings) -> Tensor:
    """(B, C, z, y, x) of (B, z, y, x) HU: each HU range of the settings as 0..1."""
    hu = hu if hu.is_floating_point() else hu.float()
    return torch.stack([((hu - a) / (b - a)).clamp(0, 1) for a, b in settings.attenuation_ranges], dim=1)


def standardised(integrals_mm: Tensor) -> Tensor:
    """(..., rows, columns), every image on its own: mean 0 and deviation 1 of the pixels that see anything, clipped.

    So neither the size of the patient nor how much air the window holds changes what a vertebra looks like.
    """
    seen = (integrals_mm > SEEN_MM).to(integrals_mm.dtype)
    number = seen.sum((-2, -1), keepdim=True).clamp(min=1)
    mean = (integrals_mm * seen).sum((-2, -1), keepdim=True) / number
    variance = ((integrals_mm - mean) ** 2 * seen).sum((-2, -1), keepdim=True) / number
    return ((integrals_mm - mean) / variance.clamp(min=SEEN_MM**2).sqrt()).clamp(-CLIP, CLIP)


def line_integrals(
    attenuation: Tensor, views: Views, spacing_mm: float | None = None, chunk: int | None = None
) -> Tensor:
    """(B, K, C, rows, columns) mm x attenuation along every ray, of volumes (B, C, z, y, x) of any size.

    spacing_mm: of the cubic voxels (default: that of the settings).  chunk: sampled values held at once.  The middle of
    the volume is on the axis; outside it is nothing, and so is behind the source.  Differentiable with respect to the
    volumes, and on any device.  ValueError when the shape, the type or the spacing cannot be meant.
    """
    spacing_mm = views.settings.spacing_mm if spacing_mm is None else spacing_mm
    _check(attenuation, spacing_mm)
    batch, channels, *shape_zyx = attenuation.shape
    optics = _Optics.of(views, attenuation, spacing_mm)
    lines = attenuation.permute(3, 4, 0, 1, 2).reshape(shape_zyx[1] * shape_zyx[2], -1).contiguous()
    chunk = chunk or (CPU_CHUNK if attenuation.device.type == "cpu" else DEVICE_CHUNK)
    images = torch.stack(_of_each(views, lambda angle: _image(lines, optics, angle, chunk), attenuation.device))
    lengths = optics.lengths_mm()
    images = images.view(len(views), len(lengths), batch, channels, -1).permute(2, 0, 3, 1, 4)
    return (images * lengths).contiguous()


def _check(attenuation: Tensor, spacing_mm: float) -> None:
    """ValueError unless these are volumes of floating-point numbers with a spacing."""
    if attenuation.ndim != 5 or 0 in attenuation.shape:
        raise ValueError(
            f"Volumes must have the shape (B, C, z, y, x) and hold voxels, got {tuple(attenuation.shape)}."
        )
    if not attenuation.is_floating_point():
        raise ValueError(f"Volumes must hold floating-point numbers, got {attenuation.dtype}.")
    if not (math.isfinite(spacing_mm) and spacing_mm > 0):
        raise ValueError(f"spacing_mm must be positive, got {spacing_mm}.")


@dataclass(frozen=True, eq=False)
class _Optics:
    """What all views of a volume share.

    heights_mm: (rows,) z, and across_mm: (columns,), where the rays of the pixels cross the plane through the axis.
    """

    shape_zyx: tuple[int, int, int]
    spacing_mm: float
    source_axis_mm: float
    heights_mm: Tensor
    across_mm: Tensor

    @classmethod
    def of(cls, views: Views, volume: Tensor, spacing_mm: float) -> _Optics:
        """Those of a volume (B, C, z, y, x)."""
        settings = views.settings
        across = [
            (torch.arange(n, dtype=volume.dtype, device=volume.device) - (n - 1) / 2) * settings.pixel_mm
            for n in settings.image_hw
        ]
        z, y, x = volume.shape[2:]
        return cls((z, y, x), spacing_mm, settings.source_axis_mm, -across[0], across[1])

    def lengths_mm(self) -> Tensor:
        """(rows, columns): mm of a ray between two planes that are a voxel apart."""
        squares = self.source_axis_mm**2 + self.heights_mm[:, None] ** 2 + self.across_mm**2
        return self.spacing_mm / self.source_axis_mm * squares.sqrt()

    def planes_per_slab(self) -> int:
        """Planes from one slab to the next."""
        half_mm = (self.shape_zyx[0] + 1) / 2 * self.spacing_mm
        steepest = min(float(self.heights_mm.abs().max()), half_mm) / self.source_axis_mm
        return max(1, min(MAX_SLAB_PLANES, int(SLAB_CLIMB / max(steepest, 1e-6))))

    def slab_depths_mm(self, angle_rad: float) -> Tensor:
        """(slabs,): how far behind the axis each slab is, in front of the source; together they hold the volume."""
        _, y, x = self.shape_zyx
        reach = ((y + 1) * abs(math.cos(angle_rad)) + (x + 1) * abs(math.sin(angle_rad))) / 2 * self.spacing_mm
        thickness = self.planes_per_slab() * self.spacing_mm
        number = 2 * math.ceil(reach / thickness) + 1
        depths = (torch.arange(number).to(self.across_mm) - number // 2) * thickness
        return depths[depths > -self.source_axis_mm]

    def enlargement(self, depths_mm: Tensor) -> Tensor:
        """How much farther apart rays are at a depth than at the axis; not positive behind the source."""
        return 1 + depths_mm / self.source_axis_mm


def _of_each(views: Views, image: Callable[[float], Tensor], device: torch.device) -> list[Tensor]:
    """The image of every angle; on the CPU as many at once as torch has threads.

    One operation is too short to be shared by threads: where another program has a core, all wait for the slowest.
    """
    angles = views.angles_rad.tolist()
    threads = min(torch.get_num_threads(), len(angles)) if device.type == "cpu" else 1
    if threads == 1:
        return [image(angle) for angle in angles]
    inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def alone(angle: float) -> Tensor:
        """A new thread knows nothing of the modes of this one."""
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
            return image(angle)

    with _undivided_operations(), ThreadPoolExecutor(threads) as pool:
        return list(pool.map(alone, angles))


@contextmanager
def _undivided_operations() -> Iterator[None]:
    """Every operation on one thread, in threads that start within."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _image(lines: Tensor, optics: _Optics, angle_rad: float, chunk: int) -> Tensor:
    """(rows, n, columns): sums over the planes of one view, of n volumes as lines along z: (y * x, n * z)."""
    depth, width = optics.shape_zyx[0], len(optics.across_mm)
    image = lines.new_zeros(len(optics.heights_mm), lines.shape[1] // depth * width)
    for depths_mm in optics.slab_depths_mm(angle_rad).split(max(1, chunk // (width * lines.shape[1]))):
        slabs = _bags(lines, *_plane_taps(optics, angle_rad, depths_mm))
        slabs = slabs.view(len(depths_mm), width, -1, depth).permute(3, 0, 2, 1)
        image += _bags(slabs.reshape(depth * len(depths_mm), -1), *_height_taps(optics, depths_mm))
    return image.view(len(image), -1, width)


def _bags(rows: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
    """(m, n): for each of m bags the weighted sum of some of the rows (r, n); indices, weights: (m, taps)."""
    return F.embedding_bag(indices, rows, mode="sum", per_sample_weights=weights)


def _plane_taps(optics: _Optics, angle_rad: float, depths_mm: Tensor) -> tuple[Tensor, Tensor]:
    """Lines (slabs * columns, taps) that each column of each slab sums, and their weights."""
    planes, (_, length_y, length_x) = optics.planes_per_slab(), optics.shape_zyx
    offsets = torch.arange(1 - planes, planes).to(depths_mm)
    plane_mm = (depths_mm[:, None, None] + offsets * optics.spacing_mm).expand(-1, len(optics.across_mm), -1)
    enlargement = optics.enlargement(plane_mm)
    across_mm = enlargement * optics.across_mm[:, None]
    share = (1 - offsets.abs() / planes) * (enlargement > 0)
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    y, weights_y = _linear((plane_mm * cos - across_mm * sin) / optics.spacing_mm, length_y)
    x, weights_x = _linear((plane_mm * sin + across_mm * cos) / optics.spacing_mm, length_x)
    lines = y[..., :, None] * length_x + x[..., None, :]
    weights = (weights_y * share[..., None])[..., :, None] * weights_x[..., None, :]
    return lines.flatten(0, 1).flatten(1), weights.flatten(0, 1).flatten(1)


def _height_taps(optics: _Optics, depths_mm: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (image rows, taps) of slabs, stored as (z, slabs), that each row of the image sums, and their weights."""
    heights_mm = optics.heights_mm[:, None] * optics.enlargement(depths_mm)
    z, weights = _linear(heights_mm / optics.spacing_mm, optics.shape_zyx[0])
    slabs = torch.arange(len(depths_mm), dtype=torch.int32, device=depths_mm.device)
    return (z * len(depths_mm) + slabs[:, None]).flatten(1), weights.flatten(1)


def _linear(from_middle: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """The two voxels (..., 2) around positions in voxels from the middle of an axis, and their weights; 0 outside."""
    position = from_middle + (length - 1) / 2
    below = position.floor()
    voxels = torch.stack([below, below + 1], dim=-1)
    weights = (1 - (position[..., None] - voxels).abs()) * ((voxels >= 0) & (voxels < length))
    return voxels.clamp(0, length - 1).int(), weights
