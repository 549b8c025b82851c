"""A lake, a local venue and the real ccxt classes between them, driven by the venue's clock."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

from twinstar_kit.feeds import ManualClock, SimulatedMarket
from twinstar_kit.feeds.ccxt_live import LiveTail, Patience
from twinstar_kit.feeds.ccxt_source import CcxtSource
from twinstar_kit.lake import Kind, Lake, Series
from twinstar_kit.lake.collect import LakeSink
from twinstar_kit.testing.local_venue import LocalVenue, local_binance

START, MINUTE = 1_735_689_600_000, 60_000
MARKET = SimulatedMarket(3)
QUICK = Patience(bar_ms=3_000, trade_ms=500, silence_ms=20_000, again_ms=500, flush_ms=0)


class Witness:
    """A `Sink` that remembers what it was handed, in order, and wakes whoever waits for more."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, bool]] = []
        self.rows: list[np.ndarray] = []
        self.ids: dict[str, list[int]] = {}
        self.gone: list[tuple[str, int, int]] = []
        self._changed = threading.Condition()

    def bars(self, bars: Any) -> None:
        with self._changed:
            self.seen += [(bar.symbol, int(bar.row[0]), bar.live) for bar in bars]
            self.rows += [bar.row for bar in bars]
            self._changed.notify_all()

    def trades(self, trades: Any) -> None:
        with self._changed:
            for one in trades:
                self.ids.setdefault(one.symbol, []).extend(one.rows[:, 4].tolist())
            self._changed.notify_all()

    def absent(self, symbol: str, since_ms: int, until_ms: int) -> None:
        with self._changed:
            self.gone.append((symbol, since_ms, until_ms))
            self._changed.notify_all()

    def last(self, symbol: str) -> tuple[None, None]:
        return None, None

    def wait(self, holds: Callable[[], bool], patience_s: float) -> bool:
        """Whether `holds` came true in time."""
        with self._changed:
            return self._changed.wait_for(holds, patience_s)

    def opens(self, symbol: str) -> list[int]:
        return [opened for one, opened, _ in self.seen if one == symbol]


def numbered(symbol: str, hours: int = 2) -> np.ndarray:
    """The market's trades, with ids that ascend one by one as those of a venue do."""
    trades = MARKET.trades(symbol, START, START + hours * 60 * MINUTE).copy()
    trades["id"] = 70_000 + np.arange(len(trades))
    return trades


class Stage:
    """A venue that shows the simulated market at its clock, a lake, and a tail between them."""

    def __init__(self, lake: Lake, symbols: tuple[str, ...], **options: Any) -> None:
        self.lake, self.symbols, self.options = lake, symbols, options
        self.trades = {symbol: numbered(symbol) for symbol in symbols}
        self.venue = LocalVenue(MARKET, trades=self.trades, clock=ManualClock(START + 10_000))
        self.witness = Witness()
        self.streams = 2 * len(symbols) if options.get("trades", True) else len(symbols)

    def tail(self) -> LiveTail:
        stream = local_binance(self.venue, asynchronous=True)
        self.change(stream)
        source = CcxtSource(local_binance(self.venue))
        sink = LakeSink(self.lake, "binance", "1m", then=self.witness, clock=self.venue.clock)
        listed = source.instruments()
        for symbol in self.symbols:
            self.lake.register(sink.series(symbol), listed[symbol])
            self.lake.register(sink.series(symbol, Kind.TRADES), listed[symbol])
        options = {"patience": QUICK, "pulse_s": 0.01, **self.options}
        return LiveTail(stream, source, self.symbols, sink, clock=self.venue.clock, **options)

    def change(self, stream: Any) -> None:
        """What a test does to the ccxt object before it is used."""

    def play(self, story: Callable[[Stage, LiveTail], Awaitable[None]]) -> LiveTail:
        """Run the tail while `story` moves the venue's clock and plants faults."""

        async def tell() -> LiveTail:
            tail = await asyncio.to_thread(self.tail)
            before = self.venue.log.count("subscribed")
            running = asyncio.ensure_future(tail.run())
            telling = asyncio.ensure_future(self._told(tail, story, before))
            await asyncio.wait({running, telling}, return_when=asyncio.FIRST_COMPLETED)
            tail.stop()
            await running
            await telling
            return tail

        return asyncio.run(asyncio.wait_for(tell(), 60))

    async def _told(self, tail: LiveTail, story: Any, before: int) -> None:
        await asyncio.to_thread(self.venue.log.wait, "subscribed", before + self.streams)
        await story(self, tail)

    async def advance(self, ms: int, step: int = 5_000) -> None:
        """Move the venue's clock on in steps."""
        for _ in range(ms // step):
            await asyncio.to_thread(self.venue.advance, step)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Returns when `holds` does; time goes on meanwhile, slowly."""
        for _ in range(400):
            if await asyncio.to_thread(self.witness.wait, holds, 0.05):
                return
            await asyncio.to_thread(self.venue.advance, 1_000)
        raise TimeoutError(f"{len(self.witness.seen)} bars: {self.witness.seen[-4:]}, {self.venue.log!r}")

    async def trades_until(self, until_ms: int) -> None:
        """Wait until every trade before that time was handed on."""
        last = {symbol: self.true_ids(symbol, START, until_ms)[-1] for symbol in self.symbols}
        await self.until(lambda: all(last[symbol] in self.witness.ids.get(symbol, []) for symbol in last))

    async def bars_until(self, opened: int) -> None:
        """Wait until every symbol's bar of that open was handed on."""
        await self.until(lambda: all(opened in self.witness.opens(symbol) for symbol in self.symbols))

    # --- the truth ---

    def stored(self, symbol: str) -> np.ndarray:
        return self.lake.read("binance", symbol).rows

    def truth(self, symbol: str, since_ms: int, until_ms: int) -> np.ndarray:
        """The market's own bars in the lake's units."""
        bars = MARKET.bars(symbol, since_ms, until_ms)
        ours, theirs = self.lake.instrument(Series("binance", symbol)), bars.instrument
        rows = bars.rows.copy()
        rows[:, 1:5] *= 10 ** (ours.price_scale - theirs.price_scale)
        rows[:, 5] *= 10 ** (ours.amount_scale - theirs.amount_scale)
        return rows

    def ticks(self, symbol: str) -> np.ndarray:
        parts = [chunk.rows for chunk in self.lake.scan(Series("binance", symbol, kind=Kind.TRADES))]
        return np.vstack(parts) if parts else np.empty((0, 5), np.int64)

    def true_ids(self, symbol: str, since_ms: int, until_ms: int) -> list[int]:
        trades = self.trades[symbol]
        return trades["id"][(trades["ts"] >= since_ms) & (trades["ts"] < until_ms)].tolist()
