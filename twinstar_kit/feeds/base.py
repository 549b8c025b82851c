"""What every source of market data can be asked: the `Feed` protocol, and `open_feed`, which makes one from words."""

from __future__ import annotations

import difflib
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.errors import InstrumentError, UsageError
from twinstar_kit.kernel.instruments import Instrument

Rows = npt.NDArray[np.int64]
MINUTE_MS = 60_000
DAY_MS = 86_400_000

trade_t = np.dtype([("ts", "<i8"), ("price", "<i8"), ("amount", "<i8"), ("side", "<i8"), ("id", "<i8")])
"""A trade: time in ms UTC, price and amount in units, side of the taker (1 buy, -1 sell), an ascending id."""

ticker_t = np.dtype(
    [
        ("last", "<i8"), ("open24h", "<i8"), ("high", "<i8"), ("low", "<i8"),
        ("volume", "<f8"), ("quote_volume", "<f8"), ("change", "<i8"), ("percentage", "<f8"),
        ("bid", "<i8"), ("bid_amount", "<i8"), ("ask", "<i8"), ("ask_amount", "<i8"),
    ]
)  # fmt: skip
"""A day in one line: prices in units; `volume` in the base and `quote_volume` in the quote as floats; `change` is
last - open24h in price units, `percentage` the same in percent. `last` is 0 where a feed knows nothing yet."""


class NextFunding(NamedTuple):
    """The next funding of a perpetual as it is known now: when, the rate so far (hundred-millionths), mark and index in price units."""

    ts: int
    rate: int
    mark: int
    index_px: int


@runtime_checkable
class Feed(Protocol):
    """Market data of several instruments at any time; asking twice gives the same answer.

    `spec` is the text that `open_feed` makes the same feed from. `granularity` says what was recorded or simulated:
    "trades" or "bars". `synthetic` names what is made up from bars ("trades", "book") although the bars are real.
    A feed shows the future when it is asked for it: who must not see it passes no time after now.
    """

    @property
    def spec(self) -> str: ...
    @property
    def simulated(self) -> bool: ...
    @property
    def granularity(self) -> str: ...
    @property
    def synthetic(self) -> frozenset[str]: ...
    @property
    def instruments(self) -> tuple[Instrument, ...]: ...

    def span(self) -> tuple[int, int]:
        """The first time there is data for, and the time after the last."""

    def bars(self, symbol: str, since_ms: int, until_ms: int, timeframe_ms: int = MINUTE_MS) -> Bars:
        """Complete bars that open in [since_ms, until_ms)."""

    def forming_bar(self, symbol: str, now_ms: int, timeframe_ms: int = MINUTE_MS) -> Rows | None:
        """A row as in `Bars.rows` of what has elapsed at `now_ms` of the bar that is open; None if nothing has."""

    def trades(self, symbol: str, since_ms: int, until_ms: int) -> npt.NDArray[np.void]:
        """Trades with time in [since_ms, until_ms), of dtype `trade_t`."""

    def book(self, symbol: str, now_ms: int, depth: int = 10) -> tuple[Rows, Rows]:
        """Bids and asks at `now_ms`, the best first: int64 (n, 2) of price and amount in units."""

    def last(self, symbol: str, now_ms: int) -> int:
        """Price units of the last trade at `now_ms`."""

    def tickers(self, now_ms: int) -> npt.NDArray[np.void]:
        """The last 24 hours of all instruments, in their order, of dtype `ticker_t`."""

    def mark(self, symbol: str, now_ms: int) -> int:
        """Price units of the mark price of a perpetual at `now_ms`; 0 where none is known, as of every spot market."""

    def funding(self, symbol: str, since_ms: int, until_ms: int) -> Rows:
        """Fundings of a perpetual with time in [since_ms, until_ms): int64 (n, 3) of time, rate (hundred-millionths), mark price."""

    def next_funding(self, symbol: str, now_ms: int) -> NextFunding | None:
        """The funding that comes next after `now_ms`; None where it is not known."""


class NoFunding:
    """What a feed answers that knows neither mark prices nor funding; a base class for such feeds."""

    def mark(self, symbol: str, now_ms: int) -> int:
        """0: no mark price is known."""
        return 0

    def funding(self, symbol: str, since_ms: int, until_ms: int) -> Rows:
        """No funding is known."""
        return np.zeros((0, 3), np.int64)

    def next_funding(self, symbol: str, now_ms: int) -> NextFunding | None:
        """No funding is known."""
        return None


def open_feed(spec: str, **rules: Any) -> Feed:
    """The feed that `spec` names: `simulated[:SEED]`, `replay:PATH[,PATH...]`, `depth:PATH,trades:PATH` or `ccxt:EXCHANGE`.

    `ccxt:binance@http://127.0.0.1:PORT` is a venue on this machine that speaks binance's dialect.
    `rules` (symbol, exchange, timeframe, tick, lot, since, until) go to the files of a replay; of a recorded book symbol,
    exchange, tick and lot; `symbol`, `symbols` and `sink` to a venue. UsageError for an unknown feed, DataError for a file
    that cannot be used.

    >>> open_feed("simulated:7").spec
    'simulated:7'
    """
    kind, _, rest = spec.partition(":")
    if kind == "simulated":
        from twinstar_kit.feeds.simulated import SimulatedMarket

        if rest and not rest.isdigit():
            raise UsageError(f"feed {spec!r}: the seed must be a whole number, as in simulated:7")
        return SimulatedMarket(int(rest or 0))
    if kind == "replay":
        from twinstar_kit.feeds.replay import Replay

        if not rest:
            raise UsageError("feed 'replay' needs a file: replay:PATH")
        return Replay.open(rest, **rules)
    if kind == "ccxt":
        from twinstar_kit.feeds.ccxt_feed import CcxtFeed

        return CcxtFeed.open(rest, **rules)
    if kind == "depth":
        from twinstar_kit.feeds.recorded import RecordedMarket

        if not rest:
            raise UsageError("feed 'depth' needs files: depth:PATH,trades:PATH")
        return RecordedMarket.open(rest, **rules)
    near = difflib.get_close_matches(kind, ("simulated", "replay", "depth", "ccxt"), 1)
    use = "use simulated, simulated:SEED, replay:PATH, depth:PATH or ccxt:EXCHANGE"
    hint = f"did you mean {near[0]}?" if near else use
    raise UsageError(f"unknown feed {spec!r}; {hint}")


def find_instrument(instruments: tuple[Instrument, ...], symbol: str) -> int:
    """The number of `symbol`; InstrumentError with the nearest name when there is none."""
    for number, instrument in enumerate(instruments):
        if instrument.symbol == symbol:
            return number
    names = [instrument.symbol for instrument in instruments]
    near = difflib.get_close_matches(symbol.upper(), names, 1, cutoff=0.5)
    some = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
    hint = f"did you mean {near[0]}?" if near else f"there are {some}"
    raise InstrumentError(f"unknown symbol {symbol!r}; {hint}")
