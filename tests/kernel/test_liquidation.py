"""Liquidation: at which price, against the closed formula of venues, with which loss, and what it says."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel.builders import INVERSE, PERP, Desk
from kernel.test_contracts import TIERED, TIERS

from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.ledger import Account
from twinstar_kit.kernel.orders import EventKind, Reason, Setting
from twinstar_kit.kernel.tables import FillFlag

RATE = D("0.005")  # what is asked without tiers


def perp(instrument=PERP, balances=None, **terms) -> Desk:
    return Desk(balances, instrument, **({"fee_maker": 0, "fee_taker": 0, "leverage": 10} | terms)).last(100)


def at(d: Desk, side: str, amount, price, **flags) -> None:
    d.send(side, "market", amount, **flags)
    d.trade(price)


def fires_at(d: Desk, side: str) -> D:
    """The first price, tick by tick from the last one, at which the position is liquidated by a trade."""
    kept, step = d.engine.snapshot(), -1 if side == "buy" else 1
    low, high = 0, int(d.engine.inst["last"][0])  # liquidated, not liquidated
    if step > 0:
        low = high * 4

    def dies(price: int) -> bool:
        d.engine.restore(kept)
        d.engine.on_trade(0, d.ts + 1, price)
        died = bool((d.engine.drain()["kind"] == EventKind.LIQUIDATED).any())
        d.engine.restore(kept)
        return died

    assert dies(max(low, 1))
    while abs(high - low) > 1:
        middle = (low + high) // 2
        if dies(middle):
            low = middle
        else:
            high = middle
    return d.price(low)


def formula(side: str, amount: D, entry: D, collateral: D, tiers=None) -> D:
    """Venues' closed formula: (collateral + maintenance amount - direction * amount * entry) / (amount * (rate - direction))."""
    sign = 1 if side == "buy" else -1
    rows, floor, before, extra = [], D(0), D(0), D(0)
    for cap, rate, _ in tiers or [(10**12, str(RATE), 1)]:
        extra += floor * (D(rate) - before)
        rows.append((floor, D(cap), D(rate), extra))
        floor, before = D(cap), D(rate)
    for low, high, rate, cumulative in rows:
        price = (collateral + cumulative - sign * amount * entry) / (amount * (rate - sign))
        if low < price * amount <= high:
            return price
    raise AssertionError("no tier fits")


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("leverage", [3, 10, 50])
@pytest.mark.parametrize("isolated", [0, 1])
def test_the_price_is_that_of_the_closed_formula(side, leverage, isolated) -> None:
    d = perp(balances={"USDT": 1000}, leverage=leverage)
    d.set(Setting.ISOLATED, isolated)
    amount = D(20)
    at(d, side, amount, 100)
    expected = formula(side, amount, D(100), d.margin() if isolated else D(1000))
    assert abs(fires_at(d, side) - expected) <= D("0.01")


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("amount", [400, 600, 2400, 2600, 9000])
def test_maintenance_goes_by_the_tier_of_the_value_at_that_price(side, amount) -> None:
    d = perp(TIERED, {"USDT": 10**7}, leverage=20)
    d.set(Setting.ISOLATED, 1)
    at(d, side, amount, 100)
    expected = formula(side, D(amount), D(100), d.margin(), TIERS)
    assert abs(fires_at(d, side) - expected) <= D("0.01")


@settings(max_examples=40, deadline=None)
@given(
    side=st.sampled_from(["buy", "sell"]),
    amount=st.integers(1, 9_000),
    leverage=st.integers(2, 20),
    instrument=st.sampled_from([PERP, TIERED, INVERSE]),
)
def test_bars_and_trades_agree_on_the_price(side, amount, leverage, instrument) -> None:
    found = []
    for way in ("trade", "bar"):
        d = perp(instrument, {instrument.settle: 10**7}, leverage=leverage)
        d.set(Setting.ISOLATED, 1)
        at(d, side, amount, 100)
        if way == "trade":
            try:
                found.append(fires_at(d, side))
            except AssertionError:
                return  # never liquidated, however far it goes
        else:
            edge = max(found[0] - 5, D("0.01")) if side == "buy" else found[0] + 5
            d.bar(100, max(D(100), edge), min(D(100), edge), edge)
            [record] = [e for e in d.events if e["kind"] == EventKind.LIQUIDATED]
            found.append(d.price(record["last_px"]))
    assert abs(found[0] - found[1]) <= D("0.01")


def test_an_inverse_long_with_its_own_collateral_always_has_a_price_below() -> None:
    d = perp(INVERSE, {"BTC": 1000}, leverage=5)
    d.set(Setting.ISOLATED, 1)
    at(d, "buy", 100, 100)  # worth 100 coins, 20 behind it
    # 20 + 100 - worth = 0.005 * worth
    worth = D(120) / D("1.005")
    assert abs(fires_at(d, "buy") - D(10_000) / worth) <= D("0.01")


# --- what is lost -------------------------------------------------------------------------------------------------


def test_an_isolated_position_loses_its_collateral_and_no_more() -> None:
    d = perp(balances={"USDT": 1000}, fee_taker="0.001", leverage=10)
    d.set(Setting.ISOLATED, 1)
    at(d, "buy", 10, 100)  # a fee of 1
    d.trade(80)  # a gap of 20 %
    assert d.position() == 0
    assert d.free("USDT") == 1000 - 1 - 100
    assert d.engine.ledger[d.engine.inst["settle"][0], Account.INSURANCE] == -100 * 10**8
    [record] = [e for e in d.events if e["kind"] == EventKind.LIQUIDATED]
    assert d.price(record["last_px"]) == 80
    assert d.money(record["amount"]) == 100
    fill = [e for e in d.events if e["kind"] == EventKind.FILLED][-1]
    assert fill["flags"] & FillFlag.LIQUIDATION
    assert fill["reason"] == Reason.LIQUIDATION
    assert fill["amount"] == 0, "there was nothing left to pay a fee with"


def test_what_is_left_pays_the_fee_and_the_rest_comes_back() -> None:
    d = perp(balances={"USDT": 1000}, fee_taker="0.001")
    d.set(Setting.ISOLATED, 1)
    at(d, "buy", 10, 100)
    d.trade("90.45")  # 4.5 of 100 are left, and 4.5225 would be needed
    assert d.position() == 0
    assert d.free("USDT") == 1000 - 1 - D("95.5") - D("0.9045")


def test_a_cross_position_takes_its_wallet_with_it_but_not_the_spot_wallet() -> None:
    spot = Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.001")
    d = Desk({}, PERP, others=(spot,), fee_maker=0, fee_taker=0, leverage=10).last(100)
    from twinstar_kit.kernel.ledger import Wallet

    d.engine.deposit(0, "USDT", 500, Wallet.SPOT)
    d.engine.deposit(0, "USDT", 200, Wallet.SWAP)
    at(d, "buy", 10, 100)
    d.trade(50)
    assert d.position() == 0
    assert (d.free("USDT", Wallet.SWAP), d.held("USDT", Wallet.SWAP)) == (0, 0)
    assert d.free("USDT", Wallet.SPOT) == 500


def test_orders_that_lean_on_the_wallet_go_first() -> None:
    d = perp(balances={"USDT": 200})
    at(d, "buy", 10, 100)
    d.send("buy", "limit", 5, 70)
    d.send("sell", "limit", 5, 150, reduce_only=True)
    d.trade(79)
    assert d.position() == 0
    assert d.open_ids() == []
    assert d.reasons().count(Reason.LIQUIDATION) == 3  # two orders, and the record of the liquidation
    assert d.free("USDT") == 0
    assert d.held("USDT") == 0


def test_other_cross_positions_lend_what_is_reserved_for_them() -> None:
    eth = Instrument.from_sizes("ETH/USDT:USDT", tick="0.01", lot="0.001")
    d = Desk({"USDT": 210}, PERP, others=(eth,), fee_maker=0, fee_taker=0, leverage=10).last(100)
    d.engine.on_trade(1, 1, eth.price_units(100))
    at(d, "buy", 10, 100)
    d.engine.submit(d.ts, 1, 1, 1, eth.amount_units(10))
    d.engine.on_trade(1, d.ts, eth.price_units(100))
    d._drain()
    assert d.free("USDT") == 10
    # a loss of 150 is realised by the trader's own order: more than is free and behind that position
    at(d, "sell", 10, 85)
    assert d.engine.position(1) == eth.amount_units(10)
    assert d.money(d.engine.inst["margin"][1, 0]) == 60
    assert d.free("USDT") == 0


def test_a_gap_liquidates_before_an_order_can_close_at_it() -> None:
    d = perp(balances={"USDT": 1000})
    d.set(Setting.ISOLATED, 1)
    at(d, "buy", 10, 100)
    d.send("sell", "market", 10, reduce_only=True)
    d.bar(50, 51, 49, 50)
    assert d.position() == 0
    assert "LIQUIDATED" in d.kinds()
    assert d.free("USDT") == 900


def test_the_nearer_of_stop_and_liquidation_wins_inside_a_bar() -> None:
    for stop, liquidated in (("91", False), ("90", True)):
        d = perp(balances={"USDT": 1000})
        d.set(Setting.ISOLATED, 1)
        at(d, "buy", 10, 100)  # liquidated at about 90.45
        d.send("sell", "stop", 10, stop, reduce_only=True)
        d.bar(100, 101, 80, 85)
        assert d.position() == 0
        assert ("LIQUIDATED" in d.kinds()) is liquidated


def test_where_there_is_a_mark_only_the_mark_liquidates() -> None:
    d = perp(balances={"USDT": 1000})
    d.set(Setting.ISOLATED, 1)
    at(d, "buy", 10, 100)
    d.mark(100)
    d.trade(50)
    d.bar(50, 51, 40, 50)
    assert d.position() == 10
    d.mark(91)
    assert d.position() == 10
    d.mark(90)
    assert d.position() == 0


def test_each_side_of_a_hedge_is_liquidated_by_itself() -> None:
    d = perp(balances={"USDT": 1000})
    d.set(Setting.ISOLATED, 1)
    d.set(Setting.HEDGE, 1)
    at(d, "buy", 10, 100, position_side=1)
    at(d, "sell", 10, 100, position_side=-1)
    d.trade(85)
    assert (d.position(0), d.position(1)) == (0, -10)
    assert d.kinds().count("LIQUIDATED") == 1
