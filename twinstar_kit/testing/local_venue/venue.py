"""`LocalVenue`: the server in its own thread, its clock, its data and its faults."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, Self, TypeVar

import numpy.typing as npt
from aiohttp import web

from twinstar_kit.feeds.base import Feed
from twinstar_kit.feeds.clock import Clock, ManualClock
from twinstar_kit.feeds.replay import Replay
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.testing.local_venue.events import Events
from twinstar_kit.testing.local_venue.faults import Fault
from twinstar_kit.testing.local_venue.limits import Limiter
from twinstar_kit.testing.local_venue.log import VenueLog
from twinstar_kit.testing.local_venue.market import Market
from twinstar_kit.testing.local_venue.rest import Rest
from twinstar_kit.testing.local_venue.streams import Streams

PATIENCE_S = 30.0  # how long a test may wait for the server's thread before it is told so
TICK_S = 0.1  # how often a clock that runs by itself is looked at
T = TypeVar("T")


class LocalVenue:
    """An exchange on 127.0.0.1 that speaks binance's dialect over HTTP and WebSocket.

    `data` is a `Feed`, such as `SimulatedMarket()`, or bars, one series a symbol. `trades` gives the trades of a
    symbol: rows of timestamp, price, amount, side and id in the instrument's units, or an array of `trade_t`; without
    them each bar has four made-up ones. `funding` gives rows of timestamp and rate (in 1e-12) of swap symbols such as
    BTC/USDT:USDT. Nothing later than `clock` is ever shown; without one it stands still at the end of the data.

    The server runs in a thread of its own from `start()` (or `with`) to `stop()`, so it serves code that waits and
    code inside an event loop alike. `advance(ms)` moves the clock on and sends what happened meanwhile to the streams;
    a clock that runs by itself needs no advancing. `plant(fault)` adds a fault; `log` says what happened.

    >>> from twinstar_kit.kernel.bars import Bars
    >>> from twinstar_kit.kernel.instruments import Instrument
    >>> bars = Bars.from_floats(Instrument.from_sizes("BTC/USDT"), 60_000, [60_000, 120_000],
    ...                         [1.0, 2.0], [2.0, 2.5], [1.0, 1.5], [2.0, 2.0], [3.0, 4.0])
    >>> from twinstar_kit.testing.local_venue import local_binance
    >>> with LocalVenue(bars) as venue:
    ...     local_binance(venue).fetch_ohlcv("BTC/USDT", "1m", 0)
    [[60000, 1.0, 2.0, 1.0, 2.0, 3.0], [120000, 2.0, 2.5, 1.5, 2.0, 4.0]]
    """

    def __init__(
        self,
        data: Feed | Bars | Sequence[Bars],
        *,
        trades: Mapping[str, npt.NDArray[Any]] | None = None,
        funding: Mapping[str, npt.NDArray[Any]] | None = None,
        clock: Clock | None = None,
        faults: Iterable[Fault] = (),
        weight_limit: int = 6_000,
        port: int = 0,
    ) -> None:
        feed = Replay([data]) if isinstance(data, Bars) else data if isinstance(data, Feed) else Replay(data)
        self.clock: Clock = ManualClock(feed.span()[1]) if clock is None else clock
        self.log = VenueLog()
        self.faults: list[Fault] = list(faults)
        self.limiter = Limiter(weight_limit)
        self.market = Market(feed, trades)
        events = Events(self.market)
        self._streams = Streams(events, self.clock, self.faults, self.log)
        self._rest = Rest(
            self.market,
            self.clock,
            self.limiter,
            self.faults,
            self.log,
            events.snapshot,
            funding or {},
        )
        self.port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._halt: asyncio.Event | None = None

    def __repr__(self) -> str:
        state = self.url if self._loop else "stopped"
        symbols = len(self.market.feed.instruments)
        return f"LocalVenue({state}, {symbols} symbols, {len(self.faults)} faults)"

    @property
    def url(self) -> str:
        """Where REST is served."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        """Where streams are served."""
        return f"ws://127.0.0.1:{self.port}"

    def plant(self, *faults: Fault) -> None:
        """Add faults; they strike from the next request or message on."""
        self.faults.extend(faults)

    def milliseconds(self) -> int:
        """The venue's time."""
        return self.clock.milliseconds()

    # --- running ---

    def start(self) -> LocalVenue:
        """Begin to serve; returns when requests are taken. UsageError when the port is not free."""
        if self._thread is not None:
            raise UsageError("this local venue runs already")
        self.market.warm_up(self.clock.milliseconds())
        ready = threading.Event()
        failure: list[OSError] = []
        self._thread = threading.Thread(
            target=self._run, args=(ready, failure), name="local-venue", daemon=True
        )
        self._thread.start()
        ready.wait(PATIENCE_S)
        if failure:
            self._thread.join()
            self._thread = None
            raise UsageError(f"the local venue cannot start on port {self.port}: {failure[0]}")
        return self

    def stop(self) -> None:
        """Cut all connections and end; a venue that does not run is left as it is."""
        thread, loop, halt = self._thread, self._loop, self._halt
        if thread is None or loop is None or halt is None:
            return
        loop.call_soon_threadsafe(halt.set)
        thread.join(PATIENCE_S)
        self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def advance(self, ms: int = 0) -> int:
        """Move the clock on by `ms` and send what happened to the streams; returns the new time."""
        advance = getattr(self.clock, "advance", None)
        if advance is None:
            raise UsageError(
                "the clock of this local venue runs by itself; give it a ManualClock to advance it"
            )
        advance(ms)
        self.publish()
        return self.clock.milliseconds()

    def publish(self) -> None:
        """Send what happened up to the clock's time; for a clock that someone else has moved."""
        self._in_thread(self._streams.publish())

    def disconnect(self) -> int:
        """Cut every WebSocket connection now; returns how many there were."""
        return self._in_thread(self._streams.cut_all())

    def _in_thread(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            work.close()
            raise UsageError("this local venue is not running; start it first, or use it in a with statement")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def _run(self, ready: threading.Event, failure: list[OSError]) -> None:
        try:
            asyncio.run(self._serve(ready))
        except OSError as error:
            failure.append(error)
        finally:
            self._loop = None
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        self._halt = asyncio.Event()
        app = web.Application()
        app.add_routes([*self._streams.routes(), *self._rest.routes()])
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", self.port)
            await site.start()
            self.port = runner.addresses[0][1]
            self._loop = asyncio.get_running_loop()
            ready.set()
            ticking = asyncio.create_task(self._tick())
            await self._halt.wait()
            ticking.cancel()
            await self._streams.cut_all()
        finally:
            await runner.cleanup()

    async def _tick(self) -> None:
        while not hasattr(self.clock, "advance"):
            await asyncio.sleep(TICK_S)
            await self._streams.publish()
