"""The two sides of the benchmark of order operations do the same work and come to the same answer."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.orders import START, Bare, Kernel, quoter, quotes


def test_both_matchers_come_to_one_answer() -> None:
    market = quotes(3_000)
    ours, bare = Kernel(), Bare()
    assert quoter(ours, market) == quoter(bare, market) > 6_000
    assert ours.fills == bare.fills > 100
    assert abs(ours.cash - bare.cash) <= 1e-9 * START
    assert ours.engine.position(0) == ours.m.amount_units(1000) + bare.coins * ours.lot
