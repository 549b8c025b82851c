"""The starter kit against rules worked out another way: TA-Lib's indicators and a plain loop over the same bars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import talib
from strategy.walks import Columns, Outcome, as_bars, play, real, walk

from twinstar_kit.kernel.orders import EventKind, OrdType, Side
from twinstar_kit.strategy import load, make_runner


@pytest.fixture(scope="module", params=["walk", "real"])
def columns(request: pytest.FixtureRequest) -> Columns:
    if request.param == "walk":
        return walk(20_000, step=2e-3)
    folder: Path = request.getfixturevalue("real_data")
    return real(folder, n=40_000)


def of_kind(done: Outcome, kind: EventKind) -> np.ndarray:
    return done.events[done.events["kind"] == kind]


def test_sma_cross_trades_where_talib_says(columns: Columns):
    done = play(make_runner(load("sma_cross")(fast=10, slow=30)), as_bars(columns))
    fast, slow = talib.SMA(columns.close, 10), talib.SMA(columns.close, 30)
    wanted: list[tuple[int, int, float]] = []
    held = False
    for i in range(29, len(fast) - 1):
        if not held and fast[i] > slow[i] * (1 + 1e-13):
            wanted.append((Side.BUY, int(columns.ts[i]), columns.open[i + 1]))
            held = True
        elif held and fast[i] < slow[i] * (1 - 1e-13):
            wanted.append((Side.SELL, int(columns.ts[i]), columns.open[i + 1]))
            held = False
    fills = of_kind(done, EventKind.FILLED)
    got = [(int(f["side"]), int(f["ts_event"]), f["last_px"] / 100) for f in fills]
    assert len(wanted) > 100
    # an order is filled at the open that follows its bar, which is the instant at which that bar closes, if no minute is missing
    assert [(side, price) for side, _, price in got] == [
        (side, pytest.approx(price)) for side, _, price in wanted
    ]
    assert sum(a[1] == b[1] for a, b in zip(got, wanted, strict=True)) > 0.99 * len(got)


def test_breakout_enters_on_the_channel_and_always_with_a_stop(columns: Columns):
    strategy = load("breakout")(lookback=40)
    done = play(make_runner(strategy), as_bars(columns))
    high = np.concatenate([[np.nan], talib.MAX(columns.high, 40)[:-1]])
    atr = talib.ATR(columns.high, columns.low, columns.close, 14)
    at = {int(ts): i for i, ts in enumerate(columns.ts)}

    proposed = of_kind(done, EventKind.PROPOSED)
    entries = proposed[proposed["ord_type"] == OrdType.MARKET]
    stops, trails = (
        proposed[proposed["ord_type"] == OrdType.STOP],
        proposed[proposed["ord_type"] == OrdType.TRAILING_STOP],
    )
    assert len(entries) > 30
    assert list(entries["ts_event"]) == list(stops["ts_event"]) == list(trails["ts_event"]), (
        "no entry without both stops"
    )
    for entry, stop, trail in zip(entries, stops, trails, strict=True):
        i = at[int(entry["ts_event"])]
        assert columns.close[i] > high[i]
        assert stop["stop_px"] / 100 == pytest.approx(
            max(columns.close[i] - 2 * atr[i], columns.close[i] * 0.9), abs=0.006
        )
        assert trail["price"] / 100 == pytest.approx(3 * atr[i], abs=0.006)

    fills = of_kind(done, EventKind.FILLED)
    sides, kinds = fills["side"], fills["ord_type"]
    assert (np.diff(sides) != 0).all(), "entries and exits alternate"
    assert set(kinds[sides == Side.BUY]) == {OrdType.MARKET}
    assert set(kinds[sides == Side.SELL]) == {OrdType.STOP, OrdType.TRAILING_STOP}, "both stops do their work"
    # between the fills of an entry and its exit both stops are armed, and the one that did not fire is canceled
    assert len(of_kind(done, EventKind.ARMED)) == 2 * (sides == Side.BUY).sum()
    exits = (sides == Side.SELL).sum()
    assert len(of_kind(done, EventKind.CANCELED)) == exits


def test_breakout_never_risks_more_than_it_is_allowed():
    wild = as_bars(walk(5_000, step=3e-2))
    done = play(make_runner(load("breakout")(stop_width=20.0, max_loss=0.02, lookback=10)), wild)
    proposed = of_kind(done, EventKind.PROPOSED)
    stops = proposed[proposed["ord_type"] == OrdType.STOP]
    closes = dict(zip((wild.rows[:, 0] + 60_000).tolist(), wild.rows[:, 4].tolist(), strict=True))
    assert len(stops) > 20
    assert all(s["stop_px"] >= closes[int(s["ts_event"])] * 0.98 - 1 for s in stops)


def test_breakout_does_not_trade_what_does_not_move():
    flat = walk(200, step=0.0)
    done = play(make_runner(load("breakout")(lookback=10)), as_bars(flat))
    assert not len(of_kind(done, EventKind.PROPOSED))


@pytest.mark.parametrize("name", ["breakout", "sma_cross"])
def test_overlays_are_there_to_be_drawn(name: str):
    strategy = load(name)()
    play(make_runner(strategy, "interpreted"), as_bars(walk(200)))
    for path in strategy.overlays:
        part, _, field = path.partition(".")
        assert np.isfinite(getattr(getattr(strategy, part), field))
