"""The double-entry ledger: every posting moves units of one asset between two accounts, so each asset sums to zero."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from twinstar_kit.jit import inlined
from twinstar_kit.kernel.orders import EventKind


class Account(IntEnum):
    """Columns of the ledger. FREE and HELD are the trader's; the rest is where money comes from and goes to.

    MARKET is everybody else, FEES and ROUNDING are the venue's, CAPITAL is the source of deposits.
    """

    FREE = 0
    HELD = 1
    MARKET = 2
    FEES = 3
    ROUNDING = 4
    CAPITAL = 5


N_ACCOUNTS = len(Account)
FREE, HELD, MARKET, FEES, ROUNDING, CAPITAL = (int(a) for a in Account)
_POSTED = int(EventKind.POSTED)


@inlined
def post(
    state: Any, ledger: Any, out: Any, asset: int, debit: int, credit: int, amount: int, j: int, order_id: int
) -> None:
    """Move `amount` units of `asset` from account `debit` to account `credit`, and say so in the journal."""
    if amount == 0:
        return
    ledger[asset, debit] -= amount
    ledger[asset, credit] += amount
    s = state[0]
    r = out[s.n_out]
    s.n_out += 1
    s.seq += 1
    r.seq = s.seq
    r.ts_event = s.now
    r.kind = _POSTED
    r.reason = 0
    r.instrument = j
    r.side = 0
    r.ord_type = 0
    r.flags = 0
    r.asset = asset
    r.debit = debit
    r.credit = credit
    r.order_id = order_id
    r.link_id = 0
    r.price = 0
    r.stop_px = 0
    r.order_qty = 0
    r.last_px = 0
    r.last_qty = 0
    r.cum_qty = 0
    r.leaves_qty = 0
    r.amount = amount
