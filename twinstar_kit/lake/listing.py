"""When a symbol was first traded: found by its daily bars, and kept as the proof that nothing came before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twinstar_kit.feeds.resample import floor_time
from twinstar_kit.feeds.source import SourceError
from twinstar_kit.lake.planner import common, without
from twinstar_kit.lake.provenance import Provenance

if TYPE_CHECKING:
    from twinstar_kit.feeds.source import Source
    from twinstar_kit.lake.planner import Interval
    from twinstar_kit.lake.series import Series
    from twinstar_kit.lake.store import Lake

DAY_MS = 86_400_000
BEFORE_MS = 30 * DAY_MS  # a daily bar this long before the wanted time says that the symbol is older


@dataclass(frozen=True)
class Listing:
    """What a venue's daily bars say about where `series` begins.

    `day_ms` is the open of the first one from 30 days before `since_ms`, None when there is none before `until_ms`.
    """

    series: Series
    since_ms: int
    until_ms: int
    day_ms: int | None
    requests: int

    @classmethod
    def find(cls, source: Source, series: Series, since_ms: int, until_ms: int) -> Listing | None:
        """Look through the daily bars around [since_ms, until_ms); None when the venue has no daily bars to tell."""
        try:
            limit = source.limit("1d")
        except SourceError:
            return None
        begun = at = floor_time(since_ms, DAY_MS) - BEFORE_MS
        requests = 0
        while at < until_ms:
            rows = source.bars(series.symbol, "1d", at, limit)
            requests += 1
            rows = rows[(rows[:, 0] >= begun) & (rows[:, 0] < until_ms)]
            if len(rows):
                return cls(series, since_ms, until_ms, int(rows[:, 0].min()), requests)
            at += limit * DAY_MS
        return cls(series, since_ms, until_ms, None, requests)

    @property
    def begins_here(self) -> bool:
        """Whether the symbol was first traded on the day of `since_ms` or later."""
        return self.day_ms is None or self.day_ms >= floor_time(self.since_ms, DAY_MS)

    def first_day(self, first_ms: int | None) -> list[Interval]:
        """From the first daily bar to the first bar stored: what only the bars themselves can tell."""
        begun = max(self.since_ms, self._day_ms)
        return [] if first_ms is None or first_ms <= begun else [(begun, first_ms)]

    def prove(self, lake: Lake, first_ms: int | None) -> list[Interval]:
        """Record that there is nothing before the first daily bar, nor before `first_ms`, the first bar stored.

        Returns what was proven. Of the first day, only what the venue was asked for and has not got counts as proven.
        """
        told = lake.was_asked(self.series, self.since_ms, self.until_ms, self.series.exchange)
        nothing = [(self.since_ms, min(self._day_ms, self.until_ms)), *common(self.first_day(first_ms), told)]
        known = [
            (gap.first_ms, gap.until_ms) for gap in lake.absences(self.series, self.since_ms, self.until_ms)
        ]
        proven = without(nothing, known)
        proof: dict[str, Any] = {
            "rule": "before the first bar",
            "first_day_ms": self.day_ms,
            "first_ms": first_ms,
        }
        lake.prove_all_absent(self.series, proven, Provenance.OUTAGE, proof)
        return proven

    @property
    def _day_ms(self) -> int:
        """The open of the first daily bar; where there is none, that of the last that could not be told yet."""
        return floor_time(self.until_ms, DAY_MS) - DAY_MS if self.day_ms is None else self.day_ms
