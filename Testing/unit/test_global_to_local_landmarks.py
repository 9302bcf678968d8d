"""Landmarks from global to local: exactly, with networks that know the truth, and learnt, in a plane."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from one_by_one import OneByOne

torch = pytest.importorskip("torch")

from VertebraLabelingLib.core.anatomy import Level  # noqa: E402
from VertebraLabelingLib.core.errors import CancelledError  # noqa: E402
from VertebraLabelingLib.engines.network import TorchNetwork  # noqa: E402
from VertebraLabelingLib.methods.displacement.patches import Patches, Piece  # noqa: E402
from VertebraLabelingLib.methods.displacement.settings import DisplacementSettings  # noqa: E402
from VertebraLabelingLib.methods.displacement.votes import cell_centres_mm, fuse_votes  # noqa: E402
from VertebraLabelingLib.methods.global_to_local.landmarks import GlobalStage, Image, Landmarks  # noqa: E402
from VertebraLabelingLib.methods.refinement.local import Limits, LocalStage, network_input  # noqa: E402
from VertebraLabelingLib.methods.refinement.settings import RefinementSettings  # noqa: E402

from training import data  # noqa: E402
from training.loop import load_averaged, train  # noqa: E402
from training.sampling import WindowSettings  # noqa: E402
from training.settings import RunSettings  # noqa: E402
from training.tasks.landmarks import LandmarkTask  # noqa: E402

SPACING_MM = {2: (1.1, 0.7), 3: (2.0, 1.5, 1.2)}
SHAPE = {2: (82, 130), 3: (32, 44, 54)}
POINTS = {
    2: np.array([[20.3, 31.7], [61.2, 70.4], [44.9, 12.6]]),
    3: np.array([[20.3, 31.7, 41.1], [47.2, 50.4, 22.2]]),
}
BLOB_MM = 3.0


def blobs(dimensions: int) -> Image:
    """Bright soft balls at the points."""
    places = (np.indices(SHAPE[dimensions]) + 0.5) * np.reshape(SPACING_MM[dimensions], (-1, *[1] * dimensions))
    squares = [((places - np.reshape(p, (-1, *[1] * dimensions))) ** 2).sum(0) for p in POINTS[dimensions]]
    return Image(np.exp(-np.min(squares, 0) / (2 * BLOB_MM**2)).astype(np.float32), SPACING_MM[dimensions])


class KnowsGlobally(OneByOne):
    """Every cell points to all landmarks, `off_mm` beside them; those it is told to miss are present nowhere."""

    def __init__(self, settings: DisplacementSettings, points: np.ndarray, off_mm: float = 0.0, missed=()):
        self.settings, self.points, self.off_mm, self.missed = settings, points, off_mm, list(missed)

    def answer(self, window):
        cells = [n // self.settings.cell_pixels for n in window.shape[1:]]
        targets = (self.points + self.off_mm).reshape(*self.points.shape, *[1] * len(cells))
        displacements = targets - cell_centres_mm(cells, self.settings.cell_mm)
        present = (np.abs(displacements) <= self.settings.cell_mm).all(1)
        present[self.missed] = False
        return {"displacements_mm": displacements, "presence": np.where(present, 9.0, -9.0)}


class SeesBrightest(OneByOne):
    """Every cell points to the centre of mass of what is bright near the middle."""

    def __init__(self, settings: RefinementSettings):
        self.settings = settings

    def answer(self, window):
        network = self.settings.network
        weight = np.clip(window[0] + 0.6, 0, None)
        centres = cell_centres_mm(weight.shape, self.settings.spacing_mm)
        target = (centres * weight).reshape(network.dimensions, -1).sum(1) / weight.sum()
        cells = [n // network.cell_pixels for n in weight.shape]
        displacements = target.reshape(-1, *[1] * len(cells)) - cell_centres_mm(cells, network.cell_mm)
        return {"displacements_mm": displacements[None], "presence": np.full((1, *cells), 9.0)}


def oracle(dimensions: int, off_mm: float = 0.0, missed=(), threshold: float = 0.5) -> GlobalStage:
    settings = DisplacementSettings(dimensions, len(POINTS[dimensions]), spacing_mm=2.0, widths=(4, 4))
    network = KnowsGlobally(settings, POINTS[dimensions], off_mm, missed)
    return GlobalStage(Patches(network, settings, least_presence=0.1), lambda v: v[None], threshold=threshold)


def local(dimensions: int, spacing_mm: float = 1.0) -> LocalStage:
    settings = RefinementSettings(spacing_mm, (24,) * dimensions, ((0.0, 1.0),), (4, 4))
    return LocalStage(SeesBrightest(settings), settings)


# --- exactly ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_piece_shows_the_image_where_its_frame_says(dimensions):
    image, point = blobs(dimensions), POINTS[dimensions][1]
    piece = image.piece(point - 8.0, (16,) * dimensions, 1.0)
    np.testing.assert_allclose(piece.to_frame(np.full(dimensions, 8.0)), point)
    distances = np.linalg.norm(cell_centres_mm((16,) * dimensions, 1.0) - 8.0, axis=0)
    np.testing.assert_allclose(piece.values, np.exp(-(distances**2) / (2 * BLOB_MM**2)), atol=0.1)


def test_a_coarse_piece_is_smooth_and_beyond_the_image_is_what_was_said():
    noise = np.random.default_rng(0).normal(0, 1, (80, 80)).astype(np.float32)
    image = Image(noise, (0.5, 0.5), beyond=-3.0)
    assert image.at(4.0).piece(np.zeros(2), (10, 10), 4.0).values.std() < 0.2 < image.at(0.5).pixels.std()
    assert (image.piece(np.array([50.0, 0.0]), (4, 4), 1.0).values == -3.0).all()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_true_votes_give_true_positions_on_any_grid(dimensions):
    found = Landmarks(oracle(dimensions)).find(blobs(dimensions))
    np.testing.assert_allclose(found.positions_lps_mm, POINTS[dimensions], atol=1e-5)
    assert (found.presences > 0.99).all()


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("each_its_own", [False, True], ids=["one stage for all", "one for each"])
def test_the_local_stage_corrects_the_global_one(dimensions, each_its_own):
    count = len(POINTS[dimensions])
    stages = [local(dimensions) for _ in range(count if each_its_own else 1)]
    found = Landmarks(oracle(dimensions, off_mm=2.5), stages).find(blobs(dimensions))
    assert np.abs(found.positions_lps_mm - POINTS[dimensions]).max() < 0.4
    windows = 2 if each_its_own else 2 * count  # each and its mirror
    assert [stage.network.windows for stage in stages] == [windows] * len(stages)


def test_what_is_not_seen_has_no_position_and_no_local_stage():
    stages = [local(2) for _ in POINTS[2]]
    found = Landmarks(oracle(2, missed=[1]), stages).find(blobs(2))
    assert np.isnan(found.positions_lps_mm[1]).all() and np.isfinite(found.positions_lps_mm[[0, 2]]).all()
    assert [stage.network.windows for stage in stages] == [2, 0, 2]


def test_windows_vote_together_and_the_one_that_has_the_landmark_in_its_middle_weighs_most():
    settings = DisplacementSettings(2, 1, spacing_mm=1.0, widths=(4, 4))

    class Off:
        """The landmark is at (20, 20) of the frame; a window that starts at n says n / 10 mm too much."""

        device = "cpu"

        def __call__(self, image):
            start = float(image[0, 0, 0, 0])
            displacements = np.array([20.0 - start + start / 10, 20.0])[:, None, None] - cell_centres_mm((8, 8), 4.0)
            return {"displacements_mm": displacements[None, None], "presence": np.full((1, 1, 8, 8), 5.0)}

    def window(start: float) -> Piece:
        return Piece(np.full((32, 32), start, np.float32), lambda p: p + [start, 0.0])

    stage = GlobalStage(Patches(Off(), settings), lambda v: v[None])
    np.testing.assert_allclose(stage.find([window(0.0)]).positions_lps_mm, [[20.0, 20.0]], atol=1e-6)
    together = stage.find([window(0.0), window(20.0)]).positions_lps_mm[0, 0]
    assert 20.0 < together < 21.0, "at its border the second window weighs less"


def test_a_run_is_cancelled_between_windows():
    def stop(stage: str, fraction: float) -> None:
        if fraction > 0.4:
            raise CancelledError("stopped")

    windows = [Piece(np.zeros((32, 32), np.float32), lambda p: p)] * 2
    with pytest.raises(CancelledError):
        oracle(2).find(windows, stop)


def test_votes_far_from_the_surest_patch_can_be_left_out():
    displacements = np.zeros((1, 2, 1, 4))
    presences = np.array([[[0.9, 0.5, 0.0, 0.8]]])  # two places: cells 0 and 1, and cell 3
    np.testing.assert_allclose(fuse_votes(displacements, presences, 4.0, radius_mm=5.0).positions_mm[0, 1], 2 + 4 / 2.8)
    assert fuse_votes(displacements, presences, 4.0).positions_mm[0, 1] > 6


# --- learnt -----------------------------------------------------------------------------------------------------------

PLANE_MM = 48.0
GLOBAL = DisplacementSettings(2, landmarks=3, spacing_mm=1.5, widths=(16, 32), blocks=1, presence_reach=1.0)
LOCAL = RefinementSettings(0.75, (24, 24), ((-1.5, 1.5),), (16, 32), blocks=1, hint_sigma_mm=6.0)
GLOBAL_BOUND_MM, BOUND_MM = 1.0, 0.3


def drawn(points: np.ndarray, places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A bright disc, a dark one and a ring around dark at points (3, 2), seen at places (2, *pixels) in mm; noise."""
    bright, dark, ring = (np.hypot(*(places - p[:, None, None])) for p in points)
    edges = [
        np.clip(4.5 - bright, 0, 1),
        -np.clip(4.5 - dark, 0, 1),
        np.clip(7.5 - ring, 0, 1) * (ring - 4).clip(-1, 1),
    ]
    return (np.sum(edges, 0) + rng.normal(0, 0.1, places.shape[1:])).astype(np.float32)


def draw_points(rng: np.random.Generator) -> np.ndarray:
    points = np.zeros((3, 2))
    while min(np.linalg.norm(points[a] - points[b]) for a, b in ((0, 1), (0, 2), (1, 2))) < 15:
        points = rng.uniform(8, PLANE_MM - 8, (3, 2))
    return points


def global_example(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    points = draw_points(rng)
    return drawn(points, cell_centres_mm((32, 32), GLOBAL.spacing_mm), rng)[None], points


def local_example(landmark: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The sub-image around one landmark, which is up to 3 mm beside its middle."""
    points = draw_points(rng)
    corner = points[landmark] - 9.0 + rng.uniform(-3, 3, 2)
    values = drawn(points, cell_centres_mm((24, 24), LOCAL.spacing_mm) + corner[:, None, None], rng)
    return network_input(values, LOCAL), points[landmark : landmark + 1] - corner


class PlaneTask(LandmarkTask):
    """Learns what `example` draws, whatever the case."""

    model_id, windows = "planes", WindowSettings((1, 1, 1), 1.0)

    def __init__(self, landmarks: DisplacementSettings, example) -> None:
        super().__init__(landmarks)
        self.example = example

    def sample(self, window, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        image, points = self.example(rng)
        return {"image": torch.from_numpy(image), **self.targets(image.shape[1:], points)}


@pytest.fixture
def learn(tmp_path, monkeypatch):
    """Trains, in the loop of all networks, a network on what an example draws; returns what runs it."""
    case = SimpleNamespace(weight=1.0, levels=np.array([Level.L1]))
    monkeypatch.setattr(data, "draw_window", lambda *_: None)

    def learn(landmarks: DisplacementSettings, example, steps: int) -> TorchNetwork:
        task = PlaneTask(landmarks, example)
        run = RunSettings(steps=steps, batch=8, rate=1e-2, warm_up=0.3, workers=0)
        network = task.build_network()
        load_averaged(network, train(task, [case], run, tmp_path / f"{len(list(tmp_path.iterdir()))}"))
        return TorchNetwork(network)

    return learn


def test_three_landmarks_of_a_plane_are_learnt_and_the_local_stage_lowers_the_error(learn):
    globally = Patches(learn(GLOBAL, global_example, 200), GLOBAL, least_presence=0.1, radius_mm=6.0)
    coarse = Landmarks(GlobalStage(globally, lambda values: values[None], threshold=0.1))
    limits = Limits(most_spread_mm=4.0, most_move_mm=6.0, closest=0.0)
    stages = [
        LocalStage(learn(LOCAL.network, lambda rng, n=n: local_example(n, rng), 60), LOCAL, limits=limits)
        for n in range(3)
    ]
    both = Landmarks(coarse.global_stage, stages)
    rng = np.random.default_rng(1)
    spacing, shape = (0.8, 0.5), (60, 96)
    errors = []
    for _ in range(20):
        points = draw_points(rng)
        places = (np.indices(shape) + 0.5) * np.reshape(spacing, (2, 1, 1))
        image = Image(drawn(points, places, rng), spacing)
        found = [landmarks.find(image).positions_lps_mm for landmarks in (coarse, both)]
        errors.append([np.linalg.norm(positions - points, axis=1).mean() for positions in found])
    coarse_mm, both_mm = np.mean(errors, axis=0)
    assert coarse_mm < GLOBAL_BOUND_MM and both_mm < BOUND_MM, (coarse_mm, both_mm)
    assert both_mm < 0.7 * coarse_mm
