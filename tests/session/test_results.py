"""What a run's result tells: tables, figures, and the same numbers wherever they are read."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from session.builders import Restless, stored, walk

from twinstar_kit.feeds import SimulatedMarket
from twinstar_kit.feeds.replay import Replay
from twinstar_kit.kernel.errors import DataError, UsageError
from twinstar_kit.report import METRICS
from twinstar_kit.session import backtest, load_run, paper
from twinstar_kit.strategy import load

BARS = walk(5_000, seed=8)
NAMES = [
    "strategy",
    "params",
    "exchange",
    "symbol",
    "timeframe",
    "bars",
    "start_balance",
    "end_balance",
    "orders",
    "fills",
    "fees_paid",
    "metrics",
    "journal_digest",
    "data_digest",
    "seconds",
    "bars_per_second",
]


@pytest.fixture(scope="module")
def result():
    return backtest("breakout", BARS, fee_taker=0.0005)


def test_the_report_holds_every_name_of_the_contract_and_is_json(result):
    report = result.to_dict()
    assert set(NAMES) <= set(report)
    assert set(METRICS) == set(report["metrics"])
    assert json.loads(json.dumps(report)) == report
    assert report["strategy"] == "breakout"
    assert report["bars"] == 5_000
    assert report["timeframe"] == "1m"
    assert report["mode"] == "compiled"
    assert "interpreted_because" not in report


def test_the_books_balance(result):
    """Start + profit of all trades = end, with exact decimals."""
    money = Decimal(10) ** -BARS.instrument.quote_scale
    profit = sum((Decimal(int(t["pnl"])) for t in result.trade_records), Decimal(0)) * money
    start, end = Decimal(str(result.start_balance)), Decimal(int(result.equity_units[-1])) * money
    assert abs(start + profit - end) <= money * len(result.trade_records)
    assert result.fees_paid == pytest.approx(result.fills["fee"].sum())


def test_tables(result):
    assert len(result.trades) == len(result.trade_records) > 10
    assert len(result.fills) == result.to_dict()["fills"]
    assert len(result.orders[result.orders["status"] != "denied"]) == result.order_count
    assert result.equity.iloc[-1] == pytest.approx(result.end_balance)
    assert str(result.equity.index[0]) == "2025-01-01 00:01:00+00:00"
    assert set(result.orders["type"]) == {"market", "stop", "trailing_stop"}
    assert set(result.orders["side"]) == {"buy", "sell"}
    filled = result.orders[result.orders["status"] == "filled"]
    assert filled["filled"].sum() == pytest.approx(result.fills["amount"].sum())
    assert (result.fills["cost"] - result.fills["price"] * result.fills["amount"]).abs().max() < 1e-7
    assert (result.trades["exit_time"] >= result.trades["entry_time"]).all()


def test_refused_orders_say_their_rule():
    orders = backtest(Restless(), BARS[:200]).orders
    denied = orders[orders["status"] == "denied"]
    assert len(denied)
    assert set(denied["reason"]) <= {
        "there is no position to reduce; spot is long only",
        "the amount is above the largest one allowed",
    }


def test_a_run_without_trades():
    flat = backtest(load("breakout")(lookback=500), BARS[:100])
    assert len(flat.trades) == len(flat.fills) == len(flat.orders) == 0
    assert flat.end_balance == flat.start_balance == 10_000
    assert flat.to_dict()["metrics"]["sharpe"] is None
    assert "0 fills" in repr(flat)


def test_html_and_figures(result):
    html = result._repr_html_()
    assert "<table>" in html
    assert "sharpe" in html
    assert "breakout(lookback=55" in repr(result)
    assert result.plot().children
    page = result.tearsheet()
    assert result.journal_digest in page
    assert "http://" not in page.split("<body")[0].split("<style")[0]


def test_what_a_reader_must_know_is_noted(home: Path):
    close = backtest("breakout", BARS[:500], fill="close")
    assert close.notes == ["Optimistic: orders filled on the bar of their signal (fill=close)."]
    bars = SimulatedMarket().bars("BTC/USDT", 1_735_689_600_000, 1_735_689_600_000 + 600 * 60_000)
    assert "SIMULATED" in backtest("breakout", bars).notes[0]
    assert "SIMULATED" in backtest("breakout", bars)._repr_html_()


def test_a_stored_run_is_read_back_as_it_was(home: Path):
    run = paper("breakout", Replay([BARS]), speed="max", close_at_end=True, fee_taker=0.0005)
    again = load_run(run.journal)
    expected = backtest("breakout", BARS, close_at_end=True, fee_taker=0.0005)
    for read in (run, again):
        assert read.journal_digest == expected.journal_digest
        assert np.array_equal(read.equity_units, expected.equity_units)
        assert read.metrics == expected.metrics
        assert read.params == expected.params
        assert list(read.params) == list(expected.params)
        assert read.orders.equals(expected.orders)
        assert read.broker == expected.broker


def test_data_in_every_form_gives_one_digest(tmp_path: Path, result):
    file = stored(BARS, tmp_path / "x_BTCUSDT_1m.parquet")
    feed = Replay([BARS])
    first, last = feed.span()
    same = [
        backtest("breakout", (feed, "BTC/USDT", first, last), fee_taker=0.0005),
        backtest("breakout", (feed, "BTC/USDT", first, last, "1m"), fee_taker=0.0005),
        backtest(load("breakout"), BARS, fee_taker="0.0005"),
        backtest(load("breakout")(), BARS, mode="interpreted", fee_taker=0.0005),
    ]
    assert {run.journal_digest for run in same} == {result.journal_digest}
    assert backtest("breakout", str(file)).journal_digest == backtest("breakout", file).journal_digest
    part = backtest("breakout", BARS, since="2025-01-01T10:00", until=int(BARS.timestamp[1_200]))
    assert len(part.bars) == 600
    assert len(backtest("breakout", (feed, "BTC/USDT", first, last), timeframe="5m").bars) == 1_000


@pytest.mark.parametrize(
    ("data", "settings", "told"),
    [
        (BARS, {"fee_takr": 1}, "did you mean 'fee_taker'"),
        (BARS, {"tick": "0.1"}, "say it when loading"),
        (BARS, {"since": "2030-01-01"}, "no bars in that window"),
        (BARS, {"mode": "turbo"}, "mode = 'turbo'"),
        (42, {}, "data must be Bars, a path"),
        (("feed", "BTC/USDT"), {}, "data from a feed is"),
        ((Replay([BARS]), "BTC/USDT", 0, 10), {}, "no complete bars of BTC/USDT"),
        ((Replay([BARS]), "BTC/USDT", 0, 10), {"tick": 1}, "the feed says it"),
    ],
)
def test_bad_requests(data, settings: dict, told: str):
    with pytest.raises(UsageError, match=told):
        backtest("breakout", data, **settings)


def test_a_file_that_is_not_there():
    with pytest.raises(DataError, match=r"none\.parquet"):
        backtest("breakout", "none.parquet")


def test_progress_reaches_the_end():
    told: list[tuple] = []
    backtest("breakout", BARS, progress=lambda *parts: told.append(parts))
    assert told[0][:2] == (0, 5_000)
    assert told[-1][:2] == (5_000, 5_000)


def test_running_twice_starts_from_nothing_both_times():
    strategy = Restless()
    first = backtest(strategy, BARS[:500], mode="interpreted")
    assert backtest(strategy, BARS[:500], mode="interpreted").journal_digest == first.journal_digest
    assert strategy.count == 0
