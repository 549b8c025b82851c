"""Bars that are not the venue's own word: a strategy sees which, in history, live, from a journal, and may refuse them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from twinstar_kit import SimulatedMarket, Strategy, backtest, paper, parity
from twinstar_kit.feeds.replay import Replay
from twinstar_kit.feeds.resample import resample
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.session.results import load_run

START, MINUTE = 1_735_689_600_000, 60_000
HEALED = 3


class Wary(Strategy):
    """Buys and sells every ten bars, but never enters on a bar that is in doubt."""

    doubts: int = 0

    def on_bar(self, ctx):
        if ctx.bar.doubt != 0:
            self.doubts += 1
            return
        if ctx.bar.index % 10 == 0:
            ctx.buy()
        elif ctx.bar.index % 10 == 5:
            ctx.close()


@pytest.fixture(scope="module")
def bars() -> Bars:
    plain = SimulatedMarket(7).bars("BTC/USDT", START, START + 600 * MINUTE)
    doubt = np.zeros((600, 1), np.int64)
    doubt[100:131] = HEALED
    return Bars(plain.instrument, MINUTE, np.hstack([plain.rows, doubt]), simulated=True)


def test_no_entry_on_bars_in_doubt(bars: Bars):
    result = backtest(Wary(), bars)
    entries = {(int(t.timestamp() * 1000) - START) // MINUTE for t in result.trades["entry_time"]}
    # an entry is decided at the close of a tenth bar and fills at the next open
    assert entries == {i + 1 for i in range(0, 600, 10) if not 100 <= i < 131}


def test_compiled_interpreted_and_live_see_the_same(bars: Bars):
    digests = {backtest(Wary(), bars, mode=mode).journal_digest for mode in ("compiled", "interpreted")}
    assert len(digests) == 1
    assert parity(Wary(), bars).ok


def test_the_data_digest_tells_doubted_bars_from_plain_ones(bars: Bars):
    plain = Bars(bars.instrument, MINUTE, np.ascontiguousarray(bars.rows[:, :6]))
    assert backtest(Wary(), plain).data_digest != backtest(Wary(), bars).data_digest


def test_a_journal_keeps_the_doubt(bars: Bars, home: Path):
    run = paper(Wary(), Replay([bars]), speed="max", account="wary", home=home)
    assert run.journal_digest == backtest(Wary(), bars).journal_digest
    (journal,) = (home / "accounts" / "wary").glob("journal-*.db")
    assert np.array_equal(load_run(journal).bars.rows, bars.rows)


def test_a_joined_bar_is_as_doubtful_as_its_worst_part(bars: Bars):
    hours = resample(bars, 60 * MINUTE)
    assert hours.rows[:, 6].tolist() == [0, HEALED, HEALED, *[0] * 7]
