"""What the families of hostile inputs share: a body without a phantom, a method without a network, comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from VertebraLabelingLib import options, predict
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.labelling import Evidence, LabelledPoint, positions_of
from VertebraLabelingLib.core.progress import Progress
from VertebraLabelingLib.core.scan import Scan, geometry_of
from VertebraLabelingLib.engines import device
from VertebraLabelingLib.pipeline import BORDER_MM, LabelledScan

LEVELS = (Level.L2, Level.L3, Level.L4, Level.L5)
OUTPUTS = ("a.mrk.json", "a.run.json", "a.csv", "a_ctd.json")


class FixedMethod:
    """Finds four lumbar vertebrae in whatever it is given, without a network."""

    name = "sites"
    weights_sha256 = {"sites": "ab" * 32, "corridor": "cd" * 32}  # noqa: RUF012

    def find(self, scan: Scan, progress: Progress) -> Evidence:
        progress("network", 1.0)
        centre = scan.geometry.corners_lps_mm.mean(axis=0)
        places = centre + np.array([[0.0, 0.0, 15.0 - 10.0 * n] for n in range(len(LEVELS))])
        probabilities = np.full((len(LEVELS), len(Level)), 0.03 / (len(Level) - 1))
        probabilities[np.arange(len(LEVELS)), list(LEVELS)] = 0.97
        return Evidence(places, np.log(probabilities), np.full(len(LEVELS), 0.9))


def leave_out_networks() -> None:
    """For the whole process: a `FixedMethod` in the place of the networks, and nothing imported that could run them."""
    options.load_method = lambda *_: FixedMethod()
    options.chosen_engine = lambda _: ("onnx", "cpu")
    device.begin_import = lambda _: None


def image_of(hu: NDArray, voxel_mm: Sequence[float] = (6.0, 6.0, 6.0)) -> sitk.Image:
    """A SimpleITK image with these numbers, as they are."""
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing([float(mm) for mm in voxel_mm])
    image.SetOrigin((-70.0, -60.0, -90.0)[: image.GetDimension()])
    return image


def written(path: Path, image: sitk.Image) -> Path:
    """The image in a file."""
    sitk.WriteImage(image, str(path))
    return path


def scan_of(image: sitk.Image, name: str = "case") -> Scan:
    """The image as a scan, without a file."""
    return Scan(sitk.GetArrayFromImage(image).astype(np.float32), geometry_of(image), name)


def resampled(scan: Scan, spacing_mm: Sequence[float], direction: NDArray | None = None) -> Scan:
    """The same patient on another grid around the same middle, large enough for all of it; air outside."""
    axes = np.eye(3) if direction is None else np.asarray(direction)
    corners = scan.geometry.corners_lps_mm
    middle = corners.mean(axis=0)
    along = (corners - middle) @ axes
    size = np.maximum(1, np.round(np.ptp(along, axis=0) / np.asarray(spacing_mm) - 1e-6)).astype(int)
    origin = middle - axes @ ((size - 1) / 2 * np.asarray(spacing_mm))
    image = sitk.Resample(
        scan.to_sitk(), [int(n) for n in size], sitk.Transform(), sitk.sitkLinear, [float(v) for v in origin],
        [float(mm) for mm in spacing_mm], [float(v) for v in axes.ravel()], -1000.0,
    )  # fmt: skip
    return scan_of(image, scan.name)


def moved(scan: Scan, by_mm: Sequence[float]) -> Scan:
    """The same patient at another place of the scanner's space."""
    image = scan.to_sitk()
    image.SetOrigin([float(v) for v in np.add(image.GetOrigin(), by_mm)])
    return scan_of(image, scan.name)


def turned(about: str, degrees: float) -> NDArray[np.float64]:
    """(3, 3) rotation about one LPS axis."""
    axis = "xyz".index(about)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    first, second = (n for n in range(3) if n != axis)
    matrix[first, first] = matrix[second, second] = c
    matrix[first, second], matrix[second, first] = -s, s
    return matrix


def cut(scan: Scan, low_z: float, high_z: float) -> Scan:
    """The part of a scan between two heights, 0 at its lower end and 1 at its upper one."""
    shape = np.array(scan.geometry.shape_zyx)
    part = scan.part(np.array([int(low_z * shape[0]), 0, 0]), np.array([int(high_z * shape[0]), *shape[1:]]))
    return Scan(np.ascontiguousarray(part.hu), part.geometry, part.name, part.notes)


def by_level(points: Sequence[LabelledPoint]) -> dict[Level, NDArray[np.float64]]:
    return {point.level: np.array(point.position_lps_mm) for point in points}


def distances_mm(result: LabelledScan, expected: LabelledScan) -> dict[Level, float]:
    """How far each level of both lies from where it is expected."""
    there, wanted = by_level(result.labelling.points), by_level(expected.labelling.points)
    return {level: float(np.linalg.norm(there[level] - wanted[level])) for level in there.keys() & wanted.keys()}


def require_same(result: LabelledScan, expected: LabelledScan, within_mm: float) -> None:
    """The same levels at the same places."""
    assert result.labelling.levels == expected.labelling.levels
    far = {level.name: mm for level, mm in distances_mm(result, expected).items() if mm > within_mm}
    assert far == {}, f"farther than {within_mm} mm"


CUT_VERTEBRA_MM = 25.0
"""Nearer to the border of the scan a vertebra is not whole, and its middle is a matter of where the voxels end."""


def is_clear(point: LabelledPoint, scan: Scan) -> bool:
    """Whether it is a whole vertebra; the bodies of the sacrum have grown together and end nowhere."""
    whole = scan.geometry.border_distance_mm(np.array(point.position_lps_mm)) > CUT_VERTEBRA_MM
    return bool(whole) and point.level < Level.S1


def require_alike(result: LabelledScan, expected: LabelledScan, clear_mm: float, others_mm: float = 6.0) -> None:
    """All whole vertebrae with their names, at the same places, and no further ones.

    Those that the border cuts may be missing, or be there in one of both only.
    """
    clear = {p.level for p in expected.labelling.points if is_clear(p, expected.scan)}
    far, known = distances_mm(result, expected), by_level(expected.labelling.points)
    assert clear
    assert clear <= far.keys()
    assert {level.name: mm for level, mm in far.items() if mm > (clear_mm if level in clear else others_mm)} == {}
    further = [p for p in result.labelling.points if p.level not in known and is_clear(p, result.scan)]
    assert further == []


def wrong_names(
    result: LabelledScan, truth: dict[Level, Sequence[float]], within_mm: float = 20.0
) -> list[tuple[str, str, float]]:
    """(name given, name of the nearest true vertebra, distance in mm) of each point with a name that is not its own.

    A vertebra that the border of the scan cuts may be named though the truth ends before it.
    """
    levels, places = list(truth), np.array(list(truth.values()), float)
    found = []
    for point in result.labelling.points:
        offsets = np.linalg.norm(places - point.position_lps_mm, axis=1)
        nearest, mm = levels[int(offsets.argmin())], float(offsets.min())
        is_cut = result.scan.geometry.border_distance_mm(np.array(point.position_lps_mm)) < BORDER_MM
        if (point.level != nearest or mm > within_mm) and not is_cut:
            found.append((point.level.name, nearest.name, round(mm, 1)))
    return found


def right_share(result: LabelledScan, truth: dict[Level, Sequence[float]], within_mm: float = 20.0) -> float:
    """Share of the points whose name is that of the nearest true vertebra, as the VerSe metric has it."""
    places = np.array(list(truth.values()), float)
    offsets = np.linalg.norm(positions_of(result.labelling.points)[:, None] - places, axis=-1)
    nearest = [list(truth)[n] for n in offsets.argmin(axis=1)]
    right = [
        point.level == level and mm < within_mm
        for point, level, mm in zip(result.labelling.points, nearest, offsets.min(axis=1), strict=True)
    ]
    return float(np.mean(right))


def label(ct: Path, folder: Path, *more: object) -> int:
    """Exit code of the command line with the points in three formats and the record in `folder`."""
    names = ["--output", folder / "a.mrk.json", "--csv", folder / "a.csv", "--verse", folder / "a_ctd.json"]
    return predict.main(["label", str(ct), *map(str, [*names, "--device", "cpu", *more])])
