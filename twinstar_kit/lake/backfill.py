"""Fetches what the lake misses: planned, durable answer by answer, resumable, and never asking the same hole twice."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twinstar_kit.feeds.source import GaveUp
from twinstar_kit.kernel.errors import TwinStarError, UsageError
from twinstar_kit.lake.asking import Answer, Asker
from twinstar_kit.lake.listing import Listing
from twinstar_kit.lake.planner import Interval, common, length, merge, plan, without
from twinstar_kit.lake.provenance import Provenance
from twinstar_kit.lake.series import Series, month_of, month_span
from twinstar_kit.lake.showing import Sheet, Shown
from twinstar_kit.lake.wanted import Time, enrol, refuse_unknown, stored, unasked, window

if TYPE_CHECKING:
    from twinstar_kit.feeds.clock import Clock
    from twinstar_kit.feeds.source import Source
    from twinstar_kit.lake.store import Lake

COUNTS = ("requests", "added", "revised", "empty", "left")
STRETCH = 60  # bars: a recheck draws stretches, as an answer of one bar costs as much as that of many
GIVE_UP_AFTER = 3  # series in a row that the venue does not answer for

Progress = Callable[..., None]  # called with (bars done, bars in all, note)


@dataclass
class SeriesBackfill:
    """What a backfill did for one series; all but `requests` count bars.

    `empty` bars were asked for and the venue has not got them; `left` are still open. `listed_ms` is the first bar
    there ever was, when this run found it.
    """

    series: Series
    wanted: int = 0
    requests: int = 0
    added: int = 0
    same: int = 0
    revised: int = 0
    empty: int = 0
    strays: int = 0
    left: int = 0
    listed_ms: int | None = None
    error: str = ""


@dataclass(repr=False)
class BackfillReport(Shown):
    """What a backfill did; `ok` says that every series was answered to the end."""

    parts: list[SeriesBackfill] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not any(part.error for part in self.parts)

    def total(self, name: str) -> int:
        """The sum of one count over all series."""
        return sum(getattr(part, name) for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        series = [{**vars(part), "series": str(part.series)} for part in self.parts]
        counts = {name: self.total(name) for name in COUNTS}
        return {"ok": self.ok, **counts, "seconds": self.seconds, "series": series}

    def sheet(self) -> Sheet:
        """One line a series."""
        lines = [
            [str(part.series), *(f"{getattr(part, name):,}" for name in COUNTS), part.error or "complete"]
            for part in self.parts
        ]
        return Sheet(f"backfill: {self.total('added'):,} bars came", ("series", *COUNTS, ""), lines)


def backfill(
    lake: Lake,
    source: Source,
    symbols: Iterable[str],
    timeframe: str = "1m",
    since: Time = None,
    until: Time = None,
    *,
    recheck: int = 0,
    workers: int = 4,
    clock: Clock | None = None,
    progress: Progress | None = None,
) -> BackfillReport:
    """Ask `source` for every bar in [since, until) that the lake neither holds nor knows to be absent.

    Times are milliseconds UTC or ISO dates; without `since` each series goes on from its first bar, without `until`
    to the last complete bar. `recheck` asks for so many stored bars of each series again, half of them the newest and
    half drawn from the whole series, and keeps what the venue has revised. `workers` requests are under way at once; the source keeps the venue's pace. What has been
    answered stays in the lake however this ends. A series that the venue fails is named in the report, and the others
    go on; after three in a row that it did not answer the rest is left for later.

    >>> import tempfile
    >>> from twinstar_kit.feeds import SimulatedMarket
    >>> from twinstar_kit.feeds.ccxt_source import CcxtSource
    >>> from twinstar_kit.lake import Lake
    >>> from twinstar_kit.testing.local_venue import LocalVenue, local_binance
    >>> hour = SimulatedMarket().bars("BTC/USDT", 1_735_689_600_000, 1_735_693_200_000)
    >>> with LocalVenue(hour) as venue, Lake(tempfile.mkdtemp()) as lake:
    ...     source = CcxtSource(local_binance(venue))
    ...     report = lake.backfill(source, ["BTC/USDT"], since="2025-01-01", until="2025-01-01T01:00")
    >>> report.total("requests"), report.total("added"), report.total("left")
    (1, 60, 0)
    """
    clock = clock or lake.clock
    begun = time.perf_counter()
    chosen = [Series(source.name, symbol, timeframe) for symbol in dict.fromkeys(symbols)]
    if not chosen:
        raise UsageError("name at least one symbol to backfill")
    for series in chosen:
        refuse_unknown(lake, source, series)
    spans = [window(lake, series, since, until, clock) for series in chosen]
    # from here on nothing is refused
    jobs = [
        _Job(lake, source, series, span, recheck, workers, clock)
        for series, span in zip(chosen, spans, strict=True)
    ]
    report = BackfillReport([job.part for job in jobs])
    whole, done, failed = sum(job.part.wanted for job in jobs), 0, 0
    for job in jobs:
        before = done
        if failed >= GIVE_UP_AFTER:
            job.part.error = f"not asked: {source.name} failed {failed} series in a row"
            continue
        try:
            for settled in job.run():
                done += settled
                if progress is not None:
                    progress(done, whole, job.series.symbol)
            failed = 0
        except TwinStarError as error:
            job.part.error = str(error)
            failed = failed + 1 if isinstance(error, GaveUp) else 0
        done = before + job.part.wanted
    report.seconds = time.perf_counter() - begun
    return report


class _Job:
    """The backfill of one series."""

    def __init__(
        self, lake: Lake, source: Source, series: Series, span: Interval, recheck: int, workers: int, clock: Clock
    ) -> None:  # fmt: skip
        self.lake, self.source, self.series, self.workers, self.clock = lake, source, series, workers, clock
        self.part = SeriesBackfill(series)
        enrol(lake, source, series)
        self.since_ms, self.until_ms = span
        self.todo = merge([*unasked(lake, series, self.since_ms, self.until_ms), *self._again(recheck)])
        self.part.wanted = length(self.todo, series.timeframe_ms)
        self._month = ""

    def run(self) -> Iterator[int]:
        """Do it, answer by answer; yields how many bars each has settled."""
        if not self.todo:
            return
        asker = Asker(self.source, self.series, self.lake.instrument(self.series), self.clock)
        listing: Listing | None = None
        try:
            if self.todo[0][0] == self.since_ms and not self._begun():
                first = next(plan(self.todo, self.series.timeframe_ms, asker.limit))
                yield from self._fetch(asker, [(first.since_ms, first.until_ms)])
                self.todo = without(self.todo, [(first.since_ms, first.until_ms)])
                if not self._begun():
                    listing = Listing.find(self.source, self.series, self.since_ms, self.until_ms)
            if listing is not None and listing.begins_here:
                yield self._skip(listing.prove(self.lake, None))
            yield from self._fetch(asker, self.todo)
            if listing is not None and listing.begins_here:
                # a proof takes more than one empty answer
                for _ in self._fetch(asker, listing.first_day(self.lake.info(self.series).first_ms)):
                    continue
                self.part.listed_ms = self.lake.info(self.series).first_ms
                listing.prove(self.lake, self.part.listed_ms)
            self.lake.compact(self.series)
        finally:
            self.part.requests = asker.requests + (listing.requests if listing else 0)
            left = unasked(self.lake, self.series, self.since_ms, self.until_ms)
            self.part.left = length(left, self.series.timeframe_ms)

    def _begun(self) -> bool:
        first = self.lake.info(self.series).first_ms
        return first is not None and first <= self.since_ms

    def _skip(self, proven: list[Interval]) -> int:
        before = length(self.todo, self.series.timeframe_ms)
        self.todo = without(self.todo, proven)
        return before - length(self.todo, self.series.timeframe_ms)

    def _fetch(self, asker: Asker, intervals: Sequence[Interval]) -> Iterator[int]:
        """Ask for the intervals and keep every answer as it comes; finished months become files."""
        step = self.series.timeframe_ms
        for answer in asker.answers(plan(intervals, step, asker.limit), self.workers):
            self._file_months_before(answer.request.since_ms)
            keep(self.lake, self.series, answer, self.source.name, self.part)
            end = answer.again.since_ms if answer.again else answer.request.until_ms
            yield length(common(intervals, [(answer.request.since_ms, end)]), step)

    def _file_months_before(self, ts_ms: int) -> None:
        month = month_of(ts_ms)
        if self._month and month != self._month:
            self.lake.compact(self.series, before_ms=month_span(month)[0])
        self._month = month

    def _again(self, recheck: int) -> list[Interval]:
        """Stored bars to be asked for again: half of `recheck` are the newest, half stretches drawn from all before.

        The draw is that of the series and its last bar: the same lake asks for the same, a grown one for others.
        """
        info, step = self.lake.info(self.series), self.series.timeframe_ms
        if recheck <= 0 or info.first_ms is None or info.last_ms is None:
            return []
        until = info.last_ms + step
        newest = max(info.first_ms, until - -(-recheck // 2) * step)
        drawn, stretches = recheck // 2, (newest - info.first_ms) // (STRETCH * step)
        if drawn >= stretches * STRETCH:
            return stored(self.lake, self.series, max(info.first_ms, until - recheck * step), until)
        draw = random.Random(f"{self.series} {info.last_ms}")
        again = [(newest, until)]
        for number in draw.sample(range(stretches), -(-drawn // STRETCH)):
            begin = info.first_ms + number * STRETCH * step
            again.append((begin, begin + min(STRETCH, drawn) * step))
            drawn -= STRETCH
        return [span for since, end in again for span in stored(self.lake, self.series, since, end)]


def keep(lake: Lake, series: Series, answer: Answer, source: str, part: SeriesBackfill) -> None:
    """Store what was answered, durably, and then that it was asked."""
    if len(answer.rows):
        written = lake.append(series, answer.rows, Provenance.BACKFILLED, source)
        part.added += written.added
        part.same += written.same
        part.revised += written.revised
    if answer.empty:
        lake.asked_in_vain(series, answer.empty, source)
    part.empty += length(answer.empty, series.timeframe_ms)
    part.strays += answer.strays
