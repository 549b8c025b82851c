"""The venue's filters: tick ladders, lots, notional, percent price, how many orders, how large a position."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from kernel.builders import Desk

from twinstar_kit.kernel.errors import OrderError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.orders import Reason

# the ladder of a Korean venue, in won: (price from, tick)
KRW = [(0, "0.0001"), ("0.01", "0.001"), ("0.1", "0.01"), (1, "0.1"), (10, 1), (1000, 1), (10_000, 10), (100_000, 50),
       (500_000, 100), (1_000_000, 500), (2_000_000, 1000)]  # fmt: skip
ETH = Instrument.from_sizes("ETH/KRW", tick="0.0001", lot="0.00000001", ladder=KRW, min_notional=5000)


def market(symbol="BTC/USDT", **rules) -> Instrument:
    return Instrument.from_sizes(symbol, tick="0.01", lot="0.001", **rules)


def reasons(m: Instrument, *orders, last=100, balances=None, **broker) -> list[Reason]:
    d = Desk(balances or {"USDT": 10**6, "BTC": 1000}, m, **broker).last(last)
    for side, kind, amount, *price in orders:
        d.send(side, kind, amount, *price)
    return d.reasons()


def ladder_tick(price: D) -> D:
    """Reference: the tick that holds at a price, read off the table."""
    return next(D(str(tick)) for start, tick in reversed(KRW) if price >= D(str(start)))


@pytest.mark.parametrize(
    "price",
    ["0.0123", "0.012", "0.15", "0.155", "1.5", "1.55", "999", "999.5", "9999", "10001", "10010", "100025", "100050",
     "500050", "500100", "1000100", "1000500", "2000500", "2001000"],
)  # fmt: skip
def test_prices_on_a_ladder_are_multiples_of_the_tick_that_holds_there(price) -> None:
    d = Desk({"KRW": 10**12}, ETH).last(10_000)
    d.send("buy", "limit", 10**6 if D(price) < 100 else 100, price)
    on_grid = D(price) % ladder_tick(D(price)) == 0
    assert (d.reasons() == []) is on_grid
    assert d.reasons() in ([], [Reason.OFF_TICK])
    assert ETH.tick_at(ETH.price_units(price)) == ETH.price_units(ladder_tick(D(price)))


def test_slippage_on_a_ladder_moves_whole_ticks_of_the_price_at_hand() -> None:
    d = Desk({"KRW": 10**12}, ETH, slippage_bps=1, fee_taker=0, fee_maker=0).last(1_000_000)
    d.send("buy", "market", 1)
    assert d.trade(1_000_000) == [("buy", D(1_000_500), D(1))]


def test_market_orders_have_their_own_lot_and_largest_amount() -> None:
    m = market(market_lot="0.01", market_max_amount=5, max_amount=50)
    assert (
        reasons(m, ("buy", "limit", "1.001", 90), ("buy", "market", "1.01"), ("buy", "limit", 20, 90)) == []
    )
    assert reasons(m, ("buy", "market", "1.001")) == [Reason.OFF_LOT]
    assert reasons(m, ("buy", "market", "5.01")) == [Reason.ABOVE_MAX_AMOUNT]
    assert reasons(m, ("buy", "limit", "50.001", 90)) == [Reason.ABOVE_MAX_AMOUNT]


def test_a_value_is_taken_at_the_price_of_the_order() -> None:
    m = market(min_notional=10)
    assert reasons(m, ("buy", "limit", "0.1", 100), ("buy", "stop", "0.1", 120)) == []
    assert reasons(m, ("buy", "limit", "0.1", "99.99")) == [Reason.BELOW_MIN_NOTIONAL]
    assert reasons(m, ("sell", "market", "0.099")) == [Reason.BELOW_MIN_NOTIONAL]
    assert reasons(m, ("sell", "stop", "0.1", 90)) == [Reason.BELOW_MIN_NOTIONAL]


@pytest.mark.parametrize(
    ("price", "fits"), [(105, True), ("105.01", False), (90, True), ("89.99", False), (100, True)]
)
def test_limits_stay_within_a_share_of_the_last_price(price, fits) -> None:
    m = market(percent_up="0.05", percent_down="0.1")
    assert reasons(m, ("buy", "limit", 1, price)) == ([] if fits else [Reason.PRICE_TOO_FAR])


def test_only_so_many_orders_may_be_open_on_a_market() -> None:
    m = market(max_orders=2)
    d = Desk({"USDT": 10**6, "ETH": 10}, m, others=(market("ETH/USDT"),)).last(100)
    first = d.send("buy", "limit", 1, 90)
    d.send("buy", "limit", 1, 91)
    d.send("buy", "limit", 1, 92)
    assert d.reasons() == [Reason.TOO_MANY_ORDERS]
    d.engine.submit(0, 1, -1, 2, 10**8, price=10_000)
    d.cancel(first)
    d.send("buy", "limit", 1, 92)
    assert d.reasons() == [Reason.TOO_MANY_ORDERS, Reason.REQUESTED]


def test_a_position_with_all_that_may_still_come_stays_below_its_limit() -> None:
    m = market(max_position=5)
    d = Desk({"USDT": 10**6, "BTC": 1}, m).last(100)
    d.send("buy", "limit", 3, 90)
    d.send("buy", "market", "1.001")
    assert d.reasons() == [Reason.ABOVE_MAX_POSITION]
    d.send("buy", "market", 1)
    assert d.reasons() == [Reason.ABOVE_MAX_POSITION]
    p = Instrument.from_sizes("BTC/USDT:USDT", tick="0.01", lot="0.001", max_position=5)
    e = Desk({"USDT": 10**6}, p).last(100)
    e.send("sell", "limit", 3, 110)
    e.send("sell", "market", "2.001")
    e.send("buy", "market", 5)
    assert e.reasons() == [Reason.ABOVE_MAX_POSITION], "the other side counts by itself"
    assert e.amend(1, amount=6) is Reason.ABOVE_MAX_POSITION
    assert e.amend(1, amount=5) is Reason.NONE


def test_an_instrument_that_is_not_there_is_refused_whatever_its_number() -> None:
    d = Desk().last(100)
    for j in (-1, 1, 99, 2**62):
        d.engine.submit(0, j, 1, 1, 10**8)
    d._drain()
    assert d.reasons() == [Reason.UNKNOWN_INSTRUMENT] * 4


@pytest.mark.parametrize("bad", [2**63, -(2**64), 1.5, "1", None])
def test_numbers_that_are_not_whole_or_do_not_fit_raise_and_change_nothing(bad) -> None:
    d = Desk().last(100)
    order = d.send("buy", "limit", 1, 90)
    before = d.engine.snapshot()
    for field in ("price", "stop_px", "trail", "display_qty", "expire_ts", "link_id", "time_in_force"):
        with pytest.raises(OrderError, match="must be whole and fit 64 bits"):
            d.engine.submit(0, 0, 1, 2, 10**8, **{"price": 9_000} | {field: bad})
    for field in ("qty", "price", "stop_px", "trail", "trail_rate"):
        with pytest.raises(OrderError, match="must be whole and fit 64 bits"):
            d.engine.amend(0, order, **{field: bad})
    assert d.engine.snapshot() == before
