"""The throughput of a batch, as `python -m training bench-batch` tells it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console
from VertebraLabelingLib.core.errors import VertebraLabelingError
from VertebraLabelingLib.core.readers import read_scan

from training import batch_bench
from training.commands.bench_batch import report


def test_the_table_compares_with_the_first_run():
    runs = [batch_bench.BatchRun(1, 6, 0, 70.0, 60.0), batch_bench.BatchRun(2, 6, 1, 45.0, 40.0)]
    console = Console(record=True, width=140, file=io.StringIO())
    console.print(report(runs))
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in console.export_text().splitlines()]
    assert ["1", "6", "0", "70.0", "60.0", "6.00", "1.00"] in lines
    assert ["2", "6", "1", "45.0", "40.0", "9.00", "1.50"] in lines


def test_a_run_that_cannot_be_done_is_no_measurement(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(VertebraLabelingError, match="exit code 2"):
        batch_bench.run_batches(tmp_path / "in", tmp_path, [1])


def test_the_phantoms_for_it_are_small_and_no_two_alike(tmp_path):
    folder = batch_bench.write_phantoms(tmp_path / "in", 2)
    first, second = (read_scan(path) for path in sorted(folder.iterdir()))
    assert first.hu.size < 1e6
    assert first.hu.shape != second.hu.shape or np.abs(first.hu - second.hu).max() > 100
