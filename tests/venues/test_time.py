"""Time on the virtual exchange: orders meet later data only, and it does not matter how often anybody looks."""

from __future__ import annotations

from typing import Any

import ccxt
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from venues.builders import FEED, START, exchange, last, replay

from twinstar_kit.feeds.clock import ManualClock, ReplayClock, to_milliseconds
from twinstar_kit.venues.virtual import VirtualExchange

SYMBOL = "BTC/USDT"
HOUR = 3_600_000


def trade(ex: Any, looks: int) -> str:
    """A small session of several kinds of orders on two symbols, looked at `looks` times an hour."""
    for hour in range(8):
        btc, eth = last(ex), last(ex, "ETH/USDT")
        ex.create_order(SYMBOL, "limit", "buy", 0.01, btc * 0.9995)
        ex.create_order("ETH/USDT", "limit", "buy", 0.1, eth * 0.999)
        ex.create_order(SYMBOL, "market", "buy", 0.01)
        ex.create_order(SYMBOL, "market", "sell", 0.005, None, {"trailingPercent": 0.2})
        ex.create_order(SYMBOL, "market", "sell", 0.005, None, {"stopLossPrice": btc * 0.998})
        for look in range(looks):
            ex.advance_to(to_milliseconds(START) + hour * HOUR + (look + 1) * HOUR // looks)
            if look % 3 == 0:
                ex.fetch_open_orders()
    return str(ex.venue.journal_digest())


def test_the_journal_does_not_depend_on_how_often_the_venue_was_asked():
    first, second, third = exchange(), exchange(), exchange()
    assert trade(first, 1) == trade(second, 7) == trade(third, 240)
    assert first.fetch_orders() == second.fetch_orders()
    assert len(first.fetch_my_trades()) > 20


def test_the_same_seed_gives_the_same_journal_and_another_seed_another():
    def run(seed: int) -> str:
        return trade(exchange(feed=f"simulated:{seed}"), 1)

    assert run(7) == run(7)
    assert run(7) != run(8)


def naive_limit(feed: Any, symbol: str, since: int, until: int, side: int, price: int) -> int | None:
    """When a resting limit fills, by looking at every trade."""
    trades = feed.trades(symbol, since + 1, until + 1)
    through = trades["price"] < price if side > 0 else trades["price"] > price
    return int(trades["ts"][through][0]) if through.any() else None


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 10_000_000), st.floats(0.0001, 0.006), st.sampled_from(["BTC/USDT", "SOL/USDT", "XRP/KRW"]),
    st.integers(1, 6 * HOUR),
)  # fmt: skip
def test_a_limit_fills_when_a_look_at_every_trade_says_so(offset, away, symbol, wait):
    ex = exchange(start=to_milliseconds(START) + offset)
    m = ex.venue.instruments[symbol]
    order = ex.create_order(symbol, "limit", "buy", 20_000 / 1e3 / last(ex, symbol) * (1 if m.quote == "USDT" else 1_000),
                            last(ex, symbol) * (1 - away))  # fmt: skip
    if order["status"] == "closed":
        return
    ex.advance(wait)
    expected = naive_limit(
        FEED, symbol, order["timestamp"], ex.milliseconds(), 1, m.price_units(str(order["price"]))
    )
    assert ex.fetch_order(order["id"])["lastTradeTimestamp"] == expected


@pytest.mark.parametrize("percent", [0.05, 0.2, 0.5])
def test_a_trailing_stop_fires_when_a_look_at_every_trade_says_so(percent):
    ex = exchange()
    ex.create_order(SYMBOL, "market", "buy", 0.01)
    m, now = ex.venue.instruments[SYMBOL], ex.milliseconds()
    order = ex.create_order(SYMBOL, "market", "sell", 0.01, None, {"trailingPercent": percent})
    anchor, rate = FEED.last(SYMBOL, now), round(percent * 10**6)
    stop = anchor - -(-anchor * rate // 10**8)
    fired = None
    for t in FEED.trades(SYMBOL, now + 1, now + 48 * HOUR):
        if t["price"] <= stop:
            fired = int(t["ts"])
            break
        if t["price"] > anchor:
            anchor = int(t["price"])
            stop = max(stop, anchor - -(-anchor * rate // 10**8))
    ex.advance(48 * HOUR)
    done = ex.fetch_order(order["id"])
    assert done["lastTradeTimestamp"] == fired
    assert done["triggerPrice"] == m.price(stop)


def test_nothing_shows_the_future():
    ex = exchange()
    now = ex.milliseconds()
    assert max(t["timestamp"] for t in ex.fetch_trades(SYMBOL)) <= now
    assert (
        max(t["timestamp"] for t in ex.fetch_trades(SYMBOL, now - 60_000, 100_000, {"until": now + HOUR}))
        <= now
    )
    bars = ex.fetch_ohlcv(SYMBOL, "1h", None, 5, {"until": now + 10 * HOUR})
    assert bars[-1][0] <= now
    assert ex.fetch_ohlcv(SYMBOL, "1m", now + 1) == []
    forming = ex.fetch_ohlcv(SYMBOL, "1m")[-1]
    trades = ex.fetch_trades(SYMBOL, forming[0], 10_000)
    assert forming[2] == max(t["price"] for t in trades)
    assert forming[4] == trades[-1]["price"] == last(ex)
    assert forming[5] == pytest.approx(sum(t["amount"] for t in trades))
    ex.advance(1)
    later = FEED.trades(SYMBOL, now + 1, now + 2)
    assert len(ex.fetch_trades(SYMBOL, forming[0], 10_000)) == len(trades) + len(later)


def test_an_order_never_meets_the_instant_it_was_sent_in():
    ex = exchange()
    tick = FEED.trades(SYMBOL, ex.milliseconds() + 1, ex.milliseconds() + HOUR)
    # arrive exactly with a trade that lies below the one before: it is not met, only what follows is
    at = int(np.flatnonzero(np.diff(tick["price"]) < 0)[5]) + 1
    ex.advance_to(int(tick["ts"][at]))
    price = (int(tick["price"][at]) + 1) / 100
    bid, ask = (ex.fetch_order_book(SYMBOL)[side][0][0] for side in ("bids", "asks"))
    order = ex.create_order(SYMBOL, "limit", "buy", 0.01, min(price, ask - 0.01))
    assert order["status"] == "open"
    assert bid <= ask
    ex.advance(2 * HOUR)
    assert ex.fetch_order(order["id"])["lastTradeTimestamp"] > order["timestamp"]


def test_orders_on_two_symbols_fill_in_the_order_of_time():
    ex = exchange()
    for symbol in ("ETH/USDT", SYMBOL, "SOL/USDT"):
        for k in range(1, 6):
            ex.create_order(symbol, "limit", "buy", 50 / last(ex, symbol), last(ex, symbol) * (1 - k / 2_000))
    ex.advance(24 * HOUR)
    stamps = [t["timestamp"] for t in ex.fetch_my_trades()]
    assert len(stamps) > 8
    assert stamps == sorted(stamps)


def test_time_is_the_venues():
    ex = exchange()
    now = ex.milliseconds()
    assert now == to_milliseconds(START)
    assert (ex.fetch_time(), ex.seconds(), ex.microseconds()) == (now, now // 1000, now * 1000)
    assert ex.advance(1_500) == now + 1_500
    assert ex.advance_to(now + 2_000) == ex.fetch_time() == now + 2_000
    with pytest.raises(ccxt.BadRequest, match="cannot go back"):
        ex.advance_to(now)


def test_the_rate_limiter_waits_on_the_venues_time():
    ex = exchange()
    ex.rateLimit = 200
    ex.throttle()
    before = ex.milliseconds()
    ex.throttle()
    ex.throttle(2)
    assert ex.milliseconds() - before == 600


def test_a_clock_can_be_handed_in_and_run_fast():
    wall = ManualClock(0)
    clock = ReplayClock(to_milliseconds(START), 60, wall=wall)
    ex = VirtualExchange({"options": {"feed": FEED, "clock": clock}})
    order = ex.create_order(SYMBOL, "limit", "buy", 0.01, last(ex) * 0.998)
    while ex.fetch_order(order["id"])["status"] == "open":
        wall.advance(60_000)
    assert ex.milliseconds() == to_milliseconds(START) + wall.milliseconds() * 60
    ex.advance(HOUR)
    assert ex.milliseconds() == to_milliseconds(START) + wall.milliseconds() * 60 + HOUR


def test_a_replay_stands_at_the_close_of_its_first_bar_until_it_is_advanced():
    ex = replay([(100, 101, 99, 100), (100, 103, 100, 102), (102, 102, 95, 96)])
    assert ex.milliseconds() == 60_000
    assert ex.fetch_ohlcv(SYMBOL)[0][:5] == [0, 100, 101, 99, 100]
    order = ex.create_order(SYMBOL, "limit", "buy", 0.1, 97)
    ex.advance(60_000)
    assert ex.fetch_order(order["id"])["status"] == "open"
    ex.advance(60_000)
    assert ex.fetch_order(order["id"])["average"] == 97


def test_a_year_ahead_takes_seconds_not_minutes():
    ex = exchange()
    order = ex.create_order(SYMBOL, "limit", "buy", 0.01, last(ex) * 0.2)
    ex.advance(200 * 24 * HOUR)
    assert ex.fetch_order(order["id"])["status"] in ("open", "closed")
