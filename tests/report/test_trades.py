"""Round trips against a slow exact fold, one fill at a time, and against vectorbt's positions."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.orders import EventKind
from twinstar_kit.kernel.records import event_t
from twinstar_kit.report import fill_t, fills, trade_t, trades

BTC = Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.00001", amount_scale=5, quote_scale=7)
LOOSE = Instrument.loose("BTC/USDT")


def make(rows: list[tuple[int, int, int]], fee: int = 7, instrument: int = 0) -> np.ndarray:
    """`fill_t` from (side, price units, amount units), one a minute, with money as the ledger posts it."""
    out = np.zeros(len(rows), fill_t)
    for i, (side, price, qty) in enumerate(rows):
        exact = Fraction(price * qty, BTC.money_divisor)
        gross = ceil(exact) if side > 0 else floor(exact)
        out[i] = (i * 60_000, i + 1, instrument, side, price, qty, gross, fee)
    return out


def slow(rows: np.ndarray) -> list[tuple[int, int, int, Fraction]]:
    """(entry minute, exit minute, side, profit before rounding of split money) of closed trades, by a plain loop."""
    done, position, cash, opened, side = [], 0, Fraction(0), 0, 0
    for f in rows:
        sign, left = int(f["side"]), int(f["last_qty"])
        while left:
            if position == 0:
                opened, side, cash = int(f["ts_event"]) // 60_000, sign, Fraction(0)
            part = left if position == 0 or sign * position > 0 else min(left, abs(position))
            share = Fraction(part, int(f["last_qty"]))
            cash -= (sign * int(f["gross"]) + int(f["fee"])) * share
            position += sign * part
            left -= part
            if position == 0:
                done.append((opened, int(f["ts_event"]) // 60_000, side, cash))
    return done


def test_a_simple_round_trip_pays_both_fees() -> None:
    got = trades(make([(1, 100_00, 100_000), (-1, 110_00, 100_000)]), BTC)
    assert got.dtype == trade_t
    assert len(got) == 1
    t = got[0]
    unit = 10**BTC.quote_scale
    assert (t["side"], t["amount"], t["open"], t["n_fills"]) == (1, 100_000, 0, 2)
    assert t["entry_money"] == 100 * unit
    assert t["pnl"] == 10 * unit - 14
    assert t["ret"] == pytest.approx((10 * unit - 14) / (100 * unit))
    assert (t["entry_px"], t["exit_px"]) == (100_00, 110_00)


def test_scaling_in_and_out_is_one_trade_at_average_prices() -> None:
    got = trades(make([(1, 100_00, 1), (1, 200_00, 3), (-1, 150_00, 2), (-1, 250_00, 2)]), BTC)
    assert len(got) == 1
    assert got["entry_px"][0] == 175_00
    assert got["exit_px"][0] == 200_00
    assert got["amount"][0] == 4


def test_an_open_position_is_marked_at_the_last_price_against_the_account() -> None:
    bought = make([(1, 100_01, 3)])
    got = trades(bought, BTC, last_px=120_01, last_ts=10 * 60_000)[0]
    assert (got["open"], got["exit_ts"]) == (1, 600_000)
    assert got["exit_money"] == 120_01 * 3 // BTC.money_divisor
    assert got["pnl"] == got["exit_money"] - got["entry_money"] - 7
    at_cost = trades(bought, BTC)[0]
    assert at_cost["exit_money"] == at_cost["entry_money"]
    assert at_cost["exit_px"] == at_cost["entry_px"]


def test_a_fill_through_zero_closes_one_trade_and_opens_the_next_without_losing_a_unit() -> None:
    rows = make([(1, 100_00, 3), (-1, 110_00, 5), (1, 90_00, 2)], fee=11)
    got = trades(rows, BTC)
    assert got["side"].tolist() == [1, -1]
    assert got["amount"].tolist() == [3, 2]
    cash = int(-(rows["side"] * rows["gross"]).sum() - rows["fee"].sum())
    assert int(got["pnl"].sum()) == cash
    assert int(got["fees"].sum()) == 33


def test_instruments_do_not_mix_and_rows_come_in_order_of_exit() -> None:
    a = make([(1, 100, 1), (-1, 120, 1)])
    b = make([(1, 100, 1), (-1, 90, 1)], instrument=1)
    both = np.concatenate((a, b))
    both["ts_event"] = [0, 5, 1, 2]
    order = np.argsort(both["ts_event"])
    got = trades(both[order], [BTC, LOOSE])
    assert got["instrument"].tolist() == [1, 0]
    assert got["exit_ts"].tolist() == [2, 5]


def test_no_fills_no_trades() -> None:
    assert len(trades(np.empty(0, fill_t), BTC)) == 0


fill_rows = st.lists(
    st.tuples(st.sampled_from([1, -1]), st.integers(1, 10**9), st.integers(1, 50)), min_size=1, max_size=40
)


@settings(max_examples=200, deadline=None)
@given(fill_rows)
def test_any_sequence_agrees_with_the_slow_fold(rows: list[tuple[int, int, int]]) -> None:
    made = make(rows)
    got = trades(made, BTC)
    closed = got[got["open"] == 0]
    want = slow(made)
    assert [(int(t["entry_ts"]) // 60_000, int(t["exit_ts"]) // 60_000, int(t["side"])) for t in closed] == [
        w[:3] for w in want
    ]
    for t, w in zip(closed, want, strict=True):
        assert abs(int(t["pnl"]) - w[3]) <= 4  # money of a fill through zero is divided in whole units
    assert int(got["fees"].sum()) == int(made["fee"].sum())
    marked = int((got["side"] * (got["exit_money"] - got["entry_money"]) - got["fees"]).sum())
    assert marked == int(got["pnl"].sum())


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 2 * 10**15), st.integers(1, 10**11), st.sampled_from([1, -1])), max_size=20
    )
)
def test_the_notional_of_a_fill_is_exact_past_64_bits(rows: list[tuple[int, int, int]]) -> None:
    rows = [r for r in rows if r[0] * r[1] // LOOSE.money_divisor < 2**60]
    events = np.zeros(2 * len(rows), event_t)
    for i, (price, qty, side) in enumerate(rows):
        for name, value in (
            ("kind", EventKind.FILLED),
            ("side", side),
            ("last_px", price),
            ("last_qty", qty),
        ):
            events[2 * i][name] = value
        events[2 * i]["amount"] = i
        events[2 * i + 1]["kind"] = EventKind.POSTED
    got = fills(events, LOOSE)
    assert len(got) == len(rows)
    for i, (price, qty, side) in enumerate(rows):
        exact = Fraction(price * qty, LOOSE.money_divisor)
        assert got["gross"][i] == (ceil(exact) if side > 0 else floor(exact))
        assert got["fee"][i] == i


@pytest.mark.parametrize("seed", range(3))
def test_round_trips_agree_with_vectorbt_positions(seed: int) -> None:
    vbt = pytest.importorskip("vectorbt")
    import pandas as pd

    rng = np.random.default_rng(seed)
    n = 300
    price = np.rint(100_00 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))).astype(np.int64)
    size = np.zeros(n, np.int64)
    held = 0
    for i in range(n):
        draw = rng.random()
        if draw < 0.2:
            size[i] = int(rng.integers(1, 9)) * 100_000
        elif draw < 0.5 and held:
            size[i] = -held if rng.random() < 0.5 else -int(rng.integers(1, held // 100_000 + 1)) * 100_000
        held += size[i]
    at = np.flatnonzero(size)
    rows = make([(int(np.sign(size[i])), int(price[i]), abs(int(size[i]))) for i in at], fee=0)
    rows["fee"] = np.ceil(rows["gross"] * 0.001)
    rows["ts_event"] = at
    pf = vbt.Portfolio.from_orders(
        pd.Series(price / 100), pd.Series(size / 1e5), fees=0.001, init_cash=1e9, freq="1min"
    )
    want = pf.positions.records
    got = trades(rows, BTC, last_px=int(price[-1]), last_ts=n - 1)
    assert len(got) == len(want)
    assert got["open"].tolist() == (want["status"] == 0).astype(int).tolist()
    assert got["entry_ts"].tolist() == want["entry_idx"].tolist()
    assert got["exit_ts"].tolist() == want["exit_idx"].tolist()
    unit = 10**BTC.quote_scale
    np.testing.assert_allclose(got["pnl"] / unit, want["pnl"], atol=1e-4)
    np.testing.assert_allclose(got["ret"], want["return"], atol=1e-8)
    np.testing.assert_allclose(got["entry_px"] / 100, want["entry_price"], rtol=1e-9)
    np.testing.assert_allclose(got["exit_px"] / 100, want["exit_price"], rtol=1e-9)
