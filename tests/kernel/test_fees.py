"""Fees: maker and taker, rounding, tiers by the volume of thirty days, and a third asset."""

from __future__ import annotations

import random
from decimal import ROUND_CEILING
from decimal import Decimal as D

import pytest
from kernel.builders import BTC, PERP, Desk

from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.ledger import Wallet
from twinstar_kit.kernel.tables import FillFlag

DAY = 86_400_000
BNB = Instrument.from_sizes("BNB/USDT", tick="0.01", lot="0.001")
UNIT = D("1e-8")


def up(value: D) -> D:
    return (value / UNIT).to_integral_value(ROUND_CEILING) * UNIT


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("maker", [False, True])
def test_a_fee_is_a_rate_of_the_value_rounded_up(side, maker) -> None:
    d = Desk({"USDT": 10**5, "BTC": 10}, fee_maker="0.00017", fee_taker="0.00123").last("33333.33")
    if maker:
        d.send(side, "limit", "0.007", "33333.33")
        d.quote("33333.32", "33333.34")
        d.trade("33300" if side == "buy" else "33400")
    else:
        d.send(side, "market", "0.007")
        d.trade("33333.33")
    assert d.fees() == up(D("33333.33") * D("0.007") * D("0.00017" if maker else "0.00123"))


def test_a_maker_may_be_paid() -> None:
    d = Desk({"USDT": 1000}, fee_maker="-0.0002", fee_taker="0.001").last(100)
    d.send("buy", "limit", 1, 99)
    d.quote(99, 101)
    d.trade(98)
    assert d.free("USDT") == 1000 - 99 + D("0.0198")


def test_an_order_can_always_pay_whichever_fee_it_turns_out_to_owe() -> None:
    d = Desk({"USDT": "101"}, fee_maker="0.02", fee_taker=0).last(100)
    d.send("buy", "limit", 1, 99)
    assert d.held("USDT") == D("100.98")
    d.quote(99, 101)
    d.trade(98)
    assert d.free("USDT") == D("0.02")


def test_an_instrument_may_have_fees_of_its_own() -> None:
    m = Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.001", fee_taker="0.0004", fee_maker="0.0001")
    d = Desk({"USDT": 1000}, m, fee_taker="0.01").last(100)
    d.send("buy", "market", 1)
    d.trade(100)
    assert d.fees() == D("0.04")


# --- tiers --------------------------------------------------------------------------------------------------------

TIERS = [(0, "0.001", "0.002"), (1000, "0.0008", "0.0015"), (5000, "0.0005", "0.001")]


def test_the_rate_follows_the_volume_of_thirty_days() -> None:
    d = Desk({"USDT": 10**6}, fee_tiers=TIERS).last(100)
    chance, traded = random.Random(1), []
    for _ in range(200):
        d.ts += chance.choice([1, DAY // 3, DAY, 9 * DAY, 40 * DAY])
        amount = D(chance.randint(1, 20))
        before = d.fees()
        d.send("buy", "market", amount)
        d.trade(100)
        today = d.ts // DAY
        volume = sum(value for day, value in traded if today - day < 30)
        rate = next(D(taker) for least, _, taker in reversed(TIERS) if volume >= least)
        assert d.fees() - before == up(amount * 100 * rate)
        traded.append((today, amount * 100))
        d.send("sell", "market", amount)
        d.trade(100)
        traded.append((today, amount * 100))


@pytest.mark.parametrize("tiers", [[(5, 0, 0), (5, 0, 0)], [(5, 0, 0), (1, 0, 0)], [(1, 2)], "x"])
def test_tiers_ascend(tiers) -> None:
    from twinstar_kit.kernel.errors import UsageError

    with pytest.raises(UsageError, match="fee_tiers"):
        Desk(fee_tiers=tiers)


# --- a third asset ------------------------------------------------------------------------------------------------


def with_bnb(bnb="1", instrument=BTC, **terms) -> Desk:
    balances = {"USDT": 10_000, "BTC": 10, "BNB": bnb} if instrument is BTC else {}
    d = Desk(balances, instrument, others=(BNB,), fee_asset="BNB", fee_taker="0.001", **terms).last(100)
    d.engine.on_trade(1, 0, BNB.price_units(250))
    d._drain()
    return d


def test_a_fee_is_paid_in_the_third_asset_at_its_last_price() -> None:
    d = with_bnb()
    d.send("buy", "market", 1)
    d.trade(100)
    assert d.free("USDT") == 9_900
    assert d.free("BNB") == 1 - D("0.1") / 250
    fill = next(e for e in d.events if e["kind"] == 25)
    assert fill["flags"] & FillFlag.FEE_ASSET
    assert fill["asset"] == d.engine.row_of("BNB")


def test_where_there_is_not_enough_of_it_the_fee_falls_back_and_says_so() -> None:
    d = with_bnb("0.0001")
    d.send("sell", "market", 1)
    d.trade(100)
    assert d.free("BNB") == D("0.0001")
    assert d.free("USDT") == 10_000 + 100 - D("0.1")
    fill = next(e for e in d.events if e["kind"] == 25)
    assert fill["flags"] & FillFlag.FEE_FELL_BACK


def test_selling_all_of_the_fee_asset_itself_cannot_pay_in_it() -> None:
    d = Desk({"USDT": 100, "BNB": 2}, BNB, fee_asset="BNB", fee_taker="0.001").last(250)
    d.send("sell", "market", None, close_position=True)
    d.trade(250)
    assert d.free("BNB") == 0
    assert d.free("USDT") == 100 + 500 - D("0.5")


def test_contracts_pay_out_of_their_own_wallet() -> None:
    d = with_bnb(instrument=PERP)
    d.engine.deposit(0, "USDT", 1000, Wallet.SWAP)
    d.engine.deposit(0, "BNB", 1, Wallet.SWAP)
    d.send("buy", "market", 1)
    d.trade(100)
    assert d.free("BNB", Wallet.SWAP) == 1 - D("0.1") / 250
    assert d.free("BNB", Wallet.SPOT) == 0
