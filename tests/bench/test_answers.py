"""Before rates come answers: the compared strategies make vectorbt's orders, and a difference would be seen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.history import AMOUNT, BALANCE, FEE, our_answer, year
from benchmarks.measure import Row, alternate
from benchmarks.peers import Answer, Vectorbt
from benchmarks.strategies import ChannelTrail
from twinstar_kit.strategy import load

N = 30_000


@pytest.fixture(scope="module")
def peer() -> Vectorbt:
    from vectorbt._engine import is_rust_available

    engine = "rust" if is_rust_available() else "numba"
    return Vectorbt(year(N), engine, amount=AMOUNT, fee=FEE, start=BALANCE)


def test_sma_cross_makes_the_orders_of_vectorbt(peer: Vectorbt) -> None:
    theirs = peer.answer(peer.sma_cross(20, 50))
    mine = our_answer(load("sma_cross")(fast=20, slow=50), year(N))
    assert mine.differences(theirs) == []
    assert len(theirs.bars) > 500
    np.testing.assert_array_equal(mine.prices, theirs.prices)


@pytest.mark.parametrize("pandas", [False, True])
def test_a_channel_with_a_trailing_stop_makes_the_orders_of_vectorbt(peer: Vectorbt, pandas: bool) -> None:
    theirs = peer.answer(peer.breakout(240, 120, 0.015, pandas=pandas))
    mine = our_answer(ChannelTrail(), year(N))
    assert mine.differences(theirs, tick=0.01, amount=AMOUNT) == []
    assert len(theirs.bars) > 50


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["binance_BTCUSDT_spot_1m_20250101", "binance_ETHUSDT_spot_1m_20231007"])
def test_real_bars_make_the_orders_of_vectorbt_too(real_data: Path, peer: Vectorbt, name: str) -> None:
    from twinstar_kit.feeds import load_bars

    bars = load_bars(real_data / "ohlcv" / f"{name}.parquet", tick="0.01", lot="0.00001")
    other = Vectorbt(bars, peer.engine, amount=AMOUNT, fee=FEE, start=BALANCE)
    theirs = other.answer(other.sma_cross(20, 50))
    mine = our_answer(load("sma_cross")(fast=20, slow=50), bars)
    assert mine.differences(theirs) == []
    assert len(theirs.bars) > 500


def test_a_wrong_price_bar_fee_or_end_is_named() -> None:
    one = Answer(np.array([1, 5]), np.array([10.0, 11.0]), 0.02, 100.0)
    assert one.differences(one) == []
    assert "number 1" in one.differences(Answer(np.array([1, 6]), one.prices, 0.02, 100.0))[0]
    assert (
        "filled at 11.0 and 11.5" in one.differences(Answer(one.bars, np.array([10.0, 11.5]), 0.02, 100.0))[0]
    )
    assert "fees" in one.differences(Answer(one.bars, one.prices, 0.03, 100.0))[0]
    assert "end" in one.differences(Answer(one.bars, one.prices, 0.02, 100.1))[0]


def test_works_are_measured_in_turn_after_one_unmeasured_round() -> None:
    calls: list[str] = []
    spent = alternate(2, a=lambda: calls.append("a"), b=lambda: calls.append("b"))
    assert calls == ["a", "b", "a", "b", "a", "b"]
    assert set(spent) == {"a", "b"}
    assert Row("x", 1.0, "s").to_dict()["name"] == "x"


def test_an_unknown_benchmark_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "sma"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "there is no benchmark 'sma'" in done.stderr
