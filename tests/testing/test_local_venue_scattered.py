"""Faults at random places: a client that goes on asking still gets the truth, and the log tells what was in its way."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from testing.venue_data import MINUTE, START, some_bars

from twinstar_kit.feeds import CcxtSource
from twinstar_kit.testing.local_venue import LocalVenue, faults, local_binance

BARS = some_bars(2_000)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_with_all_faults_spent_every_bar_is_there_and_nobody_asked_too_early(seed: int):
    planted = faults.scattered("BTC/USDT", BARS.timestamp, seed)
    with LocalVenue(BARS, faults=planted) as venue:
        source = CcxtSource(
            local_binance(venue),
            clock=venue.clock,
            sleep=lambda seconds: venue.clock.advance(int(-(-seconds * 1_000 // 1))) and None,
            chance=random.Random(seed),
            attempts=13,  # the twelve faults that make an answer fail may all stand in the way of one
            instruments={"BTC/USDT": BARS.instrument},
        )

        def everything() -> np.ndarray:
            starts = range(START, START + 2_000 * MINUTE, 250 * MINUTE)
            return np.vstack([source.bars("BTC/USDT", "1m", start, 250) for start in starts])

        first = everything()
        assert set(first[:, 0]) <= set(BARS.timestamp)
        # holes and revisions show once, in the first answer that holds them; asked again, the venue tells the truth
        for _ in range(2):
            everything()
        assert np.array_equal(everything(), BARS.rows)
        assert venue.log.count("too early") == 0
        for kind in {type(fault) for fault in planted}:
            struck = sum(fault.struck for fault in planted if type(fault) is kind)
            assert struck == venue.log.count(kind.__name__)
