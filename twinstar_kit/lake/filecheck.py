"""Verifying a bare file of bars, as it lies there: unsorted, repeated and wrong rows are counted, not refused."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.files import loose_instrument
from twinstar_kit.feeds.resample import MONDAY_MS, WEEK_MS
from twinstar_kit.feeds.tables import COLUMNS, numbers, read_table, timestamps
from twinstar_kit.kernel.bars import format_timeframe, parse_timeframe
from twinstar_kit.kernel.errors import DataError
from twinstar_kit.lake.checks import (
    Check,
    Column,
    Columns,
    Status,
    Unusual,
    check_gaps,
    check_opening,
    check_spikes,
    found,
    months_of,
    not_run,
    scan_unsorted,
)
from twinstar_kit.lake.series import Series
from twinstar_kit.lake.verdicts import MonthVerdict, SeriesVerdict, Verification

TIMEFRAMES = ("1w", "1d", "12h", "8h", "6h", "4h", "2h", "1h", "30m", "15m", "10m", "5m", "3m", "1m", "30s", "15s", "10s",
              "5s", "1s")  # fmt: skip
SCALE = 8
ROOM = float(2**61)
ALONE = "a file has nothing beside it to compare with; import it into a lake"


def verify_file(
    path: str | os.PathLike[str], symbol: str | None = None, exchange: str | None = None,
    timeframe: str | None = None, since_ms: int | None = None, until_ms: int | None = None,
    *, tick: str | None = None,
) -> Verification:  # fmt: skip
    """Check a Parquet, CSV or Feather file with the columns timestamp, open, high, low, close and volume.

    Order is judged as the rows stand in the file, everything else as they are once sorted. What is not named is taken
    from the file's name, the timeframe from the rows. DataError when the file cannot be read as bars at all.
    """
    begun = time.perf_counter()
    file = Path(path)
    table, _ = read_table(file)
    try:
        if not table.num_rows:
            raise DataError("there are no bars in it")
        stamps = timestamps(table["timestamp"])
        columns = Columns(stamps, *(_units(numbers(table[name], name)) for name in COLUMNS[1:]))
        name = timeframe or infer_timeframe(stamps)
        instrument = loose_instrument(file, symbol, exchange, tick)
    except DataError as error:
        raise DataError(f"{file}: {error}") from None
    kept = np.ones(len(stamps), np.bool_)
    if since_ms is not None:
        kept &= stamps >= since_ms
    if until_ms is not None:
        kept &= stamps < until_ms
    series = Series(instrument.exchange, instrument.symbol, name)
    verdict = verify_columns(series, columns.take(kept), since_ms, until_ms, instrument.tick)
    return Verification((verdict,), time.perf_counter() - begun)


def verify_columns(
    series: Series, columns: Columns, since_ms: int | None = None, until_ms: int | None = None, tick: int = 1
) -> SeriesVerdict:
    """Every check that bars in any order can be put through on their own, as one stretch."""
    step = series.timeframe_ms
    scan, basic = scan_unsorted(columns, step, since_ms)
    if until_ms is not None:
        scan.finish(until_ms)
    ordered = columns.take(np.argsort(columns.timestamp, kind="stable"))
    unusual = Unusual(step, tick)
    unusual.feed(ordered, last=True)
    checks = [
        check_gaps(scan.gaps, [], step), *basic, *unusual.checks(), _spikes(ordered), check_opening(ordered, step),
        *(not_run(name, ALONE) for name in ("longer_bars", "trades", "second_venue", "time_zone", "revised")),
    ]  # fmt: skip
    order = next(check.count for check in basic if check.name == "order")
    first, last = (int(ordered.timestamp[at]) for at in (0, -1)) if scan.rows else (None, None)
    stretch = MonthVerdict(
        "", first or since_ms or 0, (last or until_ms or 0) + step, scan.rows, tuple(checks), tuple(scan.gaps), (),
        scan.wrong + order, whole=False,
    )  # fmt: skip
    return SeriesVerdict(series, first, last, (stretch,), step)


def _spikes(ordered: Columns) -> Check:
    """Over every month; what is usual changes with the years."""
    found_in = [check_spikes(month) for month in months_of(ordered)]
    ran = [check for check in found_in if check.status is not Status.NOT_RUN]
    if not ran:
        return found_in[0] if found_in else not_run("spikes", "there are no bars")
    first = [stamp for check in ran for stamp in check.first]
    return found("spikes", Status.NOTICED, sum(check.count for check in ran), first, ran[0].detail)


def _units(values: npt.NDArray[np.float64]) -> Column:
    """In units of 1e-8, or in larger ones where 64 bits would not hold them; what is no number counts as zero."""
    scale = SCALE
    finite = np.where(np.isfinite(values), values, 0.0)
    while scale and np.abs(finite).max(initial=0.0) * 10.0**scale > ROOM:
        scale -= 1
    return np.rint(np.clip(finite * 10.0**scale, -ROOM, ROOM)).astype(np.int64)


def infer_timeframe(stamps: Column) -> str:
    """The timeframe that most rows tell, or the longest whose grid nearly all of them lie on.

    >>> infer_timeframe(np.array([0, 60_000, 60_000, 120_000, 420_000]))
    '1m'
    """
    steps = np.diff(np.unique(stamps))
    if not len(steps):
        raise DataError("one bar does not tell its timeframe; name it, such as --timeframe 1m")
    values, counts = np.unique(steps, return_counts=True)
    usual = int(values[counts.argmax()])
    if 2 * counts.max() >= len(steps) and usual % 1000 == 0:
        return format_timeframe(usual)
    for name in TIMEFRAMES:
        step = parse_timeframe(name)
        shift = MONDAY_MS if step % WEEK_MS == 0 else 0
        if ((stamps - shift) % step == 0).mean() >= 0.99:
            return name
    raise DataError("rows lie on no grid that is known; name the timeframe, such as --timeframe 1m")
