"""Files for the browser tests: a phantom with its true points, and files that are no CT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from phantoms import small_phantom
from VertebraLabelingLib.core.formats import write_points
from VertebraLabelingLib.core.labelling import LabelledPoint, Labelling

LEVELS = ["T12", "L1", "L2", "L3", "L4", "L5", "S1", "S2"]


def phantom_folder(folder: Path) -> Path:
    """phantom.nii.gz, truth.mrk.json and other.nii.gz, the same with some voxels less."""
    folder.mkdir(exist_ok=True)
    image = small_phantom().scan.to_sitk()
    sitk.WriteImage(image, str(folder / "phantom.nii.gz"))
    sitk.WriteImage(image[4:, :, :], str(folder / "other.nii.gz"))
    write_points(folder / "truth.mrk.json", truth())
    return folder


def truth() -> Labelling:
    """The phantom's body centres."""
    centroids = small_phantom().centroids
    inside = small_phantom().scan.geometry.contains_lps
    points = [LabelledPoint(level, tuple(map(float, place))) for level, place in centroids.items() if inside(place)]
    return Labelling(tuple(sorted(points, key=lambda point: point.level)))


def write_text_as_ct(path: Path) -> None:
    path.write_text("This is no image.\n" * 20, encoding="utf-8")


def write_empty(path: Path) -> None:
    path.write_bytes(b"")


def write_label_map(path: Path) -> None:
    """What a segmentation looks like: a few small whole numbers."""
    labels = np.zeros((60, 60, 60), np.uint8)
    labels[20:40, 20:40, 20:30], labels[20:40, 20:40, 30:40] = 20, 21
    sitk.WriteImage(sitk.GetImageFromArray(labels), str(path))


def write_garbage_points(path: Path) -> None:
    path.write_text('{"markups": [{"controlPoints": 7}]}', encoding="utf-8")
