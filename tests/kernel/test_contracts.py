"""Perpetual contracts: profit against Decimal loops, collateral, leverage and tiers, one-way and hedge mode, funding."""

from __future__ import annotations

import random
from decimal import ROUND_CEILING, ROUND_FLOOR
from decimal import Decimal as D

import pytest
from kernel.builders import INVERSE, PERP, Desk

from twinstar_kit.kernel.instruments import Instrument, Kind
from twinstar_kit.kernel.orders import Reason, Setting

UNIT = D("1e-8")
TIERS = [(50_000, "0.004", 125), (250_000, "0.005", 100), (1_000_000, "0.01", 50), (10_000_000, "0.025", 20)]
TIERED = Instrument.from_sizes("BTC/USDT:USDT", tick="0.01", lot="0.001", margin_tiers=TIERS)
LEVERAGE, ISOLATED, HEDGE, ADD_MARGIN = Setting.LEVERAGE, Setting.ISOLATED, Setting.HEDGE, Setting.ADD_MARGIN


def perp(instrument=PERP, balances=None, **terms) -> Desk:
    return Desk(balances, instrument, **({"fee_maker": 0, "fee_taker": 0, "leverage": 10} | terms)).last(100)


def at(d: Desk, side: str, amount, price, **flags) -> None:
    d.send(side, "market", amount, **flags)
    d.trade(price)


class Book:
    """Reference: a position by average cost, in Decimals of money units; losses are rounded up, gains down."""

    def __init__(self, inverse: bool, fee: D) -> None:
        self.inverse, self.fee = inverse, fee
        self.position = self.cost = self.cash = self.fees = D(0)

    def value(self, price: D, amount: D, rounding: str) -> D:
        exact = amount * 100 / price if self.inverse else amount * price
        return (exact / UNIT).to_integral_value(rounding) * UNIT

    def trade(self, side: int, price: D, amount: D) -> None:
        up, down = (self.value(price, amount, r) for r in (ROUND_CEILING, ROUND_FLOOR))
        fee = (up * self.fee / UNIT).to_integral_value(ROUND_CEILING) * UNIT
        self.cash -= fee
        self.fees += fee
        rising = (self.position > 0) != self.inverse  # gains as its value rises
        if self.position * side < 0:
            closed = min(amount, abs(self.position))
            share = self.cost
            if closed != abs(self.position):
                share = (self.cost * closed / abs(self.position) / UNIT).to_integral_value(ROUND_FLOOR) * UNIT
            worth = self.value(price, closed, ROUND_FLOOR if rising else ROUND_CEILING)
            self.cash += worth - share if rising else share - worth
            self.cost -= share
            self.position += side * closed
            amount -= closed
        if amount:
            rising = (side > 0) != self.inverse
            self.position += side * amount
            up, down = (self.value(price, amount, r) for r in (ROUND_CEILING, ROUND_FLOOR))
            self.cost += up if rising else down

    def unrealised(self, price: D) -> D:
        if not self.position:
            return D(0)
        rising = (self.position > 0) != self.inverse
        worth = self.value(price, abs(self.position), ROUND_FLOOR if rising else ROUND_CEILING)
        return worth - self.cost if rising else self.cost - worth


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("instrument", [PERP, INVERSE], ids=["linear", "inverse"])
def test_profit_realised_and_not_agrees_with_a_decimal_loop_to_the_unit(instrument, seed) -> None:
    chance = random.Random(seed)
    inverse = instrument.kind is Kind.INVERSE
    start = D(10_000) if inverse else D(10_000_000)
    d = perp(instrument, {instrument.settle: start}, fee_taker="0.0005")
    ref = Book(inverse, D("0.0005"))
    for _ in range(150):
        price = D(chance.randint(5_000, 20_000)) / 100
        side = chance.choice([1, -1])
        amount = D(chance.randint(1, 400)) if inverse else D(chance.randint(1, 90_000)) / 1000
        at(d, "buy" if side > 0 else "sell", amount, price)
        ref.trade(side, price, amount)
        assert d.position() == ref.position
        assert d.money(d.engine.inst["cost"][0, 0]) == ref.cost
        assert d.free(instrument.settle) + d.held(instrument.settle) == start + ref.cash
        assert d.equity() == start + ref.cash + ref.unrealised(price)
    assert d.fees() == ref.fees


def test_an_inverse_contract_gains_less_the_higher_it_rises() -> None:
    d = perp(INVERSE, {"BTC": 1000})
    at(d, "buy", 100, 100)  # 100 contracts of 100 dollars are worth 100 coins
    d.trade(200)
    assert d.equity() == 1000 + 100 - 50
    d.trade(50)
    assert d.equity() == 1000 + 100 - 200


def test_a_short_is_sold_without_owning_and_bought_back() -> None:
    d = perp()
    at(d, "sell", 2, 100)
    assert d.position() == -2
    at(d, "buy", 2, 90)
    assert d.position() == 0
    assert d.free("USDT") == 100_000 + 20
    assert d.held("USDT") == 0


def test_an_order_through_flat_turns_the_position() -> None:
    d = perp()
    at(d, "buy", 1, 100)
    at(d, "sell", 3, 110)
    assert d.position() == -2
    assert d.margin() == 22
    assert d.free("USDT") + d.held("USDT") == 100_010


# --- collateral and leverage --------------------------------------------------------------------------------------


@pytest.mark.parametrize("leverage", [1, 3, 10, 125])
def test_collateral_is_the_value_over_the_leverage_rounded_up(leverage) -> None:
    d = perp(leverage=leverage)
    at(d, "buy", "1.234", "100.01")
    assert d.margin() == (D("1.234") * D("100.01") / leverage / UNIT).to_integral_value(ROUND_CEILING) * UNIT
    at(d, "sell", "0.234", "100.01")
    at(d, "sell", 1, "100.01")
    assert d.margin() == 0
    assert d.free("USDT") == 100_000


def test_what_is_not_there_cannot_be_opened_but_can_be_closed() -> None:
    d = perp(balances={"USDT": 20})
    at(d, "buy", 2, 100)
    d.send("buy", "market", "0.001")
    assert d.reasons() == [Reason.INSUFFICIENT_BALANCE]
    at(d, "sell", 2, 100)
    assert d.position() == 0


def test_an_order_that_turns_a_position_is_cut_to_what_can_be_paid() -> None:
    d = perp(balances={"USDT": 25})
    at(d, "buy", 2, 100)
    d.send("sell", "market", 4)
    d.trade(94)  # 13 are left of 25, and 18.8 would be needed for a short of 2
    assert d.position() == 0
    assert d.reasons() == [Reason.INSUFFICIENT_BALANCE]


def test_leverage_moves_collateral_of_a_cross_position_both_ways() -> None:
    d = perp(balances={"USDT": 1000})
    at(d, "buy", 10, 100)
    assert d.margin() == 100
    assert d.set(LEVERAGE, 2) is Reason.NONE
    assert (d.margin(), d.free("USDT")) == (500, 500)
    assert d.set(LEVERAGE, 20) is Reason.NONE
    assert (d.margin(), d.free("USDT")) == (50, 950)
    at(d, "buy", 5, 100)
    assert d.set(LEVERAGE, 1) is Reason.INSUFFICIENT_BALANCE
    assert d.margin() == 75


def test_more_leverage_takes_nothing_out_of_an_isolated_position() -> None:
    d = perp(balances={"USDT": 1000})
    d.set(ISOLATED, 1)
    at(d, "buy", 10, 100)
    assert d.set(LEVERAGE, 50) is Reason.NONE
    assert d.margin() == 100


@pytest.mark.parametrize("leverage", [0, -3, 126, 2**40])
def test_leverage_has_bounds(leverage) -> None:
    assert perp(TIERED).set(LEVERAGE, leverage) is Reason.INVALID_LEVERAGE


def test_a_large_position_needs_less_leverage() -> None:
    d = perp(TIERED, {"USDT": 10**7}, leverage=100)
    d.send("buy", "market", 2501)  # 250,100
    assert d.reasons() == [Reason.ABOVE_TIER]
    at(d, "buy", 2500, 100)
    d.send("buy", "limit", 1, 100)
    assert d.reasons() == [Reason.ABOVE_TIER] * 2
    assert d.set(LEVERAGE, 125) is Reason.ABOVE_TIER
    assert d.set(LEVERAGE, 50) is Reason.NONE
    at(d, "buy", 1, 100)
    assert d.position() == 2501


def test_margin_is_added_to_and_taken_from_an_isolated_position() -> None:
    d = perp(balances={"USDT": 1000})
    assert d.set(ADD_MARGIN, 10**8) is Reason.NO_POSITION
    d.set(ISOLATED, 1)
    at(d, "buy", 10, 100)
    assert d.set(ADD_MARGIN, 50 * 10**8) is Reason.NONE
    assert (d.margin(), d.free("USDT")) == (150, 850)
    assert d.set(ADD_MARGIN, 851 * 10**8) is Reason.INSUFFICIENT_BALANCE
    assert d.set(ADD_MARGIN, -51 * 10**8) is Reason.MARGIN_TOO_SMALL
    d.trade(98)
    assert d.set(ADD_MARGIN, -33 * 10**8) is Reason.MARGIN_TOO_SMALL, "20 are lost, 98 must stay"
    assert d.set(ADD_MARGIN, -32 * 10**8) is Reason.NONE
    assert d.margin() == 118


def test_the_position_mode_changes_only_while_nothing_is_open() -> None:
    d = perp()
    order = d.send("buy", "limit", 1, 90)
    assert d.set(HEDGE, 1) is Reason.POSITION_OPEN
    assert d.set(HEDGE, 0) is Reason.NONE, "nothing changes"
    d.cancel(order)
    assert d.set(HEDGE, 1) is Reason.NONE


def test_a_position_takes_its_collateral_along_when_the_margin_mode_changes() -> None:
    d = perp(balances={"USDT": 1000})
    at(d, "buy", 10, 100)
    d.trade("99.50")
    assert d.set(ISOLATED, 1) is Reason.NONE
    assert (d.margin(), d.free("USDT")) == (100, 900)
    d.set(ADD_MARGIN, 50 * 10**8)
    assert d.set(ISOLATED, 0) is Reason.NONE
    assert (d.margin(), d.free("USDT")) == (100, 900), "what was added comes free"
    d.trade(90)
    assert d.set(ISOLATED, 1) is Reason.MARGIN_TOO_SMALL, "alone it would be liquidated at once"


def test_settings_of_contracts_do_not_exist_for_coins() -> None:
    d = Desk().last(100)
    for setting in (LEVERAGE, ISOLATED, ADD_MARGIN):
        assert d.set(setting, 1) is Reason.NOT_SPOT


def test_settings_of_what_is_not_there_raise() -> None:
    from twinstar_kit.kernel.errors import UsageError

    d = perp()
    with pytest.raises(UsageError, match="slot = 2"):
        d.set(ADD_MARGIN, 1, slot=2)
    with pytest.raises(UsageError, match="no instrument number 3"):
        d.engine.configure(0, LEVERAGE, 3, 5)
    with pytest.raises(UsageError, match="no instrument number -1"):
        d.engine.on_mark(-1, 0, 5)


# --- hedge mode ---------------------------------------------------------------------------------------------------


def test_hedge_mode_keeps_a_long_and_a_short_apart() -> None:
    d = perp()
    d.set(HEDGE, 1)
    at(d, "buy", 3, 100, position_side=1)
    at(d, "sell", 2, 100, position_side=-1)
    assert (d.position(0), d.position(1)) == (3, -2)
    assert (d.margin(0), d.margin(1)) == (30, 20)
    d.trade(110)
    assert d.equity() == 100_000 + 30 - 20
    at(d, "sell", 1, 110, position_side=1)
    at(d, "buy", 2, 110, position_side=-1)
    assert (d.position(0), d.position(1)) == (2, 0)
    assert d.free("USDT") + d.held("USDT") == 100_000 + 10 - 20


def test_in_hedge_mode_a_stop_belongs_to_its_side() -> None:
    d = perp()
    d.set(HEDGE, 1)
    at(d, "buy", 3, 100, position_side=1)
    at(d, "sell", 2, 100, position_side=-1)
    d.send("sell", "stop", 3, 95, reduce_only=True, position_side=1)
    d.send("buy", "stop", 2, 105, reduce_only=True, position_side=-1)
    assert d.trade(94) == [("sell", D(94), D(3))]
    assert (d.position(0), d.position(1)) == (0, -2)
    assert len(d.open_ids()) == 1


def test_in_hedge_mode_a_side_never_turns_into_the_other() -> None:
    d = perp()
    d.set(HEDGE, 1)
    d.send("buy", "market", 1, position_side=-1)
    d.send("sell", "market", 1, position_side=1)
    assert d.reasons() == [Reason.NO_POSITION] * 2
    at(d, "buy", 2, 100, position_side=1)
    at(d, "sell", 5, 100, position_side=1)
    assert (d.position(0), d.position(1)) == (0, 0)


@pytest.mark.parametrize(("hedge", "side"), [(0, 1), (0, -1), (1, 0), (1, 5)])
def test_a_position_side_belongs_to_hedge_mode(hedge, side) -> None:
    d = perp()
    d.set(HEDGE, hedge)
    d.send("buy", "market", 1, position_side=side)
    assert d.reasons() == [Reason.WRONG_POSITION_SIDE]


# --- funding ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("instrument", [PERP, INVERSE], ids=["linear", "inverse"])
@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("rate", ["0.0001", "-0.00037", "0.0000123"])
def test_funding_is_the_value_at_the_mark_times_the_rate(instrument, side, rate) -> None:
    d = perp(instrument)
    at(d, side, 7, 100)
    before = d.equity()
    d.funding(rate, "103.33")
    value = D(700) / D("103.33") if instrument is INVERSE else D(7) * D("103.33")
    amount = value * D(rate) * (-1 if side == "buy" else 1)
    # paid is rounded up, received down: at most one unit of value and one of the product
    got = d.equity() - before
    assert amount - 2 * UNIT <= got <= amount
    record = next(e for e in d.events if e["kind"] == 31)
    assert d.money(record["amount"]) == got
    assert record["ref_px"] == int(D(rate) * 10**8)


def test_both_sides_of_a_hedge_pay_and_receive_alike() -> None:
    d = perp()
    d.set(HEDGE, 1)
    at(d, "buy", 3, 100, position_side=1)
    at(d, "sell", 3, 100, position_side=-1)
    d.funding("0.001", 100)
    assert d.equity() == 100_000
    assert d.kinds().count("FUNDED") == 2


def test_flat_pays_nothing() -> None:
    d = perp()
    d.funding("0.001", 100)
    assert "FUNDED" not in d.kinds()


def test_an_isolated_position_pays_funding_from_its_own_collateral_and_no_more() -> None:
    d = perp(balances={"USDT": 1000})
    d.set(ISOLATED, 1)
    at(d, "buy", 10, 100)
    d.funding("0.001", 100)
    assert (d.margin(), d.free("USDT")) == (99, 900)
    d.funding("0.5", 100)
    assert d.free("USDT") == 900, "what it could not pay the insurance paid, and it is liquidated"
    assert d.position() == 0
    assert "LIQUIDATED" in d.kinds()


def test_a_cross_position_pays_with_all_that_its_wallet_has_before_it_ends() -> None:
    d = perp(balances={"USDT": 150})
    at(d, "buy", 10, 100)
    d.send("buy", "limit", 4, 90)
    assert d.free("USDT") == 14
    d.funding("0.03", 100)
    assert (d.free("USDT"), d.margin()) == (0, 100)
    assert d.held("USDT") == 120, "part of what the order held has gone"
    assert d.position() == 10
