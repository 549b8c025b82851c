"""Where the account's money came from and went to, entry by entry; and several orders in one request."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import ccxt
import pytest
from venues.builders import begun, exchange, last, open_account, run, streaming, totals

SYMBOL = "BTC/USDT"
HOUR = 3_600_000


def busy(ex: Any) -> None:
    """A day of orders that fill, fire, end and are canceled."""
    for hour in range(24):
        price = last(ex)
        ex.create_order(SYMBOL, "limit", "buy", 0.013, price * (1 - hour % 5 / 3_000))
        ex.create_order("ETH/USDT", "market", "buy", 0.37)
        ex.create_order("ETH/USDT", "market", "sell", 0.11, None, {"trailingPercent": 0.3})
        ex.create_order("XRP/KRW", "market", "buy", 12.5)
        ex.advance(HOUR)
    ex.cancel_all_orders()


def test_entries_add_up_to_the_balance_in_every_asset():
    ex = exchange()
    busy(ex)
    entries, balances = ex.fetch_ledger(), totals(ex)
    assert len(entries) > 150
    for asset, (free, held) in balances.items():
        own = ex.fetch_ledger(asset)
        assert own == [entry for entry in entries if entry["currency"] == asset]
        signed = [Decimal(repr(e["amount"])) * (1 if e["direction"] == "in" else -1) for e in own]
        assert sum(signed) == free + held
        for before, entry in pairwise(own):
            assert entry["before"] == before["after"]
    assert [e["timestamp"] for e in entries] == sorted(e["timestamp"] for e in entries)


def test_each_fill_has_its_legs_and_its_fee():
    ex = exchange({"USDT": 10_000})
    order = ex.create_order(SYMBOL, "market", "buy", 0.01)
    deposit, *legs = ex.fetch_ledger()
    assert (deposit["type"], deposit["amount"]) == ("transaction", 10_000)
    assert deposit["referenceAccount"] == "capital"
    assert {entry["referenceId"] for entry in legs} == {order["id"]}
    fee = sum(e["amount"] for e in legs if e["type"] == "fee")
    assert fee == pytest.approx(order["fee"]["cost"])
    bought = [e for e in legs if e["currency"] == "BTC"]
    assert [(e["direction"], e["amount"], e["type"]) for e in bought] == [("in", 0.01, "trade")]


def test_what_an_order_holds_is_still_owned():
    ex = exchange()
    before = ex.fetch_ledger()
    ex.create_order(SYMBOL, "limit", "buy", 0.01, last(ex) * 0.5)
    ex.cancel_all_orders()
    assert ex.fetch_ledger() == before


def test_a_window_of_the_ledger():
    ex = exchange()
    busy(ex)
    entries = ex.fetch_ledger()
    middle = entries[len(entries) // 2]["timestamp"]
    assert ex.fetch_ledger(None, middle) == [e for e in entries if e["timestamp"] >= middle]
    assert ex.fetch_ledger(None, None, None, {"until": middle}) == [
        e for e in entries if e["timestamp"] < middle
    ]
    assert ex.fetch_ledger(None, None, 3) == entries[-3:]
    with pytest.raises(ccxt.BadRequest, match="NOPE"):
        ex.fetch_ledger("NOPE")
    with pytest.raises(ccxt.NotSupported, match="account"):
        ex.fetch_ledger("USDT", None, None, {"account": "swap"})


def test_an_account_opened_again_has_its_ledger(tmp_path):
    ex = open_account(tmp_path / "account.db")
    ex.create_order(SYMBOL, "market", "buy", 0.01)
    entries = ex.fetch_ledger()
    ex.close()
    again = open_account(tmp_path / "account.db")
    assert again.fetch_ledger() == entries
    again.close()


# -- play money -------------------------------------------------------------------------------------------------------


def test_a_deposit_can_be_spent_at_once_and_is_kept(tmp_path):
    ex = open_account(tmp_path / "account.db", balances={"USDT": 10})
    with pytest.raises(ccxt.InsufficientFunds):
        ex.create_order(SYMBOL, "market", "buy", 0.01)
    made = ex.deposit("USDT", 5_000.25)
    assert (made["type"], made["amount"], made["currency"], made["status"]) == (
        "deposit",
        5_000.25,
        "USDT",
        "ok",
    )
    assert ex.create_order(SYMBOL, "market", "buy", 0.01)["status"] == "closed"
    deposits = [e for e in ex.fetch_ledger("USDT") if e["type"] == "transaction"]
    assert [e["amount"] for e in deposits] == [10, 5_000.25]
    assert deposits[1]["id"] == made["id"]
    kept = ex.venue.journal_digest(), totals(ex), ex.fetch_ledger()
    ex.close()
    again = open_account(tmp_path / "account.db", balances={"USDT": 10})
    assert (again.venue.journal_digest(), totals(again), again.fetch_ledger()) == kept
    again.close()


@pytest.mark.parametrize(
    ("code", "amount", "error", "words"),
    [
        ("NOPE", 1, ccxt.BadRequest, "NOPE"),
        (None, 1, ccxt.BadRequest, "None"),
        ("USDT", 0, ccxt.InvalidOrder, "above zero"),
        ("USDT", -5, ccxt.InvalidOrder, "above zero"),
        ("USDT", float("nan"), ccxt.InvalidOrder, "amount"),
        ("USDT", 1e30, ccxt.InvalidOrder, "USDT"),
        ("USDT", "0.00000000001", ccxt.InvalidOrder, "USDT"),
        ("USDT", "much", ccxt.InvalidOrder, "amount"),
        ("USDT", None, ccxt.ArgumentsRequired, "amount"),
    ],
)
def test_a_deposit_that_is_none_changes_nothing(code, amount, error, words):
    ex = exchange()
    before = ex.venue.journal_digest()
    with pytest.raises(error, match=words):
        ex.deposit(code, amount)
    assert ex.venue.journal_digest() == before


# -- several orders in one request ------------------------------------------------------------------------------------


def order(amount: Any = 0.01, **fields: Any) -> dict[str, Any]:
    """One order of a batch."""
    return {"symbol": SYMBOL, "type": "market", "side": "buy", "amount": amount, **fields}


def test_a_batch_is_its_orders_one_after_another():
    one, many = exchange(), exchange()
    price = last(one)
    wanted = [
        order(),
        order(type="limit", price=price * 0.9, params={"clientOrderId": "a"}),
        order(side="sell", params={"stopLossPrice": price * 0.8}),
    ]
    sent = many.create_orders(wanted)
    assert sent == [
        one.create_order(o["symbol"], o["type"], o["side"], o["amount"], o.get("price"), o.get("params"))
        for o in wanted
    ]
    assert one.venue.journal_digest() == many.venue.journal_digest()
    assert many.cancel_orders([o["id"] for o in sent if o["status"] == "open"])
    assert many.fetch_open_orders() == []


def test_what_the_venue_refuses_stands_in_its_place():
    ex = exchange({"USDT": 10_000})
    first, second, third = ex.create_orders(
        [order(), order(0.5, params={"clientOrderId": "big"}), order(0.001)]
    )
    assert (first["status"], second["status"], third["status"]) == ("closed", "rejected", "closed")
    assert second["clientOrderId"] == "big"
    assert second["info"]["error"] == "InsufficientFunds"
    assert "order less" in second["info"]["message"]
    assert len(ex.fetch_orders()) == 2


@pytest.mark.parametrize(
    ("orders", "error", "words"),
    [
        ([], ccxt.ArgumentsRequired, "list of orders"),
        (None, ccxt.ArgumentsRequired, "list of orders"),
        ([order(), "buy"], ccxt.BadRequest, "dict of symbol"),
        ([order(), order(ammount=1)], ccxt.BadRequest, "'ammount'"),
        ([order(), order(symbol="BTC/USDD")], ccxt.BadSymbol, "did you mean"),
        ([order(), order(0)], ccxt.InvalidOrder, "above zero"),
        ([order(), {"symbol": SYMBOL, "type": "market", "side": "buy"}], ccxt.ArgumentsRequired, "amount"),
        ([order(), order(params={"leverage": 1})], ccxt.NotSupported, "set_leverage"),
    ],
)
def test_a_batch_with_a_mistake_sends_nothing(orders, error, words):
    ex = exchange()
    before = ex.venue.journal_digest()
    with pytest.raises(error, match=words):
        ex.create_orders(orders)
    assert ex.venue.journal_digest() == before


def test_a_batch_is_one_update_of_those_who_watch():
    async def scenario() -> None:
        ex = streaming()
        watching = await begun(ex.watch_orders())
        sent = await ex.create_orders([order(), order(), order(0.02)])
        assert await watching == sent
        assert [e["type"] for e in await ex.fetch_ledger("BTC")] == ["trade"] * 3
        await ex.close()

    run(scenario())
