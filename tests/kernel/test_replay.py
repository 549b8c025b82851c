"""A quoter in a recording: what it sees when, what reaches the venue when, and that the loop is the engine, call by call."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.orders import NEVER, EventKind, OrdStatus
from twinstar_kit.kernel.replay import (
    CLEAR,
    LAST,
    LEVEL,
    PRICE,
    QTY,
    SEEN_TS,
    SIDE,
    TRADE,
    TS,
    WHAT,
    count_nanoseconds,
    quote,
)

MS = 1_000_000
PERPETUAL = Instrument.from_sizes("BTC/USDT:USDT", tick="1", lot="1", amount_scale=8)
ONE = PERPETUAL.amount_units(1)
BUY, SELL = 1, -1


def book(at_ms, changes, seen_ms=None):
    """Rows of one instant: (side, price, amount) changes of levels."""
    seen = at_ms if seen_ms is None else seen_ms
    rows = [(at_ms * MS, seen * MS, LEVEL, side, price, amount * ONE) for side, price, amount in changes]
    return [*rows[:-1], (*rows[-1][:WHAT], LAST, *rows[-1][SIDE:])]


def trade(at_ms, side, price, amount):
    return [(at_ms * MS, at_ms * MS, TRADE, side, price, amount * ONE)]


def recording(*parts):
    return np.array([row for part in parts for row in part], np.int64)


def engine(**models):
    made = Engine(
        [PERPETUAL],
        Broker(leverage=100, **models),
        {"USDT": 10_000_000},
        levels=64,
        live_book=True,
        order_capacity=8,
        buffer=1 << 14,
    )
    count_nanoseconds(made)
    return made


def run(rows, *, max_position=10, distance=2, interval_ms=10, start_ms=0, **models):
    """The events of a run that are not postings, as (milliseconds, what, side, price), and the quoter."""
    made, events = engine(**models), []
    quoter = quote(
        made, rows, distance=distance, qty=ONE, max_position=max_position * ONE, interval_ms=interval_ms, start=start_ms * MS,
        on_events=events.append,
    )  # fmt: skip
    told = np.concatenate(events)
    told = told[(told["kind"] != EventKind.POSTED) & (told["kind"] != EventKind.DEPOSITED)]
    return [
        (
            int(e["ts_event"]) / MS,
            EventKind(int(e["kind"])).name,
            int(e["side"]),
            int(e["last_px"] or e["price"]),
        )
        for e in told
    ], quoter[0]


def of(events, *kinds):
    return [event for event in events if event[1] in kinds]


WIDE = [(BUY, 100, 5), (BUY, 99, 5), (SELL, 104, 5), (SELL, 105, 5)]


def test_it_quotes_around_the_mid_and_follows_it():
    rows = recording(
        book(0, WIDE), book(25, [(BUY, 101, 5), (BUY, 102, 5), (SELL, 104, 0)]), book(60, [(BUY, 90, 1)])
    )
    events, _ = run(rows, interval_ms=10, start_ms=5)
    places = of(events, "PLACE")
    assert places[:2] == [(5.0, "PLACE", BUY, 100), (5.0, "PLACE", SELL, 104)]
    # the mid moved from 102 to 103.5: bids 101 (never above the best), asks 106
    assert of(events, "CANCELED") == [(25.0, "CANCELED", BUY, 100), (25.0, "CANCELED", SELL, 104)]
    assert places[2:] == [(35.0, "PLACE", BUY, 101), (35.0, "PLACE", SELL, 106)]


def test_it_sees_a_book_when_the_recording_says_and_the_feed_latency_later():
    rows = recording(book(0, WIDE, seen_ms=22), book(200, [(BUY, 90, 1)]))
    assert of(run(rows)[0], "PLACE")[0][0] == 30
    late, _ = run(rows, latency="fixed", latency_feed_ms=9)
    assert of(late, "PLACE")[0][0] == 40


def test_an_order_meets_the_market_only_after_its_latency():
    rows = recording(book(0, WIDE), trade(14, SELL, 99, 1), trade(16, SELL, 99, 1), book(100, [(BUY, 90, 1)]))
    events, _ = run(rows, start_ms=10, latency="fixed", latency_order_ms=5)
    assert of(events, "ARMED")[0] == (15.0, "ARMED", BUY, 100)
    assert of(events, "FILLED") == [(16.0, "FILLED", BUY, 100)]


def test_it_learns_of_a_fill_after_the_response_latency():
    rows = recording(book(0, WIDE), trade(12, SELL, 99, 1), book(100, [(BUY, 90, 1)]))
    prompt, _ = run(rows, start_ms=10)
    late, _ = run(rows, start_ms=10, latency="fixed", latency_response_ms=25)
    again = [event[0] for events in (prompt, late) for event in of(events, "PLACE") if event[2] == BUY]
    assert again == [10.0, 20.0, 10.0, 40.0]


def test_it_stops_where_its_position_is_as_large_as_it_may_be():
    trades = [trade(10 * n + 5, SELL, 99, 1) for n in range(1, 9)]
    events, quoter = run(recording(book(0, WIDE), *trades, book(200, [(BUY, 90, 1)])), max_position=3)
    assert len(of(events, "FILLED")) == 3
    assert quoter["position"] == 3 * ONE


def test_it_fills_at_its_price_when_what_stood_before_it_has_traded():
    rows = recording(
        book(0, WIDE),
        trade(11, SELL, 100, 3),
        trade(12, SELL, 100, 2),
        trade(13, SELL, 100, 1),
        book(100, [(BUY, 90, 1)]),
    )
    events, _ = run(rows, start_ms=10, queue="risk_averse", interval_ms=1_000)
    assert of(events, "FILLED") == [(13.0, "FILLED", BUY, 100)]
    assert of(run(rows, start_ms=10, interval_ms=1_000)[0], "FILLED") == []


def test_a_cancel_that_comes_too_late_is_no_cancel():
    moved = book(12, [(BUY, 101, 5), (BUY, 102, 5)])
    rows = recording(book(0, WIDE), moved, trade(22, SELL, 99, 1), book(100, [(BUY, 90, 1)]))
    events, quoter = run(rows, start_ms=5, latency="fixed", latency_order_ms=4)
    assert (15.0, "CANCEL") in [event[:2] for event in events]
    fills = of(events, "FILLED")
    assert fills == [], "the cancel reached the venue at 19"
    late = recording(book(0, WIDE), moved, trade(18, SELL, 99, 1), book(100, [(BUY, 90, 1)]))
    events, quoter = run(late, start_ms=5, latency="fixed", latency_order_ms=4)
    assert of(events, "FILLED") == [(18.0, "FILLED", BUY, 100)]
    assert quoter["position"] == ONE


def test_while_the_book_is_not_known_nothing_rests_against_it():
    lost = [(30 * MS, 30 * MS, CLEAR, 0, 0, 0)]
    events, _ = run(
        recording(book(0, WIDE), lost, book(60, [(BUY, 90, 1), (SELL, 120, 1)]), book(99, [(BUY, 80, 1)])),
        start_ms=35,
    )
    assert of(events, "PLACE")[0][0] == 65


def test_answers_that_take_for_ever_are_refused():
    trades = [trade(10 + n, BUY if n % 2 else SELL, 106 if n % 2 else 98, 1) for n in range(30_000)]
    rows = recording(book(0, WIDE), *trades)
    made = engine(latency="fixed", latency_response_ms=3_000_000)
    quoter = quote(made, rows, distance=2, qty=ONE, max_position=ONE, interval_ms=1, start=0)
    assert quoter[0]["fills"] == 0, "nothing is heard within the half minute"


@st.composite
def markets(draw):
    """A recording of a book that walks, never crossed, with trades at and through its best prices."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    middle, levels, rows, at = 1_000, {}, [], 0
    for _ in range(draw(st.integers(20, 120))):
        at += int(rng.integers(1, 12))
        middle += int(rng.integers(-2, 3))
        wanted = {
            (side, middle - side * int(rng.integers(1, 3)) - side * n): int(rng.integers(1, 9))
            for side in (BUY, SELL)
            for n in range(4)
        }
        changes = [(*key, 0) for key in levels if key not in wanted] + [
            (*k, q) for k, q in wanted.items() if levels.get(k) != q
        ]
        rng.shuffle(changes)
        if changes:
            rows += book(
                at, [tuple(map(int, change)) for change in changes], seen_ms=at + int(rng.integers(0, 5))
            )
        levels = wanted
        for _ in range(int(rng.integers(0, 3))):
            side = int(rng.choice([BUY, SELL]))
            rows += trade(at + 1, side, middle + side * int(rng.integers(0, 4)), int(rng.integers(1, 12)))
        at += 1
    made = np.array(rows, np.int64)
    made[made[:, WHAT] != TRADE, SEEN_TS] = np.maximum.accumulate(made[made[:, WHAT] != TRADE, SEEN_TS])
    return made


def by_hand(made, rows, commands):
    """The same commands and the same recording, through the engine's Python face; returns the events."""

    def pass_time(until):
        while True:
            open_orders = made.open_orders()
            due = open_orders["wake_ts"][open_orders["status"] != OrdStatus.DORMANT]
            wake = int(due.min()) if len(due) else NEVER
            if wake > until:
                return
            made.on_time(wake)

    def send(ts, step):
        pass_time(ts)
        for c in step:
            if c["kind"] == EventKind.PLACE:
                made.submit(
                    ts,
                    0,
                    int(c["side"]),
                    int(c["ord_type"]),
                    int(c["order_qty"]),
                    price=int(c["price"]),
                    post_only=True,
                )
            else:
                made.cancel(ts, int(c["order_id"]))
        made.on_levels(0, ts, np.zeros((0, 3), np.int64))

    ends = np.flatnonzero(rows[:, WHAT] >= LAST) + 1
    for start, end in zip(np.r_[0, ends[:-1]], ends, strict=True):
        ts = int(rows[start, TS])
        while len(commands) and commands[0]["ts_event"] < ts:
            now = int(commands[0]["ts_event"])
            send(now, commands[commands["ts_event"] == now])
            commands = commands[commands["ts_event"] > now]
        pass_time(ts)
        if rows[start, WHAT] == TRADE:
            made.on_trade(0, ts, int(rows[start, PRICE]), int(rows[start, QTY]), int(rows[start, SIDE]))
        else:
            made.on_levels(0, ts, rows[start:end, SIDE : QTY + 1])
    return made.drain()


@settings(max_examples=60, deadline=None)
@given(
    markets(),
    st.sampled_from(["none", "risk_averse", "probability_log", "probability_power"]),
    st.sampled_from(["unlimited", "bounded"]),
    st.sampled_from([0, 3, 17]),
    st.integers(0, 3),
)
def test_the_loop_is_the_engine_called_one_by_one(rows, queue, liquidity, late, distance):
    """Nothing that the loop passes over would have made an event, and no number of an account differs."""
    models = {"queue": queue, "liquidity": liquidity}
    if late:
        models |= {"latency": "fixed", "latency_order_ms": late, "latency_response_ms": late}
    looped, events = engine(**models), []
    quote(
        looped,
        rows,
        distance=distance,
        qty=2 * ONE,
        max_position=6 * ONE,
        interval_ms=4,
        start=0,
        on_events=events.append,
    )
    told = np.concatenate(events)
    commands = told[(told["kind"] == EventKind.PLACE) | (told["kind"] == EventKind.CANCEL)]
    called = engine(**models)
    assert by_hand(called, rows, commands).tobytes() == told.tobytes()
    assert called.ledger.tobytes() == looped.ledger.tobytes()
    assert looped.ledger.sum(axis=1).tolist() == [0] * len(looped.ledger)


@pytest.mark.parametrize("buffer", [1, 1 << 12])
def test_a_small_event_buffer_changes_nothing(buffer):
    trades = [trade(10 * n + 5, BUY if n % 2 else SELL, 105 if n % 2 else 99, 1) for n in range(1, 400)]
    rows = recording(book(0, WIDE), *trades)
    found = []
    for size in (buffer, 1 << 18):
        made = Engine(
            [PERPETUAL],
            Broker(leverage=100),
            {"USDT": 10_000_000},
            levels=8,
            live_book=True,
            order_capacity=4,
            buffer=size,
        )
        count_nanoseconds(made)
        events = []
        quote(
            made,
            rows,
            distance=2,
            qty=ONE,
            max_position=9 * ONE,
            interval_ms=10,
            start=0,
            on_events=events.append,
        )
        found.append((len(events), np.concatenate(events).tobytes()))
    assert found[0][1] == found[1][1]
    assert found[0][0] >= found[1][0]
