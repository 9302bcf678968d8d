"""Family 9: labelling takes no more memory than a laptop has; measured in a process of its own."""

from __future__ import annotations

import sys

import pytest
import SimpleITK as sitk
from phantoms import small_phantom
from trust_support import resampled, written

from training.bench import label_in_child, write_body_phantom

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX tells the peak of a child")

CEILING_BYTES = 1.5e9
"""For a whole body of 512x512x600 voxels, everything included."""
SMALL_BASE_BYTES, BYTES_PER_VOXEL = 630e6, 12
"""Python, the libraries and the networks with their windows; and what a scan takes besides: it is read as float32 and
is resampled once, whole."""


def peak_bytes(ct, folder) -> int:
    run = label_in_child(ct, folder / "a.mrk.json", "sites", "default")
    assert run.exit_code == 0
    print(f"peak memory {run.peak_bytes / 1e9:.2f} GB in {run.seconds:.0f} s")
    return run.peak_bytes


def test_a_small_scan_of_fine_voxels_takes_memory_by_its_size(tmp_path):
    scan = resampled(small_phantom().scan, (1.0, 1.0, 1.0))
    ct = written(tmp_path / "a.nii", sitk.Cast(scan.to_sitk(), sitk.sitkInt16))
    assert scan.hu.size > 5e6
    assert peak_bytes(ct, tmp_path) < SMALL_BASE_BYTES + scan.hu.size * BYTES_PER_VOXEL


@pytest.mark.slow
def test_a_whole_body_stays_below_the_ceiling(tmp_path):
    write_body_phantom(tmp_path / "body.nii.gz")
    assert peak_bytes(tmp_path / "body.nii.gz", tmp_path) < CEILING_BYTES
