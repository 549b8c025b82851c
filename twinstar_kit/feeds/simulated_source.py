"""The simulated market as a venue that history is asked of: what a lake is filled and healed from without a network."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twinstar_kit.feeds.base import Rows
from twinstar_kit.feeds.clock import Clock, SystemClock
from twinstar_kit.feeds.simulated import SimulatedMarket
from twinstar_kit.feeds.source import SourceError
from twinstar_kit.kernel.bars import parse_timeframe
from twinstar_kit.kernel.instruments import Instrument


@dataclass(frozen=True, slots=True)
class Lost:
    """What a venue no longer has: bars and trades of [since_ms, until_ms), of one symbol or (None) of all."""

    since_ms: int
    until_ms: int
    symbol: str | None = None

    def keeps(self, rows: Rows, symbol: str) -> Rows:
        """The rows that are left."""
        if self.symbol not in (None, symbol):
            return rows
        return rows[(rows[:, 0] < self.since_ms) | (rows[:, 0] >= self.until_ms)]


class SimulatedSource:
    """A `Source` that answers from a `SimulatedMarket`, complete bars up to the clock's time.

    `limit` bars come with a request, as venues do it; `lost` is what it has not got, and never gives. Two sources of one
    market under different names are two venues that agree. It has no funding rates: its market is spot.

    >>> source = SimulatedSource(SimulatedMarket(7))
    >>> source.bars("BTC/USDT", "1h", 1_735_689_600_000, 24).shape, source.requests
    ((24, 6), 1)
    """

    simulated = True
    waited_s = 0.0

    def __init__(
        self, market: SimulatedMarket, clock: Clock | None = None, *, name: str = "simulated", limit: int = 1000,
        lost: Sequence[Lost] = (),
    ) -> None:  # fmt: skip
        self.market, self.clock, self.name = market, clock or SystemClock(), name
        self.lost = tuple(lost)
        self._limit = limit
        self._requests = 0
        self._lock = threading.Lock()

    @property
    def requests(self) -> int:
        """Questions asked so far."""
        return self._requests

    def instruments(self) -> Mapping[str, Instrument]:
        """The market's instruments by symbol."""
        return {instrument.symbol: instrument for instrument in self.market.instruments}

    def limit(self, timeframe: str) -> int:
        """Bars of one answer."""
        parse_timeframe(timeframe)
        return self._limit

    def bars(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> Rows:
        """Complete bars that open in the `limit` timeframes from `since_ms` on."""
        self._count()
        step = parse_timeframe(timeframe)
        now_ms = self.clock.milliseconds()
        rows = self.market.bars(symbol, since_ms, min(since_ms + limit * step, now_ms), step).rows
        return self._kept(rows[rows[:, 0] + step <= now_ms], symbol)

    def trades(self, symbol: str, since_ms: int, until_ms: int) -> Rows:
        """All trades of [since_ms, until_ms) up to now."""
        self._count()
        made = self.market.trades(symbol, since_ms, min(until_ms, self.clock.milliseconds()))
        return self._kept(made.view("<i8").reshape(-1, 5), symbol)

    def funding(self, symbol: str, since_ms: int, until_ms: int) -> Rows:
        """Refused: SourceError."""
        raise SourceError("the simulated market is spot, so it pays no funding")

    def top_symbols(self, n: int, quote: str | None = None) -> list[str]:
        """The first `n` symbols of the market, which lists them by turnover."""
        symbols = [i.symbol for i in self.market.instruments if quote in (None, i.quote)]
        return symbols[:n]

    def _kept(self, rows: Rows, symbol: str) -> Rows:
        for lost in self.lost:
            rows = lost.keeps(rows, symbol)
        return rows

    def _count(self) -> None:
        with self._lock:
            self._requests += 1
