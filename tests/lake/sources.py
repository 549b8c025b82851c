"""A venue in memory, for tests of backfill and heal: it serves what it was given, and remembers what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from lake.bars import MINUTE, Rows

from twinstar_kit.feeds.resample import aggregate
from twinstar_kit.feeds.source import GaveUp, SourceError
from twinstar_kit.kernel.bars import parse_timeframe
from twinstar_kit.kernel.instruments import Instrument


class Refused(GaveUp):
    """What a source raises when a venue does not answer."""


@dataclass
class MemorySource:
    """`data` by symbol. `jumps` answers a request with the first bars at or after its time, however late, as binance
    does; otherwise only bars of the asked interval come, as others do. `cap` is what it gives at most, whatever it says.
    `fails` says from which request on it fails."""

    data: Mapping[str, Rows]
    name: str = "memory"
    most: int = 1000
    cap: int | None = None
    jumps: bool = True
    fails: int | None = None
    daily: bool = True
    instruments_: Mapping[str, Instrument] | None = None
    trades_: Mapping[str, Rows] | None = field(default_factory=dict)
    asked: list[tuple[str | int, ...]] = field(default_factory=list)
    waited_s: float = 0.0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    @property
    def requests(self) -> int:
        return len(self.asked)

    def instruments(self) -> Mapping[str, Instrument]:
        if self.instruments_ is not None:
            return self.instruments_
        return {s: Instrument.from_sizes(s, "0.01", "0.00001", exchange=self.name) for s in self.data}

    def limit(self, timeframe: str) -> int:
        if timeframe == "1d" and not self.daily:
            raise SourceError(f"{self.name} has no bars of {timeframe}")
        return self.most

    def bars(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> Rows:
        self._asked("bars", symbol, since_ms, limit)
        assert limit <= self.most
        step = parse_timeframe(timeframe)
        rows = self.data[symbol]
        if step != MINUTE:
            rows = aggregate(rows, step)
        first = int(np.searchsorted(rows[:, 0], since_ms))
        end = first + limit
        if not self.jumps:
            end = int(np.searchsorted(rows[:, 0], since_ms + limit * step))
        return rows[first:end][: self.cap]

    def trades(self, symbol: str, since_ms: int, until_ms: int) -> Rows:
        if self.trades_ is None:
            raise SourceError(f"{self.name} gives only its newest trades")
        self._asked("trades", symbol, since_ms, until_ms)
        trades = self.trades_.get(symbol, np.empty((0, 5), np.int64))
        return trades[(trades[:, 0] >= since_ms) & (trades[:, 0] < until_ms)]

    def _asked(self, *what: str | int) -> None:
        with self._lock:
            if self.fails is not None and len(self.asked) >= self.fails:
                raise Refused(f"{self.name} does not answer")
            self.asked.append(what)

    def top_symbols(self, n: int, quote: str | None = None) -> list[str]:
        return [symbol for symbol in self.data if quote is None or symbol.endswith(f"/{quote}")][:n]


def keep(rows: Rows, *holes: tuple[int, int]) -> Rows:
    """`rows` without those whose number lies in one of the half open `holes`."""
    gone = np.zeros(len(rows), bool)
    for first, end in holes:
        gone[first:end] = True
    return rows[~gone]
