"""The Sequence Loss: eq. (1) and (2) of Wu et al. cell by cell, by hand, and what follows from them."""

from __future__ import annotations

import numpy as np
import pytest
from VertebraLabelingLib.methods.multi_view.voting import consecutive

torch = pytest.importorskip("torch")

from VertebraLabelingLib.methods.multi_view.sequence_loss import (  # noqa: E402
    ALPHA,
    BETA,
    sequence_loss,
    sequence_scores,
)

PERFECT = -(1 - BETA) / BETA
"""Times 1 / n: the loss of n perfect rows, as the first of them counts 1 and not beta."""


def opt_by_the_letter(p: np.ndarray) -> np.ndarray:
    """Eq. (1), with i and j from 1 as printed."""
    n, c = p.shape
    opt = np.zeros((n + 1, c + 1))
    for i in range(1, n + 1):
        for j in range(1, c + 1):
            if i == 1 or j == 1:
                opt[i, j] = p[i - 1, j - 1]
                continue
            terms = [ALPHA * p[i - 1, j - 2], BETA * p[i - 1, j - 1]]
            if j < c:
                terms.append(ALPHA * p[i - 1, j])
            opt[i, j] = opt[i - 1, j - 1] + max(terms)
    return opt[1:, 1:]


def random_table(rows: int, levels: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(levels, 0.3), rows)


def everywhere(table: np.ndarray) -> torch.Tensor:
    return torch.ones(1, len(table), dtype=torch.bool)


def scores_of(table: np.ndarray) -> np.ndarray:
    return sequence_scores(torch.tensor(table)[None], everywhere(table))[0].numpy()


def loss_of(table: np.ndarray, valid: list[bool] | None = None) -> float:
    there = everywhere(table) if valid is None else torch.tensor([valid])
    return float(sequence_loss(torch.tensor(table)[None], there)[0])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("rows", "levels"), [(1, 4), (2, 5), (4, 4), (5, 3), (5, 6), (12, 26), (3, 1)])
def test_the_table_is_that_of_the_paper(rows: int, levels: int, seed: int):
    table = random_table(rows, levels, seed)
    opt = opt_by_the_letter(table)
    assert scores_of(table) == pytest.approx(opt[-1])
    assert loss_of(table) == pytest.approx(1 - opt[-1].max() / (BETA * rows))
    assert consecutive(table)[-1] == opt[-1].argmax()


def test_a_small_table_by_hand():
    """The neighbours of the level that is due count with alpha, on either side."""
    table = np.array([[0.7, 0.2, 0.1, 0.0], [0.0, 0.1, 0.9, 0.0]])
    # second row: 0; 0.7 + max(0, 0.8 * 0.1, 0.1 * 0.9); 0.2 + 0.8 * 0.9; 0.1 + max(0.1 * 0.9, 0)
    assert scores_of(table) == pytest.approx([0.0, 0.79, 0.92, 0.19])
    assert loss_of(table) == pytest.approx(1 - 0.92 / 1.6)
    assert consecutive(table).tolist() == [1, 2]


@pytest.mark.parametrize("count", [1, 2, 6, 26])
@pytest.mark.parametrize("first", [0, 3, 20])
def test_a_perfect_sequence_has_the_least_loss_wherever_it_begins(first: int, count: int):
    table = np.eye(26)[first : first + count]
    assert loss_of(table) == pytest.approx(PERFECT / len(table))
    assert consecutive(table).tolist() == list(range(first, first + len(table)))


@pytest.mark.parametrize("seed", range(20))
def test_no_table_has_a_loss_outside_its_range(seed: int):
    table = random_table(1 + seed % 8, 26, seed)
    assert PERFECT / len(table) <= loss_of(table) < 1


def test_one_wrong_name_in_a_column_is_corrected_and_costs():
    table = np.eye(26)[[4, 5, 17, 7, 8]] * 0.8 + 0.2 / 26
    assert consecutive(table).tolist() == [4, 5, 6, 7, 8]
    assert loss_of(table) > loss_of(np.eye(26)[4:9] * 0.8 + 0.2 / 26) + 0.1


def test_a_name_that_is_one_level_off_counts_as_a_neighbour():
    """[17, 18, 18, 20]: the third is due at 19 and counts alpha."""
    assert loss_of(np.eye(26)[[17, 18, 18, 20]]) == pytest.approx(1 - (1 + BETA + ALPHA + BETA) / (4 * BETA))
    assert consecutive(np.eye(26)[[17, 18, 18, 20]]).tolist() == [17, 18, 19, 20]


def test_in_the_first_column_a_sequence_begins_anew_and_those_above_it_are_left_out():
    table = np.eye(26)[[9, 0, 1, 2]]
    assert scores_of(table)[2] == pytest.approx(1 + 2 * BETA)
    assert consecutive(table).tolist() == [-1, 0, 1, 2]


def test_rows_that_are_not_there_do_not_count_wherever_they_are():
    table, wrong = np.eye(8)[2:5], np.full((1, 8), 7.0)
    mixed = np.concatenate([wrong, table[:2], wrong, table[2:], wrong])
    assert loss_of(mixed, [False, True, True, False, True, False]) == pytest.approx(PERFECT / 3)
    assert loss_of(mixed, [False] * 6) == 1
    assert loss_of(np.empty((0, 8))) == 1


def test_columns_of_a_batch_do_not_touch_each_other():
    tables = np.stack([random_table(5, 7, seed) for seed in range(3)])
    valid = torch.tensor([[True] * 5, [True, False, True, True, False], [False] * 5])
    together = sequence_loss(torch.tensor(tables), valid).tolist()
    assert together == pytest.approx([loss_of(t, v) for t, v in zip(tables, valid.tolist(), strict=True)])


def test_gradients_are_those_of_the_best_diagonal():
    """[[0.7, 0.2, 0.1], [0, 0.1, 0.9]] ends at the third level; the second row of the other only has a neighbour."""
    tables = torch.tensor([[[0.1, 0.7, 0.2], [0.0, 0.1, 0.9]], [[0.9, 0.1, 0.0], [0.0, 0.05, 0.95]]]).requires_grad_()
    sequence_loss(tables, torch.ones(2, 2, dtype=torch.bool)).sum().backward()
    expected = torch.tensor([[[0, 1, 0], [0, 0, BETA]], [[1, 0, 0], [0, 0, ALPHA]]]) / (-2 * BETA)
    torch.testing.assert_close(tables.grad, expected)


def test_gradients_agree_with_small_changes():
    tables = torch.tensor(np.stack([random_table(4, 6, seed) for seed in (1, 2)])).requires_grad_()
    valid = torch.tensor([[True] * 4, [True, True, False, True]])
    assert torch.autograd.gradcheck(lambda t: sequence_loss(t, valid), tables)


@pytest.mark.parametrize(("sure", "third"), [(1.5, 4), (3.0, 3)])
def test_descent_on_the_loss_alone_puts_levels_in_order_unless_a_neighbour_is_too_sure(sure: float, third: int):
    """A neighbour counts as such from beta / alpha = 8 times on, which is exp(2.1); then it is what grows."""
    torch.manual_seed(0)
    logits = (torch.eye(10)[[2, 3, 3, 5, 9]] * sure + 0.1 * torch.randn(5, 10)).requires_grad_()
    optimiser = torch.optim.Adam([logits], 0.2)
    for _ in range(60):
        optimiser.zero_grad()
        sequence_loss(logits.softmax(1)[None], torch.ones(1, 5, dtype=torch.bool)).sum().backward()
        optimiser.step()
    assert logits.argmax(1).tolist() == [2, 3, third, 5, 6]
