"""Perpetual contracts: positions, collateral, leverage, funding, liquidation, and an account that goes on byte for byte."""

from __future__ import annotations

import itertools
import random
from decimal import Decimal

import ccxt
import numpy as np
import pytest
from venues.builders import FEED, exchange, last, open_account

from twinstar_kit.kernel.ledger import Wallet
from twinstar_kit.venues.stepping import LOOK_MS

LINEAR, INVERSE, OTHER = "BTC/USDT:USDT", "BTC/USD:BTC", "ETH/USDT:USDT"
HOUR = 3_600_000
FUNDS = {"USDT": 50_000, "BTC": "1", "ETH": "10"}


def desk(**options):
    """An exchange with money in the swap wallet."""
    return exchange({"USDT": 1_000}, **{"swap_balances": FUNDS, **options})


def swap(ex, asset="USDT"):
    """Free, used and total of an asset in the swap wallet."""
    return ex.fetch_balance({"type": "swap"})[asset]


def test_a_position_is_collateral_value_and_profit():
    ex = desk(leverage=10)
    order = ex.create_order(LINEAR, "market", "buy", 0.1)
    (position,) = ex.fetch_positions()
    assert (position["side"], position["contracts"], position["leverage"], position["marginMode"]) == (
        "long",
        0.1,
        10,
        "cross",
    )
    assert position["entryPrice"] == pytest.approx(order["average"])
    assert position["initialMargin"] == pytest.approx(order["cost"] / 10)
    mark = FEED.mark(LINEAR, ex.milliseconds()) / 10
    assert position["markPrice"] == mark
    assert position["unrealizedPnl"] == pytest.approx((mark - position["entryPrice"]) * 0.1)
    assert swap(ex)["used"] == pytest.approx(order["cost"] / 10)
    assert swap(ex)["total"] == pytest.approx(50_000 - order["fee"]["cost"])
    assert ex.fetch_balance()["USDT"]["total"] == 1_000, "the spot wallet is another one"


def test_closing_settles_the_profit_and_frees_the_collateral():
    ex = desk(leverage=5)
    bought = ex.create_order(LINEAR, "market", "buy", 0.1)
    sold = ex.close_position(LINEAR)
    assert ex.fetch_positions() == []
    fees = bought["fee"]["cost"] + sold["fee"]["cost"]
    assert swap(ex) == {
        "free": pytest.approx(50_000 + sold["cost"] - bought["cost"] - fees, abs=1e-6),
        "used": 0,
        "total": swap(ex)["free"],
    }
    with pytest.raises(ccxt.InvalidOrder, match="no such position"):
        ex.close_position(LINEAR)


def test_a_short_position_earns_when_the_price_falls_and_an_order_can_turn_it_around():
    ex = desk(leverage=10)
    ex.create_order(LINEAR, "market", "sell", 0.1)
    assert ex.fetch_position(LINEAR)["side"] == "short"
    ex.create_order(LINEAR, "market", "buy", 0.25)
    position = ex.fetch_position(LINEAR)
    assert (position["side"], position["contracts"]) == ("long", 0.15)
    with pytest.raises(ccxt.InvalidOrder, match="no position that this order would reduce"):
        ex.create_order(LINEAR, "market", "buy", 0.1, None, {"reduceOnly": True})


def test_an_inverse_contract_is_settled_in_its_coin():
    ex = desk(leverage=10)
    order = ex.create_order(INVERSE, "market", "buy", 100)
    assert order["cost"] == pytest.approx(100 * 100 / order["average"], rel=1e-8)
    assert order["fee"]["currency"] == "BTC"
    position = ex.fetch_position(INVERSE)
    assert position["contractSize"] == 100
    # each fill's value, and a tenth of it, are rounded up
    rounded = 1e-8 * (1 + len(order["trades"]))
    assert position["initialMargin"] == pytest.approx(10_000 / order["average"] / 10, abs=rounded)
    mark = position["markPrice"]
    assert position["unrealizedPnl"] == pytest.approx(
        10_000 / position["entryPrice"] - 10_000 / mark, abs=2e-8
    )
    assert swap(ex, "BTC")["total"] == pytest.approx(1 - order["fee"]["cost"])


def test_leverage_changes_the_collateral_and_is_bounded_by_the_tiers():
    ex = desk(leverage=2)
    order = ex.create_order(LINEAR, "market", "buy", 0.1)
    assert ex.set_leverage(20, LINEAR)["longLeverage"] == 20
    assert swap(ex)["used"] == pytest.approx(order["cost"] / 20)
    assert ex.fetch_leverages([LINEAR, OTHER])[OTHER]["longLeverage"] == 2
    with pytest.raises(ccxt.BadRequest, match="whole number from 1 to 125, not 126"):
        ex.set_leverage(126, LINEAR)
    with pytest.raises(ccxt.BadRequest, match="whole number"):
        ex.set_leverage(2.5, LINEAR)
    with pytest.raises(ccxt.NotSupported, match="is a spot market"):
        ex.set_leverage(5, "BTC/USDT")
    tiers = ex.fetch_market_leverage_tiers(LINEAR)
    assert tiers[0]["maxLeverage"] == ex.market(LINEAR)["limits"]["leverage"]["max"] == 125
    assert all(a["maxNotional"] == b["minNotional"] for a, b in itertools.pairwise(tiers))


def test_what_cannot_be_backed_is_refused_with_the_numbers():
    ex = desk(leverage=10)
    with pytest.raises(
        ccxt.InsufficientFunds, match=r"USDT with its fee, and 50000 USDT is free; .* transfer\(\) some"
    ):
        ex.create_order(LINEAR, "market", "buy", 10)
    ex.transfer("USDT", 500, "spot", "swap")
    assert (swap(ex)["total"], ex.fetch_balance()["USDT"]["total"]) == (50_500, 500)


def test_isolated_margin_stands_alone():
    ex = desk(leverage=10)
    ex.set_margin_mode("isolated", LINEAR)
    ex.create_order(LINEAR, "market", "buy", 0.1)
    alone = ex.fetch_position(LINEAR)
    assert alone["marginMode"] == "isolated"
    assert alone["collateral"] == pytest.approx(alone["initialMargin"] + alone["unrealizedPnl"])
    more = ex.add_margin(LINEAR, 500)
    assert more["total"] == pytest.approx(alone["initialMargin"] + 500)
    safer = ex.fetch_position(LINEAR)
    assert safer["liquidationPrice"] == pytest.approx(alone["liquidationPrice"] - 500 / 0.1 / 0.996, abs=1)
    ex.reduce_margin(LINEAR, 100)
    assert ex.fetch_position(LINEAR)["initialMargin"] == pytest.approx(alone["initialMargin"] + 400)
    with pytest.raises(ccxt.InvalidOrder, match="margin would not carry"):
        ex.reduce_margin(LINEAR, 1_500)
    assert ex.set_margin_mode("cross", LINEAR)["marginMode"] == "cross"
    assert ex.fetch_position(LINEAR)["initialMargin"] == pytest.approx(alone["initialMargin"])


def test_hedge_mode_holds_both_sides():
    ex = desk(leverage=10)
    assert ex.set_position_mode(True)["hedged"] is True
    ex.create_order(LINEAR, "market", "buy", 0.1, None, {"positionSide": "LONG"})
    ex.create_order(LINEAR, "market", "sell", 0.2, None, {"positionSide": "SHORT"})
    assert [(p["side"], p["contracts"]) for p in ex.fetch_positions()] == [("long", 0.1), ("short", 0.2)]
    with pytest.raises(ccxt.OperationRejected, match="close them first"):
        ex.set_position_mode(False)
    with pytest.raises(ccxt.InvalidOrder, match="two positions; choose a side"):
        ex.close_position(LINEAR)
    ex.close_position(LINEAR, "short")
    ex.create_order(LINEAR, "market", "sell", 0.1, None, {"hedged": True, "reduceOnly": True})
    assert ex.fetch_positions() == []
    assert ex.set_position_mode(False)["hedged"] is False


def test_funding_is_exchanged_at_its_times():
    ex = desk(leverage=10)
    ex.create_order(LINEAR, "market", "buy", 0.1)
    coming = ex.fetch_funding_rate(LINEAR)
    before = swap(ex)["total"]
    ex.advance_to(coming["fundingTimestamp"] - 1)
    assert swap(ex)["total"] == before
    ex.advance(1)
    (paid,) = ex.fetch_funding_history(LINEAR)
    (happened,) = ex.fetch_funding_rate_history(LINEAR, coming["fundingTimestamp"], 1)
    mark = FEED.mark(LINEAR, coming["fundingTimestamp"]) / 10
    assert paid["timestamp"] == happened["timestamp"] == coming["fundingTimestamp"]
    assert paid["amount"] == pytest.approx(-mark * 0.1 * happened["fundingRate"], abs=1e-7)
    assert swap(ex)["total"] == pytest.approx(before + paid["amount"], abs=1e-8)
    assert [e["type"] for e in ex.fetch_ledger("USDT", coming["fundingTimestamp"])] == ["funding"]


def test_a_position_is_liquidated_at_the_mark_and_loses_no_more_than_its_collateral():
    ex = desk(leverage=100)
    ex.set_margin_mode("isolated", LINEAR)
    ex.create_order(LINEAR, "market", "sell", 0.1)
    ex.create_order(LINEAR, "market", "buy", 0.2)
    position = ex.fetch_position(LINEAR)
    free = swap(ex)["free"]
    while ex.fetch_positions():
        ex.advance(HOUR)
    (gone,) = ex.fetch_my_liquidations()
    assert (gone["contracts"], gone["side"]) == (0.1, "sell")
    assert gone["timestamp"] % LOOK_MS == 0
    looks = range(position["timestamp"] // LOOK_MS * LOOK_MS + LOOK_MS, gone["timestamp"] + 1, LOOK_MS)
    below = [ts for ts in looks if FEED.mark(LINEAR, ts) / 10 <= position["liquidationPrice"]]
    assert below[0] == gone["timestamp"]
    assert gone["price"] == FEED.mark(LINEAR, gone["timestamp"]) / 10
    funding = sum(f["amount"] for f in ex.fetch_funding_history())
    assert swap(ex)["total"] >= free + min(0, funding) - 1e-6
    assert ex.fetch_orders()[-1]["trades"][0]["info"]["liquidation"] is True


def test_a_stop_can_look_at_the_mark_price():
    ex = desk(leverage=10)
    ex.create_order(LINEAR, "market", "buy", 0.1)
    stop = round(FEED.mark(LINEAR, ex.milliseconds()) / 10 * 0.998, 1)
    order = ex.create_order(
        LINEAR,
        "market",
        "sell",
        0.1,
        None,
        {"stopLossPrice": stop, "triggerPriceType": "mark", "reduceOnly": True},
    )
    begin = ex.milliseconds()
    while (done := ex.fetch_order(order["id"]))["status"] == "open":
        ex.advance(60_000)
    looks = range(begin // LOOK_MS * LOOK_MS + LOOK_MS, begin + 48 * HOUR, LOOK_MS)
    first = next(ts for ts in looks if FEED.mark(LINEAR, ts) / 10 <= stop)
    assert done["info"]["triggered"] == done["lastTradeTimestamp"] == first
    assert ex.fetch_positions() == []


def test_a_bracket_protects_a_short_position():
    ex = desk(leverage=10)
    price = last(ex, LINEAR)
    ex.create_order(
        LINEAR,
        "market",
        "sell",
        0.1,
        None,
        {"stopLoss": {"triggerPrice": price * 1.004}, "takeProfit": {"triggerPrice": price * 0.996}},
    )
    while ex.fetch_positions():
        ex.advance(HOUR)
    assert sorted(o["status"] for o in ex.fetch_orders()) == ["canceled", "closed", "closed"]


# -- the same account, folded and replayed ----------------------------------------------------------------------------


def session(ex, seed, steps):
    """Random orders, settings and time, some of which are refused."""
    chance = random.Random(seed)
    for _ in range(steps):
        symbol = chance.choice((LINEAR, INVERSE, OTHER, "BTC/USDT"))
        side, amount = chance.choice(("buy", "sell")), {INVERSE: 50, OTHER: 2, LINEAR: 0.1}.get(symbol, 0.01)
        price = last(ex, symbol)
        calls = (
            lambda: ex.create_order(symbol, "market", side, amount),  # noqa: B023
            lambda: ex.create_order(symbol, "market", side, amount * 3),  # noqa: B023
            lambda: ex.create_order(symbol, "limit", side, amount, price * chance.uniform(0.999, 1.001)),  # noqa: B023
            lambda: ex.create_order(symbol, "market", side, amount, None, {"trailingPercent": 0.1, "reduceOnly": True}),  # noqa: B023
            lambda: ex.create_order(symbol, "limit", "buy", amount, price * 0.9995,  # noqa: B023
                                    {"stopLoss": {"triggerPrice": price * 0.998}, "takeProfit": {"price": price * 1.002}}),  # noqa: B023
            lambda: ex.set_leverage(chance.choice((3, 10, 50)), symbol),  # noqa: B023
            lambda: ex.set_margin_mode(chance.choice(("cross", "isolated")), symbol),  # noqa: B023
            lambda: ex.add_margin(symbol, "0.01" if symbol == INVERSE else 50),  # noqa: B023
            lambda: ex.close_position(symbol),  # noqa: B023
            lambda: ex.transfer("USDT", 10, "swap", "spot"),
            lambda: ex.advance(chance.randrange(1, 3 * HOUR)),
        )  # fmt: skip
        try:
            chance.choice(calls)()
        except ccxt.BaseError:
            continue


@pytest.mark.parametrize(("seed", "hedge"), [(1, False), (2, False), (3, True)])
def test_positions_folded_from_events_are_those_of_the_kernel(seed, hedge):
    ex = desk(leverage=20)
    ex.set_position_mode(hedge)
    for _ in range(6):
        session(ex, seed, 10)
        seed += 10
        engine, contracts = ex.venue.engine, ex.venue.blotter.contracts
        for j in contracts.numbers.values():
            for slot in (0, 1):
                p = contracts._held[j, slot]
                kept = [int(engine.inst[name][j, slot]) for name in ("position", "cost", "margin")]
                assert [p.qty, p.cost, p.margin] == kept
        totals = ex.venue.balances(Wallet.SWAP)
        for asset, (free, used) in totals.items():
            assert (free, used) == engine.balance_decimal(asset, Wallet.SWAP)
        assert np.all(engine.ledger.sum(axis=1) == 0)
        assert totals["USDT"][0] >= 0
    assert len(ex.fetch_my_trades(LINEAR)) + len(ex.fetch_my_trades(OTHER)) > 10


def test_an_account_with_contracts_goes_on_byte_for_byte(tmp_path):
    options = {"swap_balances": FUNDS, "leverage": 20, "fee_asset": "BNB", "queue": "risk_averse"}
    whole = exchange({"USDT": 1_000, "BNB": 1}, **options)
    for part in range(6):
        session(whole, part, 6)
    path = tmp_path / "account.db"
    for part in range(6):
        ex = open_account(path, {"USDT": 1_000, "BNB": 1}, **options)
        session(ex, part, 6)
        ex.close()
    again = open_account(path, {"USDT": 1_000, "BNB": 1}, **options)
    assert again.venue.journal_digest() == whole.venue.journal_digest()
    assert again.fetch_positions() == whole.fetch_positions()
    assert again.fetch_orders() == whole.fetch_orders()
    assert again.venue.engine.snapshot() == whole.venue.engine.snapshot()
    again.close()


def test_how_often_anybody_looks_does_not_matter_to_contracts():
    digests = set()
    for looks in (1, 7, 30):
        ex = desk(leverage=50, latency="fixed", latency_order_ms=300)
        price = last(ex, LINEAR)
        ex.create_order(
            LINEAR,
            "market",
            "buy",
            0.1,
            None,
            {"stopLoss": {"triggerPrice": price * 0.99, "triggerPriceType": "mark"}},
        )
        ex.create_order(
            OTHER,
            "limit",
            "buy",
            5,
            last(ex, OTHER) * 0.999,
            {"timeInForce": "GTD", "expireTime": ex.milliseconds() + 7 * HOUR + 1},
        )
        ex.create_order(
            OTHER,
            "market",
            "sell",
            1,
            None,
            {"stopLossPrice": last(ex, OTHER) * 0.997, "triggerPriceType": "bid_ask"},
        )
        for look in range(looks):
            ex.advance_to(ex.milliseconds() + 12 * HOUR // looks + (12 * HOUR % looks if look == 0 else 0))
        ex.create_order("BTC/USDT", "market", "buy", 0.001)
        digests.add(ex.venue.journal_digest())
    assert len(digests) == 1


def test_money_moves_between_wallets_and_in_and_out():
    ex = desk()
    with pytest.raises(ccxt.InsufficientFunds):
        ex.transfer("USDT", 2_000, "spot", "swap")
    ex.deposit("USDT", 100, {"type": "swap"})
    ex.withdraw("USDT", 30, "anywhere", "tag", {"type": "swap"})
    ex.transfer("USDT", 5, "swap", "spot")
    assert ex.fetch_balance({"type": "swap"})["USDT"]["total"] == 50_065
    assert [d["amount"] for d in ex.fetch_deposits("USDT")] == [1_000, 50_000, 100]
    assert [(w["amount"], w["type"]) for w in ex.fetch_withdrawals()] == [(30, "withdrawal")]
    assert [(t["fromAccount"], t["toAccount"], t["amount"]) for t in ex.fetch_transfers()] == [
        ("swap", "spot", 5)
    ]
    with pytest.raises(ccxt.InsufficientFunds):
        ex.withdraw("USDT", 1e6, "anywhere")
    with pytest.raises(ccxt.BadRequest, match="must be one of spot, swap"):
        ex.transfer("USDT", 5, "spot", "earn")
    with pytest.raises(ccxt.BadRequest, match="two wallets"):
        ex.transfer("USDT", 5, "spot", "spot")
    ledger = ex.fetch_ledger("USDT", None, None, {"type": "swap"})
    assert sum(Decimal(str(e["amount"])) * (1 if e["direction"] == "in" else -1) for e in ledger) == 50_065
