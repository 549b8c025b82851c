"""The double-entry ledger: every posting moves units of one asset between two accounts, so each asset sums to zero."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from twinstar_kit.jit import inlined
from twinstar_kit.kernel.orders import EventKind
from twinstar_kit.kernel.tables import note


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
    note(state, out, _POSTED, 0, j, 0, 0, 0, order_id, 0, 0, 0, 0, asset, amount)
    r = out[state[0].n_out - 1]
    r.debit = debit
    r.credit = credit
