"""Checks of rows that lie on no grid: trades, funding rates and book changes."""

from __future__ import annotations

import numpy as np

from twinstar_kit.lake.checks import Check, Status, found, not_run
from twinstar_kit.lake.rows import COLUMNS, KEYS, Rows
from twinstar_kit.lake.series import Kind

ID = 4
REGULAR = 0.99
"""Ids count as numbered one by one when at least this share of them follows on the one before."""


def check_rows(kind: Kind, rows: Rows, before: Rows | None = None) -> tuple[list[Check], Rows]:
    """The checks of rows of a kind, and the last row, which the next call takes as `before`.

    >>> trades = np.array([[1, 5, 2, 1, 7], [1, 5, 2, 1, 7], [0, -5, 2, 1, 8]])
    >>> [(check.name, check.count) for check in check_rows(Kind.TRADES, trades)[0] if check.count]
    [('duplicates', 1), ('order', 1), ('prices', 1)]
    """
    whole = rows if before is None else np.concatenate([before, rows])
    keys = whole[:, list(KEYS[kind])]
    again = (keys[1:] == keys[:-1]).all(axis=1)
    late = np.diff(whole[:, 0]) < 0
    stamps = whole[1:, 0]
    checks = [
        not_run("gaps", f"{kind.value} lie on no grid that would tell what is missing"),
        found(
            "duplicates", Status.VIOLATED, int(again.sum()), stamps[again], "rows that repeat the one before"
        ),
        found(
            "order", Status.VIOLATED, int(late.sum()), stamps[late], "rows that are older than the one before"
        ),
    ]
    names = COLUMNS[kind]
    if "price" in names:
        bad = rows[:, names.index("price")] <= 0
        checks.append(
            found("prices", Status.VIOLATED, int(bad.sum()), rows[bad, 0], "prices of zero or below")
        )
        empty = rows[:, names.index("amount")] < (0 if kind is Kind.DEPTH else 1)
        checks.append(
            found("amounts", Status.VIOLATED, int(empty.sum()), rows[empty, 0], "amounts below what can be")
        )
    if kind is Kind.TRADES:
        checks.append(_ids(whole))
    return checks, rows[-1:]


def _ids(trades: Rows) -> Check:
    steps = np.diff(np.sort(trades[:, ID]))
    if len(steps) < 100 or (steps == 1).mean() < REGULAR:
        return not_run("trade_ids", "ids are not numbered one by one, so they do not tell what is missing")
    return found(
        "trade_ids",
        Status.NOTICED,
        int((steps > 1).sum()),
        (),
        f"{int((steps - 1).clip(0).sum())} ids are skipped",
    )
