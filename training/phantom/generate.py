"""From a seed and a spec to a phantom CT with exact centroids, and its files."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import UsageError
from VertebraLabelingLib.core.files import atomic_write, require_writable_folder
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.scan import Scan

from .acquisition import acquire, in_view
from .canvas import Bone, Canvas, slabs
from .distances import Array
from .draw import random_spec
from .forms import with_forms
from .head import paint_airway, paint_head
from .implants import paint_implants
from .lockstep import paint_waiting
from .organs import paint_abdomen, paint_lungs, paint_trunk
from .pelvis import paint_pelvis, paint_sacrum
from .poses import Pose
from .profile import chest_profile, trunk_profile
from .shoulders import paint_shoulders
from .spec import Acquisition, PhantomSpec
from .spine import Spine, build_spine
from .thorax import paint_ribs
from .vertebra import paint_column
from .vessels import paint_mediastinum, paint_table

COARSE_MM = 2.0
MAX_DIRECT_VOXELS = 30_000_000


@dataclass(frozen=True)
class Phantom:
    """A CT and its truth.  centroids: LPS mm of each vertebra whose body centre is inside the volume."""

    scan: Scan
    centroids: dict[Level, tuple[float, float, float]]


@dataclass(frozen=True)
class _Draft:
    """A phantom in the making: all that its seed and spec say, and the canvas.  rng: of what is painted."""

    seed: int
    spec: PhantomSpec
    spine: Spine
    wanted: Geometry
    canvas: Canvas
    rng: np.random.Generator


def make_phantom(seed: int, spec: PhantomSpec | None = None, device: str | None = None) -> Phantom:
    """The phantom of this seed and spec; the same three give the same bits.

    device: None paints with NumPy, else torch paints there; the body is the same, noise and rounding differ.
    """
    return make_phantoms([seed], [spec or PhantomSpec()], device)[0]


def make_phantoms(seeds: Sequence[int], specs: Sequence[PhantomSpec], device: str | None = None) -> list[Phantom]:
    """The phantoms of these seeds and specs, each as `make_phantom` makes it; a device paints them together.

    All canvases are in memory at once: with torch about 25 bytes per voxel painted.
    """
    drafts = [_draft(seed, spec, device) for seed, spec in zip(seeds, specs, strict=True)]
    canvases = [draft.canvas for draft in drafts]
    for draft in drafts:
        _paint_body(draft.canvas, draft.spine, draft.spec, draft.rng)
    paint_waiting(canvases)
    for draft in drafts:
        _add_texture(draft.canvas, draft.canvas.smooth_field(4.0, draft.rng))
        paint_implants(draft.canvas, draft.spine, draft.spec, draft.rng)
    paint_waiting(canvases)
    return [_scanned(draft) for draft in drafts]


def _draft(seed: int, spec: PhantomSpec, device: str | None) -> _Draft:
    spine = build_spine(spec, np.random.default_rng([seed, 0]))
    if spec.anatomy.shapes:
        spine = with_forms(spine, spec.anatomy.shapes, np.random.default_rng([seed, 3]))
    wanted = field_of_view(spine, spec)
    canvas = Canvas(building_grid(wanted), device)
    return _Draft(seed, spec, spine, wanted, canvas, np.random.default_rng([seed, 1]))


def _scanned(draft: _Draft) -> Phantom:
    """What the scanner makes of the painted body, and the truth."""
    wanted, acquisition = draft.wanted, draft.spec.acquisition
    hu = acquire(draft.canvas, wanted, acquisition, np.random.default_rng([draft.seed, 2]))
    hu = hu if draft.canvas.device is None else hu.cpu().numpy()
    scan = Scan(hu, wanted, f"phantom-{draft.seed}", ("This is a procedural phantom, not a patient.",))
    return Phantom(scan, visible_centroids(draft.spine, wanted, acquisition))


def phantom_stream(
    first_seed: int, spines: Sequence[Pose] | None = None, device: str | None = None, batch: int = 1
) -> Iterator[Phantom]:
    """Endless random phantoms of the seeds first_seed, first_seed + 1, ..., painted on `device`, `batch` at a time."""
    for start in itertools.count(first_seed, batch):
        seeds = range(start, start + batch)
        specs = [random_spec(np.random.default_rng(seed), spines) for seed in seeds]
        yield from make_phantoms(seeds, specs, device)


def visible_centroids(
    spine: Spine, geometry: Geometry, acquisition: Acquisition
) -> dict[Level, tuple[float, float, float]]:
    """LPS mm of the body centroids inside the field of view, cranio-caudal."""
    inside = in_view(geometry, acquisition, spine.centroids_lps_mm())
    pairs = zip(spine.levels, spine.centroids_lps_mm(), inside, strict=True)
    return {level: (float(p[0]), float(p[1]), float(p[2])) for level, p, visible in pairs if visible}


def field_of_view(spine: Spine, spec: PhantomSpec) -> Geometry:
    """Grid from above the first to below the last level asked for, around the middle of that stretch."""
    inside = [spine[level].frame.origin_lps_mm for level in spine.levels if spec.first <= level <= spec.last]
    top, bottom = inside[0][2] + spec.cranial_mm, inside[-1][2] - spec.caudal_mm
    middle = np.mean([np.min(inside, axis=0), np.max(inside, axis=0)], axis=0)
    size_xyz = np.array([spec.width_mm, spec.depth_mm, top - bottom])
    spacing_xyz = np.array(spec.spacing_zyx_mm[::-1])
    count = np.maximum(np.round(size_xyz / spacing_xyz).astype(int), 2)
    # the body reaches further in front of the spine than behind it
    centre = np.array([middle[0] - spec.off_centre_mm[0], middle[1] - spec.off_centre_mm[1], (top + bottom) / 2])
    origin = centre - (count - 1) / 2 * spacing_xyz
    return Geometry(
        (int(count[2]), int(count[1]), int(count[0])),
        (float(spacing_xyz[0]), float(spacing_xyz[1]), float(spacing_xyz[2])),
        (float(origin[0]), float(origin[1]), float(origin[2])),
    )


def building_grid(wanted: Geometry) -> Geometry:
    """Grid to paint on: never coarser than 2 mm, and 2 mm where the wanted one is too large to paint directly."""
    large = np.prod(wanted.shape_zyx, dtype=float) > MAX_DIRECT_VOXELS
    x, y, z = (COARSE_MM if large else min(step, COARSE_MM) for step in wanted.spacing_xyz_mm)
    spacing = (x, y, z)
    if spacing == wanted.spacing_xyz_mm:
        return wanted
    extent = [(n - 1) * s for n, s in zip(wanted.shape_zyx[::-1], wanted.spacing_xyz_mm, strict=True)]
    count = [int(np.ceil(size / step)) + 1 for size, step in zip(extent, spacing, strict=True)]
    return Geometry((count[2], count[1], count[0]), spacing, wanted.origin_lps_mm)


def _paint_body(canvas: Canvas, spine: Spine, spec: PhantomSpec, rng: np.random.Generator) -> None:
    """Everything but texture and implants, from the outside inwards, softest first, the spine last."""
    chest, trunk = chest_profile(spine), trunk_profile(spine)
    field = canvas.smooth_field(14.0, rng)
    density = spec.disease.bone_density
    flat_bone = Bone(170.0 * density, 450.0 + 250.0 * density, 1.2)
    if spec.table:
        paint_table(canvas, trunk, spec.fat_mm, spec.prone)
    paint_trunk(canvas, spine, trunk, spec, field)
    paint_abdomen(canvas, spine, trunk, rng, field)
    paint_shoulders(canvas, spine, chest, flat_bone, spec)
    paint_lungs(canvas, spine, chest, field)
    paint_mediastinum(canvas, spine, spec, rng)
    paint_head(canvas, spine, density)
    paint_airway(canvas, spine)
    paint_ribs(canvas, spine, chest, flat_bone, spec.anatomy, rng)
    paint_pelvis(canvas, spine, density)
    paint_sacrum(canvas, spine, density)
    paint_column(canvas, spine, spec, rng)


def _add_texture(canvas: Canvas, field: Array) -> None:
    """Fine structure that grows with density: spongiosa is rough, fluid is smooth (in place)."""
    for slab in slabs(canvas.hu):
        canvas.hu[slab] += field[slab] * ((canvas.hu[slab] + 150) * 0.07).clip(0, 45)


def write_phantom(phantom: Phantom, path: Path) -> Path:
    """Write int16 HU as NIfTI or NRRD and the truth beside it; returns the truth's path `X.truth.csv` (label, LPS mm).

    UsageError when the name does not end in .nii.gz, .nii or .nrrd, or the folder cannot be written.
    """
    suffix = next((end for end in (".nii.gz", ".nii", ".nrrd") if path.name.endswith(end)), None)
    if suffix is None:
        raise UsageError(f"'{path}' is no name for a phantom: end it in .nii.gz.")
    truth = path.with_name(f"{path.name.removesuffix(suffix)}.truth.csv")
    image = sitk.Cast(sitk.Round(phantom.scan.to_sitk()), sitk.sitkInt16)
    require_writable_folder(path.parent)
    with atomic_write(truth) as partial_truth, atomic_write(path) as partial:
        _write_truth(phantom, partial_truth)
        sitk.WriteImage(image, str(partial), useCompression=suffix != ".nii")
    return truth


def _write_truth(phantom: Phantom, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("label", "x", "y", "z"))
        for level, position in phantom.centroids.items():
            writer.writerow((level.name, *(f"{value:.3f}" for value in position)))
