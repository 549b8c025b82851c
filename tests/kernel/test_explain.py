"""Receipts: the numbers and the words for every way in which an order can stand or end."""

from __future__ import annotations

import io
import json
from decimal import Decimal as D
from typing import Any

import numpy as np
import pytest
from kernel.builders import BTC, PERP, Desk
from rich.console import Console

from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.explain import Explanation, explain
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.orders import OrdStatus, TriggerBy
from twinstar_kit.kernel.records import event_t

FINE = Instrument.from_sizes("BTC/USDT", tick="0.1", lot="0.01", min_notional=10, max_amount=100)


def desk(instrument=FINE, **terms: Any) -> Desk:
    return Desk({"USDT": 10**6, "BTC": 50}, instrument, **({"fee_taker": "0.001", "fee_maker": 0} | terms)).last(
        "61659.8"
    )  # fmt: skip


def events(d: Desk) -> np.ndarray:
    return np.array([tuple(e) for e in d.events], event_t)


def live(d: Desk, order: int) -> Explanation:
    return explain(d.engine, events(d), order)


def stored(d: Desk, order: int, **market: Any) -> Explanation:
    """The same from the journal alone."""
    return explain(d.engine.instruments, events(d), order, {k: d.units(v) for k, v in market.items()})


# --- what still stands between an order and a fill ----------------------------------------------------------------


def test_a_resting_limit_knows_its_queue_and_how_far_the_market_is() -> None:
    d = desk(liquidity="bounded", queue="risk_averse", engine={"levels": 3})
    d.book([("61659.7", "0.31")], [("61659.9", 2)])
    order = d.send("buy", "limit", "0.5", "61659.7")
    d.book([("61659.7", "0.31")], [("61659.9", 2)])
    told = live(d, order)
    assert told.status is OrdStatus.WORKING
    assert str(told) == (
        "Open: buys 0.5 BTC at 61,659.7 or better; 0.31 BTC ahead in the queue; the last trade was at 61,659.8, 0.1 away; "
        "the best ask is 61,659.9; a trade through 61,659.7 fills it."
    )
    assert told.numbers["ahead"] == D("0.31")
    assert told.numbers["distance"] == D("0.1")
    d.trade("61659.7", "0.4", "sell")
    told = live(d, order)
    assert told.status is OrdStatus.PARTIAL
    assert "buys 0.41 BTC (0.09 BTC filled)" in str(told)
    assert "0 BTC ahead in the queue; the last trade was at 61,659.7, at its price" in str(told)


def test_a_queue_behind_a_quote_without_amounts_is_not_made_up() -> None:
    d = desk(liquidity="bounded", queue="risk_averse")
    order = d.send("buy", "limit", "0.5", "61659.7")
    d.quote("61659.7", "61659.9")
    assert "how much is ahead in the queue is not known" in str(live(d, order))


@pytest.mark.parametrize(
    ("kind", "side", "trigger", "words"),
    [
        ("stop", "sell", 60_000, "it fires when the last trade falls to 60,000; it is at 61,659.8, 1,659.8 (2.69 %) away"),
        ("stop", "buy", 62_000, "it fires when the last trade rises to 62,000"),
        ("touch", "sell", 62_000, "it fires when the last trade rises to 62,000"),
        ("touch", "buy", 60_000, "it fires when the last trade falls to 60,000"),
    ],
)  # fmt: skip
def test_a_trigger_knows_what_it_waits_for(kind, side, trigger, words) -> None:
    d = desk()
    order = d.send(side, kind, 1, trigger)
    assert words in str(live(d, order))
    assert words.split(";")[0] in str(stored(d, order))


def test_a_trigger_by_mark_or_quote_says_so() -> None:
    d = desk()
    d.mark(61_000)
    d.quote("61659.7", "61659.9")
    by_mark = d.send("sell", "stop", 1, 60_000, trigger_by=TriggerBy.MARK)
    by_quote = d.send("sell", "stop", 1, 60_000, trigger_by=TriggerBy.BID_ASK)
    assert "when the mark price falls to 60,000; it is at 61,000, 1,000 (1.64 %) away" in str(
        live(d, by_mark)
    )
    assert "when the quote falls to 60,000; it is at 61,659.7" in str(live(d, by_quote))
    assert "when the mark price falls to 60,000; it is at 61,500" in str(stored(d, by_mark, mark=61_500))


def test_a_trailing_stop_knows_where_it_is_and_when_it_begins() -> None:
    d = desk()
    now = d.send("sell", "trail", 1, trail=500)
    later = d.send("sell", "trail", 1, trail=500, activation=63_000)
    d.trade(62_000)
    assert "it trails and now fires when the last trade falls to 61,500" in str(live(d, now))
    assert "its trail begins when the last trade reaches 63,000; it is at 62,000, 1,000" in str(
        live(d, later)
    )


def test_what_waits_for_another_order_or_flies_says_so() -> None:
    d = desk()
    parent = d.send("buy", "limit", 1, 60_000)
    child = d.send("sell", "stop", 1, 59_000, parent_id=parent, reduce_only=True)
    for told in (live(d, child), stored(d, child)):
        assert told.status is OrdStatus.DORMANT
        assert f"it waits for order {parent} to fill" in str(told)
    d = desk(latency="fixed", latency_order_ms=50)
    order = d.send("buy", "market", 1)
    for told in (live(d, order), stored(d, order)):
        assert told.status is OrdStatus.IN_FLIGHT
        assert "on its way to the venue until 50, 50 from now" in str(told)
    d.time(50)
    assert str(live(d, order)) == "Open: buys 1 BTC at market; it fills with the next market data."


def test_an_end_that_is_set_is_told() -> None:
    d = desk(latency="fixed", latency_order_ms=5)
    order = d.send("buy", "limit", 1, 60_000, time_in_force=3, expire_ts=10_000)
    d.time(10)
    d.cancel(order)
    assert "its cancel arrives at 15; it expires at 10000" in str(live(d, order))


# --- why it filled at that price ----------------------------------------------------------------------------------


def test_a_taker_is_told_what_it_met_and_what_slippage_added() -> None:
    d = desk(liquidity="bounded", slippage_model="ticks", slippage=2)
    order = d.send("buy", "market", "0.5")
    d.quote("61659.7", "61659.9", 1, "3.2")
    told = live(d, order)
    assert told.status is OrdStatus.FILLED
    assert str(told) == (
        "Bought 0.5 BTC at 61,660.1 as a taker: it met the best quote; the market was at 61,659.9, slippage made it 0.2 worse; "
        "3.2 BTC could be had there; the fee was 30.83005 USDT."
    )
    assert told.numbers["price"] - told.numbers["met_price"] == told.numbers["slippage"] == D("0.2")
    assert stored(d, order) == told


def test_a_maker_is_told_so_and_a_gap_names_what_it_saved() -> None:
    d = desk()
    order = d.send("buy", "limit", 1, 61_000)
    d.trade("61659.8")
    d.trade(60_500)
    assert str(live(d, order)) == "Bought 1 BTC at 61,000 as a maker: a trade went through its price; no fee."
    order = d.send("buy", "limit", 1, 61_000)
    d.bar(60_000, 60_500, 59_500, 60_000)
    assert (
        "the market was beyond its price when it came; that is 1,000 better than its limit of 61,000"
        in str(live(d, order))
    )


def test_fills_in_parts_are_summed() -> None:
    d = desk(liquidity="bounded", engine={"levels": 3}, fee_taker=0)
    order = d.send("sell", "market", 3)
    d.book([(61_000, 1), (60_000, 5)], [(62_000, 1)])
    told = live(d, order)
    assert str(told).startswith(
        "Sold 3 BTC in 2 fills at 60,333.333 on average; the last: sold 2 BTC at 60,000"
    )
    assert told.numbers["average_price"] == D(61_000 + 2 * 60_000) / 3
    assert len(told.history) == 3


def test_a_fired_stop_tells_its_history() -> None:
    d = desk()
    order = d.send("sell", "stop", 1, 60_000)
    d.trade(59_000)
    told = stored(d, order)
    assert [line.split()[1].rstrip(":") for line in told.history] == ["accepted", "triggered", "filled"]
    assert "triggered at 59,000" in told.history[1]
    assert "Sold 1 BTC at 59,000" in str(told)


def test_a_liquidation_is_an_order_like_any_other() -> None:
    d = Desk({"USDT": 100}, PERP, fee_maker=0, fee_taker=0, leverage=10).last(100)
    d.send("buy", "market", 9)
    d.trade(100)
    d.trade(80)
    order = int(d.events[-1]["order_id"])
    said = live(d, order)
    # 9 x (80 - 100) of profit; the first tier of the contract keeps 0.5 % of 9 x 80
    assert said.numbers["backing"] == 100
    assert said.numbers["profit"] == -180
    assert said.numbers["maintenance_margin"] == D("3.6")
    assert "liquidated: 100 USDT stood behind it, its profit at 80 was -180: in all less than" in str(said)
    assert str(stored(d, order)) == str(said)


def test_a_fee_that_fell_back_is_told() -> None:
    bnb = Instrument.from_sizes("BNB/USDT", tick="0.01", lot="0.001")
    d = Desk({"USDT": 1000}, BTC, others=(bnb,), fee_asset="BNB").last(100)
    d.engine.on_trade(1, 0, 25_000)
    order = d.send("buy", "market", 1)
    d.trade(100)
    assert "there was not enough of the fee asset; the fee was 0.1 USDT" in str(live(d, order))


# --- why it was refused or ended ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"amount": "0.01", "price": 100}, "price times amount is below the smallest value allowed; 1 against 10 USDT"),
        ({"amount": 101, "price": 100}, "the amount is above the largest one allowed; 101 BTC against 100 BTC"),
        ({"amount": 50, "price": 60_000}, "does not cover the order and its fee; 50 BTC are worth 3,000,000 USDT"),
        ({"units": 1_500_000, "price": 60_000}, "not a multiple of the lot; 0.015 is not, the lot is 0.01"),
        ({"amount": 1, "units_price": 0}, "Refused: the price must be a positive number."),
        ({"amount": 1, "price": 60_000, "post_only": True, "time_in_force": 1}, "Refused: these conditions do not go together."),
    ],
)  # fmt: skip
def test_a_refusal_names_the_rule_and_its_numbers(terms, words) -> None:
    d = desk()
    price = terms.pop("units_price", None)
    qty = terms.pop("units", None) or d.m.amount_units(terms.pop("amount"))
    price = d.units(terms.pop("price")) if price is None else price
    order = d.engine.submit(1, 0, 1, 2, qty, price=price, **terms)
    d._drain()
    for told in (live(d, order), stored(d, order)):
        assert told.status is OrdStatus.REJECTED
        assert words in str(told)


def test_off_tick_names_the_tick() -> None:
    m = Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.001", ladder=[(100, "0.5")])
    d = Desk({"USDT": 10**6}, m).last(100)
    order = d.send("buy", "limit", 1, "110.3")
    assert "the price is not a multiple of the tick; 110.3 is not, the tick there is 0.5" in str(
        live(d, order)
    )


def test_a_canceled_order_names_why_and_what_had_filled() -> None:
    d = desk(liquidity="bounded")
    order = d.send("buy", "market", 3)
    d.quote("61659.7", "61659.9", 1, 1)
    told = live(d, order)
    assert told.status is OrdStatus.CANCELED
    assert str(told) == "Canceled: nothing was left to trade with; 1 BTC had filled before."
    assert told.numbers["rule"] == "NO_LIQUIDITY"
    other = d.send("buy", "limit", 1, 60_000)
    d.cancel(other)
    assert str(stored(d, other)) == "Canceled: canceled on request."


def test_a_refused_change_does_not_end_an_order() -> None:
    d = desk()
    order = d.send("buy", "limit", 1, 60_000)
    d.amend(order, amount=1000)
    assert stored(d, order).status is OrdStatus.WORKING
    assert "sells" not in str(stored(d, order))
    d.cancel(order)
    d.cancel(order)
    assert stored(d, order).status is OrdStatus.CANCELED


def test_an_instrument_that_is_not_there_is_the_reason() -> None:
    d = desk()
    order = d.engine.submit(1, 44, 1, 1, 1)
    d._drain()
    assert str(live(d, order)) == "Refused: the instrument is not on this venue."


def test_an_order_that_nobody_knows_is_an_error() -> None:
    d = desk()
    with pytest.raises(UsageError, match="the journal knows no order 77"):
        live(d, 77)


def test_a_journal_without_market_data_says_only_what_it_knows() -> None:
    d = desk()
    order = d.send("buy", "limit", 1, 60_000)
    assert str(stored(d, order)) == "Open: buys 1 BTC at 60,000 or better; a trade through 60,000 fills it."
    assert "the last trade was at 61,659.8" in str(stored(d, order, last="61659.8"))


def test_it_can_be_shown_and_sent() -> None:
    d = desk()
    order = d.send("buy", "limit", 1, 60_000)
    told = live(d, order)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(told)
    shown = console.export_text()
    assert "order 1: working" in shown
    assert "60,000" in shown
    assert json.loads(json.dumps(told.to_dict()))["numbers"]["limit"] == "60000.0"
