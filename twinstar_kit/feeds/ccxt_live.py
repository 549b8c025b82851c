"""The live tail of a venue: every bar and trade handed on in order, once, and stored before anybody acts on it.

Bars and trades come from `ccxt_streams`, `ordering` puts them into order, and what the stream lost is asked of the
venue's REST side (`Source`) before anything later is handed on.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.base import DAY_MS, Rows, find_instrument
from twinstar_kit.feeds.ccxt_source import TRADE_PAGING
from twinstar_kit.feeds.ccxt_streams import Group, Pause, Streams
from twinstar_kit.feeds.clock import Clock, SystemClock
from twinstar_kit.feeds.ordering import BarOrder, Row, TradeOrder
from twinstar_kit.feeds.resample import floor_time
from twinstar_kit.feeds.source import Source, SourceError
from twinstar_kit.kernel.bars import TIMESTAMP, parse_timeframe
from twinstar_kit.kernel.errors import UsageError

T = TypeVar("T")
GROUP_OF = 50
"""Symbols that share one subscription."""
PULSE_S = 0.1


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the tail waits, in ms of its clock, before it does something about it.

    `bar_ms`: for a bar after its close, before REST is asked for it. `trade_ms`: for a trade whose follower is there.
    `silence_ms`: for any message of a connection, before REST is asked whether there should have been one. `settled_ms`:
    after the close of a bar that REST does not have either, before it counts as one that does not exist.
    `again_ms`: between the first two questions for the same thing, then twice as long, and so on; there are
    `trade_questions` of them for trades.
    `catch_up_ms`, `trades_catch_up_ms`: how far back a tail that goes on looks. `flush_ms`: between two batches of trades for the sink.
    """

    bar_ms: int = 3_000
    trade_ms: int = 1_000
    silence_ms: int = 20_000
    settled_ms: int = 90_000
    again_ms: int = 2_000
    catch_up_ms: int = 7 * DAY_MS
    trades_catch_up_ms: int = 3_600_000
    trade_questions: int = 3
    flush_ms: int = 2_000


@dataclass(frozen=True, slots=True)
class LiveBar:
    """A finished bar (a row of `Bars.rows`); `live` when it was seen as it happened, not asked for afterwards."""

    symbol: str
    row: Row
    live: bool


@dataclass(frozen=True, slots=True)
class LiveTrades:
    """Trades of one symbol, ascending: (n, 5) of timestamp, price, amount, side and id; `live` by row as for bars."""

    symbol: str
    rows: Rows
    live: npt.NDArray[np.bool_]


class Sink(Protocol):
    """Where a tail puts what it hands on. A call returns when what it was given is safe; the next one waits for it."""

    def bars(self, bars: Sequence[LiveBar]) -> None:
        """Finished bars in order of time, of each symbol each once and without a hole that the venue could fill.

        A symbol that waits for an answer does not hold up the others.
        """

    def trades(self, trades: Sequence[LiveTrades]) -> None:
        """Trades of several symbols; of each in order, once."""

    def absent(self, symbol: str, since_ms: int, until_ms: int) -> None:
        """The venue was asked for the bars that open in [since_ms, until_ms) and has none."""

    def last(self, symbol: str) -> tuple[int | None, tuple[int, int] | None]:
        """What is safe already: the open of the last bar, and time and id of the last trade."""


@dataclass(slots=True)
class Health:
    """What a tail has done so far; `lag_ms` is how long after its close the last bar was handed on."""

    messages: int = 0
    bars: int = 0
    trades: int = 0
    duplicates: int = 0
    holes: int = 0
    healed_bars: int = 0
    healed_trades: int = 0
    absent_bars: int = 0
    lost_trades: int = 0
    stalls: int = 0
    reconnects: int = 0
    unreadable: int = 0
    lag_ms: int = 0
    trouble: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The figures by name."""
        return asdict(self)


@dataclass(slots=True)
class _Asked:
    """Questions about one hole: when it was first seen, when it may be asked for again, how often it was."""

    since_ms: int
    next_ms: int
    times: int = 0
    open: bool = False


@dataclass(slots=True)
class _Symbol:
    """What is known of one symbol."""

    bars: BarOrder
    trades: TradeOrder
    bar_question: _Asked | None = None
    trade_question: _Asked | None = None


class LiveTail:
    """Follows `symbols` of a venue; `run` hands bars of `timeframe` and trades to `sink` until `stop`.

    `exchange` is an object of a `ccxt.pro` class and belongs to the tail, `source` the same venue's history. Bars are
    handed on strictly in order of time, each once and finished: where the venue's messages do not say that a bar is
    finished, or a message was lost, its REST answer decides. A connection that is silent while the venue trades is cut
    and made anew. `clock` is ours; the venue's is asked for.
    """

    def __init__(
        self, exchange: Any, source: Source, symbols: Iterable[str], sink: Sink, *, timeframe: str = "1m",
        trades: bool = True, clock: Clock | None = None, patience: Patience | None = None,
        pause: Pause = asyncio.sleep, pulse_s: float = PULSE_S,
    ) -> None:  # fmt: skip
        self.timeframe, self.timeframe_ms = timeframe, parse_timeframe(timeframe)
        if DAY_MS % self.timeframe_ms:
            raise UsageError(
                f"a live tail has bars of up to a day, not {timeframe}; longer ones are joined from them"
            )
        self.source, self.sink, self.patience = source, sink, patience or Patience()
        self.symbols = tuple(dict.fromkeys(symbols))
        self.health = Health()
        self._exchange, self._with_trades, self._pause = exchange, trades, pause
        self._clock = clock or SystemClock()
        self._ahead_ms = 0  # of the venue's clock before ours
        self._known: dict[str, _Symbol] = {}
        self._stopping = asyncio.Event()
        self._questions: set[asyncio.Task[None]] = set()
        self._asking = asyncio.Semaphore(4)
        self._probed: dict[str, int] = {}
        self._flushed_ms = 0
        self._failure: BaseException | None = None
        self._pulse_s = pulse_s

    # --- running ---

    async def run(self) -> None:
        """Follow until `stop`; what was heard by then is handed on before this returns. SourceError at the start alone."""
        try:
            await self._run()
        finally:
            with contextlib.suppress(Exception):  # what it says while it is closed concerns nobody any more
                await self._exchange.close()

    async def _run(self) -> None:
        listed = await asyncio.to_thread(self.source.instruments)
        for symbol in self.symbols:
            find_instrument(tuple(listed.values()), symbol)  # names the nearest where there is none
        await self._of_exchange(self._exchange.load_markets())
        await self._look_at_the_clock()
        instruments = {symbol: listed[symbol] for symbol in self.symbols}
        streams = Streams(self._exchange, instruments, self.timeframe, self._clock, self._pause)
        try:
            for symbol in self.symbols:
                self._known[symbol] = await self._begin(symbol)
            for at in range(0, len(self.symbols), GROUP_OF):
                for kind in ("bars", "trades") if self._with_trades else ("bars",):
                    streams.follow(kind, self.symbols[at : at + GROUP_OF])
            while not self._stopping.is_set():
                await self._turn(streams)
                await self._rest()
            self._take(streams)
            await self._hand_on()
        finally:
            for task in self._questions:
                task.cancel()
            await asyncio.gather(*self._questions, return_exceptions=True)
            await streams.close()

    def stop(self) -> None:
        """Let `run` end; from the same event loop."""
        self._stopping.set()

    async def _rest(self) -> None:
        """A pulse long, or until `stop`."""
        with_pulse = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({with_pulse}, timeout=self._pulse_s)
        with_pulse.cancel()

    async def _of_exchange(self, question: Awaitable[T]) -> T:
        """The answer of the ccxt object; SourceError, in one line, when there is none or it makes no sense."""
        import ccxt

        try:
            return await question
        except (ccxt.BaseError, TypeError, KeyError, IndexError, ValueError, AttributeError) as error:
            said = str(error).splitlines()
            raise SourceError(
                f"{self.source.name}: {type(error).__name__}: {said[0] if said else 'no reason'}"
            ) from error

    async def _look_at_the_clock(self) -> None:
        if not self._exchange.has.get("fetchTime"):
            return
        before = self._clock.milliseconds()
        said = int(await self._of_exchange(self._exchange.fetch_time()))
        self._ahead_ms = said - (before + self._clock.milliseconds()) // 2

    def _now_ms(self) -> int:
        return self._clock.milliseconds() + self._ahead_ms

    async def _begin(self, symbol: str) -> _Symbol:
        """Go on after what is safe, if that is not too long ago; else begin with the bar that is forming."""
        now_ms = self._now_ms()
        last_bar, last_trade = await asyncio.to_thread(self.sink.last, symbol)
        due_ms = floor_time(now_ms, self.timeframe_ms)
        if last_bar is not None and now_ms - self.patience.catch_up_ms <= last_bar < due_ms:
            due_ms = last_bar + self.timeframe_ms
        order = TradeOrder(sequential=TRADE_PAGING.get(self._exchange.id) == "id")
        if (
            last_trade is not None
            and order.sequential
            and now_ms - last_trade[0] <= self.patience.trades_catch_up_ms
        ):
            order.last_ms, order.last_id = last_trade
        return _Symbol(BarOrder(self.timeframe_ms, due_ms), order)

    async def _turn(self, streams: Streams) -> None:
        """One look at everything."""
        self._take(streams)
        await self._hand_on()
        for symbol, known in self._known.items():
            self._mind_bars(symbol, known, streams)
            if self._with_trades:
                self._mind_trades(symbol, known)
        for group in streams.groups:
            self._mind(group, streams)
        if self._failure is not None:
            raise self._failure

    def _take(self, streams: Streams) -> None:
        for symbol, row in streams.bars():
            if not self._known[symbol].bars.seen(row):
                self.health.duplicates += 1
        for symbol, rows in streams.trades():
            if self._with_trades:
                self.health.duplicates += self._known[symbol].trades.seen(rows)
        self.health.messages, self.health.unreadable = streams.messages, streams.unreadable

    async def _hand_on(self) -> None:
        """Everything that is ready, to the sink; bars of one time together."""
        ready = [
            LiveBar(symbol, row, live)
            for symbol, known in self._known.items()
            for row, live in known.bars.ready()
        ]
        if ready:
            ready.sort(key=lambda bar: (int(bar.row[TIMESTAMP]), bar.symbol))
            await asyncio.to_thread(self.sink.bars, ready)
            self.health.bars += len(ready)
            self.health.lag_ms = self._now_ms() - int(ready[-1].row[TIMESTAMP]) - self.timeframe_ms
        if self._clock.milliseconds() - self._flushed_ms >= self.patience.flush_ms or self._stopping.is_set():
            await self._hand_on_trades()

    async def _hand_on_trades(self) -> None:
        self._flushed_ms = self._clock.milliseconds()
        found = [LiveTrades(symbol, *known.trades.ready()) for symbol, known in self._known.items()]
        found = [trades for trades in found if len(trades.rows)]
        if found:
            await asyncio.to_thread(self.sink.trades, found)
            self.health.trades += sum(len(trades.rows) for trades in found)
            self.health.healed_trades += sum(int((~trades.live).sum()) for trades in found)

    # --- holes ---

    def _mind_bars(self, symbol: str, known: _Symbol, streams: Streams) -> None:
        """Ask for the first hole of a symbol, once it is old enough."""
        hole = known.bars.hole(self._now_ms() - self.patience.bar_ms)
        if hole is None:
            known.bar_question = None
            return
        question = known.bar_question
        if question is None or question.since_ms != hole[0]:
            question = known.bar_question = _Asked(hole[0], 0)
        if not question.open and question.next_ms <= self._now_ms():
            question.open = True
            self._ask(self._fill_bars(symbol, known, question, hole, streams))

    async def _fill_bars(
        self, symbol: str, known: _Symbol, question: _Asked, hole: tuple[int, int], streams: Streams
    ) -> None:
        since_ms, until_ms = hole
        limit = min((until_ms - since_ms) // self.timeframe_ms, self.source.limit(self.timeframe))
        seen = {} if streams.finished else streams.candidates(symbol)
        rows = await self._of_source(lambda: self.source.bars(symbol, self.timeframe, since_ms, limit))
        question.times += 1
        question.next_ms = self._now_ms() + self.patience.again_ms * 2 ** min(question.times - 1, 5)
        question.open = False
        if rows is None:
            return
        rows = rows[(rows[:, TIMESTAMP] >= since_ms) & (rows[:, TIMESTAMP] < until_ms)]
        # a bar that is not in the answer does not exist if later ones are there, or if it had its time
        asked_until = since_ms + limit * self.timeframe_ms
        settled = min(asked_until, floor_time(self._now_ms() - self.patience.settled_ms, self.timeframe_ms))
        sure = max([since_ms, settled, *(rows[:, TIMESTAMP] + self.timeframe_ms).tolist()])
        sure = min(sure, asked_until)
        healed = known.bars.filled(rows, sure, seen)
        self.health.holes += healed > 0
        self.health.healed_bars += healed
        have = set(rows[:, TIMESTAMP].tolist())
        lacking = [opened for opened in range(since_ms, sure, self.timeframe_ms) if opened not in have]
        for first, last in _runs(lacking, self.timeframe_ms):
            self.health.absent_bars += (last - first) // self.timeframe_ms + 1
            await asyncio.to_thread(self.sink.absent, symbol, first, last + self.timeframe_ms)

    def _mind_trades(self, symbol: str, known: _Symbol) -> None:
        """Ask for trades whose followers are there."""
        gap = known.trades.hole()
        if gap is None:
            known.trade_question = None
            return
        question = known.trade_question
        if question is None or question.since_ms != gap[0]:
            question = known.trade_question = _Asked(gap[0], self._now_ms() + self.patience.trade_ms)
            return
        if not question.open and question.next_ms <= self._now_ms():
            question.open = True
            self._ask(self._fill_trades(symbol, known, question))

    async def _fill_trades(self, symbol: str, known: _Symbol, question: _Asked) -> None:
        if known.trades.hole() is None:
            return
        first_ms, last_ms = known.trades.times_around()
        rows = await self._of_source(lambda: self.source.trades(symbol, first_ms, last_ms + 1))
        question.times += 1
        question.next_ms = self._now_ms() + self.patience.again_ms * 2 ** min(question.times - 1, 5)
        question.open = False
        if rows is not None:
            healed = len(rows) - known.trades.seen(rows, live=False)
            self.health.holes += healed > 0
        gap = known.trades.hole()
        if (
            gap is not None
            and gap[0] == question.since_ms
            and question.times >= self.patience.trade_questions
        ):
            lost = known.trades.give_up()
            self.health.lost_trades += lost[1] - lost[0] - 1
            self.health.trouble = f"{symbol}: the venue does not give trades {lost[0] + 1} to {lost[1] - 1}"

    def _ask(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._questions.add(task)
        task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._questions.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()  # the next turn ends the run with it

    async def _of_source(self, question: Callable[[], T]) -> T | None:
        """The answer of the REST side; None, and the reason in `health.trouble`, when it gives none now."""
        async with self._asking:
            try:
                return await asyncio.to_thread(question)
            except SourceError as error:
                self.health.trouble = str(error)
                return None

    # --- connections ---

    def _mind(self, group: Group, streams: Streams) -> None:
        """Count lost connections, and ask about silent ones."""
        lost = sum(one.losses for one in streams.groups)
        if lost > self.health.reconnects:
            self.health.reconnects = lost
            self.health.trouble = group.error or self.health.trouble
        for url in list(group.urls):
            quiet_since = max(streams.heard.get(url, 0), self._probed.get(url, 0))
            if self._clock.milliseconds() - quiet_since > self.patience.silence_ms:
                self._probed[url] = self._clock.milliseconds()
                self._ask(self._probe(url, group, streams))

    async def _probe(self, url: str, group: Group, streams: Streams) -> None:
        """Cut a silent connection if the venue has traded since it was last heard."""
        heard_ms = streams.heard.get(url, 0) + self._ahead_ms
        for symbol in group.symbols[:3]:
            try:
                newest_ms = await self._of_exchange(self._newest(symbol))
            except SourceError as error:
                self.health.trouble = str(error)
                return
            if newest_ms > heard_ms:
                silent_s = (self._now_ms() - heard_ms) / 1000
                self.health.stalls += 1
                self.health.trouble = (
                    f"{symbol}: no message for {silent_s:.0f} s while the venue traded; connecting anew"
                )
                streams.cut(url, "silent while the venue traded")
                return

    async def _newest(self, symbol: str) -> int:
        """When the venue last traded `symbol`; 0 where it shows no trade."""
        trades = await self._exchange.fetch_trades(symbol, None, 1)
        return max((int(trade["timestamp"]) for trade in trades), default=0)


def _runs(opens: Sequence[int], step_ms: int) -> list[tuple[int, int]]:
    """First and last of each stretch of neighbours.

    >>> _runs([0, 60, 120, 300], 60)
    [(0, 120), (300, 300)]
    """
    found: list[tuple[int, int]] = []
    for opened in opens:
        if found and opened == found[-1][1] + step_ms:
            found[-1] = (found[-1][0], opened)
        else:
            found.append((opened, opened))
    return found


def open_stream(name: str) -> Any:
    """An object of the `ccxt.pro` class called `name`; UsageError where ccxt has none.

    >>> open_stream("binance").id
    'binance'
    """
    import ccxt.pro

    if name not in ccxt.pro.exchanges:
        near = difflib.get_close_matches(name.lower(), ccxt.pro.exchanges, 1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "ccxt lists them as ccxt.pro.exchanges"
        raise UsageError(f"ccxt has no streams of an exchange {name!r}; {hint}")
    return getattr(ccxt.pro, name)({"enableRateLimit": True})


__all__ = ["Health", "LiveBar", "LiveTail", "LiveTrades", "Patience", "Sink", "open_stream"]
