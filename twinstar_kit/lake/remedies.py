"""What fills a hole, in the order of trust: the venue asked again, its trades, a second venue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from twinstar_kit.feeds.source import GaveUp, SourceError
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.lake.asking import Asker, Rows, ask_trades, rescale
from twinstar_kit.lake.planner import Interval, common, holes, length, plan, without
from twinstar_kit.lake.provenance import Provenance
from twinstar_kit.lake.series import Kind, Series
from twinstar_kit.lake.truth import against_venue, bars_from_trades, compare
from twinstar_kit.lake.wanted import missing

if TYPE_CHECKING:
    from twinstar_kit.feeds.clock import Clock
    from twinstar_kit.feeds.source import Source
    from twinstar_kit.kernel.instruments import Instrument
    from twinstar_kit.lake.store import Lake

TOGETHER = 30  # holes at most so many bars apart are treated in one go
PIECE = 360  # and at most so many bars at a time
MARGINS = (1, 10, 120)  # bars around a hole in which a trade before and one after it are looked for
NEIGHBOURS, LEAST_NEIGHBOURS = 30, 10  # bars on each side of a hole that two venues are compared by
SANE = 0.01  # venues that lie closer together than this are one market
ABSURD = 0.10  # venues that lie further apart do not trade the same thing


@dataclass
class SeriesHeal:
    """What healing did for one series, in bars.

    `fetched` had not been asked for yet and came; `holes` were missing then: `again` came when the venue was asked again, `from_trades` were rebuilt,
    `healed` were taken from a second venue and agree with the neighbours, `disputed` were taken and do not quite,
    `no_trade` and `outage` are proven absent. `revised` bars were stored and could not be true. The rest is in `left`, with what stands against each part in `notes`.
    """

    series: Series
    holes: int = 0
    requests: int = 0
    fetched: int = 0
    again: int = 0
    from_trades: int = 0
    healed: int = 0
    disputed: int = 0
    no_trade: int = 0
    outage: int = 0
    revised: int = 0
    left: list[Interval] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True)
class Patient:
    """A series to heal, between two times, and who may be asked about it."""

    lake: Lake
    series: Series
    source: Source
    second: Source | None
    since_ms: int
    until_ms: int
    clock: Clock
    workers: int
    part: SeriesHeal

    @property
    def step(self) -> int:
        return self.series.timeframe_ms

    @property
    def instrument(self) -> Instrument:
        return self.lake.instrument(self.series)

    def missing(self) -> list[Interval]:
        """Holes that nothing has filled or proven so far."""
        return missing(self.lake, self.series, self.since_ms, self.until_ms)

    def untold(self, who: str) -> list[Interval]:
        """Holes that `who` was not asked about yet."""
        return without(self.missing(), self.lake.was_asked(self.series, self.since_ms, self.until_ms, who))

    def remember(self, who: str, intervals: Iterable[Interval]) -> None:
        """`who` was asked about these, and has nothing."""
        self.lake.asked_in_vain(self.series, intervals, who)

    def repair(self, rows: Rows, provenance: Provenance, source: str, why: str) -> int:
        """Put rows into holes, with an entry in the log; returns how many bars came."""
        return self.lake.replace(self.series, rows, provenance, source, why).added if len(rows) else 0


def again(name: str) -> str:
    """Under what the second question to a venue is remembered."""
    return f"{name} again"


def by_trades(name: str) -> str:
    """Under what a look at a venue's trades is remembered."""
    return f"{name} trades"


def refused(name: str) -> str:
    """Under what bars of a second venue are remembered that were not taken."""
    return f"{name} refused"


def ask_again(p: Patient) -> None:
    """Ask the same venue a second time; an answer may have been short, or the venue may have filled its holes."""
    who, name = again(p.source.name), p.source.name
    todo = p.untold(who)
    if not todo:
        return
    asker = Asker(p.source, p.series, p.instrument, p.clock)
    try:
        for answer in asker.answers(plan(todo, p.step, asker.limit), p.workers):
            wanted = within(answer.rows, todo)
            p.part.again += p.repair(
                wanted, Provenance.BACKFILLED, name, f"missing until {name} was asked again"
            )
            p.remember(who, common(answer.empty, todo))
    finally:
        p.part.requests += asker.requests


def rebuild(p: Patient) -> None:
    """Make bars from trades where these cover a hole without a break: those that the lake holds, then the venue's.

    A minute without a trade inside such a stretch is proven: nobody traded.
    """
    if any(info.series == _trade_series(p) for info in p.lake.series()):
        for group in grouped(p.missing(), p.step, PIECE):
            held = _covering(p, group, _held_trades)
            if not isinstance(held, str):
                _make_bars(p, group, held)
    who = by_trades(p.source.name)
    for group in grouped(p.untold(who), p.step, PIECE):
        try:
            told = _covering(p, group, _asked_trades)
        except GaveUp:
            raise
        except SourceError as error:  # the venue cannot be asked for old trades
            p.part.notes.append(str(error))
            return
        if isinstance(told, str):
            p.remember(who, group)
            p.part.notes.append(f"{_span(group)}: {told}")
        else:
            _make_bars(p, group, told)


def _make_bars(p: Patient, group: Sequence[Interval], trades: Rows) -> None:
    """Bars from trades that cover the group, and a proof for each minute that has none."""
    rows = within(bars_from_trades(trades, p.step), group)
    first_id, last_id = int(trades[0, 4]), int(trades[-1, 4])
    why = f"missing at {p.source.name}; its trades {first_id} to {last_id} cover it without a break"
    p.part.from_trades += p.repair(rows, Provenance.FROM_TRADES, by_trades(p.source.name), why)
    proof = {"rule": "no trade", "first_id": first_id, "last_id": last_id, "trades": len(trades)}
    quiet = [
        hole
        for first, until in group
        for hole in holes(within(rows, [(first, until)])[:, 0], first, until, p.step)
    ]
    p.lake.prove_all_absent(p.series, quiet, Provenance.NO_TRADE, proof)
    p.part.no_trade += length(quiet, p.step)


def _covering(
    p: Patient, group: Sequence[Interval], fetch: Callable[[Patient, int, int], Rows]
) -> Rows | str:
    """Trades from one before the group to one after it with no id left out, or what stands against them."""
    first, until = group[0][0], group[-1][1]
    for margin in MARGINS:
        since_ms, end_ms = first - margin * p.step, until + margin * p.step
        trades = fetch(p, since_ms, end_ms)
        if len(trades) and trades[0, 0] < first and trades[-1, 0] >= until:
            break
    else:
        return f"{p.source.name} has no trades that reach over it"
    if (np.diff(trades[:, 4]) != 1).any():
        return f"the ids of {p.source.name}'s trades are not without a break"
    told = own_rows(p, since_ms, end_ms)
    wrong = compare(told[told[:, 5] > 0], bars_from_trades(trades, p.step)).mismatched
    if wrong:
        return f"{p.source.name}'s trades tell the bar at {wrong[0]} beside it differently"
    return trades


def _trade_series(p: Patient) -> Series:
    return Series(p.series.exchange, p.series.symbol, kind=Kind.TRADES)


def _held_trades(p: Patient, since_ms: int, until_ms: int) -> Rows:
    one = _trade_series(p)
    trades = p.lake.read(one.exchange, one.symbol, since=since_ms, until=until_ms, kind=Kind.TRADES).rows
    units = p.lake.instrument(one)
    return rescale(trades, units, p.instrument, prices=slice(1, 2), amounts=slice(2, 3))


def _asked_trades(p: Patient, since_ms: int, until_ms: int) -> Rows:
    p.part.requests += 1
    return ask_trades(p.source, p.series.symbol, p.instrument, since_ms, until_ms)


def borrow(p: Patient) -> None:
    """Take the bars of a second venue, when its prices beside the hole are those of the first."""
    if p.second is None:
        return
    name = p.second.name
    not_taken = p.lake.was_asked(p.series, p.since_ms, p.until_ms, refused(name))
    todo = without(p.untold(name), not_taken)
    if not todo:
        return
    try:
        asker = Asker(p.second, p.series, p.instrument, p.clock, exact=False)
    except UsageError as error:
        p.part.notes.append(str(error))
        return
    around = NEIGHBOURS * p.step
    try:
        for group in grouped(todo, p.step):
            window = (group[0][0] - around, min(group[-1][1] + around, p.until_ms))
            answers = list(asker.answers(plan([window], p.step, asker.limit), p.workers))
            theirs = np.concatenate([answer.rows for answer in answers] or [np.empty((0, 6), np.int64)])
            p.remember(name, common([part for answer in answers for part in answer.empty], group))
            _judge(p, group, window, theirs)
    finally:
        p.part.requests += asker.requests


def _judge(p: Patient, group: Sequence[Interval], window: Interval, theirs: Rows) -> None:
    """Take what a second venue tells of a hole by how far its prices lie from ours around it."""
    assert p.second is not None
    name, rows = p.second.name, within(theirs, group)
    if not len(rows):
        return
    ours = own_rows(p, *window)
    spread = against_venue(ours, theirs)
    widest = _widest(ours, theirs)
    words = f"{name}: median spread {spread.median:+.3%}, widest {widest:.3%}, over {spread.compared} bars beside it"
    if spread.compared < LEAST_NEIGHBOURS or widest > ABSURD:
        p.remember(refused(name), group)
        reason = "too few to compare" if spread.compared < LEAST_NEIGHBOURS else "not the same market"
        p.part.notes.append(f"{_span(group)}: {words}: {reason}, {len(rows)} bars not taken")
    elif widest > SANE:
        p.part.disputed += p.repair(rows, Provenance.DISPUTED, name, f"missing at {p.source.name}; {words}")
    else:
        p.part.healed += p.repair(rows, Provenance.HEALED, name, f"missing at {p.source.name}; {words}")


def _widest(ours: Rows, theirs: Rows) -> float:
    """How far apart two venues' closes ever were, as a share of the price."""
    _, at, to = np.intersect1d(ours[:, 0], theirs[:, 0], assume_unique=True, return_indices=True)
    if not len(at):
        return float("inf")
    return float(np.abs(np.log(ours[at, 4]) - np.log(theirs[to, 4])).max())


def own_rows(p: Patient, since_ms: int, until_ms: int) -> Rows:
    """Stored bars that are the venue's own word."""
    reading = p.lake.read(p.series.exchange, p.series.symbol, p.series.timeframe, since_ms, until_ms)
    return reading.rows[reading.provenance <= Provenance.FROM_TRADES]


def within(rows: Rows, intervals: Sequence[Interval]) -> Rows:
    """The rows that lie in one of the ascending intervals."""
    stamps = rows[:, 0]
    inside = np.zeros(len(rows), bool)
    for first, until in intervals:
        inside[np.searchsorted(stamps, first) : np.searchsorted(stamps, until)] = True
    return rows[inside]


def grouped(intervals: Iterable[Interval], step: int, most: int = 0) -> Iterator[list[Interval]]:
    """Holes that lie near each other, together; with `most`, no longer than so many bars, and long ones in parts."""
    group: list[Interval] = []
    for first, until in intervals:
        for begin in range(first, until, most * step or until - first):
            end = min(until, begin + most * step) if most else until
            far = group and begin - group[-1][1] > TOGETHER * step
            if far or (group and most and end - group[0][0] > most * step):
                yield group
                group = []
            group.append((begin, end))
    if group:
        yield group


def _span(group: Sequence[Interval]) -> str:
    from datetime import UTC, datetime

    first, until = (datetime.fromtimestamp(at / 1000, UTC) for at in (group[0][0], group[-1][1]))
    return f"{first:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}"
