"""Profit by provenance: what equity did on each bar belongs to where the bar came from, and nothing gets lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from twinstar_kit import SimulatedMarket, Strategy, backtest
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.lake import Lake, Provenance, Series

START, MINUTE = 1_735_689_600_000, 60_000
BTC = Series("venue", "BTC/USDT")


@pytest.fixture
def lake(tmp_path: Path):
    bars = SimulatedMarket(7).bars("BTC/USDT", START, START + 3_000 * MINUTE)
    marks = np.full(len(bars), Provenance.BACKFILLED, np.int8)
    marks[1_000:1_400] = Provenance.HEALED
    marks[2_000] = Provenance.DISPUTED
    with Lake(tmp_path / "lake") as lake:
        lake.register(BTC, bars.instrument, simulated=True)
        lake.write(BTC, bars.rows, marks)
        yield lake


def test_the_parts_are_a_plain_sum_over_the_equity_of_each_bar(lake: Lake):
    reading = lake.read("venue", "BTC/USDT")
    result = backtest("sma_cross", reading, fee_taker="0")
    told = reading.attribution(result)
    sums: dict[int, int] = {}
    before = result.start_units
    for equity, mark in zip(result.equity_units.tolist(), reading.provenance.tolist(), strict=True):
        sums[mark] = sums.get(mark, 0) + equity - before
        before = equity
    assert {int(mark): part.profit for mark, part in told.parts.items()} == sums
    assert {mark.name: part.bars for mark, part in told.parts.items()} == {
        "BACKFILLED": 2_599, "HEALED": 400, "DISPUTED": 1,
    }  # fmt: skip
    assert sums[Provenance.HEALED] != 0
    assert told.profit == result.equity_units[-1] - result.start_units
    assert told.share(Provenance.HEALED) == pytest.approx(sums[Provenance.HEALED] / told.profit)
    assert told.share(Provenance.OUTAGE) == 0.0
    assert "healed" in repr(told)


def test_joined_bars_carry_the_doubt_of_their_parts(lake: Lake):
    reading = lake.read("venue", "BTC/USDT", "15m")
    told = reading.attribution(backtest("sma_cross", reading))
    assert told.parts[Provenance.DISPUTED].bars == 1
    assert told.parts[Provenance.HEALED].bars == 28  # 400 minutes that begin in the middle of a quarter


def test_a_run_over_other_bars_is_refused(lake: Lake):
    result = backtest("sma_cross", lake.read("venue", "BTC/USDT", until=START + 2_000 * MINUTE))
    with pytest.raises(UsageError, match="other bars"):
        lake.read("venue", "BTC/USDT").attribution(result)


def test_a_strategy_may_refuse_to_enter_on_bars_that_are_not_the_venues_own(lake: Lake):
    class Wary(Strategy):
        def on_bar(self, ctx):
            if ctx.bar.doubt == 0 and ctx.bar.index % 10 == 0:
                ctx.buy()
            elif ctx.bar.index % 10 == 5:
                ctx.close()

    reading = lake.read("venue", "BTC/USDT")
    result = backtest(Wary(), reading)
    # an entry is decided at the close of the bar before the one that it fills in
    decided = [(int(t.timestamp() * 1000) - START) // MINUTE - 1 for t in result.trades["entry_time"]]
    marks = reading.provenance[decided]
    assert len(decided) > 200
    assert set(marks.tolist()) == {int(Provenance.BACKFILLED)}
