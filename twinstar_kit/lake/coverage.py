"""Coverage: for every series and day, how many bars are there, where they come from, and how many are proven absent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.clock import to_milliseconds
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.lake.provenance import Provenance
from twinstar_kit.lake.series import DAY_MS, Kind, Series

if TYPE_CHECKING:
    from twinstar_kit.lake.store import Lake, SeriesInfo

KINDS = tuple(mark.name.lower() for mark in Provenance)


@dataclass(frozen=True)
class Coverage:
    """Counts of bars by series, day and provenance.

    `days` are UTC midnights (int64 ms); `counts` is int32 (series, days, provenance), where absences count under the
    reason that is proven; `expected` (series, days) is how many bars there should be: none outside of a series' span.
    """

    series: tuple[Series, ...]
    days: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int32]
    expected: npt.NDArray[np.int32]

    @property
    def share(self) -> npt.NDArray[np.float64]:
        """Share of bars that are there or proven absent, (series, days); NaN where none are expected."""
        with np.errstate(invalid="ignore"):
            share: npt.NDArray[np.float64] = self.counts.sum(axis=2) / np.where(
                self.expected > 0, self.expected, np.nan
            )
        return share

    def totals(self) -> dict[str, int]:
        """Bars by where they come from, what is proven absent, and what is missing."""
        sums = self.counts.sum(axis=(0, 1))
        found = {name: int(count) for name, count in zip(KINDS, sums, strict=True) if count}
        return found | {"missing": int(self.expected.sum() - sums.sum())}

    def figure(self, *, title: str = "Coverage", height: int | None = None) -> Any:
        """The heat map: one row a series, one column a day; see `report.coverage`."""
        from twinstar_kit.report.coverage import coverage_figure

        names = [f"{one.symbol} {one.timeframe} · {one.exchange}" for one in self.series]
        return coverage_figure(
            names, self.days, self.counts, self.expected, KINDS, title=title, height=height
        )

    def __repr__(self) -> str:
        told = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in self.totals().items())
        return f"<Coverage of {len(self.series)} series over {len(self.days)} days: {told}>"


def coverage(
    lake: Lake, series: Series | Iterable[Series] | None = None, since: int | str | None = None,
    until: int | str | None = None,
) -> Coverage:  # fmt: skip
    """Count the bars of series (default: all) by day in [since, until) (default: from the first to the last).

    Holds one month at a time. UsageError when the lake holds no bars of them.
    """
    wanted = {series} if isinstance(series, Series) else None if series is None else set(series)
    infos = [
        info
        for info in lake.series()
        if info.series.kind is Kind.BARS and info.rows and (wanted is None or info.series in wanted)
    ]
    if not infos:
        raise UsageError("the lake holds no bars of these series, so there is nothing to cover")
    spans = [_span(info) for info in infos]
    since_ms = min(first for first, _ in spans) if since is None else to_milliseconds(since)
    until_ms = max(end for _, end in spans) if until is None else to_milliseconds(until)
    first_day, end_day = since_ms // DAY_MS, -(-until_ms // DAY_MS)
    days = np.arange(first_day, end_day)
    counts = np.zeros((len(infos), len(days), len(KINDS)), np.int32)
    expected = np.zeros((len(infos), len(days)), np.int32)
    for at, (info, (first, end)) in enumerate(zip(infos, spans, strict=True)):
        begin = first if since is None else since_ms
        stop = end if until is None else until_ms
        step = info.series.timeframe_ms
        expected[at] = _per_day(np.arange(-(-begin // step) * step, stop, step), first_day, len(days))
        for chunk in lake.scan(info.series, begin, stop, columns=["timestamp", "provenance"]):
            stamps, marks = chunk.columns["timestamp"], chunk.columns["provenance"]
            for mark in np.unique(marks):
                counts[at, :, mark] += _per_day(stamps[marks == mark], first_day, len(days))
        for gap in lake.absences(info.series, begin, stop):
            assert gap.reason is not None
            absent = np.arange(gap.first_ms, gap.until_ms, step)
            counts[at, :, gap.reason] += _per_day(absent, first_day, len(days))
    return Coverage(tuple(info.series for info in infos), days * DAY_MS, counts, expected)


def _span(info: SeriesInfo) -> tuple[int, int]:
    assert info.first_ms is not None
    assert info.last_ms is not None
    return info.first_ms, info.last_ms + info.series.timeframe_ms


def _per_day(stamps: npt.NDArray[Any], first_day: int, days: int) -> npt.NDArray[np.int32]:
    return np.bincount(stamps // DAY_MS - first_day, minlength=days)[:days].astype(np.int32)
