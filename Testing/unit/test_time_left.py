"""How long a run still takes: nothing at first, then a number that does not jump."""

from __future__ import annotations

import pytest
from VertebraLabelingLib.app.time_left import TimeLeft


class Clock:
    now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def test_nothing_is_told_in_the_first_second_and_before_anything_is_done(clock):
    left = TimeLeft(clock)
    assert left.seconds is None
    clock.now_s += 0.9
    left.update(0.5)
    assert left.seconds is None
    clock.now_s += 5
    left.update(0.01)
    assert left.seconds is None


def test_an_even_run_is_told_exactly(clock):
    left = TimeLeft(clock)
    for percent in range(10, 101, 10):
        clock.now_s += 2.0
        left.update(percent / 100)
        assert left.seconds == pytest.approx((100 - percent) / 5)


def test_it_counts_down_between_two_updates_but_not_below_nothing(clock):
    left = TimeLeft(clock)
    clock.now_s += 10
    left.update(0.5)
    clock.now_s += 4
    assert left.seconds == pytest.approx(6)
    clock.now_s += 100
    assert left.seconds == 0.0


def test_one_slow_stage_moves_the_number_only_a_part_of_the_way(clock):
    left = TimeLeft(clock)
    clock.now_s += 10
    left.update(0.5)
    clock.now_s += 30
    left.update(0.5)
    assert left.seconds == pytest.approx(-20 + 0.3 * 60, abs=1e-9) or left.seconds == 0.0
    before = left.seconds
    left.update(0.5)
    assert before < left.seconds < 40
