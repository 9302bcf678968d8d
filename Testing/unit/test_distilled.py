"""Teachers: what they say of a window, how the student follows them, and scans that only they can explain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning")
torch = pytest.importorskip("torch")

from cached_cases import write_case  # noqa: E402
from VertebraLabelingLib.core.errors import ModelError, UsageError  # noqa: E402
from VertebraLabelingLib.engines.weights import save_weights  # noqa: E402
from VertebraLabelingLib.methods.sites.network import SitesOutput  # noqa: E402

from training.__main__ import main  # noqa: E402
from training.data import RandomWindows  # noqa: E402
from training.loop import averaged_weights, train  # noqa: E402
from training.scan_list import UNLABELLED  # noqa: E402
from training.settings import RunSettings, read_configuration  # noqa: E402
from training.tasks import make_task  # noqa: E402
from training.tasks.distilled import DistilledTask, with_teachers  # noqa: E402

TINY = {"window_zyx": [32, 16, 16], "widths": [8, 8, 8, 8]}
SHAPE = (16, 8, 8)


class Saying(torch.nn.Module):
    """A teacher that always says the same, whatever it sees; turned round where it sees the mirror image."""

    def __init__(self, voxel: tuple[int, int, int], level: int) -> None:
        super().__init__()
        self.voxel, self.level = voxel, level

    def forward(self, image: torch.Tensor) -> SitesOutput:
        mirrored = bool(image[0, 0, 0, 0, 0] > image[0, 0, 0, 0, -1])
        centre = torch.full((len(image), *SHAPE), -9.0)
        centre[(slice(None), *self.voxel)] = 9.0
        levels = torch.zeros(len(image), 26, 8, 4, 4)
        levels[:, self.level] = 20.0
        said = (centre, 20 * centre, levels)
        return SitesOutput(*(part.flip(-1) for part in said) if mirrored else said)


def _image() -> torch.Tensor:
    """(1, 2, 32, 16, 16) brighter to the right, so that a mirror image can be told."""
    return torch.arange(16.0).expand(1, 2, 32, 16, 16).contiguous()


def _distilled(*teachers: torch.nn.Module, share: float = 0.5) -> DistilledTask:
    return DistilledTask(make_task("sites", TINY, {}), teachers, share)


@pytest.mark.parametrize("seed", range(4))
def test_teachers_that_agree_are_followed_from_whichever_side_they_look(seed: int) -> None:
    torch.manual_seed(seed)
    lesson = _distilled(Saying((4, 3, 2), 7), Saying((4, 3, 2), 7)).lesson(_image())
    assert lesson.seeds[0].tolist() == [[4, 3, 2]]
    np.testing.assert_allclose(lesson.sites_mm[0], [[18.0, 14.0, 10.0]], atol=1e-3)  # middle of a voxel of 4 mm
    assert lesson.levels[0].argmax(1).tolist() == [7] and lesson.centre.max() > 0.99


def test_teachers_that_differ_give_half_a_chance_each() -> None:
    torch.manual_seed(0)
    lesson = _distilled(Saying((4, 3, 2), 7), Saying((4, 3, 2), 8), Saying((12, 3, 2), 7)).lesson(_image())
    assert lesson.seeds[0].tolist() == [[4, 3, 2], [12, 3, 2]]
    np.testing.assert_allclose(lesson.levels[0][0, [7, 8]], [2 / 3, 1 / 3], atol=1e-3)
    assert lesson.centre[0, 4, 3, 2] == pytest.approx(2 / 3, abs=1e-3)


def test_a_student_that_says_what_the_teachers_say_has_the_least_loss() -> None:
    task = _distilled(Saying((4, 3, 2), 7))
    sample = {"image": _image(), "target": torch.zeros(1, *SHAPE), "weight": torch.zeros(1, *SHAPE)}
    batch = sample | {"sites": torch.zeros(1, 24, 3), "channels": torch.full((1, 24), -1)}

    def taught(student: torch.nn.Module) -> dict[str, float]:
        torch.manual_seed(0)
        student.column_head = None
        losses = task.loss(student, batch)
        return {name: float(losses[name]) for name in ("taught_centre", "taught_position", "taught_level", "loss")}

    alike = taught(Saying((4, 3, 2), 7))
    assert max(alike.values()) < 1e-3
    assert taught(Saying((4, 3, 2), 9))["taught_level"] > 10
    aside = taught(Saying((4, 3, 4), 7))
    assert aside["taught_position"] > 5 and aside["taught_centre"] > 1


def test_a_scan_that_nobody_has_annotated_teaches_through_teachers_only(tmp_path: Path) -> None:
    annotated = write_case(tmp_path, "neck", UNLABELLED)
    case = replace(annotated, levels=np.empty(0, np.int64), points_zyx_mm=np.empty((0, 3)))
    plain = make_task("sites", TINY, {})
    batch = {name: value[None] for name, value in next(iter(RandomWindows([case], plain, 1, seed=0))).items()}
    assert not batch["weight"].any() and (batch["channels"] < 0).all()
    network = plain.build_network()
    assert float(plain.loss(network, batch)["loss"]) == 0.0
    task = _distilled(Saying((4, 3, 2), 7))
    task.loss(network, batch)["loss"].backward()
    assert sum(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in network.parameters()) > 20


def test_a_student_is_trained_from_a_weight_file_and_its_checkpoint_holds_no_teacher(tmp_path: Path) -> None:
    teachers = [str(_weight_file(tmp_path / f"{name}.npz")) for name in ("one", "two")]
    task = with_teachers(make_task("sites", TINY, {}), teachers, 0.5)
    run = RunSettings(minutes=60, steps=2, batch=2, workers=0)
    last = train(task, [write_case(tmp_path, "case", "train")], run, tmp_path / "run", Path(teachers[0]))
    names = set(averaged_weights(last))
    assert names == set(task.build_network().state_dict())
    stored = torch.load(last, weights_only=True)["state_dict"]
    assert len(stored) < 1.1 * len(names) + 2


def test_weight_files_are_averaged_as_checkpoints_are(tmp_path: Path) -> None:
    files = [_weight_file(tmp_path / f"{n}.npz", fill) for n, fill in enumerate((1.0, 3.0))]
    assert all(bool((value == 2).all()) for value in averaged_weights(*files).values() if value.is_floating_point())


def test_teachers_of_another_kind_are_refused(tmp_path: Path) -> None:
    corridor = make_task("corridor", {"widths": [8, 8, 8, 8]}, {})
    file = tmp_path / "corridor.npz"
    save_weights(file, corridor.build_network().state_dict(), {"model": "corridor", "network": corridor.metadata()})
    with pytest.raises(ModelError, match="holds weights for 'corridor'"):
        with_teachers(make_task("sites", TINY, {}), [str(file)], 0.5)
    with pytest.raises(UsageError, match="needs the task 'sites'"):
        with_teachers(corridor, [str(file)], 0.5)
    with pytest.raises(UsageError, match="at least one weight file"):
        with_teachers(make_task("sites", TINY, {}), [], 0.5)


def test_unlabelled_scans_without_teachers_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "plain.toml"
    config.write_text('task = "sites"\n')
    assert main(["train", str(config), "--output", str(tmp_path / "run"), "--splits", "train", UNLABELLED]) == 2
    assert "Nobody has annotated split unlabelled" in capsys.readouterr().err


def test_the_configuration_that_ships_names_its_teachers() -> None:
    configuration = read_configuration(Path(__file__).parents[2] / "training/configs/sites-distilled.toml")
    assert configuration.distil is not None and len(configuration.distil.teachers) >= 2


def _weight_file(file: Path, fill: float | None = None) -> Path:
    task = make_task("sites", TINY, {})
    state = task.build_network().state_dict()
    if fill is not None:
        state = {name: torch.full_like(value, fill) for name, value in state.items()}
    save_weights(file, state, {"model": "sites", "network": task.metadata()})
    return file
