"""The order of the levels: the recurrence, its best path and its loss, against all paths of small tables."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from VertebraLabelingLib.methods.multi_view.order import ALPHA, BETA, best_order

torch = pytest.importorskip("torch")

from VertebraLabelingLib.methods.multi_view.sequence_loss import sequence_loss  # noqa: E402

WEIGHTS = {0: ALPHA, 1: BETA, 2: ALPHA}


def score(path: tuple[int, ...], probabilities: np.ndarray) -> float:
    """Eq. (2) along one path; minus infinity where a step is not allowed."""
    steps = [BETA, *(WEIGHTS.get(int(step), -np.inf) for step in np.diff(path))]
    return float(sum(weight * row[level] for weight, row, level in zip(steps, probabilities, path, strict=True)))


def best_by_trying(probabilities: np.ndarray) -> tuple[float, tuple[int, ...]]:
    rows, levels = probabilities.shape
    return max((score(path, probabilities), path) for path in product(range(levels), repeat=rows))


def random_table(rows: int, levels: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(levels, 0.3), rows)


def loss_of(probabilities: np.ndarray, valid: list[bool] | None = None) -> float:
    there = torch.tensor([valid or [True] * len(probabilities)])
    return float(sequence_loss(torch.tensor(probabilities)[None], there)[0])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("rows", "levels"), [(1, 4), (2, 5), (4, 4), (5, 3), (5, 6)])
def test_the_table_finds_what_trying_all_paths_finds(rows: int, levels: int, seed: int):
    table = random_table(rows, levels, seed)
    best, path = best_by_trying(table)
    assert tuple(best_order(table)) == path
    assert loss_of(table) == pytest.approx(1 - best / (BETA * rows))


@pytest.mark.parametrize("first", [0, 3, 20])
def test_a_perfect_sequence_costs_nothing_wherever_it_begins(first: int):
    table = np.eye(26)[first : first + 6]
    assert loss_of(table) == pytest.approx(0)
    assert list(best_order(table)) == list(range(first, first + 6))


def test_one_wrong_name_in_a_column_is_corrected_and_costs():
    table = np.eye(26)[[4, 5, 17, 7, 8]] * 0.8 + 0.2 / 26
    assert list(best_order(table)) == [4, 5, 6, 7, 8]
    assert loss_of(table) > loss_of(np.eye(26)[4:9] * 0.8 + 0.2 / 26) + 0.1


def test_a_level_may_be_repeated_or_left_out_when_the_rest_is_sure():
    assert list(best_order(np.eye(26)[[17, 18, 18, 19, 20]])) == [17, 18, 18, 19, 20]
    assert list(best_order(np.eye(26)[[16, 17, 19, 20]])) == [16, 17, 19, 20]


def test_rows_that_are_not_there_do_not_count_wherever_they_are():
    table, wrong = np.eye(8)[2:5], np.full((1, 8), 7.0)
    mixed = np.concatenate([wrong, table[:2], wrong, table[2:], wrong])
    assert loss_of(mixed, [False, True, True, False, True, False]) == pytest.approx(0)
    assert loss_of(mixed, [False] * 6) == 1
    assert best_order(table[:0]).shape == (0,)


def test_gradients_are_those_of_the_best_path():
    table = torch.tensor(random_table(4, 6, 1))[None].requires_grad_()
    valid = torch.ones(1, 4, dtype=torch.bool)
    sequence_loss(table, valid).sum().backward()
    _, path = best_by_trying(table[0].detach().numpy())
    steps = [BETA, *(WEIGHTS[int(step)] for step in np.diff(path))]
    expected = torch.zeros(4, 6, dtype=torch.float64)
    expected[range(4), path] = -torch.tensor(steps, dtype=torch.float64) / (BETA * 4)
    torch.testing.assert_close(table.grad[0], expected)
    assert torch.autograd.gradcheck(lambda t: sequence_loss(t, valid), table)


def test_descent_on_the_loss_alone_puts_the_levels_in_order():
    torch.manual_seed(0)
    logits = (torch.eye(10)[[2, 3, 3, 5, 9]] * 2 + 0.1 * torch.randn(5, 10)).requires_grad_()
    optimiser = torch.optim.Adam([logits], 0.2)
    for _ in range(60):
        optimiser.zero_grad()
        sequence_loss(logits.softmax(1)[None], torch.ones(1, 5, dtype=torch.bool)).sum().backward()
        optimiser.step()
    assert logits.argmax(1).tolist() == [2, 3, 4, 5, 6]
