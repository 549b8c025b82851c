"""Time in force: what works how long, on bars, on trades and on books."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from kernel.builders import MINUTE, Desk

from twinstar_kit.kernel.orders import Reason, TimeInForce

DAY_MS = 86_400_000
IOC, FOK, GTD, DAY = TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTD, TimeInForce.DAY
BOOK = [(99, 1), (98, 5)], [(100, 1), (101, 2), (103, 10)]


def desk(**broker) -> Desk:
    return Desk(
        {"USDT": 100_000, "BTC": 10},
        fee_maker=0,
        fee_taker=0,
        liquidity="bounded",
        engine={"levels": 5},
        **broker,
    ).last(100)


def test_gtc_rests_with_what_the_book_does_not_have() -> None:
    d = desk()
    order = d.send("buy", "limit", 5, 101)
    assert d.book(*BOOK) == [("buy", D(100), D(1)), ("buy", D(101), D(2))]
    assert d.leaves(order) == 2
    assert d.reasons() == []


def test_ioc_takes_what_is_there_and_cancels_the_rest() -> None:
    d = desk()
    order = d.send("buy", "limit", 5, 101, time_in_force=IOC)
    assert d.book(*BOOK) == [("buy", D(100), D(1)), ("buy", D(101), D(2))]
    assert d.order(order) is None
    assert d.reasons() == [Reason.NOT_FILLED_AT_ONCE]
    assert d.held("USDT") == 0


@pytest.mark.parametrize(("amount", "fills"), [(3, [D(1), D(2)]), ("3.001", [])])
def test_fok_takes_all_or_nothing(amount, fills) -> None:
    d = desk()
    d.send("buy", "limit", amount, 101, time_in_force=FOK)
    assert [f[2] for f in d.book(*BOOK)] == fills
    assert d.open_ids() == []
    assert d.reasons() == ([] if fills else [Reason.NOT_FILLED_AT_ONCE])
    assert d.held("USDT") == 0


def test_fok_counts_whole_lots_of_each_level() -> None:
    d = desk()
    d.send("buy", "market", "0.1", time_in_force=FOK)
    half = [(100, "0.0995"), (101, "0.0005")]
    rows = [[-1, d.units(p), round(D(q) * 10**8)] for p, q in half]
    d.engine.on_levels(0, 1, rows)
    assert d.fills(d._drain()) == []
    assert d.reasons() == [Reason.NOT_FILLED_AT_ONCE]


@pytest.mark.parametrize("tif", [IOC, FOK])
def test_what_must_not_rest_ends_with_the_first_book_even_an_empty_side(tif) -> None:
    d = desk()
    d.send("buy", "limit", 1, 99, time_in_force=tif)
    d.send("buy", "limit", 1, 99, time_in_force=tif)
    d.book([(98, 1)], [])
    assert d.open_ids() == []
    assert d.reasons() == [Reason.NOT_FILLED_AT_ONCE] * 2


@pytest.mark.parametrize("tif", [IOC, FOK])
@pytest.mark.parametrize(("price", "filled"), [(102, True), (99, False)])
def test_on_bars_the_first_price_decides(tif, price, filled) -> None:
    d = Desk(fee_maker=0, fee_taker=0).last(100)
    d.send("buy", "limit", 1, price, time_in_force=tif)
    assert d.bar(101, 103, 90, 100) == ([("buy", D(101), D(1))] if filled else [])
    assert d.open_ids() == []


@pytest.mark.parametrize("tif", [IOC, FOK])
def test_on_bars_with_bounded_amounts_ioc_fills_in_part_and_fok_not(tif) -> None:
    d = desk(volume_share="0.5")
    d.send("buy", "limit", 3, 102, time_in_force=tif)
    assert d.bar(101, 103, 90, 100, volume=4) == ([("buy", D(101), D(2))] if tif is IOC else [])
    assert d.reasons() == [Reason.NOT_FILLED_AT_ONCE]


@pytest.mark.parametrize("tif", [IOC, FOK])
def test_on_trades_alone_the_first_trade_decides(tif) -> None:
    d = desk()
    d.send("buy", "limit", 3, 102, time_in_force=tif)
    assert d.trade(101, 2) == ([("buy", D(101), D(2))] if tif is IOC else [])
    assert d.open_ids() == []
    d.send("buy", "limit", 1, 99, time_in_force=tif)
    assert d.trade(101, 2) == []
    assert d.open_ids() == []


def test_a_market_order_ends_with_what_the_book_has() -> None:
    d = desk()
    d.send("buy", "market", 20)
    assert [f[1] for f in d.book(*BOOK)] == [100, 101, 103]
    assert d.reasons() == [Reason.NO_LIQUIDITY]


def test_gtd_expires_at_its_time() -> None:
    d = desk()
    order = d.send("buy", "limit", 1, 95, time_in_force=GTD, expire_ts=5_000)
    d.time(4_999)
    assert d.order(order) is not None
    d.time(5_000)
    assert d.reasons() == [Reason.EXPIRED]
    assert d.held("USDT") == 0


def test_gtd_on_bars_ends_between_two_points_of_the_path() -> None:
    # the extremes lie a third and two thirds into the bar
    for expire, filled in ((MINUTE // 3, False), (2 * MINUTE // 3 - 1, True)):
        d = Desk(path="open_high_low_close").last(100)
        d.send("buy", "limit", 1, 95, time_in_force=GTD, expire_ts=expire)
        assert bool(d.bar(100, 101, 94, 100)) is filled
        assert d.open_ids() == []


@pytest.mark.parametrize(
    "terms",
    [
        {"time_in_force": GTD},
        {"time_in_force": GTD, "expire_ts": 9},
        {"expire_ts": 50},
        {"time_in_force": DAY, "expire_ts": 50},
        {"time_in_force": 7},
    ],
)
def test_an_end_that_makes_no_sense_is_refused(terms) -> None:
    d = desk()
    d.ts = 10
    d.send("buy", "limit", 1, 95, **terms)
    assert d.reasons() == [Reason.INVALID_TERMS]


def test_day_ends_at_the_next_midnight() -> None:
    d = desk()
    d.ts = DAY_MS + 10
    order = d.send("buy", "limit", 1, 95, time_in_force=DAY)
    d.time(2 * DAY_MS - 1)
    assert d.amend(order, amount="0.5") is Reason.NONE, "an order of the day can be amended"
    d.time(2 * DAY_MS)
    assert d.reasons()[-1] is Reason.EXPIRED


def test_what_waits_for_its_parent_expires_too() -> None:
    d = desk()
    parent = d.send("buy", "limit", 1, 95)
    child = d.send(
        "sell", "limit", 1, 110, parent_id=parent, reduce_only=True, time_in_force=GTD, expire_ts=5_000
    )
    d.time(5_000)
    assert d.order(child) is None
    assert d.order(parent) is not None
