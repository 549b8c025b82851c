"""The double-entry ledger: every posting moves units of one asset between two accounts, so each row sums to zero."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from twinstar_kit.jit import outlined
from twinstar_kit.kernel.orders import EventKind
from twinstar_kit.kernel.tables import latest, note


class Account(IntEnum):
    """Columns of the ledger. FREE, HELD and MARGIN are the trader's; the rest is where money comes from and goes to.

    HELD stands behind open orders, MARGIN behind positions. MARKET is everybody else, FEES and ROUNDING are the venue's,
    CAPITAL is the source of deposits, INSURANCE pays what a liquidation loses beyond its collateral, TRANSFER is the
    way between two wallets.
    """

    FREE = 0
    HELD = 1
    MARGIN = 2
    MARKET = 3
    FEES = 4
    ROUNDING = 5
    CAPITAL = 6
    INSURANCE = 7
    TRANSFER = 8


class Wallet(IntEnum):
    """Blocks of ledger rows: the row of an asset is `wallet * number of assets + asset`."""

    SPOT = 0
    SWAP = 1


OWN = (Account.FREE, Account.HELD, Account.MARGIN)
"""The trader's own columns: their sum is the balance."""

N_ACCOUNTS = len(Account)
FREE, HELD, MARGIN, MARKET, FEES, ROUNDING, CAPITAL, INSURANCE, TRANSFER = (int(a) for a in Account)
_POSTED = int(EventKind.POSTED)


@outlined
def post(d: Any, row: int, debit: int, credit: int, amount: int, j: int, order_id: int) -> None:
    """Move `amount` units of ledger row `row` from account `debit` to account `credit`, and say so in the journal."""
    if amount == 0:
        return
    d.ledger[row, debit] -= amount
    d.ledger[row, credit] += amount
    note(d, _POSTED, 0, j, 0, 0, 0, order_id, 0, 0, 0, 0, row, amount)
    r = latest(d)
    r.debit = debit
    r.credit = credit
