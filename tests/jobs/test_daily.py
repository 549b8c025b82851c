"""The daily report: a day out of a run, from the feed or from an account, with figures that add up."""

from __future__ import annotations

from pathlib import Path

import nbformat
import numpy as np
import pytest

from twinstar_kit.feeds.simulated import SimulatedMarket
from twinstar_kit.jobs import JobError, run_job
from twinstar_kit.jobs.daily import closed_trades, cut, day_of, day_run
from twinstar_kit.report.metrics import DAY_MS
from twinstar_kit.session import backtest, paper

JANUARY = 1_735_689_600_000
FEED = "simulated:5"
ASKED = {
    "strategy": "sma_cross",
    "feed": FEED,
    "symbol": "BTC/USDT",
    "account": None,
    "now_ms": JANUARY + 9 * DAY_MS + 5_000,
}


def test_days_of_a_run_add_up_to_the_run() -> None:
    run = backtest("sma_cross", (SimulatedMarket(5), "BTC/USDT", JANUARY, JANUARY + 3 * DAY_MS))
    days = [day_of(run, JANUARY + k * DAY_MS) for k in range(3)]
    assert [d.bars for d in days] == [1440, 1440, 1440]
    assert days[0].open_equity == run.start_balance
    assert days[2].close_equity == run.end_balance
    assert [d.open_equity for d in days[1:]] == [d.close_equity for d in days[:-1]]
    assert sum(d.fills for d in days) == len(run.fill_records)
    assert sum(d.fees for d in days) == pytest.approx(run.fees_paid, abs=1e-9)
    assert sum(d.trades for d in days) == run.metrics["trades"]
    tables = [closed_trades(run, d) for d in days]
    assert [len(t) for t in tables] == [d.trades for d in days]
    for table, day in zip(tables, days, strict=True):
        assert table["pnl"].sum() == pytest.approx(day.pnl, abs=0.01 * len(table))


def test_the_last_whole_day_is_reported_unless_another_is_named() -> None:
    run, day = day_run(day=None, days=2, **ASKED)
    assert day.date == "2025-01-09"
    assert len(run.bars) == 2 * 1440
    run, day = day_run(day="2025-01-05", days=3, **ASKED)
    assert (day.date, len(run.bars)) == ("2025-01-05", 3 * 1440)
    assert "2025-01-05 UTC, 1,440 bars" in day.lines()[0]


@pytest.mark.parametrize(
    ("changed", "words"), [({"days": 0}, "at least 1"), ({"day": "yesterday"}, "must be a date")]
)
def test_what_cannot_be_reported_is_one_line(changed: dict, words: str) -> None:
    with pytest.raises(JobError, match=words):
        day_run(**{"day": None, "days": 1, **ASKED, **changed})


def test_an_accounts_day_comes_from_its_journal(home: Path) -> None:
    live = paper(
        "sma_cross", FEED, speed="max", since=JANUARY, until=JANUARY + 2 * DAY_MS, account="mine", home=home
    )
    run, day = day_run(day=None, days=1, home=home, **{**ASKED, "account": "mine"})
    assert run.journal_digest == live.journal_digest
    assert (day.date, day.close_equity) == ("2025-01-02", live.end_balance)
    earlier, first = day_run(day="2025-01-01", days=1, home=home, **{**ASKED, "account": "mine"})
    assert len(earlier.bars) == 1440
    assert first.close_equity == day.open_equity
    with pytest.raises(JobError, match="has no journal"):
        day_run(day=None, days=1, home=home, **{**ASKED, "account": "nobody"})


def test_a_cut_run_is_what_a_shorter_run_would_have_been() -> None:
    feed = SimulatedMarket(5)
    whole = backtest("breakout", (feed, "BTC/USDT", JANUARY, JANUARY + 2 * DAY_MS))
    short = backtest("breakout", (feed, "BTC/USDT", JANUARY, JANUARY + DAY_MS))
    at = cut(whole, JANUARY + DAY_MS)
    assert np.array_equal(at.equity_units, short.equity_units)
    assert at.journal_digest == short.journal_digest


@pytest.mark.slow
def test_the_template_runs_and_prints_the_day(home: Path) -> None:
    run = run_job(
        "daily_report", {"strategy": "sma_cross", "feed": FEED, "day": "2025-01-05", "days": "2"}, home=home
    )
    assert run.status == "done", run.error
    book = nbformat.read(str(run.output), as_version=4)
    printed = "".join(o.get("text", "") for c in book.cells if c.cell_type == "code" for o in c.outputs)
    _, day = day_run(day="2025-01-05", days=2, **ASKED)
    for line in day.lines():
        assert line in printed
    drawn = [
        o for c in book.cells if c.cell_type == "code" for o in c.outputs if "text/html" in o.get("data", {})
    ]
    assert len(drawn) >= 4
