"""How long a whole body takes, and how long a plain U-Net would take: what is measured, and what is extrapolated.

Everything that is large runs in a child process, since the peak memory of a child counts from that of its parent.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor, nn
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import VertebraLabelingError
from VertebraLabelingLib.core.windows import dense_windows
from VertebraLabelingLib.engines.device import tune_cpu
from VertebraLabelingLib.record import record_path

BODY_SHAPE_ZYX = (600, 512, 512)
BODY_SPACING_ZYX_MM = (1.5, 0.98, 0.98)
UNET_SPACING_MM = 1.5
UNET_PATCH_ZYX = (128, 128, 128)
UNET_OVERLAP = 0.5
UNET_WIDTHS = (32, 64, 128, 256, 320, 320)
UNET_CLASSES = 27
PHANTOM_COARSENESS = 2


@dataclass(frozen=True)
class ChildRun:
    """One finished child process.

    seconds: wall time from start to exit.  peak_bytes: of resident memory.  cpu_seconds: of all its threads.
    """

    seconds: float
    peak_bytes: int
    exit_code: int
    cpu_seconds: float


@dataclass(frozen=True)
class PipelineRun:
    """The command line on one CT: the whole child process, and its own account of seconds per stage."""

    child: ChildRun
    stages: dict[str, float]
    summary: str


@dataclass(frozen=True)
class UnetRun:
    """tile_seconds: each measured forward pass.  tiles: patches that the volume takes.  parameters: of the network."""

    tile_seconds: tuple[float, ...]
    tiles: int
    parameters: int

    @property
    def extrapolated_seconds(self) -> float:
        """Fastest measured pass times the number of tiles; resampling and export not counted, which favours it."""
        return min(self.tile_seconds) * self.tiles


@dataclass(frozen=True)
class Measured:
    """What `bench` measures of labelling.

    by_length: length of a part of the scan in mm -> its run.  by_engine: engine -> a run on the whole scan.
    window_seconds: engine, or engine and setting -> of one window.
    """

    whole: PipelineRun
    unet: UnetRun
    by_length: dict[float, PipelineRun] = field(default_factory=dict)
    by_engine: dict[str, PipelineRun] = field(default_factory=dict)
    window_seconds: dict[str, float] = field(default_factory=dict)


def write_body_phantom(path: Path, seed: int = 0) -> None:
    """A head-to-pelvis phantom CT of 512x512x600 voxels as int16; air where the phantom ends.

    Made on a grid twice as coarse and interpolated: the time of the pipeline depends on the number of voxels only.
    """
    from .phantom import PhantomSpec, make_phantom

    spacing = tuple(PHANTOM_COARSENESS * s for s in BODY_SPACING_ZYX_MM)
    depth, width = (n * s for n, s in zip(BODY_SHAPE_ZYX[1:], BODY_SPACING_ZYX_MM[1:], strict=True))
    spec = PhantomSpec(
        spacing_zyx_mm=spacing, first=Level.C1, last=Level.S2, cranial_mm=120, caudal_mm=150,
        width_mm=width, depth_mm=depth, arms=True,
    )  # fmt: skip
    phantom = make_phantom(seed, spec).scan.to_sitk()
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(BODY_SHAPE_ZYX[::-1])
    resampler.SetOutputSpacing(BODY_SPACING_ZYX_MM[::-1])
    resampler.SetOutputOrigin(phantom.GetOrigin())
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetDefaultPixelValue(-1000)
    resampler.SetOutputPixelType(sitk.sitkInt16)
    sitk.WriteImage(resampler.Execute(phantom), str(path))


_WATCH = """
import json, os, subprocess, sys, time
start = time.perf_counter()
_, status, usage = os.wait4(subprocess.Popen(sys.argv[2:]).pid, 0)
seconds = time.perf_counter() - start
cpu_seconds = usage.ru_utime + usage.ru_stime
with open(sys.argv[1], "w") as file:
    json.dump([seconds, usage.ru_maxrss, os.waitstatus_to_exitcode(status), cpu_seconds], file)
"""


def run_child(command: Sequence[str]) -> ChildRun:
    """Run a command to its end (POSIX).  Its output goes where that of this process goes.

    A bare interpreter starts it: the peak memory of a process counts from that of the one that started it.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        subprocess.run([sys.executable, "-S", "-c", _WATCH, str(report), *command], check=True)
        seconds, peak, exit_code, cpu_seconds = json.loads(report.read_text(encoding="utf-8"))
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes on macOS, kilobytes elsewhere
    return ChildRun(seconds, peak * unit, exit_code, cpu_seconds)


def label_in_child(ct: Path, markups: Path, method: str, config: str, engine: str = "auto") -> ChildRun:
    """Label a CT with the command line, on the CPU, whatever comes of it."""
    command = [sys.executable, "-m", "VertebraLabelingLib.predict", "label", str(ct), "--output", str(markups)]
    choice = ["--method", method, "--config", config, "--engine", engine]
    return run_child([*command, *choice, "--device", "cpu", "--phantom", "--quiet"])


def run_pipeline(ct: Path, folder: Path, method: str, config: str, engine: str = "auto") -> PipelineRun:
    """`label_in_child` with what it tells of itself; VertebraLabelingError when it fails."""
    markups = folder / "bench.mrk.json"
    child = label_in_child(ct, markups, method, config, engine)
    if child.exit_code:
        raise VertebraLabelingError(f"The command line ended with exit code {child.exit_code}; its message is above.")
    record = json.loads(record_path(markups).read_text(encoding="utf-8"))
    return PipelineRun(child, record["seconds"], record["labelling"]["summary"])


def cut_lengths(ct: Path, folder: Path) -> dict[float, Path]:
    """The caudal quarter and half of a CT as files of their own: length in mm -> file."""
    image = sitk.ReadImage(str(ct))
    files = {}
    for part in (4, 2):
        piece = image[:, :, : image.GetDepth() // part]
        file = folder / f"part{part}.nii.gz"
        sitk.WriteImage(piece, str(file))
        files[piece.GetDepth() * piece.GetSpacing()[2]] = file
    return files


class PlainUnet(nn.Module):
    """A U-Net as nnU-Net plans it: per stage two convolutions with InstanceNorm and LeakyReLU.

    (B, 1, z, y, x) -> (B, classes, z, y, x); strided convolutions down, transposed ones up, skips concatenated.
    """

    def __init__(self, widths: Sequence[int] = UNET_WIDTHS, classes: int = UNET_CLASSES) -> None:
        super().__init__()
        ins = (1, *widths[:-1])
        self.down = nn.ModuleList(_stage(a, b, 2 if n else 1) for n, (a, b) in enumerate(zip(ins, widths, strict=True)))
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose3d(deep, fine, 2, stride=2) for deep, fine in pairs)
        self.merge = nn.ModuleList(_stage(2 * fine, fine, 1) for _, fine in pairs)
        self.head = nn.Conv3d(widths[0], classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits at full resolution."""
        skips = []
        for stage in self.down:
            image = stage(image)
            skips.append(image)
        image = skips.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            image = merge(torch.cat([up(image), skips.pop()], dim=1))
        return self.head(image)


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Two convolutions 3x3x3, the first with `stride`."""
    layers: list[nn.Module] = []
    for a, s in ((inputs, stride), (outputs, 1)):
        layers += [nn.Conv3d(a, outputs, 3, stride=s, padding=1), nn.InstanceNorm3d(outputs, affine=True)]
        layers.append(nn.LeakyReLU(inplace=True))
    return nn.Sequential(*layers)


def unet_tiles() -> int:
    """Patches of 128^3 at 1.5 mm with half overlap that cover the body volume."""
    extent_mm = np.multiply(BODY_SHAPE_ZYX, BODY_SPACING_ZYX_MM)
    z, y, x = (int(n) for n in np.ceil(extent_mm / UNET_SPACING_MM - 1e-6))
    return len(dense_windows((z, y, x), UNET_PATCH_ZYX, UNET_OVERLAP))


@torch.inference_mode()
def run_unet(forwards: int) -> UnetRun:
    """Time `forwards` passes of the U-Net with random weights over one patch, after one that warms up."""
    tune_cpu()
    network = PlainUnet().eval()
    patch = torch.randn(1, 1, *UNET_PATCH_ZYX)
    network(patch)
    seconds = []
    for _ in range(forwards):
        start = time.perf_counter()
        network(patch)
        seconds.append(time.perf_counter() - start)
    return UnetRun(tuple(seconds), unet_tiles(), sum(p.numel() for p in network.parameters()))
