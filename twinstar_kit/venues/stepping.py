"""Leads the market past the open orders of an account in time order, and says exactly which data they met."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from twinstar_kit.jit import compiled
from twinstar_kit.journal.inputs import InputKind, input_t
from twinstar_kit.kernel import matching, step
from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.orders import OrdStatus, OrdType

WORKING, PARKED = int(OrdStatus.WORKING), int(OrdStatus.NONE)
RECORDS = step.RECORDS_PER_ORDER
MINUTE_MS = 60_000
CHUNK_MS = 1_440 * MINUTE_MS
FAR = np.iinfo(np.int64).max

Integers = npt.NDArray[np.int64]
Events = npt.NDArray[np.void]


class MarketData(Protocol):
    """What the venue asks of a feed; see `feeds.base.Feed`."""

    @property
    def spec(self) -> str: ...
    @property
    def simulated(self) -> bool: ...
    @property
    def granularity(self) -> str: ...
    @property
    def instruments(self) -> tuple[Instrument, ...]: ...
    def span(self) -> tuple[int, int]: ...
    def bars(self, symbol: str, since_ms: int, until_ms: int, timeframe_ms: int = ...) -> Any: ...
    def trades(self, symbol: str, since_ms: int, until_ms: int) -> Events: ...
    def book(self, symbol: str, now_ms: int, depth: int = ...) -> tuple[Any, Any]: ...
    def last(self, symbol: str, now_ms: int) -> int: ...
    def tickers(self, now_ms: int) -> Events: ...


@compiled
def meet_trades(
    state: Any,
    inst: Any,
    orders: Any,
    ledger: Any,
    out: Any,
    which: Any,
    ts: Any,
    prices: Any,
    met: Any,
    i: int,
) -> tuple[int, int]:
    """Let trades from number `i` on meet the orders.

    `which` (instrument), `ts` (ms) and `prices` (price units) are int64 arrays of one length, ascending in time;
    `met` is set to 1 where an order was open to meet the trade. Returns the next number, less than all when `out` is
    full, and one past the last trade that made an event.
    """
    hit = 0
    while i < len(ts):
        s = state[0]
        if s.n_orders == 0:
            return len(ts), hit
        if out.shape[0] - s.n_out <= RECORDS * (s.n_orders + 1):
            return i, hit
        for k in range(s.n_orders):
            if orders[k].instrument == which[i]:
                met[i] = 1
        if met[i]:
            before = s.seq
            matching.on_trade(state, inst, orders, ledger, out, which[i], ts[i], prices[i])
            if s.seq != before:
                hit = i + 1
        i += 1
    return i, hit


@compiled
def meet_bars(
    state: Any, inst: Any, orders: Any, ledger: Any, out: Any, which: Any, rows: Any, met: Any, i: int
) -> tuple[int, int]:
    """Let complete bars from number `i` on meet the orders; the rest is as in `meet_trades`.

    `rows` are bars of one timeframe as in `Bars.rows`, ascending in time; `which` names their instruments. An
    order that arrived after a bar opened does not meet that bar: nobody knows what came before it and what after.
    """
    hit = 0
    while i < len(rows):
        s = state[0]
        if s.n_orders == 0:
            return len(rows), hit
        if out.shape[0] - s.n_out <= RECORDS * (s.n_orders + 1):
            return i, hit
        j = which[i]
        for k in range(s.n_orders):
            if orders[k].instrument == j:
                if orders[k].status == WORKING and orders[k].ts > rows[i, 0]:
                    orders[k].status = PARKED
                else:
                    met[i] = 1
        if met[i]:
            before = s.seq
            matching.on_bar(state, inst, orders, ledger, out, j, rows, i)
            if s.seq != before:
                hit = i + 1
        for k in range(s.n_orders):
            if orders[k].status == PARKED:
                orders[k].status = WORKING
        i += 1
    return i, hit


class Stepper:
    """Steps the instruments that have open orders through a feed's trades, or its bars where it has no trades.

    `pending` is market data that orders have met since the last event, `input_t` in order; it belongs to whatever
    batch comes next. Minutes that provably change nothing are not made.
    """

    def __init__(self, engine: Engine, feed: MarketData, timeframe_ms: int) -> None:
        self.engine, self.feed, self.timeframe_ms = engine, feed, timeframe_ms
        self.pending: list[Events] = []
        # time, instrument and id of the last trade before a restart
        self.seen: tuple[int, int, int] = (0, 0, 0)
        self._busy: dict[int, int] = {}

    def step(self, since: int, until: int, commit: Callable[[Events], object]) -> None:
        """Let [since, until) pass; `commit(events)` is called after each stretch that made some."""
        if self.feed.granularity == "bars":
            self._step_bars(since, until, commit)
            return
        at = since
        while at < until and self.open_instruments():
            end = min(until, at // CHUNK_MS * CHUNK_MS + CHUNK_MS)
            self._step_chunk(at, end, commit)
            at = end

    def warm(self) -> None:
        """Compile, or load, the loop of this feed."""
        kind = InputKind.BAR if self.feed.granularity == "bars" else InputKind.TRADE
        loop, columns = self._loop(kind, np.empty(0, input_t))
        loop(*self.engine.arrays, np.empty(0, np.int64), *columns, np.empty(0, np.int8), 0)

    def open_instruments(self) -> list[int]:
        """The numbers of the instruments that have open orders."""
        n = int(self.engine.state["n_orders"][0])
        return sorted(set(self.engine.orders["instrument"][:n].tolist()))

    def take_pending(self) -> Events:
        """The market data that the next batch begins with."""
        taken = np.concatenate(self.pending) if self.pending else np.empty(0, input_t)
        self.pending = []
        return taken

    def remember(self, inputs: Events) -> None:
        """Note from recorded data which instruments' minutes had begun to matter when it ends."""
        trades = inputs[inputs["kind"] == InputKind.TRADE]
        if len(trades):
            minutes = trades["ts"] // MINUTE_MS
            latest = trades["instrument"][minutes == minutes[-1]]
            self._busy.update(dict.fromkeys(np.unique(latest).tolist(), int(minutes[-1])))

    def _table(self) -> bytes:
        return self.engine.orders[: int(self.engine.state["n_orders"][0])].tobytes()

    def _step_chunk(self, since: int, until: int, commit: Callable[[Events], object]) -> None:
        first = since // MINUTE_MS
        minutes = -(-until // MINUTE_MS) - first
        ranges: dict[int, tuple[Integers, Integers]] = {}
        busy: dict[int, npt.NDArray[np.bool_]] = {}
        minute = 0
        while minute < minutes:
            js = self.open_instruments()
            for j in js:
                if j not in ranges:
                    ranges[j] = self._minute_ranges(j, first, minutes)
                if j not in busy:
                    busy[j] = self._may_matter(j, *ranges[j])
                    # a minute that mattered once matters to its end, so that what was met does not
                    # depend on how often somebody looked
                    if 0 <= self._busy.get(j, -1) - first < minutes:
                        busy[j][self._busy[j] - first] = True
            upcoming = [minute + int(busy[j][minute:].argmax()) for j in js if busy[j][minute:].any()]
            if not upcoming:
                return
            minute = min(upcoming)
            js = [j for j in js if busy[j][minute]]
            self._busy.update(dict.fromkeys(js, first + minute))
            start = (first + minute) * MINUTE_MS
            before = self._table()
            self._meet_trades(js, max(since, start), min(until, start + MINUTE_MS), commit)
            if self._table() != before:
                busy.clear()
            minute += 1

    def _minute_ranges(self, j: int, first: int, minutes: int) -> tuple[Integers, Integers]:
        symbol = self.engine.instruments[j].symbol
        rows = self.feed.bars(symbol, first * MINUTE_MS, (first + minutes) * MINUTE_MS, MINUTE_MS).rows
        # a minute without a bar has no trades: an empty range matters to nobody
        high, low = np.zeros(minutes, np.int64), np.full(minutes, FAR)
        at = rows[:, 0] // MINUTE_MS - first
        high[at], low[at] = rows[:, 2], rows[:, 3]
        return high, low

    def _may_matter(self, j: int, high: Integers, low: Integers) -> npt.NDArray[np.bool_]:
        """Minutes whose range reaches an order of instrument `j`: fills or fires it, or moves its trail."""
        result = np.zeros(len(high), bool)
        for o in self.engine.open_orders():
            if o["instrument"] != j:
                continue
            buy, kind = o["side"] > 0, o["ord_type"]
            if kind == OrdType.LIMIT:
                result |= low < o["price"] if buy else high > o["price"]
            else:
                result |= high >= o["stop_px"] if buy else low <= o["stop_px"]
            if kind == OrdType.TRAILING_STOP:
                result |= low < o["anchor"] if buy else high > o["anchor"]
        return result

    def _meet_trades(
        self, js: Sequence[int], since: int, until: int, commit: Callable[[Events], object]
    ) -> None:
        parts = [self.feed.trades(self.engine.instruments[j].symbol, since, until) for j in js]
        inputs = np.zeros(sum(map(len, parts)), input_t)
        inputs["kind"] = InputKind.TRADE
        inputs["instrument"] = np.concatenate(
            [np.full(len(part), j) for part, j in zip(parts, js, strict=True)]
        )
        inputs["ts"] = np.concatenate([part["ts"] for part in parts])
        for column, name in enumerate(("price", "amount", "side", "id")):
            inputs["v"][:, column] = np.concatenate([part[name] for part in parts])
        ids = inputs["v"][:, 3]
        order = np.lexsort((ids, inputs["instrument"], inputs["ts"]))
        self.meet(self._unseen(inputs[order], ids[order]), commit)

    def _step_bars(self, since: int, until: int, commit: Callable[[Events], object]) -> None:
        """Let the bars that were completed in [since, until) meet the open orders."""
        step_ms, parts = self.timeframe_ms, []
        for j in self.open_instruments():
            symbol = self.engine.instruments[j].symbol
            rows = self.feed.bars(symbol, since - step_ms, until - step_ms, step_ms).rows
            part = np.zeros(len(rows), input_t)
            part["kind"], part["instrument"], part["ts"] = InputKind.BAR, j, rows[:, 0] + step_ms
            part["v"][:, :6], part["v"][:, 6] = rows, step_ms
            parts.append(part)
        if parts:
            inputs = np.concatenate(parts)
            inputs = inputs[np.lexsort((inputs["instrument"], inputs["ts"]))]
            self.meet(self._unseen(inputs, np.zeros(len(inputs), np.int64)), commit)

    def _unseen(self, inputs: Events, ids: Integers) -> Events:
        """Without what orders had met before the account was opened again."""
        ts, j, id_ = self.seen
        if not len(inputs) or inputs["ts"][0] > ts:
            return inputs
        after = (inputs["instrument"] > j) | ((inputs["instrument"] == j) & (ids > id_))
        unseen: Events = inputs[(inputs["ts"] > ts) | ((inputs["ts"] == ts) & after)]
        return unseen

    def meet(self, inputs: Events, commit: Callable[[Events], object]) -> None:
        """Let recorded trades, or recorded bars, meet the open orders; `inputs` is `input_t` of one kind, in order."""
        n = len(inputs)
        if n == 0:
            return
        which, met = inputs["instrument"].astype(np.int64), np.zeros(n, np.int8)
        loop, columns = self._loop(inputs["kind"][0], inputs)
        i, cut, events = 0, 0, []
        while i < n:
            i, hit = loop(*self.engine.arrays, which, *columns, met, i)
            cut = max(cut, hit)
            events.append(self.engine.drain())
        made = np.concatenate(events)
        if len(made):
            self.pending.append(inputs[:cut][met[:cut] == 1])
            commit(made)
        rest = inputs[cut:][met[cut:] == 1]
        if len(rest):
            self.pending.append(rest)

    def _loop(self, kind: int, inputs: Events) -> tuple[Any, tuple[Any, ...]]:
        if kind == InputKind.BAR:
            return meet_bars, (np.ascontiguousarray(inputs["v"][:, :6]),)
        return meet_trades, (np.ascontiguousarray(inputs["ts"]), np.ascontiguousarray(inputs["v"][:, 0]))
