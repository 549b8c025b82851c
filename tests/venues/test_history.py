"""Positions that were closed, collateral that was moved, liquidations that are heard of: values against a plain fold of the fills."""

from __future__ import annotations

from decimal import Decimal

import ccxt
import pytest
from venues.builders import begun, exchange, open_account, run, streaming

LINEAR, INVERSE, OTHER = "BTC/USDT:USDT", "BTC/USD:BTC", "ETH/USDT:USDT"
FUNDS = {"USDT": 50_000, "BTC": "1"}
HOUR = 3_600_000


def desk(**options):
    """An exchange with money in the swap wallet."""
    return exchange({"USDT": 1_000}, **{"swap_balances": FUNDS, "leverage": 10, **options})


def settled(ex, asset):
    """What trading brought by price alone, as the ledger has it: every trade entry of the swap wallet."""
    entries = ex.fetch_ledger(asset, params={"type": "swap"})
    return sum(
        Decimal(repr(e["amount"])) * (1 if e["direction"] == "in" else -1)
        for e in entries
        if e["type"] == "trade"
    )


@pytest.mark.parametrize(("symbol", "asset", "amount"), [(LINEAR, "USDT", 0.1), (INVERSE, "BTC", 20)])
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_closed_position_has_its_averages_and_its_profit(symbol, asset, amount, side):
    ex = desk()
    other = "sell" if side == "buy" else "buy"
    first = ex.create_order(symbol, "market", side, amount)
    ex.advance(HOUR)
    ex.create_order(symbol, "market", other, amount / 2)
    ex.create_order(symbol, "market", side, amount)
    assert ex.fetch_positions_history() == [], "it is still open"
    ex.advance(HOUR)
    end = ex.close_position(symbol)
    (closed,) = ex.fetch_position_history(symbol)
    assert (closed["side"], closed["contracts"]) == ("long" if side == "buy" else "short", amount * 2)
    assert (closed["timestamp"], closed["lastUpdateTimestamp"]) == (first["timestamp"], end["timestamp"])
    assert closed["realizedPnl"] == pytest.approx(float(settled(ex, asset)), abs=1e-7)
    size = ex.market(symbol)["contractSize"]
    trades = ex.fetch_my_trades(symbol)
    for own, key in ((side, "entryPrice"), (other, "lastPrice")):
        part = [t for t in trades if t["side"] == own]
        qty = sum(t["amount"] for t in part) * size
        if symbol == INVERSE:
            average = qty / sum(t["amount"] * size / t["price"] for t in part)
        else:
            average = sum(t["amount"] * size * t["price"] for t in part) / qty
        assert closed[key] == pytest.approx(average)


def test_an_order_that_turns_a_position_ends_one_and_begins_the_next():
    ex = desk()
    ex.create_order(LINEAR, "market", "buy", 0.1)
    ex.advance(HOUR)
    turn = ex.create_order(LINEAR, "market", "sell", 0.3)
    ex.advance(HOUR)
    end = ex.close_position(LINEAR)
    long, short = ex.fetch_positions_history([LINEAR])
    assert [(p["side"], p["contracts"]) for p in (long, short)] == [("long", 0.1), ("short", 0.2)]
    assert long["lastUpdateTimestamp"] == short["timestamp"] == turn["timestamp"]
    assert (short["entryPrice"], short["lastPrice"]) == (
        pytest.approx(turn["average"]),
        pytest.approx(end["average"]),
    )
    total = long["realizedPnl"] + short["realizedPnl"]
    assert total == pytest.approx(float(settled(ex, "USDT")), abs=1e-7)


def test_both_sides_of_hedge_mode_have_histories_of_their_own():
    ex = desk()
    ex.set_position_mode(True)
    up = ex.create_order(LINEAR, "market", "buy", 0.1, None, {"positionSide": "LONG"})
    down = ex.create_order(LINEAR, "market", "sell", 0.2, None, {"positionSide": "SHORT"})
    ex.advance(HOUR)
    closings = {side: ex.close_position(LINEAR, side)["average"] for side in ("short", "long")}
    found = {p["side"]: p for p in ex.fetch_positions_history()}
    assert found["long"]["realizedPnl"] == pytest.approx((closings["long"] - up["average"]) * 0.1)
    assert found["short"]["realizedPnl"] == pytest.approx((down["average"] - closings["short"]) * 0.2)


def test_histories_are_chosen_by_market_time_and_number_and_outlive_the_process(tmp_path):
    ex = open_account(tmp_path / "a.db", {"USDT": 1_000}, swap_balances=FUNDS, leverage=10)
    for symbol in (LINEAR, OTHER, LINEAR):
        ex.create_order(symbol, "market", "buy", 0.1)
        ex.advance(60_000)
        ex.close_position(symbol)
    whole = ex.fetch_positions_history()
    assert [p["symbol"] for p in whole] == [LINEAR, OTHER, LINEAR]
    assert ex.fetch_positions_history([OTHER]) == [whole[1]]
    assert ex.fetch_positions_history(None, whole[1]["timestamp"]) == whole[1:]
    assert ex.fetch_positions_history(None, whole[1]["timestamp"], 1) == [whole[1]]
    assert ex.fetch_positions_history(params={"until": whole[1]["timestamp"]}) == [whole[0]]
    with pytest.raises(ccxt.NotSupported, match="spot market; this is for contracts"):
        ex.fetch_position_history("BTC/USDT")
    with pytest.raises(ccxt.NotSupported, match="'page'; it knows until"):
        ex.fetch_positions_history(params={"page": 2})
    with pytest.raises(ccxt.BadRequest, match="list of symbols"):
        ex.fetch_positions_history(LINEAR)
    ex.close()
    again = open_account(tmp_path / "a.db", {"USDT": 1_000}, swap_balances=FUNDS, leverage=10)
    assert again.fetch_positions_history() == whole
    again.close()


def test_a_liquidated_position_is_in_the_history_and_is_heard_of():
    async def scenario():
        ex = streaming({"USDT": 1_000}, swap_balances=FUNDS, leverage=100)
        await ex.set_margin_mode("isolated", LINEAR)
        watching = await begun(ex.watch_my_liquidations(LINEAR))
        everywhere = await begun(ex.watch_my_liquidations_for_symbols([OTHER, LINEAR]))
        elsewhere = await begun(ex.watch_my_liquidations(OTHER))
        await ex.create_order(LINEAR, "market", "buy", 0.1)
        while await ex.fetch_positions():
            assert not watching.done()
            ex.advance(HOUR)
        (gone,) = await watching
        assert [gone] == await ex.fetch_my_liquidations() == await everywhere
        assert not elsewhere.done()
        (closed,) = await ex.fetch_positions_history()
        assert (closed["info"]["liquidated"], closed["lastPrice"]) == (True, gone["price"])
        assert closed["lastUpdateTimestamp"] == gone["timestamp"]
        with pytest.raises(ccxt.NotSupported, match="spot market"):
            await ex.watch_my_liquidations("BTC/USDT")
        with pytest.raises(ccxt.NotSupported, match="'wait'"):
            await ex.watch_my_liquidations(LINEAR, params={"wait": 1})
        await ex.close()
        with pytest.raises(ccxt.ExchangeClosedByUser):
            await elsewhere

    run(scenario())


# -- collateral -------------------------------------------------------------------------------------------------------


def test_collateral_is_set_to_an_amount_and_every_change_is_kept():
    ex = desk()
    ex.set_margin_mode("isolated", LINEAR)
    ex.create_order(LINEAR, "market", "buy", 0.1)
    begin = ex.fetch_position(LINEAR)["initialMargin"]
    free = ex.fetch_balance({"type": "swap"})["USDT"]["free"]
    more = ex.set_margin(LINEAR, begin + 500)
    assert (more["type"], more["total"], more["code"]) == ("set", pytest.approx(begin + 500), "USDT")
    assert ex.fetch_balance({"type": "swap"})["USDT"]["free"] == pytest.approx(free - 500)
    ex.advance(1_000)
    less = ex.set_margin(LINEAR, begin + 200)
    assert less["total"] == pytest.approx(begin + 200) == ex.fetch_position(LINEAR)["initialMargin"]
    same = ex.set_margin(LINEAR, begin + 200)
    assert same["total"] == pytest.approx(begin + 200)
    ex.add_margin(LINEAR, 7)
    history = ex.fetch_margin_adjustment_history(LINEAR)
    told = [(c["type"], round(c["amount"], 6), round(c["total"] - begin, 6)) for c in history]
    assert told == [("add", 500, 500), ("reduce", 300, 200), ("add", 7, 207)]
    assert [c["timestamp"] for c in history] == sorted(c["timestamp"] for c in history)
    assert ex.fetch_margin_adjustment_history(LINEAR, "reduce") == [history[1]]
    assert ex.fetch_margin_adjustment_history(None, None, history[1]["timestamp"], 1) == [history[1]]
    assert ex.fetch_margin_adjustment_history(OTHER) == []


def test_a_change_of_collateral_that_is_refused_is_in_no_history():
    ex = desk()
    ex.create_order(LINEAR, "market", "buy", 0.1)
    with pytest.raises(ccxt.InvalidOrder, match=r"on cross margin.*set_margin_mode"):
        ex.set_margin(LINEAR, 5_000)
    ex.set_margin_mode("isolated", LINEAR)
    with pytest.raises(ccxt.InsufficientFunds):
        ex.set_margin(LINEAR, 10_000_000)
    with pytest.raises(ccxt.InvalidOrder, match="margin would not carry"):
        ex.set_margin(LINEAR, 1)
    assert ex.fetch_margin_adjustment_history() == []


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda ex: ex.set_margin(LINEAR, 5), ccxt.InvalidOrder, "no such position of BTC/USDT:USDT"),
        (lambda ex: ex.set_margin(LINEAR, -5), ccxt.InvalidOrder, "amount above zero"),
        (lambda ex: ex.set_margin(LINEAR, None), ccxt.ArgumentsRequired, "'amount'"),
        (lambda ex: ex.set_margin("BTC/USDT", 5), ccxt.NotSupported, "spot market"),
        (lambda ex: ex.set_margin(LINEAR, 5, {"positionSide": "UP"}), ccxt.InvalidOrder, "LONG or SHORT"),
        (lambda ex: ex.set_margin(LINEAR, 5, {"positionSide": ["LONG"]}), ccxt.InvalidOrder, "LONG or SHORT"),
        (lambda ex: ex.add_margin(LINEAR, 5, {"code": "USDT"}), ccxt.NotSupported, "'code'; it knows positionSide"),
        (lambda ex: ex.fetch_margin_adjustment_history(LINEAR, "set"), ccxt.BadRequest, "must be add or reduce"),
        (lambda ex: ex.fetch_margin_adjustment_history("BTC/USDT"), ccxt.NotSupported, "spot market"),
        (lambda ex: ex.fetch_margin_adjustment_history(params={"x": 1}), ccxt.NotSupported, "'x'; it knows until"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_of_collateral_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call(desk())


def test_a_balance_that_is_not_watched_any_more_says_so():
    async def scenario():
        ex = streaming({"USDT": 1_000}, swap_balances=FUNDS)
        assert (await ex.watch_balance({"type": "swap"}))["USDT"]["total"] == 50_000
        assert (await ex.watch_balance())["USDT"]["total"] == 1_000
        watching = await begun(ex.watch_balance())
        assert await ex.un_watch_balance({"type": "swap"}) is True
        assert not watching.done(), "the spot wallet is another subscription"
        assert await ex.un_watch_balance() is True
        with pytest.raises(ccxt.UnsubscribeError, match="balance is not watched"):
            await watching
        assert await ex.un_watch_balance() is False
        with pytest.raises(ccxt.NotSupported, match="'code'; it knows type"):
            await ex.un_watch_balance({"code": "USDT"})
        await ex.close()

    run(scenario())
