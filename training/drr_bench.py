"""How fast and how exact the projection of the multi-view method is, next to the ray caster of RTK.

RTK (the package itk-rtk, in the extra `bench`) is wanted here only; its Joseph forward projector casts a ray per pixel,
on all threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import UsageError
from VertebraLabelingLib.methods.multi_view.drr import attenuation_of, line_integrals
from VertebraLabelingLib.methods.multi_view.geometry import Views, equal_views
from VertebraLabelingLib.methods.multi_view.settings import MultiViewSettings

Floats = NDArray[np.float32]
Result = TypeVar("Result")


class Seconds(NamedTuple):
    """wall: as a clock sees it.  cpu: of all threads of the process together, which another load changes little."""

    wall: float
    cpu: float


Projector = Callable[[Floats, Views], tuple[Floats, Seconds]]
"""Volume (z, y, x), views -> integrals (K, rows, columns) in mm, time."""

TORSO_SPACING_MM = 1.5
TORSO_PIXEL_MM = 1.2
IMAGE_HW = (512, 512)
BALL_SHAPE_ZYX = (128, 128, 128)
BALL_RADIUS_MM = 50.0
BALL_CENTRE_ZYX_MM = (12.0, -8.0, 17.0)
CENTRAL = 0.6
"""Share of the diameter that a ray crosses at least to count as central; at the rim every voxel grid blurs a ball."""


@dataclass(frozen=True)
class Projected:
    """One projector: time of every pass over the torso, and errors on the ball over central rays.

    torso: (K, rows, columns) mm x attenuation.  worst, mean: as shares of the diameter.  worst_of_chord: each error as
    a share of what its own ray should give.
    """

    name: str
    seconds: tuple[Seconds, ...]
    torso: Floats
    worst: float
    mean: float
    worst_of_chord: float

    @property
    def fastest(self) -> Seconds:
        """The least of either time over the passes."""
        return Seconds(*map(min, zip(*self.seconds, strict=True)))


def torso() -> Floats:
    """(z, y, x): attenuation 0..1 of a phantom from T1 to S2 of 400 x 320 mm, with voxels of 1.5 mm.

    Made on a grid twice as coarse and interpolated: the time depends on the number of voxels only.
    """
    from .phantom import PhantomSpec, make_phantom

    spec = PhantomSpec(
        spacing_zyx_mm=(2 * TORSO_SPACING_MM,) * 3, first=Level.T1, last=Level.S2, width_mm=400.0, depth_mm=320.0
    )
    hu = torch.from_numpy(make_phantom(0, spec).scan.hu)
    coarse = attenuation_of(hu[None], MultiViewSettings())[:, :1]
    return torch.nn.functional.interpolate(coarse, scale_factor=2, mode="trilinear")[0, 0].numpy()


def torso_views(number: int) -> Views:
    """Views of 512x512 pixels that hold the whole torso."""
    settings = MultiViewSettings(spacing_mm=TORSO_SPACING_MM, image_hw=IMAGE_HW, pixel_mm=TORSO_PIXEL_MM)
    return equal_views(settings, number)


def ball(
    shape_zyx: tuple[int, int, int], spacing_mm: float, centre_zyx_mm: tuple[float, ...], radius_mm: float
) -> Floats:
    """(z, y, x): a ball of attenuation 1 around a point in mm from the middle; the voxels at its surface are 0..1."""
    axes = ((np.arange(n) - (n - 1) / 2) * spacing_mm - c for n, c in zip(shape_zyx, centre_zyx_mm, strict=True))
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    distance_mm = np.sqrt(z**2 + y**2 + x**2)
    return np.clip((radius_mm - distance_mm) / spacing_mm + 0.5, 0, 1).astype(np.float32)


def ball_integrals(views: Views, centre_zyx_mm: tuple[float, ...], radius_mm: float) -> NDArray[np.float64]:
    """(K, rows, columns) mm: the chord 2 sqrt(r^2 - d^2) of every ray, d its distance from the centre."""
    pixels = np.stack(np.indices(views.settings.image_hw), axis=-1).reshape(-1, 2)
    chords = []
    for view in range(len(views)):
        source, directions = views.rays(view, pixels)
        to_centre = np.array(centre_zyx_mm) - source
        squared_distance = to_centre @ to_centre - (directions @ to_centre) ** 2
        chords.append(2 * np.sqrt(np.clip(radius_mm**2 - squared_distance, 0, None)))
    return np.reshape(chords, (len(views), *views.settings.image_hw))


def measure(name: str, projector: Projector, volume: Floats, views: Views, passes: int = 2) -> Projected:
    """Time a projector on a volume, and compare its picture of a ball with the closed form."""
    runs = [projector(volume, views) for _ in range(passes)]
    settings = replace(views.settings, pixel_mm=views.settings.pixel_mm / 2)
    ball_views = Views(views.angles_rad, settings)
    truth = ball_integrals(ball_views, BALL_CENTRE_ZYX_MM, BALL_RADIUS_MM)
    picture, _ = projector(ball(BALL_SHAPE_ZYX, settings.spacing_mm, BALL_CENTRE_ZYX_MM, BALL_RADIUS_MM), ball_views)
    central = truth > CENTRAL * 2 * BALL_RADIUS_MM
    errors_mm, chords_mm = np.abs(picture - truth)[central], truth[central]
    of_diameter, of_chord = errors_mm / (2 * BALL_RADIUS_MM), errors_mm / chords_mm
    seconds = tuple(seconds for _, seconds in runs)
    return Projected(
        name, seconds, runs[-1][0], float(of_diameter.max()), float(of_diameter.mean()), float(of_chord.max())
    )


@torch.inference_mode()
def project(volume: Floats, views: Views) -> tuple[Floats, Seconds]:
    """Our projection, with everything that it does from the array on."""
    images, seconds = timed(lambda: line_integrals(torch.from_numpy(volume)[None, None], views))
    return images[0, :, 0].numpy(), seconds


def timed(call: Callable[[], Result]) -> tuple[Result, Seconds]:
    """What a call returns, and how long it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def rtk_projector(threads: int) -> Projector:
    """The Joseph forward projector of RTK in our geometry.  UsageError when RTK is not installed."""
    try:
        import itk
        from itk import RTK
    except ImportError as error:
        raise UsageError(
            f"RTK, which would be the reference, is not installed ({error}): pip install -e '.[bench]'."
        ) from error
    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(threads)
    itk.MultiThreaderBase.SetGlobalMaximumNumberOfThreads(threads)
    image_type = itk.Image[itk.F, 3]

    def cast(volume: Floats, views: Views) -> tuple[Floats, Seconds]:
        """Only the casting of the rays is timed."""
        projector = RTK.JosephForwardProjectionImageFilter[image_type, image_type].New()
        projector.SetInput(0, _rtk_detector(RTK.ConstantImageSource[image_type].New(), views))
        projector.SetInput(1, _rtk_volume(itk, volume, views.settings.spacing_mm))
        projector.SetGeometry(_rtk_geometry(RTK.ThreeDCircularProjectionGeometry.New(), views))
        _, seconds = timed(projector.Update)
        return itk.array_from_image(projector.GetOutput())[:, ::-1], seconds

    return cast


def _rtk_volume(itk, volume: Floats, spacing_mm: float):
    """Its axes x, y, z are our x, z and -y: it turns around y, and its source is on the positive side of z."""
    array = np.ascontiguousarray(volume.transpose(1, 0, 2)[::-1])
    image = itk.image_from_array(array)
    image.SetSpacing([spacing_mm] * 3)
    image.SetOrigin([-(n - 1) / 2 * spacing_mm for n in array.shape[::-1]])
    return image


def _rtk_detector(source, views: Views):
    """Empty images (view, row, column), rows upwards; the pixels of the detector are larger than those at the axis."""
    rows, columns = views.settings.image_hw
    pixel_mm = views.settings.detector_pixel_mm
    source.SetSpacing([pixel_mm, pixel_mm, 1.0])
    source.SetOrigin([-(columns - 1) / 2 * pixel_mm, -(rows - 1) / 2 * pixel_mm, 0.0])
    source.SetSize([columns, rows, len(views)])
    source.SetConstant(0.0)
    source.Update()
    return source.GetOutput()


def _rtk_geometry(geometry, views: Views):
    """The same orbit; its angles are in degrees and turn the other way."""
    distance = views.settings.source_axis_mm
    for angle in np.degrees(views.angles_rad):
        geometry.AddProjection(distance, distance + views.settings.axis_detector_mm, -float(angle))
    return geometry
