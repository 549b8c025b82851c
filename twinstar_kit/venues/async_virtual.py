"""AsyncVirtualExchange: the virtual venue as an asynchronous, streaming exchange of ccxt."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable
from typing import Any

import ccxt.pro

from twinstar_kit.venues.description import SOCKETED
from twinstar_kit.venues.face import VirtualFace
from twinstar_kit.venues.streams import Streams
from twinstar_kit.venues.watch_face import WatchFace


class AsyncVirtualExchange(WatchFace, VirtualFace, ccxt.pro.Exchange):  # type: ignore[misc]
    """`VirtualExchange` for asyncio, with ccxt's `watch_*`: the same venue, options, methods, answers and errors.

    Every method that sends or fetches is a coroutine. `advance(ms)` and `advance_to(ts)` are not: they move the
    venue's time at once and wake whoever watches. On a clock that stands still nothing else wakes them; on a running
    one they are woken when a trade comes, and every tenth of a second for quotes and books. Nothing runs while nobody
    waits.

    >>> async def first_trade():
    ...     ex = AsyncVirtualExchange({"options": {"start": "2025-06-01", "clock": "manual"}})
    ...     watching = asyncio.ensure_future(ex.watch_my_trades())
    ...     await asyncio.sleep(0)
    ...     await ex.create_order("BTC/USDT", "market", "buy", 0.001)
    ...     fills = await watching
    ...     await ex.close()
    ...     return fills[0]["side"], fills[0]["amount"]
    >>> asyncio.run(first_trade())
    ('buy', 0.001)
    """

    timeout_on_exit = 0
    streams: Streams

    def after_construct(self, userConfig: Any = None) -> None:
        """Open the venue that the options describe."""
        super().after_construct(userConfig)
        self.streams = Streams(self.venue)

    async def answer(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Carry out a method of the faces, which do not wait; only a session in another process is waited for."""
        self.open()
        await asyncio.sleep(0)  # a loop that never has to wait still lets others run
        if not self.venue.remote:
            try:
                return method(self, *args, **kwargs)
            finally:
                self.streams.publish()
        self.ready()
        self.streams.hold()
        try:
            return await asyncio.to_thread(method, self, *args, **kwargs)
        finally:
            self.streams.release()

    async def load_markets(self, reload: bool = False, params: Any = None) -> Any:
        """Markets by symbol; they are at hand."""
        self.supported("loadMarkets", params or {})
        self.open()
        self.ready(reload)
        return self.markets

    # -- time ---------------------------------------------------------------------------------------------

    def advance(self, ms: int) -> int:
        """Move the venue's time on by `ms` milliseconds and wake whoever watches; returns the new time."""
        try:
            return super().advance(ms)
        finally:
            self.streams.stir()

    def advance_to(self, ts: int | str) -> int:
        """Move the venue's time on to `ts` (UTC milliseconds or an ISO date) and wake whoever watches."""
        try:
            return super().advance_to(ts)
        finally:
            self.streams.stir()

    async def sleep(self, milliseconds: float) -> None:
        """Let time pass: the venue's where it waits to be advanced, else real time."""
        if milliseconds > 0 and self.venue.standing:
            self.advance(round(milliseconds))
            milliseconds = 0
        await asyncio.sleep(milliseconds / 1000)

    async def throttle(self, cost: float | None = None) -> None:
        """Wait as the rate limit asks, on the venue's time."""
        wait = self.due_ms(cost)
        if wait:
            await self.sleep(wait)
        self.lastRestRequestTimestamp = self.milliseconds()

    # -- what it is ---------------------------------------------------------------------------------------

    async def reset(self) -> Any:
        """Put the account away and begin a new one, see `VirtualFace.reset`; whoever watches gets UnsubscribeError."""
        kept = super().reset()
        self.streams.drop((), ccxt.UnsubscribeError(f"{self.id} the account was put away; watch the new one"))
        self.streams.venue = self.venue
        return kept

    def open(self, lazy: bool = False) -> None:
        """Remember the loop that runs, for ccxt's `spawn` and `delay`; there are no connections to open."""
        self.closed_by_user = False
        self.asyncio_loop = asyncio.get_running_loop()

    async def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        """This exchange makes no requests over a network."""
        raise ccxt.NotSupported(f"{self.id} has no network side; there is nothing at {url}")

    async def close(self, clean_instance_data: bool = False) -> None:
        """Close the journal, if there is one; whoever watches gets ExchangeClosedByUser."""
        self.streams.close(ccxt.ExchangeClosedByUser(f"{self.id} was closed by its user"))
        self.venue.close()
        await super().close(clean_instance_data)


def _awaited(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of the faces as a coroutine, with its name, its signature and its words."""

    @functools.wraps(method)
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await self.answer(method, *args, **kwargs)

    return call


AWAITED = (
    "fetch_",
    "create_",
    "cancel_",
    "edit_",
    "set_",
    "add_",
    "reduce_",
    "close_",
    "transfer",
    "deposit",
    "withdraw",
    "explain",
)
for _name in dir(VirtualFace):
    if _name.startswith(AWAITED) and _name != "set_sandbox_mode":
        setattr(AsyncVirtualExchange, _name, _awaited(getattr(VirtualFace, _name)))
for _name in SOCKETED:
    _name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", _name).lower()
    setattr(AsyncVirtualExchange, f"{_name}_ws", getattr(AsyncVirtualExchange, _name))
