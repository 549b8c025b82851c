"""Slippage models and price protection against Decimal formulas."""

from __future__ import annotations

from decimal import Decimal as D
from decimal import getcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel.builders import PERP, Desk, Floor

from twinstar_kit.kernel.context import Proposal
from twinstar_kit.kernel.orders import Reason

getcontext().prec = 60
TICK = D("0.01")


def up_to_tick(move: D) -> D:
    """A move in price, at least a whole price unit, to the next tick against the taker."""
    return (move / TICK).to_integral_value("ROUND_CEILING") * TICK


def expected(model: str, size: D, price: D, amount: D, volume: D) -> D:
    share = min(D(1), amount / volume) if volume else D(1)
    if model == "bps":
        return up_to_tick(price * size / 10_000)
    if model == "ticks":
        return up_to_tick(size * TICK)
    return up_to_tick(price * size * (share**2 if model == "volume_share" else share.sqrt()))


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize(
    ("model", "size"),
    [("bps", "3"), ("bps", "0.01"), ("ticks", "2"), ("ticks", "1.5"), ("volume_share", "0.1"), ("square_root", "0.05")],
)  # fmt: skip
@pytest.mark.parametrize(("amount", "volume"), [("1", "100"), ("7", "50"), ("30", "30"), ("9", "2")])
def test_a_taker_pays_what_the_formula_says(side, model, size, amount, volume) -> None:
    terms = {"slippage_bps": size} if model == "bps" else {"slippage": size}
    d = Desk({"USDT": 10**6, "BTC": 1000}, fee_maker=0, fee_taker=0, slippage_model=model, **terms).last(100)
    d.send(side, "market", amount)
    [(_, price, _)] = d.bar("100.10", 101, 99, 100, volume=volume)
    move = expected(model, D(size), D("100.10"), D(amount), D(volume))
    # the share of a volume is a float in the kernel: a move that lies on a tick may go one further
    difference = abs(price - D("100.10")) - move
    assert difference in ((D(0), TICK) if model in ("volume_share", "square_root") else (D(0),))
    assert (price > D("100.10")) is (side == "buy")
    assert d.price(d.events[-1]["ref_px"]) in (D("100.10"), 0)


@settings(max_examples=60, deadline=None)
@given(price=st.integers(600, 5_000_000), bps=st.integers(0, 9_999), sell=st.booleans())
def test_basis_points_of_any_price(price, bps, sell) -> None:
    d = Desk({"USDT": 10**9}, PERP, fee_maker=0, fee_taker=0, slippage_bps=bps)
    d.engine.on_trade(0, 0, price)
    d.send("sell" if sell else "buy", "market", 1)
    [(_, got, _)] = d.trade(D(price) / 100)
    move = expected("bps", D(bps), D(price) / 100, D(1), D(0))
    assert got == (max(D(price) / 100 - move, TICK) if sell else D(price) / 100 + move)


def test_a_limit_is_never_slipped_through_and_a_maker_not_at_all() -> None:
    d = Desk(slippage_bps=100, fee_maker=0, fee_taker=0).last(100)
    d.send("buy", "limit", 1, "100.50")
    assert d.bar(100, 101, 99, 100) == [("buy", D("100.50"), D(1))]
    d.send("buy", "limit", 1, 95)
    assert d.bar(100, 101, 94, 100) == [("buy", D(95), D(1))]


def test_fill_on_close_uses_the_volume_of_its_own_bar() -> None:
    prices = []
    for volume in (10, 1000):
        floor = Floor(
            {"USDT": 10**6}, PERP, fill="close", slippage_model="volume_share", slippage="0.5", fee_maker=0, fee_taker=0
        )  # fmt: skip
        floor.step((100, 101, 99, 100))
        row = [[floor.ts, 10_000, 10_100, 9_900, 10_000, floor.m.amount_units(volume)]]
        prices.append(step_row(floor, row))
    assert prices == [D(100) + up_to_tick(D(100) * D("0.5") * D("0.25")), D(100) + up_to_tick(D("0.00125"))]


def step_row(floor: Floor, row: list[list[int]]) -> D:
    """One bar with its own volume, on which five are bought at its close."""
    import numpy as np

    from twinstar_kit.kernel.gate import Op
    from twinstar_kit.kernel.plain import as_kernel_sees

    rows = np.array(row, np.int64)
    floor.engine.act(Op.MARKET_STEP, 0, 0, rows=rows, ctx=as_kernel_sees(floor.ctx))
    floor.ctx[0]["p_kind"][0], floor.ctx[0]["p_amount"][0] = int(Proposal.BUY), 5.0
    floor.ctx[0]["n_proposals"] = 1
    floor.engine.act(Op.ORDER_STEP, 0, 0, rows=rows, ctx=as_kernel_sees(floor.ctx))
    [(_, price, _)] = floor.fills(floor._drain())
    return price


# --- price protection ---------------------------------------------------------------------------------------------


def protected(bps: int, **terms) -> Desk:
    return Desk(
        {"USDT": 10**6, "BTC": 100}, fee_maker=0, fee_taker=0, protection_bps=bps, liquidity="bounded",
        engine={"levels": 5}, **terms,
    ).last(100)  # fmt: skip


def test_a_market_order_stops_where_the_book_is_further_than_its_protection() -> None:
    d = protected(200)
    d.send("buy", "market", 9)
    fills = d.book([(99, 1)], [(100, 1), (102, 2), ("102.01", 9)])
    assert fills == [("buy", D(100), D(1)), ("buy", D(102), D(2))]
    assert d.reasons() == [Reason.BEYOND_PROTECTION]
    assert d.open_ids() == []


def test_protection_of_a_sale_looks_down() -> None:
    d = protected(200)
    d.send("sell", "market", 9)
    assert len(d.book([(100, 1), (98, 2), ("97.99", 9)], [(101, 1)])) == 2
    assert d.reasons() == [Reason.BEYOND_PROTECTION]


def test_fill_or_kill_counts_only_what_protection_lets_it_have() -> None:
    d = protected(200)
    d.send("buy", "market", 4, time_in_force=2)
    assert d.book([(99, 1)], [(100, 1), (102, 2), (103, 9)]) == []
    assert d.reasons() == [Reason.NOT_FILLED_AT_ONCE]


def test_the_rest_of_a_market_order_does_not_chase_the_bars() -> None:
    d = protected(100, volume_share="0.5")
    d.send("buy", "market", 3)
    assert d.bar(100, 101, 99, 100, volume=2) == [("buy", D(100), D(1))]
    assert d.bar("101.01", 102, 100, 101, volume=2) == []
    assert d.reasons() == [Reason.BEYOND_PROTECTION]


def test_a_stop_is_measured_from_where_it_fired() -> None:
    d = protected(100)
    d.send("sell", "stop", 1, 95)
    assert d.bar(90, 91, 89, 90, volume=1000) == [("sell", D(90), D(1))]
