"""Builders of bars for the tests of integrity: walks without a fault, as int64 rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MINUTE = 60_000
START = 1_735_689_600_000  # 2025-01-01
Rows = npt.NDArray[np.int64]


def walk(n: int = 3_000, seed: int = 1, *, start: int = START, step: int = MINUTE, tick: int = 1) -> Rows:
    """`n` faultless bars in a row; no two alike, none without movement or volume."""
    rng = np.random.default_rng(seed)
    close = (1_000_000 + np.cumsum(rng.integers(-40, 41, n))) * tick
    rows = np.empty((n, 6), np.int64)
    rows[:, 0] = start + step * np.arange(n)
    rows[:, 1] = np.r_[close[0], close[:-1]]
    rows[:, 2] = np.maximum(rows[:, 1], close) + rng.integers(1, 30, n) * tick
    rows[:, 3] = np.minimum(rows[:, 1], close) - rng.integers(1, 30, n) * tick
    rows[:, 4] = close
    rows[:, 5] = np.exp(rng.normal(14, 1, n)).astype(np.int64) + 1
    return rows


def shifted(rows: Rows, by_ms: int) -> Rows:
    """The same bars on a clock that is `by_ms` ahead."""
    return np.column_stack([rows[:, 0] + by_ms, rows[:, 1:]])
