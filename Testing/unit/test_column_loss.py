"""The loss that asks which shift of the whole column is right."""

from __future__ import annotations

import pytest
import torch

from training.column_loss import column_loss

LEVELS = 24


def logits_for(channels: torch.Tensor, confidence: float = 4.0) -> torch.Tensor:
    return torch.nn.functional.one_hot(channels.clamp(0, LEVELS - 1), LEVELS).float() * confidence


def test_names_that_are_right_cost_little_and_a_shifted_column_much() -> None:
    truth = torch.arange(5, 13)
    right, shifted = column_loss(logits_for(truth), truth), column_loss(logits_for(truth + 1), truth)
    assert right < 0.01
    assert shifted > 5


def test_a_shift_of_all_costs_more_than_the_same_mistakes_to_both_sides() -> None:
    truth = torch.arange(6, 12)
    to_both = truth + torch.tensor([1, -1, 1, -1, 1, -1])
    assert column_loss(logits_for(truth + 1), truth) > 1.5 * column_loss(logits_for(to_both), truth)


def test_more_sites_are_more_certain_but_not_as_independent_witnesses() -> None:
    few, many = torch.arange(8, 9), torch.arange(4, 20)
    of_few, of_many = (column_loss(logits_for(truth + 1), truth) for truth in (few, many))
    assert 3 * of_few < of_many < 5 * of_few


@pytest.mark.parametrize("truth", [[0], [23], [0, 1], [22, 23]])
def test_at_the_ends_of_the_spine_the_shifts_without_a_level_are_unlikely(truth: list[int]) -> None:
    channels = torch.tensor(truth)
    assert column_loss(logits_for(channels), channels) < column_loss(torch.zeros(len(truth), LEVELS), channels)


def test_the_gradient_moves_the_names_back() -> None:
    truth = torch.arange(5, 10)
    logits = logits_for(truth + 1, 1.0).requires_grad_()
    column_loss(logits, truth).backward()
    assert logits.grad is not None
    rows = torch.arange(len(truth))
    assert (logits.grad[rows, truth] < 0).all()
    assert (logits.grad[rows, truth + 1] > 0).all()


def test_a_window_without_sites_costs_nothing() -> None:
    assert column_loss(torch.zeros(0, LEVELS, requires_grad=True), torch.zeros(0, dtype=torch.long)) == 0
