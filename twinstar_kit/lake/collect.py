"""Collecting a venue's market live: every finished bar and trade is in the lake before anybody else hears of it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from twinstar_kit.feeds.ccxt_live import Health, LiveBar, LiveTail, LiveTrades, Patience, Sink, open_stream
from twinstar_kit.feeds.clock import Clock, SystemClock
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.lake.asking import SETTLED_MS
from twinstar_kit.lake.errors import NoSuchSeries
from twinstar_kit.lake.provenance import Provenance
from twinstar_kit.lake.rows import Rows
from twinstar_kit.lake.series import Kind, Series

if TYPE_CHECKING:
    from twinstar_kit.feeds.source import Source
    from twinstar_kit.lake.store import Lake

COMPACT_MS = 3_600_000
LIVE, LATER = Provenance.OBSERVED, Provenance.BACKFILLED


class LakeSink:
    """A `Sink` that writes to a lake, and then passes on to `then` what is stored.

    Bars and trades that were seen live are marked observed, what was asked for afterwards backfilled. Every hour of its
    clock the tail of the lake is moved into files.
    """

    def __init__(
        self,
        lake: Lake,
        exchange: str,
        timeframe: str,
        *,
        then: Sink | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.lake, self.exchange, self.timeframe, self.then = lake, exchange, timeframe, then
        self._clock = clock or SystemClock()
        self._source = f"live:{exchange}"
        self._compacted_ms = self._clock.milliseconds()

    def series(self, symbol: str, kind: Kind = Kind.BARS) -> Series:
        """Where the rows of a symbol go."""
        return Series(self.exchange, symbol, self.timeframe if kind is Kind.BARS else "", kind)

    def bars(self, bars: Sequence[LiveBar]) -> None:
        """Bars of all symbols in one transaction for each provenance."""
        for live, mark in ((False, LATER), (True, LIVE)):
            by_symbol: dict[str, list[Rows]] = {}
            for bar in bars:
                if bar.live is live:
                    by_symbol.setdefault(bar.symbol, []).append(bar.row)
            self._append({self.series(symbol): np.vstack(rows) for symbol, rows in by_symbol.items()}, mark)
        if self.then is not None:
            self.then.bars(bars)
        self._compact()

    def trades(self, trades: Sequence[LiveTrades]) -> None:
        """Trades of all symbols in one transaction for each provenance."""
        for live, mark in ((False, LATER), (True, LIVE)):
            found = {self.series(one.symbol, Kind.TRADES): one.rows[one.live == live] for one in trades}
            # a trade that came late may be older than those before it
            found = {series: rows[np.argsort(rows[:, 0], kind="stable")] for series, rows in found.items()}
            self._append(found, mark)
        if self.then is not None:
            self.then.trades(trades)

    def register(self, symbols: Sequence[str], listed: Mapping[str, Instrument], trades: bool = True) -> None:
        """Make the series of symbols known to the lake; a symbol that the venue does not list is left out."""
        for symbol in symbols:
            if symbol in listed:  # else the tail refuses it, with the nearest name
                for kind in (Kind.BARS, Kind.TRADES) if trades else (Kind.BARS,):
                    self.lake.register(self.series(symbol, kind), listed[symbol])

    def _append(self, batch: dict[Series, Rows], mark: Provenance) -> None:
        rows = [(series, rows) for series, rows in batch.items() if len(rows)]
        if rows:
            self.lake.append_many(rows, mark, self._source)

    def absent(self, symbol: str, since_ms: int, until_ms: int) -> None:
        """Remember that the venue has no such bars, once they had time to come."""
        if self._clock.milliseconds() - until_ms >= SETTLED_MS:
            self.lake.asked(self.series(symbol), since_ms, until_ms, self.exchange, 0)
        if self.then is not None:
            self.then.absent(symbol, since_ms, until_ms)

    def last(self, symbol: str) -> tuple[int | None, tuple[int, int] | None]:
        """Where the lake ends."""
        bar_ms = self._last_ms(self.series(symbol))
        ticks = self.series(symbol, Kind.TRADES)
        trade_ms = self._last_ms(ticks)
        if trade_ms is None:
            return bar_ms, None
        last = [chunk.rows[-1] for chunk in self.lake.scan(ticks, trade_ms)][-1]
        return bar_ms, (int(last[0]), int(last[4]))

    def _last_ms(self, series: Series) -> int | None:
        try:
            return self.lake.info(series).last_ms
        except NoSuchSeries:
            return None

    def _compact(self) -> None:
        now_ms = self._clock.milliseconds()
        if now_ms - self._compacted_ms >= COMPACT_MS:
            self.lake.compact()
            self._compacted_ms = now_ms


@dataclass(slots=True)
class Collected:
    """What came of collecting: figures of the tail, and how long it ran (ms)."""

    exchange: str
    symbols: list[str]
    health: Health = field(default_factory=Health)
    ran_ms: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The report as `data collect --json` prints it."""
        return {
            "exchange": self.exchange,
            "symbols": self.symbols,
            "ran_ms": self.ran_ms,
            **self.health.to_dict(),
        }


def collect(
    lake: Lake,
    exchange: str,
    symbols: Sequence[str],
    *,
    source: Source,
    timeframe: str = "1m",
    trades: bool = True,
    duration_ms: int | None = None,
    then: Sink | None = None,
    stream: Any = None,
    clock: Clock | None = None,
    patience: Patience | None = None,
    told: Callable[[Health], None] | None = None,
    pulse_s: float = 0.1,
) -> Collected:
    """Follow `symbols` of a venue until `duration_ms` have passed or SIGINT or SIGTERM comes, and store everything.

    A series that the lake holds goes on where it ends: what is missing is asked of the venue first. `told` gets the
    figures about once a second. `stream` is an object of a `ccxt.pro` class (default: the one called `exchange`).

    Raises LakeError when the lake refuses to store, SourceError when the venue cannot be reached at the start.
    """
    clock = clock or SystemClock()
    sink = LakeSink(lake, exchange, timeframe, then=then, clock=clock)
    sink.register(symbols, source.instruments(), trades)
    report = Collected(exchange, list(symbols))
    asyncio.run(
        _collect(report, sink, source, stream, timeframe, trades, duration_ms, clock, patience, told, pulse_s)
    )
    lake.compact()
    return report


def known_units(lake: Lake, exchange: str) -> dict[str, Instrument]:
    """The units that the lake has of a venue's symbols, for a source that is to give the same."""
    return {info.series.symbol: info.instrument for info in lake.series() if info.series.exchange == exchange}


async def _collect(
    report: Collected, sink: LakeSink, source: Source, stream: Any, timeframe: str, trades: bool,
    duration_ms: int | None, clock: Clock, patience: Patience | None, told: Callable[[Health], None] | None,
    pulse_s: float,
) -> None:  # fmt: skip
    tail = LiveTail(
        open_stream(report.exchange) if stream is None else stream, source, report.symbols, sink,
        timeframe=timeframe, trades=trades, clock=clock, patience=patience, pulse_s=pulse_s,
    )  # fmt: skip
    report.health = tail.health
    began_ms = clock.milliseconds()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(
            NotImplementedError, ValueError, RuntimeError
        ):  # a thread, or another platform
            loop.add_signal_handler(number, tail.stop)
    running = asyncio.ensure_future(tail.run())
    told_ms = 0
    while not running.done():
        await asyncio.wait({running}, timeout=pulse_s)
        now_ms = clock.milliseconds()
        if told is not None and abs(now_ms - told_ms) >= 1_000:
            told(tail.health)
            told_ms = now_ms
        if duration_ms is not None and now_ms - began_ms >= duration_ms:
            tail.stop()
    report.ran_ms = clock.milliseconds() - began_ms
    await running


__all__ = ["Collected", "LakeSink", "collect", "known_units"]
