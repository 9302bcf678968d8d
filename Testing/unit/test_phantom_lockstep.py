"""Phantoms painted together on a device: the same as one by one, in far fewer operations."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from VertebraLabelingLib.core.anatomy import Level  # noqa: E402
from VertebraLabelingLib.core.geometry import Geometry  # noqa: E402

from training import phantom_times  # noqa: E402
from training.phantom import (  # noqa: E402
    Acquisition,
    Anatomy,
    Disease,
    PhantomSpec,
    generate,
    lockstep,
    make_phantom,
    make_phantoms,
    phantom_stream,
)
from training.phantom.canvas import Bone, Canvas, Stroke  # noqa: E402
from training.phantom.distances import Distance, capsule, inset, turned, without  # noqa: E402
from training.phantom.lockstep import Task, paint_waiting, painting_steps, teams  # noqa: E402
from training.phantom.solids import Solid, ellipsoid, rod, tube  # noqa: E402
from training.phantom.spine import Frame  # noqa: E402
from training.phantom.vertebra import body  # noqa: E402

GRID = Geometry((40, 44, 48), (1.0, 1.0, 1.5), (-24.0, -22.0, -30.0))
TURNED = Frame(np.array([2.0, -1.0, 3.0]), np.array([[0.6, 0.8, 0.0], [-0.8, 0.6, 0.0], [0.0, 0.0, 1.0]]))
TINY = PhantomSpec((6.0, 6.0, 6.0), first=Level.L2, last=Level.L4, width_mm=90, depth_mm=120)
QUIET = Acquisition(noise_hu=0)
VARIED = [
    replace(TINY, acquisition=replace(QUIET, streaks_hu=20.0), disease=Disease(implants="screws", osteophytes=0.5)),
    replace(TINY, acquisition=QUIET, first=Level.T10, disease=Disease(fractures=2), anatomy=Anatomy(lumbar_count=6)),
    replace(TINY, acquisition=QUIET, first=Level.C1, last=Level.T2, spacing_zyx_mm=(5.0, 7.0, 7.0), table=False),
]
SEEDS = (5, 6, 7)


@pytest.fixture(scope="module")
def together():
    return make_phantoms(SEEDS, VARIED, "cpu")


def test_phantoms_of_a_batch_are_those_of_numpy(together):
    for seed, spec, made in zip(SEEDS, VARIED, together, strict=True):
        host = make_phantom(seed, spec)
        np.testing.assert_allclose(made.scan.hu, host.scan.hu, atol=0.01)
        assert made.centroids == host.centroids
        assert made.scan.geometry == host.scan.geometry


def test_a_phantom_does_not_depend_on_its_companions(together):
    noisy = [replace(spec, acquisition=Acquisition(noise_hu=20)) for spec in VARIED[:2]]
    alone = [make_phantom(seed, spec, "cpu") for seed, spec in zip(SEEDS, noisy, strict=False)]
    batch = make_phantoms(SEEDS, [*noisy, VARIED[2]], "cpu")
    # rounding may differ at the end of a tensor, where the CPU leaves its vector units; a GPU knows no such end
    for one, other in zip(alone, batch, strict=False):
        np.testing.assert_allclose(one.scan.hu, other.scan.hu, atol=1e-3)
    np.testing.assert_allclose(batch[2].scan.hu, together[2].scan.hu, atol=1e-3)


def test_small_windows_and_teams_change_nothing(together, monkeypatch):
    monkeypatch.setattr(lockstep, "WINDOW_VOXELS", 3000)
    monkeypatch.setattr(lockstep, "TEAM_VOXELS", 1500)
    monkeypatch.setattr(lockstep, "SPARE_VOXELS", 0)
    for made, known in zip(make_phantoms(SEEDS, VARIED, "cpu"), together, strict=True):
        np.testing.assert_allclose(made.scan.hu, known.scan.hu, atol=0.01)


@pytest.mark.parametrize("batch", [2, 3])
def test_a_stream_gives_the_same_phantoms_whatever_the_batch(monkeypatch, batch):
    monkeypatch.setattr(generate, "random_spec", lambda rng, spines: replace(TINY, fat_mm=float(rng.uniform(4, 30))))
    made = itertools.islice(phantom_stream(900, None, "cpu", batch), 4)
    for known, phantom in zip(itertools.islice(phantom_stream(900, None, "cpu"), 4), made, strict=True):
        assert phantom.scan.name == known.scan.name
        assert phantom.centroids == known.centroids
        np.testing.assert_allclose(phantom.scan.hu, known.scan.hu, atol=1e-3)


def test_a_batch_asks_a_device_for_a_fraction_of_the_operations(monkeypatch):
    monkeypatch.setattr(phantom_times, "random_spec", lambda rng: TINY)
    host, alone, batch = phantom_times.measure_phantoms(3)
    assert (host.device, host.batch, host.operations) == (None, 1, 0)
    assert (alone.batch, batch.batch) == (1, 3)
    # painted one by one, the same solids took about 8000
    assert alone.operations < 2000
    assert batch.operations < 0.7 * alone.operations
    assert min(times.seconds for times in (host, alone, batch)) > 0


def distances():
    def rods(n):
        return turned(TURNED, capsule((n, 0, 0), (0, 9 + n, 3), 2.0 + 0.1 * n, (1.0, 1.0, 1.5)))

    yield [rods(n) for n in range(4)]
    yield [inset(rods(n), 0.5 * n) for n in range(4)]
    yield [without(rods(n), ellipsoid((n, 2, 0), (4, 3, 2)).distance_mm) for n in range(4)]
    yield [body(12.0, 9.0, 13.0 + n, 10.0, 8.0, 0.05 * n, wedge=0.1 + 0.1 * n, skew=0.02) for n in range(4)]
    yield [body(12.0, 9.0, 13.0 + n, 10.0, 8.0, 0.05 * n) for n in range(4)]


@pytest.mark.parametrize("alike", list(distances()))
def test_stacked_distances_are_the_single_ones(alike):
    assert len({distance.kind for distance in alike}) == 1
    x, y, z = (torch.linspace(-15, 15, n).view(shape) for n, shape in ((7, (1, 1, 7)), (8, (1, 8, 1)), (9, (9, 1, 1))))
    numbers = torch.tensor([distance.all_numbers() for distance in alike]).T.reshape(-1, len(alike), 1, 1, 1)
    stacked = alike[0].with_numbers(iter(numbers))(x, y, z)
    for one, distance in zip(stacked, alike, strict=True):
        torch.testing.assert_close(one, distance(x, y, z), atol=1e-4, rtol=1e-5)


def test_kinds_differ_by_formula_parts_and_wedge():
    one, other = capsule((0, 0, 0), (1, 0, 0), 1.0), ellipsoid((0, 0, 0), (1, 1, 1)).distance_mm
    kinds = [one.kind, other.kind, turned(TURNED, one).kind, without(one, other).kind, without(other, one).kind,
             inset(one, 1.0).kind, body(1, 1, 1, 1, 1, 0).kind, body(1, 1, 1, 1, 1, 0, 0.2).kind,
             Distance(lambda x, y, z: x).kind, Distance(lambda x, y, z: x).kind]  # fmt: skip
    assert len(set(kinds)) == len(kinds)


def stroke(start, stop):
    return Stroke(tuple((start, stop) for _ in range(3)), capsule((0, 0, 0), (1, 0, 0), 1.0), 0.0)


def test_steps_keep_the_order_of_layers_that_meet_and_no_other():
    line = [stroke(n, n + 2) for n in range(5)]  # each meets the next
    over = [stroke(1, 2)]
    apart = [stroke(20, 22)]
    assert painting_steps([line]) == [0, 1, 0, 1, 0]
    assert painting_steps([line, over, apart]) == [0, 1, 0, 1, 0, 2, 0]
    assert painting_steps([[stroke(0, 2)], [stroke(0, 2)], [stroke(2, 4)], [stroke(1, 3)]]) == [0, 1, 0, 2]


def test_teams_are_of_one_kind_and_of_like_size(monkeypatch):
    monkeypatch.setattr(lockstep, "SPARE_VOXELS", 0)
    canvas = Canvas(GRID, "cpu")
    round_, long = ellipsoid((0, 0, 0), (1, 1, 1)).distance_mm, capsule((0, 0, 0), (1, 0, 0), 1.0)
    sizes = [(long, 2), (round_, 10), (long, 9), (long, 2), (long, 2), (long, 10), (long, 2)]
    tasks = [Task(canvas, 0, Stroke(((0, n),) * 3, kind, 0.0), 0) for kind, n in sizes]
    made = [[(task.stroke.distance_mm.formula, task.size) for task in team] for team in teams(tasks)]
    assert made == [
        [(long.formula, 1000), (long.formula, 729), (long.formula, 8)],
        [(long.formula, 8), (long.formula, 8), (long.formula, 8)],
        [(round_.formula, 1000)],
    ]


def painted(device):
    """A scene with every way to paint, some of it beyond the border, and with covering and covered solids."""
    canvas = Canvas(GRID, device)
    field = canvas.smooth_field(6.0, np.random.default_rng(0)) * 30
    canvas.paint(ellipsoid((0, 0, 0), (20, 18, 25)), field)
    line = np.array([[-30, 0, -20], [-8, 4, -4], [0, 0, 2], [8, 4, 9], [30, 10, 20.0]])
    canvas.paint_all(tube(line, np.array([5.0, 4, 3, 4, 5])), 300.0)
    canvas.paint_bone([rod(TURNED, (-9, 0, n), (9, 1, n), 3.0) for n in (-6, 0, 6)], Bone(100.0, 700.0, 1.0))
    canvas.paint(ellipsoid((4, 3, 2), (7, 6, 5)), Bone(200.0))
    canvas.paint(Solid(ellipsoid((0, 0, 9), (5, 5, 5)).box_lps_mm, Distance(lambda x, y, z: abs(x + 0 * y) - z)), 50.0)
    canvas.paint(ellipsoid((200, 0, 0), (5, 5, 5)), 5000.0)
    return canvas


def test_a_scene_is_the_same_on_host_and_device_whatever_else_is_painted():
    host, first, second = painted(None), painted("cpu"), painted("cpu")
    other = Canvas(Geometry((9, 8, 7), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0)), "cpu")
    other.paint(ellipsoid((8, 8, 8), (4, 4, 4)), 40.0)
    assert float(first.hu.max()) == -1000, "a device paints when it is told to"
    paint_waiting([first])
    paint_waiting([other, second, Canvas(GRID, "cpu")])
    np.testing.assert_allclose(first.hu.numpy(), host.hu, atol=2e-3)
    assert torch.equal(first.hu, second.hu)
    assert float(other.hu[4, 4, 4]) == 40
    before = first.hu.clone()
    paint_waiting([first])
    assert torch.equal(first.hu, before), "nothing waited"


def test_nothing_waits_on_the_host():
    canvas = painted(None)
    assert not canvas.layers
    paint_waiting([canvas])


def test_the_report_names_where_and_how_many_together():
    from rich.console import Console

    from training.commands.bench import phantom_report

    console = Console(record=True, width=100, file=io.StringIO())
    times = phantom_times.PhantomTimes
    console.print(phantom_report([times(None, 1, 1.5, 0.0), times("cuda", 8, 0.25, 1234.4)]))
    rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in console.export_text().splitlines() if "│" in row]
    assert rows == [["NumPy", "1.50", ""], ["cuda, 8 together", "0.25", "1234"]]
