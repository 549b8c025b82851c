"""The figures hold what happened: extremes survive thinning, candles add up, markers stand where trades were."""

from __future__ import annotations

import re

import numpy as np
import pytest
from bokeh.models import ColumnDataSource

from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.report import fill_t, metrics, trades
from twinstar_kit.report.figures import calendar_figure, equity_figure, price_figure, trades_figure
from twinstar_kit.report.reduce import coarser, extremes
from twinstar_kit.report.tearsheet import tearsheet

BTC = Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.00001")
START = BTC.money_units(10_000)
DAY_MS = 86_400_000
JANUARY = 1_735_689_600_000


def some_bars(n: int, seed: int = 0, simulated: bool = False) -> Bars:
    rng = np.random.default_rng(seed)
    rows = np.empty((n, 6), np.int64)
    rows[:, 0] = JANUARY + 60_000 * np.arange(n)
    close = np.rint(9_000_000 * np.exp(np.cumsum(rng.normal(0, 0.001, n)))).astype(np.int64)
    rows[:, 4] = close
    rows[:, 1] = np.append(close[:1], close[:-1])
    rows[:, 2] = np.maximum(rows[:, 1], close) + rng.integers(0, 900, n)
    rows[:, 3] = np.minimum(rows[:, 1], close) - rng.integers(0, 900, n)
    rows[:, 5] = rng.integers(1, 10**6, n)
    return Bars(BTC, 60_000, rows, simulated=simulated)


def some_run(bars: Bars, every: int = 100) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Buys and sells 0.05 in turn; the equity is folded fill by fill."""
    rows, qty = bars.rows, BTC.amount_units("0.05")
    at = np.arange(every, len(rows), every)
    made = np.zeros(len(at), fill_t)
    made["ts_event"] = rows[at, 0] + 60_000
    made["side"] = np.where(np.arange(len(at)) % 2 == 0, 1, -1)
    made["last_px"], made["last_qty"] = rows[at, 4], qty
    made["gross"] = rows[at, 4] * qty // BTC.money_divisor
    made["fee"] = made["gross"] // 1000
    cash, held, equity, fills = (
        START,
        0,
        np.empty(len(rows), np.int64),
        dict(zip(at.tolist(), made, strict=True)),
    )
    for i, row in enumerate(rows):
        if i in fills:
            cash -= int(fills[i]["side"] * fills[i]["gross"] + fills[i]["fee"])
            held += int(fills[i]["side"]) * qty
        equity[i] = cash + held * int(row[4]) // BTC.money_divisor
    return (
        rows[:, 0] + 60_000,
        equity,
        trades(made, BTC, last_px=int(rows[-1, 4]), last_ts=int(rows[-1, 0]) + 60_000),
    )


def sources(figure: object) -> list[ColumnDataSource]:
    return list(figure.select({"type": ColumnDataSource}))  # type: ignore[attr-defined]


def test_thinning_keeps_the_least_and_the_most() -> None:
    values = np.random.default_rng(1).normal(size=100_001).cumsum()
    kept = extremes(values, 1_000)
    assert len(kept) <= 1_004
    assert values[kept].min() == values.min()
    assert values[kept].max() == values.max()
    assert (kept[0], kept[-1]) == (0, 100_000)


@pytest.mark.parametrize("candles", [10, 100, 700])
def test_coarser_candles_agree_with_a_loop(candles: int) -> None:
    bars = some_bars(5_000)
    bars = Bars(BTC, 60_000, np.delete(bars.rows, slice(1000, 1700), axis=0))
    rows, length = coarser(bars, candles)
    want: dict[int, list[int]] = {}
    for ts, o, h, low, c, v in bars.rows.tolist():
        key = ts // length * length
        if key in want:
            candle = want[key]
            want[key] = [candle[0], max(candle[1], h), min(candle[2], low), c, candle[4] + v]
        else:
            want[key] = [o, h, low, c, v]
    assert {int(r[0]): r[1:].tolist() for r in rows} == want
    assert len(rows) <= candles + 1


def test_equity_figure_holds_the_deepest_drawdown_and_buy_and_hold() -> None:
    bars = some_bars(20_000)
    ts, equity, _ = some_run(bars)
    data = next(s.data for s in sources(equity_figure(ts, equity, BTC, START, bars=bars)) if "fall" in s.data)
    peak = np.maximum(np.maximum.accumulate(equity), START)
    assert min(data["fall"]) == pytest.approx((equity / peak).min() - 1)
    assert data["equity"][-1] == pytest.approx(BTC.money(equity[-1]))
    assert data["held"][-1] == pytest.approx(10_000 * bars.close[-1] / bars.open[0])
    assert len(data["time"]) < 5_000


def test_price_figure_marks_entries_and_exits_and_says_what_a_candle_is() -> None:
    bars = some_bars(20_000)
    _, _, rows = some_run(bars)
    figure = price_figure(bars, rows)
    assert figure.title.text == "BTC/USDT · 1h candles from 1m"
    marks = max((s.data for s in sources(figure) if "entry_px" in s.data), key=lambda d: len(d["entry_ts"]))
    assert marks["entry_ts"].tolist() == rows["entry_ts"].tolist()
    assert marks["entry_px"][0] == pytest.approx(BTC.price(rows["entry_px"][0]))
    assert price_figure(some_bars(60, simulated=True)).title.text == "BTC/USDT · 1m candles · SIMULATED"


def test_histogram_counts_every_closed_trade_and_no_bar_mixes_profit_and_loss() -> None:
    _, _, rows = some_run(some_bars(60_000))
    data = sources(trades_figure(rows))[0].data
    assert int(sum(data["count"])) == int((rows["open"] == 0).sum())
    assert 0.0 in set(np.round(data["left"], 12)) | set(np.round(data["right"], 12))


def test_calendar_shows_days_of_a_short_run_and_months_with_years_of_a_long_one() -> None:
    ts = JANUARY + DAY_MS * np.arange(1, 41)
    equity = np.linspace(START, 1.1 * START, 40).astype(np.int64)
    short = calendar_figure(ts, equity, START)
    assert len(sources(short)[0].data["text"]) == 40
    long_ts = JANUARY + DAY_MS * np.arange(1, 731)
    long = calendar_figure(long_ts, np.linspace(START, 2 * START, 731)[1:].astype(np.int64), START)
    data = sources(long)[0].data
    assert list(long.y_range.factors) == ["2026", "2025"]
    assert data["column"].count("Year") == 2
    assert data["text"][data["column"].index("Year")] == "+50.0%"


def test_runs_without_bars_or_trades_still_have_figures() -> None:
    nothing = np.empty(0, np.int64)
    none = trades(np.empty(0, fill_t), BTC)
    assert equity_figure(nothing, nothing, BTC, START)
    assert trades_figure(none)
    assert calendar_figure(nothing, nothing, START)


def test_the_tear_sheet_is_one_page_that_needs_no_network() -> None:
    bars = some_bars(3_000, simulated=True)
    ts, equity, rows = some_run(bars)
    figures = metrics(ts, equity, rows, BTC, start_equity=START)
    page = tearsheet(
        title="breakout <1>", bars=bars, equity_ts=ts, equity=equity, start_equity=START, trades=rows,
        metrics=figures, facts={"strategy": "breakout"}, notes=["Fills on the bar of the signal: optimistic."],
    )  # fmt: skip
    assert "breakout &lt;1&gt;" in page
    assert "SIMULATED" in page
    assert "optimistic" in page
    assert "Sortino and Price 1994" in page
    plain = re.sub(r"(<script[^>]*>).*?</script>", r"\1", page, flags=re.DOTALL)
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", plain)
