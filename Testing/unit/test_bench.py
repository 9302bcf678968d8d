from __future__ import annotations

import io
import sys

import numpy as np
import pytest
import SimpleITK as sitk

torch = pytest.importorskip("torch")

from training.bench import (  # noqa: E402
    ChildRun,
    Measured,
    PipelineRun,
    PlainUnet,
    UnetRun,
    cut_lengths,
    run_child,
    unet_tiles,
)


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

    pipeline = PipelineRun(ChildRun(10.0, 2_000_000_000, 0, 14.0), {"read": 3.0, "find": 5.0}, "C1-S2, 26 vertebrae")
    short = PipelineRun(ChildRun(4.0, 1_500_000_000, 0, 5.0), {}, "")
    unet = UnetRun((4.0, 5.0), 225, 31_000_000)
    measured = Measured(pipeline, unet, {225.0: short}, {"onnx": pipeline}, {"torch": 0.25})
    console = Console(record=True, width=140, file=io.StringIO())
    console.print(report(measured))
    rows = {row.split("│")[1].strip(): row for row in console.export_text().splitlines() if row.count("│") == 4}
    assert "900 s" in rows["U-Net, volume"] and "EXTRAPOLATED" in rows["U-Net, volume"]
    assert "90 x" in rows["ratio"] and "2.00 GB" in rows["peak memory"] and "2.00 s" in rows["start, imports, writing"]
    assert "14.00 s" in rows["CPU time"] and "4.00 s, 1.50 GB" in rows["225 mm of it, total"]
    assert "10.00 s, 2.00 GB" in rows["total with onnx"] and "0.25 s" in rows["a window with torch"]


def test_the_parts_of_a_scan_are_its_caudal_quarter_and_half(tmp_path):
    hu = np.arange(8 * 3 * 2, dtype=np.int16).reshape(8, 3, 2)
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((1.0, 1.0, 1.5))
    sitk.WriteImage(image, str(tmp_path / "a.nii.gz"))
    parts = cut_lengths(tmp_path / "a.nii.gz", tmp_path)
    assert list(parts) == [3.0, 6.0]
    for file, slices in zip(parts.values(), (2, 4), strict=True):
        np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(file))), hu[:slices])


def test_every_installed_engine_can_be_timed():
    from training.engine_times import installed_engines, window_seconds

    assert "torch" in installed_engines()
    assert all(window_seconds(engine, forwards=1) > 0 for engine in installed_engines())


def test_threads_and_allocator_are_those_of_the_environment(monkeypatch):
    """In the child, whatever they are here."""
    from training import engine_times

    told = "print(__import__('torch').get_num_threads(), *(__import__('os').environ.get(n) for n in {names!r}))"
    names = ("OMP_NUM_THREADS", "MALLOC_MMAP_MAX_")
    run, said = engine_times.subprocess.run, []

    def other(command, **options):
        done = run([*command[:2], told.format(names=names)], **options)
        said.append(done.stdout.split())
        return type(done)(command, 0, "0.5\n")

    monkeypatch.setattr(engine_times.subprocess, "run", other)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert [engine_times.seconds_with(environment) for environment in engine_times.SETTINGS.values()] == [0.5] * 3
    assert said == [["1", "1", "None"], ["2", "2", "None"], ["1", "1", "65536"]]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator is glibc's")
def test_the_tuned_allocator_is_faster():
    """By a factor of two where this was written."""
    from training.engine_times import SETTINGS, seconds_with

    one, two, untuned = (seconds_with(environment) for environment in SETTINGS.values())
    print(f"a window: 1 thread {one:.2f} s, 2 threads {two:.2f} s, allocator untuned {untuned:.2f} s")
    assert min(one, two) < untuned


def test_the_training_report_gives_the_speed_and_the_share_of_each_part():
    from rich.console import Console

    from training.commands.bench import training_report
    from training.step_times import StepTimes

    parts = {"waiting for data": 0.1, "forward and loss": 0.1, "backward": 0.2, "optimiser, clipping": 0.1}
    console = Console(record=True, width=140, file=io.StringIO())
    console.print(training_report(StepTimes("sites", 2, "CPU", 10, 0.5, parts, 0.3)))
    rows = {row.split("│")[1].strip(): row for row in console.export_text().splitlines() if row.count("│") == 4}
    assert "2.00 steps/s" in rows["speed"] and "10 steps" in rows["speed"]
    assert "0.200 s" in rows["backward"] and "40% of the step" in rows["backward"]
    assert "0.300 s" in rows["drawing its windows"]


def test_the_parts_of_a_measured_step_add_up_to_it(tmp_path):
    pytest.importorskip("lightning")
    from training.step_times import measure_training

    config = tmp_path / "tiny.toml"
    network = "[network]\nwindow_zyx = [16, 8, 8]\nwidths = [8, 8, 8, 8]\n"
    config.write_text(f'task = "corridor"\n{network}[run]\nworkers = 0\n')
    times = measure_training(config, steps=3)
    assert times.steps == 3 and times.batch == 2 and times.drawing_seconds > 0
    assert sum(times.parts.values()) == pytest.approx(times.step_seconds)
    assert all(seconds > 0 for seconds in times.parts.values())
