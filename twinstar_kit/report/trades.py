"""Fills -> round-trip trades: one trade runs from flat to flat, and its profit is what was posted, to the unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twinstar_kit.kernel.instruments import Kind
from twinstar_kit.kernel.orders import EventKind

if TYPE_CHECKING:
    from twinstar_kit.kernel.instruments import Instrument

fill_t = np.dtype(
    [
        ("ts_event", "i8"),
        ("order_id", "i8"),
        ("instrument", "i4"),
        ("side", "i4"),
        ("last_px", "i8"),
        ("last_qty", "i8"),
        ("gross", "i8"),
        ("fee", "i8"),
    ]
)
"""One fill: time (ms UTC), +1 bought or -1 sold, price units, amount units, notional and fee in quote units (>= 0)."""

trade_t = np.dtype(
    [
        ("entry_ts", "i8"),
        ("exit_ts", "i8"),
        ("instrument", "i4"),
        ("side", "i4"),
        ("amount", "i8"),
        ("entry_money", "i8"),
        ("exit_money", "i8"),
        ("fees", "i8"),
        ("pnl", "i8"),
        ("ret", "f8"),
        ("entry_px", "f8"),
        ("exit_px", "f8"),
        ("n_fills", "i4"),
        ("open", "i4"),
    ]
)
"""One trade: times (ms UTC), +1 long or -1 short, amount entered (amount units), money in quote units.

`pnl` is after fees and exact; `ret` is `pnl / entry_money`; `entry_px` and `exit_px` are average prices in
price units (floats: they are reports). `open` is 1 for a position that is still held, marked at the last price.
"""


def fills(events: NDArray[np.void], instruments: Instrument | Sequence[Instrument]) -> NDArray[np.void]:
    """Pick the fills out of a journal's records (`event_t`, any kinds, in order) as `fill_t` rows.

    The notional is what the ledger counted: price times amount, rounded up for a purchase and down for a sale, of an inverse
    contract the other way round; the fee is the record's own. Both are in money units of what the instrument settles in.
    """
    at = np.flatnonzero(events["kind"] == EventKind.FILLED)
    out = np.empty(len(at), fill_t)
    for name in ("ts_event", "order_id", "instrument", "side", "last_px", "last_qty"):
        out[name] = events[name][at]
    out["fee"] = events["amount"][at]
    for j, instrument in enumerate(_listed(instruments)):
        own = out["instrument"] == j
        price, qty = out["last_px"][own], out["last_qty"][own]
        bought = out["side"][own] > 0
        if instrument.kind is Kind.INVERSE:
            out["gross"][own] = _inverse_notional(price, qty, instrument.money_divisor, ~bought)
        else:
            out["gross"][own] = _notional(price, qty, instrument.money_divisor, bought)
    return out


def _listed(instruments: Instrument | Sequence[Instrument]) -> Sequence[Instrument]:
    return instruments if isinstance(instruments, Sequence) else [instruments]


def _notional(
    price: NDArray[np.int64], qty: NDArray[np.int64], divisor: int, up: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """`price * qty / divisor`, exact although the product may pass 64 bits, as `kernel.money.mul_div` does it."""
    guess = (price.astype(np.float64) * qty / divisor).astype(np.int64)
    rest = price * qty - guess * divisor
    out: NDArray[np.int64] = guess + rest // divisor + (up & (rest % divisor != 0))
    return out


def _inverse_notional(
    price: NDArray[np.int64], qty: NDArray[np.int64], divisor: int, up: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """`qty * divisor / price`, exact, as `kernel.values` does it."""
    exact = [divmod(int(q) * divisor, int(p)) for p, q in zip(price, qty, strict=True)]
    return np.array([whole + (rest > 0 and u) for (whole, rest), u in zip(exact, up, strict=True)], np.int64)


def trades(
    fills: NDArray[np.void],
    instruments: Instrument | Sequence[Instrument],
    last_px: int | Sequence[int] | None = None,
    last_ts: int | None = None,
) -> NDArray[np.void]:
    """Fold fills into round trips, each from the leaving of zero to the next return to it.

    Scaling in and out belongs to the same trade; a fill that turns a long into a short closes one trade and opens
    the next, its money and fee divided by amount (the remainder goes to the trade that closes). Average cost: the
    entry price is the mean over all entering fills.

    `fills` is `fill_t[n]` in time order; its field `instrument` indexes `instruments` (one instrument may stand
    alone). A position still held at the end is a row with `open = 1` and `exit_ts = last_ts`, marked at `last_px`
    (price units, one per instrument) and rounded against the account; without a price it is marked at its cost.
    Returns `trade_t`, ordered by `exit_ts`, open ones last.

    >>> from twinstar_kit.kernel.instruments import Instrument
    >>> btc = Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.00001")
    >>> rows = [(0, 1, 0, 1, 100, 2, 200, 1), (60_000, 2, 0, -1, 110, 2, 220, 1)]
    >>> t = trades(np.array(rows, fill_t), btc)
    >>> int(t["pnl"][0]), round(float(t["ret"][0]), 3)
    (18, 0.09)
    """
    if len(fills) == 0:
        return np.empty(0, trade_t)
    listed = _listed(instruments)
    prices = last_px if isinstance(last_px, Sequence) else [last_px] * len(listed)
    ends = int(fills["ts_event"][-1]) if last_ts is None else last_ts
    parts = []
    for j in np.unique(fills["instrument"]):
        own = fills if len(listed) == 1 else fills[fills["instrument"] == j]
        parts.append(_round_trips(_split_flips(own), listed[j], prices[j], ends))
    out = np.concatenate(parts)
    return out if len(parts) == 1 else out[np.lexsort((out["entry_ts"], out["exit_ts"], out["open"]))]


def _split_flips(f: NDArray[np.void]) -> NDArray[np.void]:
    """Cut every fill that crosses zero into the part that closes and the part that opens."""
    position = np.cumsum(f["side"] * f["last_qty"])
    before = position - f["side"] * f["last_qty"]
    flips = np.flatnonzero(np.sign(before) * np.sign(position) < 0)
    if len(flips) == 0:
        return f
    out = np.repeat(f, 1 + np.isin(np.arange(len(f)), flips))
    opening = flips + np.arange(1, len(flips) + 1)
    closing = opening - 1
    out["last_qty"][opening] = np.abs(position[flips])
    out["last_qty"][closing] = np.abs(before[flips])
    for name in ("gross", "fee"):
        whole = [int(x) for x in f[name][flips]]
        part = [
            w * abs(int(p)) // int(q)
            for w, p, q in zip(whole, position[flips], f["last_qty"][flips], strict=True)
        ]
        out[name][opening] = part
        out[name][closing] = np.array(whole) - np.array(part)
    return out


def _round_trips(
    f: NDArray[np.void], instrument: Instrument, last_px: int | None, last_ts: int
) -> NDArray[np.void]:
    """Sum the fills of each flat-to-flat stretch of one instrument."""
    side, qty, gross = (np.ascontiguousarray(f[name]) for name in ("side", "last_qty", "gross"))
    position = np.cumsum(side * qty)
    stops = np.flatnonzero(position == 0)
    starts = np.concatenate(([0], stops + 1))
    held = starts[-1] < len(f)
    starts, last = (starts, np.append(stops, len(f) - 1)) if held else (starts[:-1], stops)

    entering = np.repeat(side[starts], last - starts + 1) == side
    value = f["last_px"] * qty.astype(np.float64)

    out = np.zeros(len(starts), trade_t)
    out["entry_ts"] = f["ts_event"][starts]
    out["exit_ts"] = f["ts_event"][last]
    out["instrument"] = f["instrument"][0]
    out["side"] = side[starts]
    out["amount"] = np.add.reduceat(np.where(entering, qty, 0), starts)
    out["entry_money"] = np.add.reduceat(np.where(entering, gross, 0), starts)
    out["exit_money"] = np.add.reduceat(np.where(entering, 0, gross), starts)
    out["fees"] = np.add.reduceat(np.ascontiguousarray(f["fee"]), starts)
    out["n_fills"] = last - starts + 1
    out["entry_px"] = np.add.reduceat(np.where(entering, value, 0.0), starts) / out["amount"]
    exited = np.add.reduceat(np.where(entering, 0.0, value), starts)
    if held:
        out["open"][-1] = 1
        out["exit_ts"][-1] = last_ts
        money, worth = _mark(out[-1], int(position[-1]), instrument, last_px)
        out["exit_money"][-1] += money
        exited[-1] += worth
    out["exit_px"] = exited / out["amount"]
    gains = -out["side"] if instrument.kind is Kind.INVERSE else out["side"]
    out["pnl"] = gains * (out["exit_money"] - out["entry_money"]) - out["fees"]
    out["ret"] = out["pnl"] / np.maximum(out["entry_money"], 1)
    return out


def _mark(trade: np.void, left: int, instrument: Instrument, last_px: int | None) -> tuple[int, float]:
    """Value the amount still held: money in quote units, and price times amount for the average price."""
    if last_px is None:
        entered = int(trade["amount"])
        return int(trade["entry_money"]) * abs(left) // entered, float(trade["entry_px"]) * abs(left)
    # rounded against the account: down for a value that it would get, up for one that it would pay
    gets = (left > 0) != (instrument.kind is Kind.INVERSE)
    value = instrument.value(last_px, abs(left)) if gets else -instrument.value(last_px, -abs(left))
    return value, float(last_px * abs(left))
