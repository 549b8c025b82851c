"""What a fill costs: the rate by volume of thirty days, and the asset that the fee is taken in."""

from __future__ import annotations

from typing import Any

from twinstar_kit.jit import inlined, outlined
from twinstar_kit.kernel.ledger import FEES, FREE, post
from twinstar_kit.kernel.money import RATE_SCALE, mul_div, mul_div_up
from twinstar_kit.kernel.tables import FEE_DAYS, FillFlag

FEE_ASSET, FELL_BACK = int(FillFlag.FEE_ASSET), int(FillFlag.FEE_FELL_BACK)


@inlined
def turn_page(d: Any) -> int:
    """Forget days that are more than thirty ago; returns today's place in the table of volumes."""
    s = d.state[0]
    today = s.now // s.day
    if s.volume_day == 0:
        s.volume_day = today
    while s.volume_day < today:
        s.volume_day += 1
        s.volume[s.volume_day % FEE_DAYS] = 0
        if today - s.volume_day > FEE_DAYS:
            s.volume_day = today - FEE_DAYS
    return today % FEE_DAYS


@outlined
def fee_rate(d: Any, j: int, maker: bool) -> int:
    """The rate of instrument `j` in hundred-millionths: its own, or that of the highest tier that the volume reaches."""
    s = d.state[0]
    m = d.inst[j]
    rate = m.fee_maker if maker else m.fee_taker
    if s.n_fee_tiers > 0:
        turn_page(d)
        traded = 0
        for i in range(FEE_DAYS):
            traded += s.volume[i]
        for i in range(s.n_fee_tiers):
            if traded >= s.fee_volume[i]:
                rate = s.fee_maker[i] if maker else s.fee_taker[i]
    return rate


@inlined
def highest_rate(d: Any, j: int) -> int:
    """The fee rate that an order must be able to pay, whichever it turns out to be."""
    return max(fee_rate(d, j, True), fee_rate(d, j, False))


@outlined
def count_volume(d: Any, j: int, value: int) -> None:
    """Add a fill's value to today's volume, if it is counted in the asset of the tiers."""
    s = d.state[0]
    if s.n_fee_tiers > 0 and d.inst[j].settle % s.n_assets == s.fee_tier_row:
        s.volume[turn_page(d)] += value


@inlined
def fee_of(value: int, rate: int) -> int:
    """The fee on a value, rounded against the account; a negative rate is a rebate."""
    if rate < 0:
        return -mul_div(value, -rate, RATE_SCALE)
    return mul_div_up(value, rate, RATE_SCALE)


@outlined
def third_asset(d: Any, j: int, fee: int, sold: int) -> int:
    """Units of the fee asset that pay `fee` at its last price, or 0 when it has no price or there is not enough of it.

    `sold` of the free balance of the base is leaving with the same fill.
    """
    m = d.inst[j]
    f = m.fee_instrument
    if f < 0 or fee <= 0 or d.inst[f].last <= 0:
        return 0
    units = mul_div_up(fee, d.inst[f].divisor, d.inst[f].last)
    row = d.inst[f].base + (m.settle // d.state[0].n_assets) * d.state[0].n_assets
    free = d.ledger[row, FREE] - (sold if row == m.base else 0)
    return units if free >= units else 0


@inlined
def fee_row(d: Any, j: int) -> int:
    """The ledger row of the fee asset in the wallet that instrument `j` settles in."""
    n = d.state[0].n_assets
    return d.inst[d.inst[j].fee_instrument].base + (d.inst[j].settle // n) * n


@inlined
def fee_flags(d: Any, j: int, fee: int, units: int) -> int:
    """What a fill's record says about the asset of its fee."""
    if d.inst[j].fee_instrument < 0 or fee <= 0:
        return 0
    return FEE_ASSET if units > 0 else FELL_BACK


@outlined
def pay_fee(d: Any, row: int, source: int, fee: int, j: int, order_id: int) -> None:
    """Post a fee from account `source`; a rebate goes to the free balance."""
    if fee > 0:
        post(d, row, source, FEES, fee, j, order_id)
    elif fee < 0:
        post(d, row, FEES, FREE, -fee, j, order_id)
