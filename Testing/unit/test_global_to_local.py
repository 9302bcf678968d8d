"""The vertebrae as landmarks: targets and losses of the task, the method with networks whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from one_by_one import OneByOne

torch = pytest.importorskip("torch")

from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS, Level  # noqa: E402
from VertebraLabelingLib.core.errors import CancelledError, ModelError, NothingFoundError  # noqa: E402
from VertebraLabelingLib.core.geometry import Geometry  # noqa: E402
from VertebraLabelingLib.core.progress import silent  # noqa: E402
from VertebraLabelingLib.core.scan import Scan  # noqa: E402
from VertebraLabelingLib.engines.weights import load_model, load_weights, save_weights  # noqa: E402
from VertebraLabelingLib.methods.corridor import load_corridor  # noqa: E402
from VertebraLabelingLib.methods.displacement.votes import cell_centres_mm, fuse_votes  # noqa: E402
from VertebraLabelingLib.methods.global_to_local import GlobalToLocal, load  # noqa: E402
from VertebraLabelingLib.methods.global_to_local.method import CONFIGURATIONS, build_network  # noqa: E402
from VertebraLabelingLib.methods.global_to_local.settings import GlobalToLocalSettings  # noqa: E402
from VertebraLabelingLib.methods.refinement.settings import RefinementSettings  # noqa: E402

from training.sampling import Window  # noqa: E402
from training.tasks import make_task  # noqa: E402
from training.tasks.global_to_local import GlobalToLocalTask, naming_loss  # noqa: E402

torch.set_num_threads(1)
TINY = GlobalToLocalSettings(window_zyx=(32, 16, 16), hu_ranges=((-1000.0, 1000.0),), widths=(8, 8), blocks=1)
TASK = GlobalToLocalTask(TINY.to_metadata(), {})
NO_POINTS = np.empty((0, 3))


def channel(level: Level) -> int:
    return REGULAR_LEVELS.index(level)


def window_of(places: dict[Level, list[float]], beyond=NO_POINTS, visible=(0.0, 128.0)) -> Window:
    """A window of 128 x 64 x 64 mm with centroids at places in mm."""
    levels, points = np.array(list(places), np.int64), np.reshape(list(places.values()), (-1, 3)).astype(float)
    extent = np.array([128.0, 64.0, 64.0])
    return Window(torch.randn(TINY.window_zyx), levels, points, np.reshape(beyond, (-1, 3)), visible, extent)


def sample(window: Window) -> dict[str, torch.Tensor]:
    return TASK.sample(window, np.random.default_rng(0))


# --- task -------------------------------------------------------------------------------------------------------------

THREE = {Level.T11: [90.0, 30.0, 34.0], Level.T12: [62.0, 28.0, 33.0], Level.L1: [30.0, 30.0, 30.0]}


def test_the_targets_vote_for_the_levels_in_view():
    values = sample(window_of({**THREE, Level.L2: [-5.0, 30.0, 30.0]}))
    voted = fuse_votes(values["displacements"].numpy().astype(float), values["presence"].nan_to_num().numpy(), 16.0)
    for level, place in THREE.items():
        np.testing.assert_allclose(voted.positions_mm[channel(level)], place, atol=1e-4)
        assert values["presence"][channel(level)].nansum() == 8, "all cells around it vote"
    absent = np.delete(np.arange(26), [channel(level) for level in THREE])
    assert (values["presence"][absent].nan_to_num() == 0).all() and values["displacements"][absent].isnan().all()
    assert values["image"].shape == (1, 32, 16, 16) and values["presence"].shape == (26, 8, 4, 4)


def test_an_unlabelled_neighbour_is_neither_there_nor_not_there():
    presence = sample(window_of(THREE, beyond=[[8.0, 30.0, 30.0]]))["presence"]
    # from 3 levels below the last label down, and for the labelled ones, it is known what is not there
    assert presence[channel(Level.L2), 0].isnan().any() and presence[channel(Level.L4), 0].isnan().any()
    for level in (Level.L1, Level.T12, Level.L5, Level.C4):
        assert not presence[channel(level)].isnan().any()
    assert not presence[channel(Level.L2), 3:].isnan().any(), "nor is one where another is labelled"


def test_a_level_at_the_end_of_the_view_does_not_count():
    presence = sample(window_of(THREE, visible=(25.0, 128.0)))["presence"]
    assert presence[channel(Level.L1)].isnan().sum() == 8 and presence[channel(Level.L1)].nansum() == 0
    assert presence[channel(Level.T12)].nansum() == 8


def test_around_a_vertebra_without_a_channel_no_level_counts():
    values = sample(window_of({Level.T11: [100.0, 30.0, 30.0], Level.T13: [42.0, 30.0, 30.0]}))
    cells = values["presence"].isnan().all(0)
    assert cells.sum() == 8 and cells[2:4].sum() == 8
    assert values["presence"][channel(Level.T11)].nansum() == 8


def test_an_empty_window_holds_nothing():
    values = sample(window_of({}))
    assert (values["presence"] == 0).all() and values["displacements"].isnan().all()


def test_the_naming_loss_compares_levels_where_there_is_one():
    presence, logits = torch.zeros(1, 26, 2, 1, 1), torch.zeros(1, 26, 2, 1, 1)
    presence[0, 3, 0], logits[0, 3, 0] = 1.0, 2.0
    expected = np.log(np.exp(2.0) + 25) - 2.0
    assert naming_loss(logits, presence).item() == pytest.approx(expected, rel=1e-5)
    presence[0, 4, 0] = 1.0  # two in one cell: half a share each
    assert naming_loss(logits, presence).item() == pytest.approx(expected + 1.0, rel=1e-5)
    presence[0, 7, 0] = torch.nan
    assert naming_loss(logits, presence).item() == 0


def test_losses_are_finite_reach_all_weights_and_fall():
    torch.manual_seed(0)
    window = window_of(THREE, beyond=[[8.0, 30.0, 30.0]])
    batch = {name: value[None] for name, value in sample(window).items()}
    network = TASK.build_network()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    totals = []
    for _ in range(25):
        losses = TASK.loss(network, batch)
        assert all(torch.isfinite(value) for value in losses.values())
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        totals.append(losses["loss"].item())
    assert all(bool(p.grad.abs().sum() > 0) for name, p in network.named_parameters() if "weight" in name)
    assert totals[-1] < 0.6 * totals[0]


def test_the_network_that_ships_is_small_enough_and_sees_far():
    settings = make_task("global-to-local", {}, {}).settings
    assert sum(p.numel() for p in build_network(settings.to_metadata()).parameters()) <= 3_500_000
    assert settings.blocks * 2 * settings.network.cell_mm >= settings.window_zyx[0] * settings.spacing_mm / 2
    assert GlobalToLocalSettings.from_metadata(settings.to_metadata()) == settings


def test_a_window_of_broken_cells_is_refused():
    with pytest.raises(ValueError, match="multiple of the cell"):
        GlobalToLocalTask({"window_zyx": [34, 16, 16]}, {})


# --- method -----------------------------------------------------------------------------------------------------------

PLACES_MM = {Level.T9: np.array([8.3, -11.2, 190.5]), Level.T10: np.array([9.0, -9.4, 161.0])}
GRID = Geometry((60, 20, 24), (4.0, 4.0, 4.0), (-30.0, -50.0, 10.0))


def scan_with_two_bright_spots() -> Scan:
    hu = np.full(GRID.shape_zyx, -500, np.float32)
    for n, place in enumerate(PLACES_MM.values()):
        hu[tuple(np.round(GRID.index_zyx_from_lps(place)).astype(int))] = 600 + 300 * n
    return Scan(hu, GRID)


class SeesBrightSpots(OneByOne):
    """T9 and T10 are the spots of 600 and 900 HU of a window; `logit` where they are, nothing elsewhere."""

    def __init__(self, logit: float = 4.0):
        self.logit = logit

    def answer(self, window):
        cells = [n // 4 for n in window.shape[1:]]
        displacements, presence = np.zeros((26, 3, *cells)), np.full((26, *cells), -9.0)
        for level, value in ((Level.T9, 0.6), (Level.T10, 0.9)):
            for index in np.argwhere(np.abs(window[0] - value) < 0.01):
                offsets = ((index + 0.5) * 4.0)[:, None, None, None] - cell_centres_mm(cells, 16.0)
                displacements[channel(level)] = offsets
                presence[channel(level)] = np.where((np.abs(offsets) <= 16).all(0), self.logit, -9.0)
        return {"displacements_mm": displacements, "presence": presence}


def spine_of(scan: Scan) -> np.ndarray:
    z = np.linspace(0, 59, 40)
    return GRID.lps_from_index_zyx(np.stack([z, np.full(40, 10), np.full(40, 12)], axis=1))


def method_with(network, config: str = "default", local=()) -> GlobalToLocal:
    return GlobalToLocal(network, TINY, spine_of, local, CONFIGURATIONS[config])


@pytest.mark.parametrize("config", ["default", "paper"])
def test_votes_of_windows_become_levels_in_the_patient(config):
    network = SeesBrightSpots()
    evidence = method_with(network, config).find(scan_with_two_bright_spots(), silent)
    assert evidence.level_log_probs.argmax(1).tolist() == [Level.T9, Level.T10]
    # a voxel is 4 mm wide
    np.testing.assert_allclose(evidence.positions_lps_mm, np.array(list(PLACES_MM.values())), atol=2.01)
    np.testing.assert_allclose(evidence.scores, 1 / (1 + np.exp(-4.0)), atol=1e-6)
    assert network.windows > 2


def test_the_local_stage_moves_the_candidates():
    class MovesUp:
        settings = RefinementSettings()

        def moved(self, piece, position):
            np.testing.assert_allclose(piece.to_frame(self.settings.extent_zyx_mm / 2), position, atol=1.01)
            return position + [0.0, 0.0, 3.0]

    scan = scan_with_two_bright_spots()
    before = method_with(SeesBrightSpots()).find(scan, silent)
    after = method_with(SeesBrightSpots(), local=[MovesUp()]).find(scan, silent)
    np.testing.assert_allclose(after.positions_lps_mm - before.positions_lps_mm, [[0, 0, 3.0]] * 2, atol=1e-9)
    np.testing.assert_array_equal(after.level_log_probs, before.level_log_probs)


def test_weak_levels_are_left_to_the_decoder_but_not_in_the_paper():
    weak = SeesBrightSpots(logit=-1.0)
    assert len(method_with(weak).find(scan_with_two_bright_spots(), silent)) == 2
    with pytest.raises(NothingFoundError):
        method_with(weak, "paper").find(scan_with_two_bright_spots(), silent)


def test_progress_rises_and_can_cancel():
    fractions = []

    def stop(stage: str, fraction: float) -> None:
        fractions.append(fraction)
        if fraction > 0.5:
            raise CancelledError("stopped")

    with pytest.raises(CancelledError):
        method_with(SeesBrightSpots()).find(scan_with_two_bright_spots(), stop)
    assert fractions == sorted(fractions) and len(fractions) > 2


def test_weights_load_with_the_local_stage_and_name_all_that_is_used(tmp_path):
    torch.manual_seed(0)
    network = TASK.build_network()
    values = {"model": TASK.model_id, "network": TASK.metadata()}
    sha256 = save_weights(tmp_path / "weights.npz", network.state_dict(), values)
    weights, corridor = load_weights(tmp_path / "weights.npz"), load_corridor(load_model("corridor"), "cpu")
    method = load(weights, corridor, "cpu", "default")
    assert set(method.weights_sha256) == {"global-to-local", "corridor", "refinement"}
    assert method.weights_sha256["global-to-local"] == sha256
    foreign = replace(weights, metadata={**weights.metadata, "network": {"widths": [8]}})
    with pytest.raises(ModelError, match="do not fit"):
        load(foreign, corridor, "cpu", "default")
