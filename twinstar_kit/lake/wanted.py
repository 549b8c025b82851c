"""What of a series is there, what is missing, and what nobody was asked for yet: the questions of backfill and heal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twinstar_kit.feeds.clock import to_milliseconds
from twinstar_kit.feeds.resample import ceil_time, floor_time
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.lake.asking import listed
from twinstar_kit.lake.errors import NoSuchSeries
from twinstar_kit.lake.planner import Interval, without

if TYPE_CHECKING:
    from twinstar_kit.feeds.clock import Clock
    from twinstar_kit.feeds.source import Source
    from twinstar_kit.lake.series import Series
    from twinstar_kit.lake.store import Lake

Time = int | str | None


def refuse_unknown(lake: Lake, source: Source, series: Series) -> None:
    """An error unless the lake holds the series or the venue has it, in this timeframe."""
    if not known(lake, series):
        listed(source, series.symbol)
        source.limit(series.timeframe)


def enrol(lake: Lake, source: Source, series: Series) -> None:
    """Make the series known to the lake under the venue's own rules, unless it is known already."""
    if not known(lake, series):
        simulated = bool(getattr(source, "simulated", False))
        lake.register(series, listed(source, series.symbol), simulated=simulated)


def known(lake: Lake, series: Series) -> bool:
    """Whether the lake has heard of the series."""
    try:
        lake.instrument(series)
    except NoSuchSeries:
        return False
    return True


def window(lake: Lake, series: Series, since: Time, until: Time, clock: Clock) -> Interval:
    """The opens of bars that are asked for: complete ones from `since` (default: the first held) to `until` (now)."""
    step = series.timeframe_ms
    first_ms = first_held(lake, series) if since is None else to_milliseconds(since)
    if first_ms is None:
        raise UsageError(f"the lake holds nothing of {series} yet; say since when it is wanted")
    complete = floor_time(clock.milliseconds(), step)
    until_ms = complete if until is None else min(to_milliseconds(until), complete)
    since_ms = ceil_time(first_ms, step)
    if since is not None and since_ms > clock.milliseconds():
        raise UsageError(f"since ({since}) lies in the future, where there are no bars yet")
    if until is not None and to_milliseconds(until) <= first_ms:
        raise UsageError(f"until ({until}) must be later than since ({since})")
    return since_ms, max(since_ms, floor_time(until_ms, step))


def first_held(lake: Lake, series: Series) -> int | None:
    """The first bar that the lake holds, or held until its file was found damaged."""
    return lake.first_held(series) if known(lake, series) else None


def missing(lake: Lake, series: Series, since_ms: int, until_ms: int) -> list[Interval]:
    """Bars that are neither stored nor proven absent."""
    return [(gap.first_ms, gap.until_ms) for gap in lake.missing(series, since_ms, until_ms)]


def unasked(lake: Lake, series: Series, since_ms: int, until_ms: int) -> list[Interval]:
    """Missing bars that the series' own venue has not said it lacks."""
    told = lake.was_asked(series, since_ms, until_ms, series.exchange)
    return without(missing(lake, series, since_ms, until_ms), told)


def stored(lake: Lake, series: Series, since_ms: int, until_ms: int) -> list[Interval]:
    """Bars that are there."""
    proven = [(gap.first_ms, gap.until_ms) for gap in lake.absences(series, since_ms, until_ms)]
    return without([(since_ms, until_ms)], [*missing(lake, series, since_ms, until_ms), *proven])
