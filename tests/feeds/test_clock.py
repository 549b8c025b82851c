"""Clocks: what drives them, that they never go back, and how people write a time."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest

from twinstar_kit.feeds.clock import Clock, ManualClock, ReplayClock, SystemClock, to_milliseconds
from twinstar_kit.kernel.errors import UsageError


class Wall:
    """A wall clock that a test sets, also backwards."""

    def __init__(self, now):
        self.now = now

    def milliseconds(self):
        return self.now


def test_the_system_clock_is_the_computers():
    before = time.time() * 1000
    assert before - 1 <= SystemClock().milliseconds() <= time.time() * 1000 + 1


def test_a_manual_clock_moves_only_when_told_and_never_back():
    clock = ManualClock(1_000)
    assert clock.advance_to(1_500) == clock.milliseconds() == 1_500
    assert clock.advance(0) == 1_500
    with pytest.raises(UsageError, match="does not go back"):
        clock.advance(-1)
    assert clock.milliseconds() == 1_500


def test_a_replay_runs_at_its_speed():
    wall = Wall(10_000)
    clock = ReplayClock(5_000_000, 2.5, wall=wall)
    wall.now += 4_000
    assert clock.milliseconds() == 5_010_000


def test_two_processes_share_a_replay_by_three_numbers():
    wall = Wall(10_000)
    one = ReplayClock(5_000_000, 60, wall=wall)
    wall.now += 777
    other = ReplayClock(one.start_ms, one.speed, wall_start_ms=one.wall_start_ms, wall=wall)
    assert other.milliseconds() == one.milliseconds()


def test_a_replay_does_not_follow_a_wall_clock_that_is_set_back():
    wall = Wall(10_000)
    clock = ReplayClock(0, wall=wall)
    wall.now += 500
    assert clock.milliseconds() == 500
    wall.now -= 5_000
    assert clock.milliseconds() == 500
    wall.now += 5_100
    assert clock.milliseconds() == 600


@pytest.mark.parametrize("speed", [0, -1, float("inf"), float("nan")])
def test_a_speed_is_a_positive_number(speed):
    with pytest.raises(UsageError, match="speed"):
        ReplayClock(0, speed)


@pytest.mark.parametrize("clock", [SystemClock(), ManualClock(), ReplayClock(0)])
def test_all_are_clocks(clock):
    assert isinstance(clock, Clock)


def test_times_as_people_write_them():
    seoul = timezone(timedelta(hours=9))
    for when in (1_735_689_600_000, "1735689600000", "2025-01-01", "20250101", "2025-01-01T00:00:00Z",
                 "2025-01-01 00:00", datetime(2025, 1, 1), datetime(2025, 1, 1, 9, tzinfo=seoul)):  # fmt: skip
        assert to_milliseconds(when) == 1_735_689_600_000
    assert to_milliseconds("2025-01-01T00:00:00.123456") == 1_735_689_600_123


@pytest.mark.parametrize("when", ["soon", "", "2025-13-01", True, None, 1.5])
def test_what_is_no_time(when):
    with pytest.raises(UsageError, match="not a time"):
        to_milliseconds(when)
