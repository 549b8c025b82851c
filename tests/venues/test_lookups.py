"""One order, transfer or entry by its id, orders by their status, and names for several cancels."""

from __future__ import annotations

import ccxt
import pytest
from venues.builders import exchange, last, replay, run, streaming, totals

SYMBOL = "BTC/USDT"


def three_orders(ex):
    """An open order, one that filled, and one that was canceled, of BTC/USDT, each with a name."""
    price = last(ex)
    opened = ex.create_order(SYMBOL, "limit", "buy", 0.01, price * 0.9, {"clientOrderId": "opened"})
    filled = ex.create_order(SYMBOL, "market", "buy", 0.01, None, {"clientOrderId": "filled"})
    ended = ex.create_order(SYMBOL, "limit", "buy", 0.01, price * 0.8, {"clientOrderId": "ended"})
    ex.cancel_order(ended["id"])
    return opened, filled, ended


def test_an_open_order_and_a_closed_one_are_found_as_such_only():
    ex = exchange()
    opened, filled, ended = three_orders(ex)
    assert ex.fetch_open_order(opened["id"], SYMBOL) == ex.fetch_order(opened["id"])
    assert ex.fetch_closed_order(filled["id"]) == ex.fetch_order(filled["id"])
    assert ex.fetch_open_order("", None, {"clientOrderId": "opened"})["id"] == opened["id"]
    assert ex.fetch_closed_order("", None, {"clientOrderId": "filled"})["id"] == filled["id"]
    with pytest.raises(ccxt.OrderNotFound, match=r"order 2 is closed; fetch_order\(\) finds it"):
        ex.fetch_open_order(filled["id"])
    with pytest.raises(ccxt.OrderNotFound, match=r"order 3 is canceled \(canceled on request\)"):
        ex.fetch_closed_order(ended["id"])
    with pytest.raises(ccxt.OrderNotFound, match="is of BTC/USDT, not of ETH/USDT"):
        ex.fetch_open_order(opened["id"], "ETH/USDT")
    with pytest.raises(ccxt.OrderNotFound, match="no order with the id '99'"):
        ex.fetch_closed_order("99")
    with pytest.raises(ccxt.NotSupported, match="'trigger'; it knows clientOrderId"):
        ex.fetch_open_order(opened["id"], SYMBOL, {"trigger": True})


def test_orders_by_status_are_those_of_the_three_lists():
    ex = exchange()
    three_orders(ex)
    ex.create_order("ETH/USDT", "market", "buy", 0.1)
    assert ex.fetch_orders_by_status("open") == ex.fetch_open_orders()
    assert ex.fetch_orders_by_status("closed") == ex.fetch_closed_orders()
    assert ex.fetch_orders_by_status("canceled") == ex.fetch_canceled_orders()
    assert [o["symbol"] for o in ex.fetch_orders_by_status("closed", "ETH/USDT")] == ["ETH/USDT"]
    assert len(ex.fetch_orders_by_status("closed", None, None, 1)) == 1
    with pytest.raises(ccxt.BadRequest, match="'filled' must be one of open, closed, canceled"):
        ex.fetch_orders_by_status("filled")
    with pytest.raises(ccxt.NotSupported, match="'page'; it knows until"):
        ex.fetch_orders_by_status("open", params={"page": 1})


def test_several_orders_are_canceled_by_their_names():
    ex = exchange()
    price = last(ex)
    for name in ("a", "b", "c"):
        ex.create_order(SYMBOL, "limit", "buy", 0.01, price * 0.9, {"clientOrderId": name})
    gone = ex.cancel_orders_with_client_order_ids(["a", "c"], SYMBOL)
    assert [(o["clientOrderId"], o["status"]) for o in gone] == [("a", "canceled"), ("c", "canceled")]
    assert [o["clientOrderId"] for o in ex.fetch_open_orders()] == ["b"]
    with pytest.raises(ccxt.OrderNotFound, match="clientOrderId 'z'"):
        ex.cancel_orders_with_client_order_ids(["b", "z"])
    assert ex.fetch_open_orders() == [], "those before one that is not found stay canceled"
    with pytest.raises(ccxt.ArgumentsRequired, match="list of clientOrderIds, not 'b'"):
        ex.cancel_orders_with_client_order_ids("b")
    with pytest.raises(ccxt.BadRequest, match="None must be a text"):
        ex.cancel_orders_with_client_order_ids([None])


def test_money_that_moved_is_found_by_the_id_that_it_was_given():
    ex = exchange({"USDT": 1_000}, swap_balances={"USDT": 50})
    put = ex.deposit("USDT", 100)
    took = ex.withdraw("USDT", 30, "nowhere")
    moved = ex.transfer("USDT", 200, "spot", "swap")
    assert (ex.fetch_deposit(put["id"])["amount"], ex.fetch_deposit(put["id"], "USDT")["type"]) == (
        100,
        "deposit",
    )
    assert (ex.fetch_withdrawal(took["id"])["amount"], ex.fetch_withdrawal(took["id"])["currency"]) == (
        30,
        "USDT",
    )
    assert ex.fetch_transfer(moved["id"], "USDT") == moved
    for entry in ex.fetch_ledger():
        assert ex.fetch_ledger_entry(entry["id"]) == entry
    assert ex.fetch_ledger_entry(moved["id"])["type"] == "transfer"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda ex: ex.fetch_deposit("999"), ccxt.ExchangeError, r"none with the id '999'; fetch_deposits\(\)"),
        (lambda ex: ex.fetch_withdrawal(None), ccxt.ExchangeError, r"fetch_withdrawals\(\) lists"),
        (lambda ex: ex.fetch_transfer("x"), ccxt.ExchangeError, r"fetch_transfers\(\) lists"),
        (lambda ex: ex.fetch_ledger_entry(-1), ccxt.ExchangeError, r"fetch_ledger\(\) lists"),
        (lambda ex: ex.fetch_deposit("1", "NOPE"), ccxt.BadRequest, "'NOPE' is not traded here"),
        (lambda ex: ex.fetch_ledger_entry("1", "USDT", {"type": "swap"}), ccxt.NotSupported, "it has none"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said(call, error, words):
    ex = exchange()
    with pytest.raises(error, match=words) as refused:
        call(ex)
    assert type(refused.value) is error


def test_a_withdrawal_is_no_deposit_and_belongs_to_its_asset():
    ex = exchange()
    took = ex.withdraw("USDT", 30, "nowhere")
    with pytest.raises(ccxt.ExchangeError, match="none with the id"):
        ex.fetch_deposit(took["id"])
    with pytest.raises(ccxt.ExchangeError, match="none with the id"):
        ex.fetch_withdrawal(took["id"], "KRW")


def test_the_names_of_socket_calls_are_the_same_calls():
    async def scenario():
        ex = streaming()
        price = (await ex.fetch_ticker_ws(SYMBOL))["last"]
        order = await ex.create_order_ws(SYMBOL, "limit", "buy", 0.01, price * 0.9)
        edited = await ex.edit_order_ws(order["id"], SYMBOL, "limit", "buy", 0.02)
        assert (edited["id"], edited["amount"]) == (order["id"], 0.02)
        assert await ex.fetch_open_orders_ws() == await ex.fetch_open_orders() == [edited]
        assert (await ex.cancel_order_ws(order["id"]))["status"] == "canceled"
        bought = await ex.create_market_order_with_cost_ws(SYMBOL, "buy", 500)
        assert 490 < bought["cost"] <= 500, "ccxt's own form would take the cost for an amount"
        assert await ex.fetch_my_trades_ws() == await ex.fetch_my_trades()
        assert await ex.fetch_balance_ws() == await ex.fetch_balance()
        assert await ex.fetch_ohlcv_ws(SYMBOL, "1m", None, 3) == await ex.fetch_ohlcv(SYMBOL, "1m", None, 3)
        with pytest.raises(ccxt.NotSupported, match="'leverage'"):
            await ex.create_order_ws(SYMBOL, "market", "buy", 0.01, None, {"leverage": 3})
        await ex.close()

    run(scenario())


def test_on_a_replay_of_bars_ids_are_found_too():
    ex = replay([(100, 100, 100, 100)] * 3)
    order = ex.create_order(SYMBOL, "market", "buy", 0.1)
    assert ex.fetch_closed_order(order["id"])["filled"] == 0.1
    before = totals(ex)
    assert ex.fetch_ledger_entry(ex.fetch_ledger()[-1]["id"]) == ex.fetch_ledger()[-1]
    assert totals(ex) == before
