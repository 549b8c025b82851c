"""Ground truth: bars against longer bars, against the trades they are made of, and against another venue.

Longer bars and trades of the same venue must agree exactly, so a difference is a dispute. Two venues are two markets:
what they tell differently is unusual at most, unless one of them stands on another clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.resample import aggregate, ceil_time, floor_time
from twinstar_kit.kernel.bars import CLOSE, HIGH, LOW, OPEN, TIMESTAMP, VOLUME
from twinstar_kit.lake.checks import Check, Status, found, not_run

Rows = npt.NDArray[np.int64]
FIELDS = {"open": OPEN, "high": HIGH, "low": LOW, "close": CLOSE, "volume": VOLUME}
OUTLIER_SIGMAS = 8.0
OUTLIER_LEAST = 0.002
"""A spread is an outlier when it is this many robust deviations and at least this share of the price off its median."""
HALF_HOUR_MS = 1_800_000
MAX_LAG_MS = 26 * 3_600_000  # zones lie up to 26 hours apart
LEAST_PAIRS = 96


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sources of the same bars, compared bar by bar.

    `compared` bars were there in both; `skipped` could not be compared (incomplete on one side); `mismatched` holds
    the opens (ms UTC) that differ, `fields` how often each column did.
    """

    compared: int
    skipped: int
    mismatched: tuple[int, ...]
    fields: dict[str, int]

    def to_check(self, name: str, what: str) -> Check:
        """As a check; not run when there was nothing to compare."""
        if not self.compared:
            return not_run(name, f"{what}: no complete bar on both sides ({self.skipped} incomplete)")
        words = (
            f"{what}: {self.compared} bars compared, {len(self.mismatched)} differ, {self.skipped} incomplete"
        )
        if self.mismatched:
            words += "; " + ", ".join(f"{name} {count}" for name, count in self.fields.items() if count)
        return found(name, Status.DISPUTED, len(self.mismatched), self.mismatched, words)


def compare(left: Rows, right: Rows, skipped: int = 0) -> Comparison:
    """Compare rows that are there on both sides, all five values for equality.

    >>> one = np.array([[0, 5, 6, 4, 5, 9], [60_000, 5, 7, 5, 6, 9]])
    >>> compare(one, one - [0, 0, 1, 0, 0, 0]).fields["high"]
    2
    """
    _, at, to = _common(left[:, TIMESTAMP], right[:, TIMESTAMP])
    differs = left[at, 1:] != right[to, 1:]
    stamps = left[at, TIMESTAMP][differs.any(axis=1)]
    fields = {name: int(differs[:, column - 1].sum()) for name, column in FIELDS.items()}
    return Comparison(len(differs), skipped, tuple(stamps.tolist()), fields)


def _common(left: Rows, right: Rows) -> tuple[Rows, Any, Any]:
    """Times that are in both, and where they stand."""
    if np.array_equal(left, right):
        return left, slice(None), slice(None)
    return np.intersect1d(left, right, assume_unique=True, return_indices=True)


def against_longer(rows: Rows, step_ms: int, longer: Rows, longer_ms: int) -> Comparison:
    """`rows` joined to the longer timeframe against what the venue said of it.

    Only longer bars whose every shorter bar is there are compared; the others count as skipped.

    >>> minutes = np.array([[k * 60_000, 5, 6, 4, 5, 2] for k in range(5)])
    >>> against_longer(minutes, 60_000, np.array([[0, 5, 6, 4, 5, 10]]), 300_000).mismatched
    ()
    """
    joined = aggregate(rows, longer_ms)
    opens = np.searchsorted(rows[:, TIMESTAMP], joined[:, TIMESTAMP])
    complete = np.diff(np.append(opens, len(rows))) == longer_ms // step_ms
    known = np.isin(longer[:, TIMESTAMP], joined[complete, TIMESTAMP], assume_unique=True)
    return compare(joined[complete], longer, int((~known).sum()))


def bars_from_trades(trades: Rows, step_ms: int) -> Rows:
    """Bars (n, 6) from trades (n, 5: timestamp, price, amount, side, id) in the order of timestamp and id.

    >>> bars_from_trades(np.array([[1, 5, 2, 1, 1], [9, 7, 1, 1, 2], [60_001, 6, 4, -1, 3]]), 60_000).tolist()
    [[0, 5, 7, 5, 7, 3], [60000, 6, 6, 6, 6, 4]]
    """
    if not len(trades):
        return np.empty((0, 6), np.int64)
    order = np.lexsort((trades[:, 4], trades[:, 0]))
    if (np.diff(order) != 1).any():
        trades = trades[order]
    price = trades[:, 1]
    return aggregate(np.column_stack((trades[:, 0], price, price, price, price, trades[:, 2])), step_ms)


def against_trades(
    rows: Rows, trades: Rows, step_ms: int, covered: tuple[int, int] | None = None
) -> Comparison:
    """`rows` against the bars that the trades make.

    `covered` are the times of the first and the last trade that are known (default: those of `trades`); between them
    a bar with volume and without trades is a mismatch, and so are trades without a bar. The two bars at the ends may
    hold only a part of their trades: they are compared when they agree, and skipped when not.
    """
    if covered is None and not len(trades):
        return Comparison(0, 0, (), dict.fromkeys(FIELDS, 0))
    first, last = covered or (int(trades[:, 0].min()), int(trades[:, 0].max()))
    edges = np.array([floor_time(first, step_ms), floor_time(last, step_ms)])
    made = bars_from_trades(trades, step_ms)
    told = rows[(rows[:, 0] >= edges[0]) & (rows[:, 0] <= edges[1]) & (rows[:, VOLUME] > 0)]
    both = compare(told, made)
    alone = np.setxor1d(told[:, TIMESTAMP], made[:, TIMESTAMP], assume_unique=True)
    wrong = np.union1d(np.array(both.mismatched, np.int64), alone)
    cut = np.isin(wrong, edges)
    fields = both.fields | {"only in one": int((~np.isin(alone, edges)).sum())}
    compared = both.compared + len(alone) - int(cut.sum())
    return Comparison(compared, int(cut.sum()), tuple(wrong[~cut].tolist()), fields)


class Spread(NamedTuple):
    """How the closes of two venues lie apart, as a share of the price."""

    compared: int
    median: float
    deviation: float
    outliers: Rows

    def to_check(self, other: str) -> Check:
        """As a notice."""
        if self.compared < LEAST_PAIRS:
            return not_run(
                "second_venue", f"{other}: {self.compared} common bars are too few to tell a usual spread"
            )
        words = (
            f"{other}: {self.compared} bars compared, median spread {self.median:+.4%}, deviation {self.deviation:.4%},"
            f" outliers lie beyond {max(OUTLIER_SIGMAS * self.deviation, OUTLIER_LEAST):.4%} from it"
        )
        return found("second_venue", Status.NOTICED, len(self.outliers), self.outliers, words)


def against_venue(rows: Rows, other: Rows, price_unit: float = 1.0, other_unit: float = 1.0) -> Spread:
    """The spread of two venues' closes, and the bars where it is far from usual.

    Usual is the median; far is in median absolute deviations times 1.4826, which equals a standard deviation for
    normal values (Rousseeuw and Croux 1993). `price_unit` and `other_unit` are what one unit of price is worth.
    """
    stamps, at, to = _common(rows[:, TIMESTAMP], other[:, TIMESTAMP])
    if not len(stamps):
        return Spread(0, 0.0, 0.0, stamps)
    spread = np.log(rows[at, CLOSE] * price_unit) - np.log(other[to, CLOSE] * other_unit)
    middle = float(np.median(spread))
    deviation = 1.4826 * float(np.median(np.abs(spread - middle)))
    limit = max(OUTLIER_SIGMAS * deviation, OUTLIER_LEAST)
    return Spread(len(stamps), middle, deviation, stamps[np.abs(spread - middle) > limit])


class Lag(NamedTuple):
    """At which shift of time two series agree best: positive when the first is late."""

    best_ms: int
    correlation: float
    at_zero: float
    pairs: int

    def to_check(self, other: str) -> Check:
        """A violation when the series clearly stands on another clock than `other`."""
        if self.pairs < LEAST_PAIRS:
            return not_run("time_zone", f"{other}: {self.pairs} common steps are too few for a correlation")
        words = f"{other}: correlation of returns {self.at_zero:.3f} at lag 0, best {self.correlation:.3f}"
        words += f" at {self.best_ms / 3_600_000:+g} h over {self.pairs} steps"
        if self.correlation < 0.5:
            return not_run("time_zone", f"{words}: too weak to tell a shift")
        shifted = self.best_ms != 0 and self.correlation - self.at_zero > 0.2
        return found("time_zone", Status.VIOLATED, int(shifted), (), words)


def best_lag(rows: Rows, step_ms: int, other: Rows, other_step_ms: int) -> Lag:
    """The shift of time, in steps of half an hour or of the longer bar, at which two series' returns agree best.

    Closes are taken at the instants at which bars end, so bars of different length can be compared.
    """
    grid = max(step_ms, other_step_ms, HALF_HOUR_MS)
    if not len(rows) or not len(other):
        return Lag(0, 0.0, 0.0, 0)
    since = floor_time(int(min(rows[0, 0], other[0, 0])), grid)
    until = ceil_time(int(max(rows[-1, 0] + step_ms, other[-1, 0] + other_step_ms)), grid)
    one = _returns(rows, step_ms, since, until, grid)
    two = _returns(other, other_step_ms, since, until, grid)
    steps = MAX_LAG_MS // grid
    found = {lag: _correlation(one, two, lag) for lag in range(-steps, steps + 1)}
    strength, pairs = found[0]
    best = max(found, key=lambda lag: (found[lag][0], -abs(lag)))
    return Lag(best * grid, found[best][0], strength, pairs)


def _returns(rows: Rows, step_ms: int, since: int, until: int, grid: int) -> npt.NDArray[np.float64]:
    """Log returns from one instant of the grid to the next; NaN where no bar ends there."""
    ends = rows[:, TIMESTAMP] + step_ms
    exact = (ends - since) % grid == 0
    level = np.full((until - since) // grid + 1, np.nan)
    level[(ends[exact] - since) // grid] = np.log(np.maximum(rows[exact, CLOSE], 1))
    return np.diff(level)


def _correlation(one: npt.NDArray[np.float64], two: npt.NDArray[np.float64], lag: int) -> tuple[float, int]:
    a, b = (one[lag:], two[: len(two) - lag]) if lag >= 0 else (one[:lag], two[-lag:])
    both = np.isfinite(a) & np.isfinite(b)
    pairs = int(both.sum())
    if pairs < LEAST_PAIRS // 2:
        return 0.0, pairs
    a, b = a[both] - a[both].mean(), b[both] - b[both].mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return (float(a @ b) / scale if scale else 0.0), pairs
