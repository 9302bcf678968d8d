from __future__ import annotations

import io
import sys

import pytest

torch = pytest.importorskip("torch")

from training.bench import ChildRun, PipelineRun, PlainUnet, UnetRun, run_child, unet_tiles  # noqa: E402


@pytest.mark.skipif(sys.platform == "win32", reason="peak memory of a child is read with wait4")
def test_a_child_is_timed_and_its_peak_memory_is_its_own():
    burden = b"x" * 400_000_000
    small = run_child([sys.executable, "-c", "pass"])
    assert small.peak_bytes < len(burden), "the memory of this process is not the child's"
    large = run_child([sys.executable, "-c", "import time; b = b'x' * 600_000_000; time.sleep(0.2)"])
    assert small.exit_code == large.exit_code == 0
    assert large.peak_bytes >= 600_000_000 and large.peak_bytes > small.peak_bytes
    assert large.seconds >= 0.2


def test_the_exit_code_of_a_child_is_reported():
    assert run_child([sys.executable, "-c", "raise SystemExit(5)"]).exit_code == 5


def test_the_unet_is_that_of_the_fact_sheet():
    with torch.device("meta"):
        network = PlainUnet()
        logits = network(torch.empty(1, 1, 128, 128, 128))
    assert logits.shape == (1, 27, 128, 128, 128)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(31.2e6, rel=0.02)


def test_tiles_of_the_body_volume():
    # 335 voxels in plane: 5 starts at most 64 apart; 600 along z: 9
    assert unet_tiles() == 9 * 5 * 5


def test_the_report_says_what_is_measured_and_what_is_extrapolated():
    from rich.console import Console

    from training.commands.bench import report

    pipeline = PipelineRun(ChildRun(10.0, 2_000_000_000, 0), {"read": 3.0, "find": 5.0}, "C1-S2, 26 vertebrae")
    console = Console(record=True, width=140, file=io.StringIO())
    console.print(report(pipeline, UnetRun((4.0, 5.0), 225, 31_000_000)))
    rows = {row.split("│")[1].strip(): row for row in console.export_text().splitlines() if row.count("│") == 4}
    assert "900 s" in rows["U-Net, volume"] and "EXTRAPOLATED" in rows["U-Net, volume"]
    assert "90 x" in rows["ratio"] and "2.00 GB" in rows["peak memory"] and "2.00 s" in rows["start, imports, writing"]
