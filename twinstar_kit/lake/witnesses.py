"""What else the lake holds that a series of bars can be held against: longer bars, trades, a second venue, the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from twinstar_kit.feeds.resample import ceil_time, floor_time
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.lake.checks import DAY_MS, Check, Status, found, not_run
from twinstar_kit.lake.errors import CorruptFile
from twinstar_kit.lake.lost import lost
from twinstar_kit.lake.series import Kind, Series, month_of
from twinstar_kit.lake.truth import (
    FIELDS,
    Comparison,
    Rows,
    against_longer,
    against_trades,
    against_venue,
    best_lag,
)

if TYPE_CHECKING:
    from twinstar_kit.lake.store import Lake, SeriesInfo

OWN = ("longer_bars", "trades", "second_venue", "time_zone", "revised", "set_aside")
"""The checks that are made here."""


@dataclass(frozen=True)
class Witnesses:
    """Everything that can speak about one series of bars."""

    lake: Lake
    info: SeriesInfo
    longer: list[SeriesInfo]
    trades: SeriesInfo | None
    second: SeriesInfo | None
    no_second: str
    log: Counter[tuple[str, str]] = field(default_factory=Counter)

    @classmethod
    def find(
        cls,
        lake: Lake,
        info: SeriesInfo,
        held: list[SeriesInfo],
        against: str | None,
        log: list[dict[str, Any]],
    ) -> Witnesses:
        """Look through what the lake holds; `against` names the second venue (default: any that has the same bars)."""
        mine = info.series
        there = [other for other in held if other.rows and other.series.symbol == mine.symbol]
        same = [other for other in there if other.series.exchange == mine.exchange]
        longer = [
            other
            for other in same
            if other.series.kind is Kind.BARS
            and other.series.timeframe_ms > mine.timeframe_ms
            and other.series.timeframe_ms % mine.timeframe_ms == 0
        ]
        longer.sort(key=lambda other: other.series.timeframe_ms)
        trades = next((other for other in same if other.series.kind is Kind.TRADES), None)
        second, why = _second(mine, there, against)
        counts: Counter[tuple[str, str]] = Counter()
        for entry in log:
            if entry["series"] == str(mine) and entry["kind"] in ("revision", "off_grid"):
                counts.update((entry["kind"], month_of(row[0])) for row in entry["new"])
        return cls(lake, info, longer, trades, second, why, counts)

    @property
    def any(self) -> bool:
        """Whether one of them needs to see the rows."""
        return bool(self.longer or self.trades or self.second)

    def checks(self, month: str, rows: Rows) -> list[Check]:
        """What they say about the rows of one month; rows may be empty when there is not `any`."""
        first_ms = int(rows[0, 0]) if len(rows) else 0
        until_ms = int(rows[-1, 0]) + self.info.series.timeframe_ms if len(rows) else 0
        return [
            _heard("longer_bars", self._longer_bars, rows, first_ms, until_ms),
            _heard("trades", self._trades, rows, first_ms, until_ms),
            _heard("second_venue", self._second_venue, rows, first_ms, until_ms),
            _heard("time_zone", self._time_zone, rows, first_ms, until_ms),
            found("revised", Status.NOTICED, self.log["revision", month], (),
                  "rows that a source later told otherwise; the log holds both"),
            found("set_aside", Status.NOTICED, self.log["off_grid", month], (),
                  "rows off the grid that were kept out of the series; the log holds them"),
        ]  # fmt: skip

    def _rows(self, info: SeriesInfo, since_ms: int, until_ms: int) -> Rows:
        series = info.series
        if since_ms >= until_ms:
            width = 5 if series.kind is Kind.TRADES else 6
            return np.empty((0, width), np.int64)
        timeframe = series.timeframe or "1m"
        return self.lake.read(
            series.exchange, series.symbol, timeframe, since_ms, until_ms, kind=series.kind
        ).rows

    def _longer_bars(self, rows: Rows, first_ms: int, until_ms: int) -> Check:
        if not self.longer:
            return not_run("longer_bars", f"no longer bars of {self.info.series.exchange} in the lake")
        step = self.info.series.timeframe_ms
        results = []
        for info in self.longer:
            longer_ms = info.series.timeframe_ms
            since, until = ceil_time(first_ms, longer_ms), ceil_time(until_ms, longer_ms)
            reach = rows
            if DAY_MS % longer_ms and until > until_ms:  # weeks cross the ends of months
                reach = np.concatenate([rows, self._rows(self.info, until_ms, until)])
            part = reach[np.searchsorted(reach[:, 0], since) :]
            results.append(against_longer(part, step, self._rows(info, since, until), longer_ms))
        names = ", ".join(info.series.timeframe for info in self.longer)
        return _together(results).to_check("longer_bars", f"{names} bars")

    def _trades(self, rows: Rows, first_ms: int, until_ms: int) -> Check:
        if self.trades is None:
            return not_run("trades", f"no trades of {self.info.series.exchange} in the lake")
        known_first, known_last = self.trades.first_ms, self.trades.last_ms
        assert known_first is not None
        assert known_last is not None
        results = []
        torn = lost(self.lake, self.trades.series)
        for day in range(floor_time(first_ms, DAY_MS), until_ms, DAY_MS):
            if day > known_last or day + DAY_MS <= known_first:
                continue
            trades = self._rows(self.trades, day, day + DAY_MS)
            part = rows[slice(*np.searchsorted(rows[:, 0], (day, day + DAY_MS)))]
            if len(trades) and not any(one.touches(day, day + DAY_MS) for one in torn):
                step = self.info.series.timeframe_ms
                results.append(against_trades(part, trades, step, (known_first, known_last)))
            else:  # a day without any trade was not collected; one that lost some proves nothing
                results.append(Comparison(0, len(part), (), dict.fromkeys(FIELDS, 0)))
        return _together(results).to_check("trades", "bars made of trades")

    def _second_venue(self, rows: Rows, first_ms: int, until_ms: int) -> Check:
        if self.second is None:
            return not_run("second_venue", self.no_second)
        other = self._rows(self.second, first_ms, until_ms)
        units = [10.0**-info.instrument.price_scale for info in (self.info, self.second)]
        return against_venue(rows, other, *units).to_check(self.second.series.exchange)

    def _time_zone(self, rows: Rows, first_ms: int, until_ms: int) -> Check:
        info = self.longer[0] if self.longer else self.second
        if info is None:
            return not_run("time_zone", f"nothing to compare with: no longer bars, and {self.no_second}")
        other = self._rows(info, first_ms, until_ms)
        lag = best_lag(rows, self.info.series.timeframe_ms, other, info.series.timeframe_ms)
        return lag.to_check(str(info.series))


def _heard(
    name: str, ask: Callable[[Rows, int, int], Check], rows: Rows, first_ms: int, until_ms: int
) -> Check:
    """What a witness says; one whose own file is corrupt cannot be heard."""
    try:
        return ask(rows, first_ms, until_ms)
    except CorruptFile as error:
        return not_run(name, str(error))


def _second(mine: Series, there: list[SeriesInfo], against: str | None) -> tuple[SeriesInfo | None, str]:
    same_bars = [
        one
        for one in there
        if one.series.exchange != mine.exchange
        and (one.series.kind, one.series.timeframe) == (mine.kind, mine.timeframe)
    ]
    if against is None:
        return next(
            iter(same_bars), None
        ), f"no other venue's {mine.symbol} {mine.timeframe} bars in the lake"
    if against == mine.exchange:
        return None, f"{against} is the venue itself"
    second = next((one for one in same_bars if one.series.exchange == against), None)
    return second, f"the lake holds no {Series(against, mine.symbol, mine.timeframe)}"


def known_venue(held: list[SeriesInfo], against: str | None) -> None:
    """UsageError for a second venue of which the lake holds nothing."""
    venues = sorted({info.series.exchange for info in held})
    if against is not None and against not in venues:
        raise UsageError(
            f"--against {against}: the lake holds nothing of it; it holds {', '.join(venues) or 'nothing'}"
        )


def _together(results: list[Comparison]) -> Comparison:
    fields: Counter[str] = Counter()
    for result in results:
        fields.update(result.fields)
    wrong = sorted(stamp for result in results for stamp in result.mismatched)
    return Comparison(
        sum(r.compared for r in results), sum(r.skipped for r in results), tuple(wrong), dict(fields)
    )
