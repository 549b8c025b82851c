"""Every rule of a market and of an account, broken: the class of the error, the numbers in its sentence, and nothing changed."""

from __future__ import annotations

import math

import ccxt
import pytest
from venues.builders import begun, exchange, last, ruled, run, streaming, totals

S, L, I = "BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"


def limit(ex, amount, price=100, side="buy", symbol=S, **params):
    """A limit order."""
    return ex.create_order(symbol, "limit", side, amount, price, params)


def market(ex, amount, side="buy", symbol=S, **params):
    """A market order."""
    return ex.create_order(symbol, "market", side, amount, None, params)


RULES = [
    ("lot", {}, lambda ex: limit(ex, 0.0004), ccxt.InvalidOrder, "0.0004 is below the smallest lot of 0.001"),
    ("market lot", {"market_lot": "0.01"}, lambda ex: market(ex, 0.123), ccxt.InvalidOrder,
     "0.123 is not a multiple of 0.01, the lot of market orders"),
    ("least amount", {"min_amount": "0.06"}, lambda ex: limit(ex, 0.059), ccxt.InvalidOrder,
     "0.059 is below the minimum of 0.06 BTC"),
    ("most amount", {"max_amount": "50"}, lambda ex: limit(ex, 51), ccxt.InvalidOrder, "51 is above the maximum of 50"),
    ("most amount at market", {"market_max_amount": "5", "max_amount": "50"}, lambda ex: market(ex, 6),
     ccxt.InvalidOrder, "6 is above the maximum of 5 BTC for market orders"),
    ("least value", {}, lambda ex: limit(ex, 0.049), ccxt.InvalidOrder, "below the minimum of 5 USDT; order more"),
    ("tick", {}, lambda ex: limit(ex, 1, 0.001), ccxt.InvalidOrder, "price"),
    ("tick of a ladder", {"ladder": [("0", "0.01"), ("50", "0.05"), ("90", "0.5")]}, lambda ex: limit(ex, 1, 91.23),
     ccxt.InvalidOrder, "91.23 is not a multiple of 0.5, the tick there; 91.0 is"),
    ("trigger on a ladder", {"ladder": [("0", "0.01"), ("90", "0.5")]}, lambda ex: market(ex, 1, stopLossPrice=101.2),
     ccxt.InvalidOrder, "101.2 is not a multiple of 0.5"),
    ("price far above", {"percent_up": "0.05"}, lambda ex: limit(ex, 1, 106), ccxt.InvalidOrder,
     "106.0 is too far from the last price 100.0; choose at most 105.0"),
    ("price far below", {"percent_up": "0.05", "percent_down": "0.1"}, lambda ex: limit(ex, 1, 80), ccxt.InvalidOrder,
     "choose at least 90.0 and at most 105.0"),
    ("most position", {"max_position": "20"}, lambda ex: limit(ex, 21), ccxt.InvalidOrder,
     "would be above the maximum of 20 BTC"),
    ("most position with open orders", {"max_position": "20"},
     lambda ex: (limit(ex, 15, 99), limit(ex, 6, 98)), ccxt.InvalidOrder, "with the open orders on this side"),
    ("most orders", {"max_orders": 2}, lambda ex: [limit(ex, 1, 95) for _ in range(3)], ccxt.OperationRejected,
     "there may be 2; cancel some first"),
    ("money", {}, lambda ex: limit(ex, 1_001), ccxt.InsufficientFunds, r"needs 100200.1 USDT .* 100000 USDT is free"),
]  # fmt: skip
CONTRACT_RULES = [
    ("tier", {"margin_tiers": [("10000", "0.01", 50), ("20000", "0.02", 10)]},
     lambda ex: (ex.set_leverage(50, L), market(ex, 150, symbol=L)), ccxt.InvalidOrder,
     "worth more than 10000 USDT, the most at a leverage of 50; .*set_leverage"),
    ("leverage of a market", {"margin_tiers": [("10000", "0.01", 50)]}, lambda ex: ex.set_leverage(51, L),
     ccxt.BadRequest, "from 1 to 50, not 51"),
    ("most position", {"max_position": "20"}, lambda ex: market(ex, 21, symbol=L), ccxt.InvalidOrder, "maximum of 20"),
    ("leverage and an open position", {"margin_tiers": [("50000", "0.005", 100), ("200000", "0.01", 20)]},
     lambda ex: (ex.set_leverage(10, L), market(ex, 900, symbol=L), ex.set_leverage(100, L)), ccxt.InvalidOrder,
     "too large for this leverage"),
    ("post-only", {}, lambda ex: limit(ex, 1, 101, symbol=L, postOnly=True), ccxt.OrderImmediatelyFillable,
     "would take the ask"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "rules", "call", "error", "words"), RULES, ids=[row[0] for row in RULES])
def test_a_rule_of_a_spot_market(what, rules, call, error, words):
    ex = ruled(**rules)
    with pytest.raises(error, match=words) as refused:
        call(ex)
    assert type(refused.value) is error
    assert "\n" not in str(refused.value)
    assert ex.fetch_my_trades() == []
    ex.cancel_all_orders()
    assert totals(ex)["USDT"] == (100_000, 0)


@pytest.mark.parametrize(
    ("what", "rules", "call", "error", "words"), CONTRACT_RULES, ids=[row[0] for row in CONTRACT_RULES]
)
def test_a_rule_of_contracts(what, rules, call, error, words):
    ex = ruled(L, **rules)
    with pytest.raises(error, match=words) as refused:
        call(ex)
    assert type(refused.value) is error
    assert "\n" not in str(refused.value)


def test_a_change_that_would_break_a_rule_leaves_the_order_as_it_was():
    ex = ruled(min_amount="0.06", max_amount="50", percent_down="0.1", max_position="20")
    order = limit(ex, 1, 95)
    for arguments, error, words in (
        ((None, 80), ccxt.InvalidOrder, "80.0 is too far from the last price"),
        ((60, None), ccxt.InvalidOrder, "60 is above the maximum of 50"),
        ((0.01, None), ccxt.InvalidOrder, "0.01 is below the minimum of 0.06"),
        ((30, None), ccxt.InvalidOrder, "above the maximum of 20 BTC"),
        ((math.nan, None), ccxt.InvalidOrder, "finite"),
        ((None, -1), ccxt.InvalidOrder, "above zero"),
    ):
        with pytest.raises(error, match=words):
            ex.edit_order(order["id"], S, "limit", "buy", *arguments)
        assert ex.fetch_order(order["id"]) == order


def test_a_trigger_is_not_moved_past_the_market_and_post_only_not_into_it():
    ex = exchange({"USDT": 100_000, "BTC": 1})
    price = last(ex)
    stop = market(ex, 0.01, "sell", stopLossPrice=price * 0.9)
    with pytest.raises(ccxt.OrderImmediatelyFillable, match="a sell stop must lie below the last price"):
        ex.edit_order(stop["id"], S, "market", "sell", params={"stopLossPrice": price * 1.1})
    rests = limit(ex, 0.01, price * 0.9, postOnly=True)
    with pytest.raises(ccxt.OrderImmediatelyFillable, match="would take the ask"):
        ex.edit_order(rests["id"], S, "limit", "buy", None, price * 1.1)
    assert [o["status"] for o in ex.fetch_open_orders()] == ["open", "open"]
    moved = ex.edit_order(rests["id"], S, "limit", "buy", None, price * 0.95)
    assert (moved["status"], moved["postOnly"]) == ("open", True)
    trail = market(ex, 0.01, "sell", trailingPercent=1)
    for value, words in ((0, "above 0 and below 100"), (200, "below 100"), (1e-9, "below the smallest")):
        with pytest.raises(ccxt.InvalidOrder, match=words):
            ex.edit_order(trail["id"], S, "market", "sell", params={"trailingPercent": value})
    with pytest.raises(ccxt.InvalidOrder, match="it has no trailingPercent"):
        ex.edit_order(stop["id"], S, "market", "sell", params={"trailingPercent": 1})


REFUSED = [
    ("hidden iceberg", lambda ex: limit(ex, 0.01, 50_000, icebergAmount=0.001, hidden=True), ccxt.InvalidOrder, "give one of the two"),
    ("iceberg IOC", lambda ex: limit(ex, 0.01, 50_000, icebergAmount=0.001, timeInForce="IOC"), ccxt.InvalidOrder, "IOC never rests"),
    ("hidden FOK", lambda ex: limit(ex, 0.01, 50_000, hidden=True, timeInForce="FOK"), ccxt.InvalidOrder, "FOK never rests"),
    ("closing by a stop limit", lambda ex: limit(ex, 0.01, 50_000, "sell", L, closePosition=True, stopLossPrice=50_000),
     ccxt.InvalidOrder, "closes at market"),
    ("nothing to close", lambda ex: market(ex, None, "sell", L, closePosition=True), ccxt.InvalidOrder, "no position that this order"),
    ("reduce-only of nothing", lambda ex: market(ex, 0.01, "sell", L, reduceOnly=True), ccxt.InvalidOrder, "drop reduceOnly"),
    ("isolated order on cross", lambda ex: market(ex, 0.01, symbol=L, marginMode="isolated"), ccxt.InvalidOrder,
     r"is on cross margin; set_margin_mode\(\)"),
    ("leverage that is none", lambda ex: ex.set_leverage(math.nan, L), ccxt.BadRequest, "from 1 to 125, not nan"),
    ("endless leverage", lambda ex: ex.set_leverage(math.inf, L), ccxt.BadRequest, "not inf"),
    ("leverage between", lambda ex: ex.set_leverage(2.5, L), ccxt.BadRequest, "whole number"),
    ("leverage of spot", lambda ex: ex.set_leverage(2, S), ccxt.NotSupported, "spot market"),
    ("a part of a contract", lambda ex: market(ex, 0.5, symbol=I), ccxt.InvalidOrder, "smallest lot of 1"),
    ("transfer to itself", lambda ex: ex.transfer("USDT", 1, "spot", "spot"), ccxt.BadRequest, "name spot and swap"),
    ("transfer of too much", lambda ex: ex.transfer("USDT", 1e9, "spot", "swap"), ccxt.InsufficientFunds,
     "1000000000 USDT is more than the 100000 USDT that is free in the spot wallet"),
    ("withdrawal of too much", lambda ex: ex.withdraw("USDT", 1e9, "x", {"type": "swap"}), ccxt.InsufficientFunds,
     "free in the swap wallet"),
    ("ids that are text", lambda ex: ex.cancel_orders("12"), ccxt.ArgumentsRequired, "list of ids"),
    ("no ids", lambda ex: ex.cancel_orders(None), ccxt.ArgumentsRequired, "list of ids"),
    ("a name that is a dict", lambda ex: ex.fetch_order("1", S, {"clientOrderId": {}}), ccxt.BadRequest, "1 to 64 characters"),
    ("an id of odd digits", lambda ex: ex.fetch_order("²"), ccxt.OrderNotFound, "no order with the id"),
    ("an endless id", lambda ex: ex.fetch_order("9" * 5_000), ccxt.OrderNotFound, "no order with the id"),
    ("oco that is text", lambda ex: ex.create_orders([{"symbol": S, "type": "market", "side": "buy", "amount": 1}], {"oco": "yes"}),
     ccxt.BadRequest, "oco must be True or False"),
    ("edits without words", lambda ex: ex.edit_orders([{"id": "1"}]), ccxt.ArgumentsRequired, "'type'"),
    ("edits with others", lambda ex: ex.edit_orders([{"id": "1", "size": 1}]), ccxt.BadRequest, "'size' is not known"),
    ("no edits", lambda ex: ex.edit_orders([]), ccxt.ArgumentsRequired, "list of orders"),
    ("a book of no levels", lambda ex: ex.fetch_order_book(S, 0), ccxt.BadRequest, "above zero, not 0"),
    ("a book of text", lambda ex: ex.fetch_order_book(S, "5"), ccxt.BadRequest, "not '5'"),
    ("an endless price", lambda ex: market(ex, 0.01, stopLossPrice=1e26), ccxt.InvalidOrder, "stopLossPrice 1e.26 is too large"),
    ("an endless tip", lambda ex: limit(ex, 0.01, 50_000, icebergAmount=1e40), ccxt.InvalidOrder, "is too large"),
    ("params that are text", lambda ex: ex.create_market_order_with_cost(S, "buy", 10, "x"), ccxt.BadRequest, "must be a dict, not 'x'"),
    ("all bars", lambda ex: ex.fetch_ohlcv(S, "1m", 0, 10**9), ccxt.BadRequest, "1000000 at most; ask again"),
    ("all trades", lambda ex: ex.fetch_trades(S, None, 10**9), ccxt.BadRequest, "100000 at most"),
    ("all fundings", lambda ex: ex.fetch_funding_rate_history(L, 0, 10**9), ccxt.BadRequest, "1000000 at most"),
    ("no time at all", lambda ex: ex.advance(math.nan), ccxt.BadRequest, "not nan"),
    ("too much time", lambda ex: ex.advance(1e30), ccxt.BadRequest, "milliseconds"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "call", "error", "words"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_does_not_go_together_is_named(what, call, error, words):
    ex = exchange(swap_balances={"USDT": 1_000, "BTC": 1})
    before = totals(ex)
    with pytest.raises(error, match=words) as refused:
        call(ex)
    assert "\n" not in str(refused.value)
    assert len(ex.fetch_orders()) == 0
    assert totals(ex) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"balances": {"USDT": "much"}}, "balances: 'much' USDT is not an amount"),
        ({"swap_balances": {"USDT": None}}, "swap_balances: None USDT is not an amount"),
        ({"fee_asset": "XYZ"}, "'XYZ' is not traded on simulated:0"),
        ({"fee_tier_asset": "XYZ"}, "'XYZ' is not traded"),
        ({"leverage": 0}, "at least 1"),
        ({"queue": "fifo"}, "must be one of none, risk_averse"),
        ({"slippage_model": "x"}, "must be one of bps, ticks"),
        ({"liquidity": "lots"}, "unlimited, bounded"),
        ({"latency": "fixed", "latency_order_ms": -1}, "at least 0"),
        ({"account": "../x"}, "letters, digits"),
    ],
)  # fmt: skip
def test_options_with_values_that_cannot_be(options, words):
    from twinstar_kit import VirtualExchange

    with pytest.raises(ccxt.BadRequest, match=words):
        VirtualExchange({"options": options})


def test_when_a_market_is_over_its_past_can_still_be_seen():
    ex = exchange()
    over = ex.venue.feed.span()[1]
    ex.advance_to(over + 9 * 365 * 86_400_000)
    trades = ex.fetch_trades(S, None, 5)
    assert len(trades) == 5
    assert over - 60_000 <= trades[-1]["timestamp"] < over
    with pytest.raises(ccxt.MarketClosed, match="has ended"):
        market(ex, 0.01)


def test_hedge_mode_wants_to_know_which_side():
    ex = exchange(swap_balances={"USDT": 50_000}, leverage=10)
    ex.set_position_mode(True)
    with pytest.raises(ccxt.InvalidOrder, match="LONG or SHORT in hedge mode"):
        market(ex, 0.01, symbol=L, positionSide="BOTH")
    with pytest.raises(ccxt.InvalidOrder, match="a reduce-only buy is of the short position"):
        market(ex, 0.01, symbol=L, positionSide="LONG", reduceOnly=True)
    with pytest.raises(ccxt.InvalidOrder, match="no position that this order would reduce"):
        market(ex, 0.01, "sell", L, positionSide="LONG")
    ex.create_order(L, "limit", "buy", 0.01, last(ex, L) * 0.9, {"positionSide": "LONG"})
    with pytest.raises(ccxt.OperationRejected, match="close them first"):
        ex.set_position_mode(False)


def test_the_same_rules_stand_on_the_asynchronous_exchange():
    async def scenario():
        ex = streaming()
        watching = await begun(ex.watch_orders())
        for arguments, error in (
            ((S, "market", "buy", 1e-9), ccxt.InvalidOrder),
            ((S, "limit", "buy", 0.01), ccxt.ArgumentsRequired),
            (("BTC/USD", "market", "buy", 1), ccxt.BadSymbol),
        ):
            with pytest.raises(error):
                await ex.create_order(*arguments)
        assert not watching.done(), "what was refused is no order"
        await ex.close()
        with pytest.raises(ccxt.ExchangeClosedByUser):
            await watching

    run(scenario())
