"""What a multi-view network was trained for; no engine is needed to read it."""

from __future__ import annotations

from dataclasses import dataclass

from ..metadata import Settings


@dataclass(frozen=True)
class MultiViewSettings(Settings):
    """Travels in the metadata of the weight file.

    spacing_mm: voxels of the volume window that is projected.  window_zyx: its size in voxels.
    views: number of projections, equally spaced over 360 degrees, the first one antero-posterior.
    source_axis_mm, axis_detector_mm: from the source to the axis of the orbit, and from there to the detector.  The
    second changes no image, as pixels are measured at the axis: it only tells how large they are on the detector.
    image_hw: pixels of a projection; rows go from cranial to caudal, columns as `geometry.Views` says.
    pixel_mm: at the axis of the orbit; on the detector it is `detector_pixel_mm`.
    attenuation_ranges: one image channel per HU range, which maps to an attenuation of 0..1: all tissue, bone.
    widths: channels of the encoder at 1/2, 1/4, 1/8, ... of the image.
    heat_sigma_mm, square_mm: width of a centroid in the heat map, side of the square that is named; at the axis.
    score_calibration: (slope, offset) from the logit of the mean height of a point's peaks to the logit of its being a
    vertebra.
    level_temperature: divides the log-probabilities of the names, so that the decoder doubts what is often wrong; both
    from `python -m training calibrate`.
    """

    spacing_mm: float = 2.0
    window_zyx: tuple[int, int, int] = (176, 72, 80)
    views: int = 10
    source_axis_mm: float = 1000.0
    axis_detector_mm: float = 1000.0
    image_hw: tuple[int, int] = (176, 96)
    pixel_mm: float = 2.0
    attenuation_ranges: tuple[tuple[float, float], ...] = ((-1000.0, 1000.0), (150.0, 1300.0))
    widths: tuple[int, ...] = (32, 64, 128, 192)
    heat_sigma_mm: float = 5.0
    square_mm: float = 11.0
    score_calibration: tuple[float, float] = (1.0, 0.0)
    level_temperature: float = 1.0

    @property
    def detector_pixel_mm(self) -> float:
        """Pixels where the detector is; larger than at the axis of the orbit by the magnification."""
        return self.pixel_mm * (self.source_axis_mm + self.axis_detector_mm) / self.source_axis_mm


def paper() -> MultiViewSettings:
    """The projection of the authors' code: 1 mm voxels, ten views of 1024x1024 pixels of 1 mm, near source."""
    return MultiViewSettings(
        1.0, (512, 512, 512), source_axis_mm=500.0, axis_detector_mm=500.0, image_hw=(1024, 1024), pixel_mm=1.0
    )
