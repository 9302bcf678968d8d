"""Phantoms made while a network trains: they arrive, are drawn as often as asked for, and stop with the training."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("lightning")
torch = pytest.importorskip("torch")

from phantoms import small_phantom  # noqa: E402
from VertebraLabelingLib.core.anatomy import Level  # noqa: E402

from training import fresh_phantoms  # noqa: E402
from training.cases import cache_phantom, read_cache  # noqa: E402
from training.data import RandomWindows  # noqa: E402
from training.fresh_phantoms import DEVICE_BATCH, KEPT, FreshCases, PhantomMaker, stored_poses  # noqa: E402
from training.loop import train  # noqa: E402
from training.phantom.poses import Pose  # noqa: E402
from training.repose import store_poses  # noqa: E402
from training.seeds import STREAM_SEED  # noqa: E402
from training.settings import RunSettings  # noqa: E402
from training.tasks import make_task  # noqa: E402

TASK = make_task("corridor", {"window_zyx": [16, 8, 8], "widths": [8, 8, 8, 8]}, {})


def made(folder: Path, name: str) -> None:
    cache_phantom(folder, name, small_phantom())


def test_windows_show_a_fresh_phantom_as_often_as_asked_for(tmp_path: Path) -> None:
    made(tmp_path / "cache", "old")
    cases = read_cache(tmp_path / "cache")
    rng = np.random.default_rng(0)
    assert FreshCases(tmp_path / "fresh", 1.0).drawn(rng) is None, "there is none yet"
    made(tmp_path / "fresh/0", "fresh-0000000")
    drawn = [FreshCases(tmp_path / "fresh", 0.3).drawn(rng) for _ in range(200)]
    assert 40 < sum(case is not None for case in drawn) < 80
    assert {case.id for case in drawn if case} == {"fresh-0000000"}
    with_fresh, without = (
        [sample["image"] for sample in islice(RandomWindows(cases, TASK, 2, 0, fresh=fresh), 4)]
        for fresh in (FreshCases(tmp_path / "fresh", 1.0), None)
    )
    again = [sample["image"] for sample in islice(RandomWindows(cases, TASK, 2, 0), 4)]
    assert all(torch.equal(a, b) for a, b in zip(without, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(without, with_fresh, strict=True))


def test_only_the_newest_phantoms_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maker, count = PhantomMaker(tmp_path), KEPT + 3

    def stream(first_seed: int, poses: object, device: object, batch: int):
        assert (first_seed, poses, device, batch) == (STREAM_SEED + 10_000_000 + 7, None, None, 1)
        for n in range(count):
            if n == count - 1:
                maker._stopped.set()
            yield n

    monkeypatch.setattr(fresh_phantoms, "phantom_stream", stream)
    monkeypatch.setattr(fresh_phantoms, "cache_phantom", lambda folder, name, _: made_quickly(folder, name))
    module = SimpleNamespace(device=torch.device("cpu"))
    maker.on_train_start(SimpleNamespace(global_rank=1, global_step=7), module)
    maker._thread.join()
    assert [case.id for case in read_cache(tmp_path / "1")] == [f"fresh-{n:07}" for n in range(3, count)]
    assert len(list((tmp_path / "1").glob("*.npy"))) == 0


def test_an_accelerator_paints_several_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(fresh_phantoms, "phantom_stream", lambda *asked_for: asked.append(asked_for) or ())
    maker = PhantomMaker(tmp_path)
    trainer = SimpleNamespace(global_rank=0, global_step=0)
    maker.on_train_start(trainer, SimpleNamespace(device=torch.device("cuda:1")))
    maker.on_train_end(trainer, SimpleNamespace())
    assert asked == [(STREAM_SEED, None, "cuda:1", DEVICE_BATCH)]
    assert 1 < DEVICE_BATCH < KEPT


def made_quickly(folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = '"split": "phantom", "corner_zyx_mm": [0, 0, 0], "levels": [], "points_zyx_mm": [], "weight": 1'
    (folder / f"{name}.json").write_text(f'{{"id": "{name}", {content}}}')


def test_a_training_makes_phantoms_and_ends_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path / "cache", "old")
    arrived = threading.Event()

    def stream(first_seed: int, poses: object, device: object, batch: int):
        while True:
            yield small_phantom()
            arrived.set()

    monkeypatch.setattr(fresh_phantoms, "phantom_stream", stream)
    loss = TASK.loss
    monkeypatch.setattr(TASK, "loss", lambda *batch: arrived.wait(60) and loss(*batch))
    run = RunSettings(minutes=60, steps=2, batch=1, workers=0, fresh_phantoms=0.5)
    train(TASK, read_cache(tmp_path / "cache"), run, tmp_path / "run")
    assert read_cache(tmp_path / "run/fresh/0")
    assert not any(thread.name.endswith("(_make)") for thread in threading.enumerate()), "the thread went on"


def test_a_training_without_them_makes_none(tmp_path: Path) -> None:
    made(tmp_path / "cache", "old")
    run = replace(RunSettings(), steps=1, batch=1, workers=0)
    train(TASK, read_cache(tmp_path / "cache"), run, tmp_path / "run")
    assert not (tmp_path / "run/fresh").exists()


def test_stored_poses_come_back(tmp_path: Path) -> None:
    levels = (Level.T10, Level.T11, Level.T12, Level.L1)
    points = tuple((1.0, 2.0, 100.0 - 30.0 * n) for n in range(4))
    store_poses([Pose(levels, points)], tmp_path)
    assert stored_poses(tmp_path) == (Pose(levels, points),)
    assert stored_poses(tmp_path / "none") == ()
