"""The planner asks for every missing bar, never more than the limit at once, and in as few requests as can be."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinstar_kit.lake.planner import Request, common, holes, length, merge, plan, without

MINUTE = 60_000
UNIVERSE = 12


def intervals(bars: set[int], timeframe_ms: int = 1) -> list[tuple[int, int]]:
    return [(bar * timeframe_ms, (bar + 1) * timeframe_ms) for bar in bars]


def bars_of(parts: list[tuple[int, int]]) -> set[int]:
    return {bar for first, end in parts for bar in range(first, end)}


def fewest(missing: set[int], limit: int) -> int:
    """By trying every choice of where requests of `limit` bars could begin."""
    for count in range(UNIVERSE + 1):
        for starts in combinations(range(UNIVERSE), count):
            if missing <= {start + k for start in starts for k in range(limit)}:
                return count
    raise AssertionError


@given(st.sets(st.integers(0, UNIVERSE - 1)), st.integers(1, 6))
def test_no_choice_of_requests_is_smaller(missing: set[int], limit: int):
    requests = list(plan(intervals(missing, MINUTE), MINUTE, limit))
    assert len(requests) == fewest(missing, limit)
    asked = {
        bar for request in requests for bar in range(request.since_ms // MINUTE, request.until_ms // MINUTE)
    }
    assert missing <= asked
    assert all(1 <= request.bars(MINUTE) <= limit for request in requests)
    # a request begins and ends with a bar that is wanted, and none is asked for twice
    assert all(request.since_ms // MINUTE in missing for request in requests)
    assert all(request.until_ms // MINUTE - 1 in missing for request in requests)
    assert sum(request.bars(MINUTE) for request in requests) == len(asked)


def test_a_year_of_minutes_is_526_requests_of_a_thousand():
    requests = list(plan([(0, 525_600 * MINUTE)], MINUTE, 1000))
    assert len(requests) == 526
    assert requests[-1] == Request(525_000 * MINUTE, 525_600 * MINUTE)


def test_small_holes_share_a_request_and_far_ones_do_not():
    near = [(0, MINUTE), (400 * MINUTE, 401 * MINUTE), (999 * MINUTE, 1000 * MINUTE)]
    assert list(plan(near, MINUTE, 1000)) == [Request(0, 1000 * MINUTE)]
    far = [*near, (1000 * MINUTE, 1001 * MINUTE)]
    assert list(plan(far, MINUTE, 1000)) == [Request(0, 1000 * MINUTE), Request(1000 * MINUTE, 1001 * MINUTE)]


def test_nothing_missing_is_nothing_asked():
    assert list(plan([], MINUTE, 1000)) == []
    assert list(plan([(5 * MINUTE, 5 * MINUTE)], MINUTE, 1000)) == []


sets = st.sets(st.integers(0, 40))
pairs = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)).map(lambda p: (p[0], p[0] + p[1])))


@given(pairs, pairs)
def test_intervals_behave_like_sets_of_bars(ours: list[tuple[int, int]], others: list[tuple[int, int]]):
    assert bars_of(merge(ours)) == bars_of(ours)
    assert bars_of(without(ours, others)) == bars_of(ours) - bars_of(others)
    assert bars_of(common(ours, others)) == bars_of(ours) & bars_of(others)
    for parts in (merge(ours), without(ours, others), common(ours, others)):
        assert parts == sorted(parts)
        assert all(first < end for first, end in parts)
        assert all(left[1] <= right[0] for left, right in pairwise(parts))
    assert length(merge(ours), 1) == len(bars_of(ours))


@given(sets, st.integers(0, 10), st.integers(10, 40))
def test_holes_are_the_bars_that_are_not_there(present: set[int], first: int, end: int):
    inside = np.array(sorted(bar for bar in present if first <= bar < end), np.int64)
    assert bars_of(holes(inside, first, end, 1)) == set(range(first, end)) - present


@pytest.mark.parametrize(("limit", "requests"), [(1, 3 * 26_746), (7, 26_746), (1000, 268)])
def test_tens_of_thousands_of_small_gaps_are_bundled(limit: int, requests: int):
    gaps = [(k * 10 * MINUTE, (k * 10 + 3) * MINUTE) for k in range(26_746)]
    assert len(list(plan(gaps, MINUTE, limit))) == requests
