"""Leads the market past an account in time order, and says exactly which data it met.

At one instant: orders arrive or run out, funding, mark prices, then trades (or bars) by instrument, then commands. Only
instruments with open orders or positions are led past it, and minutes that provably change nothing are not made. Mark prices,
and quotes for triggers that look at them, are looked at every `LOOK_MS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from twinstar_kit.journal.inputs import InputKind, record
from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.gate import Op
from twinstar_kit.kernel.orders import NEVER, EventKind, OrdFlag, OrdStatus, OrdType, TriggerBy
from twinstar_kit.venues.market_data import (
    MINUTE_MS,
    Integers,
    MarketData,
    Records,
    after,
    bar_records,
    book_records,
    funding_records,
    in_order,
    joined,
    mark_record,
    quote_record,
    stream_rows,
    trade_records,
)

CHUNK_MS = 1_440 * MINUTE_MS
LOOK_MS = 10_000
"""How often mark prices, and quotes that triggers look at, are looked at."""
FAR = np.iinfo(np.int64).max
DORMANT = int(OrdStatus.DORMANT)
Commit = Callable[[Records], object]


class Stepper:
    """Steps an account through a feed's trades, or its bars where it has no trades.

    `pending` is market data that the account has met since the last event, `input_t` in order; it belongs to whatever
    batch comes next. `derivative` says which instruments are contracts.
    """

    def __init__(self, engine: Engine, feed: MarketData, timeframe_ms: int) -> None:
        self.engine, self.feed, self.timeframe_ms = engine, feed, timeframe_ms
        self.pending: list[Records] = []
        # what orders the last record that was met before a restart
        self.seen: tuple[int, int, int, int] = (0, 0, 0, 0)
        self._busy: dict[int, int] = {}
        self.derivative = np.array([m.derivative for m in engine.instruments])
        self._fee_instruments = sorted(set(engine.inst["fee_instrument"].tolist()) - {-1})

    # -- who is concerned ---------------------------------------------------------------------------------

    def _orders(self) -> npt.NDArray[np.void]:
        orders: npt.NDArray[np.void] = self.engine.orders[: int(self.engine.state["n_orders"][0])]
        return orders

    def concerned(self) -> npt.NDArray[np.bool_]:
        """Which instruments have open orders or positions of contracts."""
        which = self._held()
        which[self._orders()["instrument"]] = True
        return which

    def _held(self) -> npt.NDArray[np.bool_]:
        which: npt.NDArray[np.bool_] = self.derivative & self.engine.inst["position"].any(axis=1)
        return which

    def marked(self, j: int = -1) -> list[int]:
        """The instruments whose marks matter: those with positions of contracts, and `j` if it is one of contracts."""
        which = self._held()
        if j >= 0:
            which[j] |= self.derivative[j]
        marked: list[int] = np.flatnonzero(which).tolist()
        return marked

    @property
    def idle(self) -> bool:
        """Whether nothing that the market does can change the account."""
        return not len(self._orders()) and not self.concerned().any()

    def take_pending(self) -> Records:
        """The market data that the next batch begins with."""
        taken = joined(self.pending)
        self.pending = []
        return taken

    def remember(self, inputs: Records) -> None:
        """Note from recorded data which instruments' minutes had begun to matter when it ends."""
        trades = inputs[inputs["kind"] == InputKind.TRADE]
        if len(trades):
            minutes = trades["ts"] // MINUTE_MS
            latest = trades["instrument"][minutes == minutes[-1]]
            self._busy.update(dict.fromkeys(np.unique(latest).tolist(), int(minutes[-1])))

    # -- time passes --------------------------------------------------------------------------------------

    def step(self, since: int, until: int, commit: Commit) -> None:
        """Let [since, until) pass; `commit(events)` is called after each stretch that made some."""
        done = -1
        while since < until and not self.idle:
            wake = self._next_wake(since, done)
            end = min(until, wake)
            self._step_market(since, end, commit)
            if wake < until:
                self._timer(wake, commit)
                done = wake
            since = end

    def _next_wake(self, since: int, done: int) -> int:
        """When an order next arrives or runs out; orders that wait for another may begin to count any time."""
        wakes = self._orders()["wake_ts"]
        wakes = wakes[(wakes >= since) & (wakes > done)]
        return int(wakes.min(initial=NEVER))

    def _timer(self, ts: int, commit: Commit) -> None:
        """What is due at `ts` runs out or arrives, and what arrives meets the book."""
        orders = self._orders()
        due = orders[(orders["status"] != DORMANT) & (orders["wake_ts"] <= ts)]
        if len(due):
            self.meet(after(record(InputKind.TIME, 0, ts, ()), self.seen), commit)

    def _step_market(self, since: int, until: int, commit: Commit) -> None:
        if self.feed.granularity == "bars":
            self._step_bars(since, until, commit)
            return
        at = since
        while at < until and not self.idle:
            end = min(until, at // CHUNK_MS * CHUNK_MS + CHUNK_MS)
            self._step_chunk(at, end, commit)
            at = end

    def _step_bars(self, since: int, until: int, commit: Commit) -> None:
        parts = []
        for j in np.flatnonzero(self.concerned()).tolist():
            parts.append(bar_records(self.feed, j, since, until, self.timeframe_ms))
            if self.derivative[j]:
                parts.append(funding_records(self.feed, j, since, until))
        self.meet(after(in_order(parts), self.seen), commit)

    def _step_chunk(self, since: int, until: int, commit: Commit) -> None:
        first = since // MINUTE_MS
        minutes = -(-until // MINUTE_MS) - first
        ranges: dict[int, tuple[Integers, Integers]] = {}
        busy: dict[int, npt.NDArray[np.bool_]] = {}
        minute = 0
        while minute < minutes:
            js = np.flatnonzero(self.concerned()).tolist()
            for j in js:
                if j not in ranges:
                    ranges[j] = self._minute_ranges(j, first, minutes)
                if j not in busy:
                    busy[j] = self._may_matter(j, *ranges[j])
                    # a minute that mattered once matters to its end, so that what was met does not
                    # depend on how often somebody looked
                    if 0 <= self._busy.get(j, -1) - first < minutes:
                        busy[j][self._busy[j] - first] = True
            looks = [j for j in js if self.derivative[j] or self._watches_quotes(j)]
            upcoming = (
                [minute]
                if looks
                else [minute + int(busy[j][minute:].argmax()) for j in js if busy[j][minute:].any()]
            )
            if not upcoming:
                return
            minute = min(upcoming)
            traded = [j for j in js if busy[j][minute]]
            self._busy.update(dict.fromkeys(traded, first + minute))
            start = (first + minute) * MINUTE_MS
            before = self._orders().tobytes()
            self._meet_minute(traded, looks, start, max(since, start), min(until, start + MINUTE_MS), commit)
            if self._orders().tobytes() != before:
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
        touched = int(self.engine.state["queue_model"][0] > 0)
        for o in self._orders():
            if o["instrument"] != j or o["status"] in (DORMANT, OrdStatus.IN_FLIGHT):
                continue
            buy, flags = o["side"] > 0, int(o["flags"])
            if o["works_as"] == OrdType.MARKET or (o["works_as"] and not flags & OrdFlag.SEEN):
                return np.ones(len(high), bool)
            if o["works_as"] == OrdType.LIMIT:
                result |= low < o["price"] + touched if buy else high > o["price"] - touched
                continue
            if o["trigger_by"] != TriggerBy.LAST and (
                o["trigger_by"] == TriggerBy.BID_ASK or self.derivative[j]
            ):
                continue
            if (
                o["ord_type"] not in (OrdType.TRAILING_STOP, OrdType.TRAILING_STOP_LIMIT)
                or flags & OrdFlag.ACTIVE
            ):
                result |= high >= o["stop_px"] if o["direction"] > 0 else low <= o["stop_px"]
            if o["ord_type"] in (OrdType.TRAILING_STOP, OrdType.TRAILING_STOP_LIMIT):
                best = o["anchor"] if flags & OrdFlag.ACTIVE else o["activation_px"] + (1 if buy else -1)
                result |= low < best if buy else high > best
        return result

    def _watches_quotes(self, j: int) -> bool:
        orders = self._orders()
        return bool(
            (
                (orders["instrument"] == j)
                & (orders["trigger_by"] == TriggerBy.BID_ASK)
                & (orders["works_as"] == 0)
            ).any()
        )

    def _meet_minute(
        self, traded: Sequence[int], looks: Sequence[int], start: int, since: int, until: int, commit: Commit
    ) -> None:
        parts = [trade_records(self.feed, j, since, until) for j in traded]
        if since == start and (traded or looks):
            parts.extend(self.fee_prices(start))
        for j in looks:
            if self.derivative[j]:
                parts.append(funding_records(self.feed, j, since, until))
            for ts in range(-(-since // LOOK_MS) * LOOK_MS, until, LOOK_MS):
                parts.append(mark_record(self.feed, j, ts))
                if self._watches_quotes(j):
                    parts.append(quote_record(self.feed, j, ts))
        self.meet(after(in_order(parts), self.seen), commit)

    def fee_prices(self, ts: int) -> list[Records]:
        """The last prices that fees in a third asset are worked out with."""
        return [
            record(InputKind.LAST, j, ts, (self.feed.last(self.feed.instruments[j].symbol, ts),))
            for j in self._fee_instruments
        ]

    # -- meeting ------------------------------------------------------------------------------------------

    def meet(self, inputs: Records, commit: Commit, *, recorded: bool = False) -> None:
        """Let market data, `input_t` in order, meet the account; the book is shown to what fires or arrives.

        `recorded` data hold the books already.
        """
        n = len(inputs)
        if n == 0:
            return
        rows, kinds = stream_rows(inputs), inputs["kind"]
        books = np.append(np.flatnonzero(kinds == InputKind.BOOK), n)
        passing = (kinds == InputKind.TRADE) | (kinds == InputKind.BAR)
        i, met, cut, events = 0, [], 0, []
        while i < n:
            if kinds[i] == InputKind.BOOK:
                end = i + int(inputs["v"][i, 3])
                self.show_book(inputs[i:end])
                met.append(inputs[i:end])
            else:
                stop = int(books[np.searchsorted(books, i)])
                concerned = self.concerned() if passing[i:stop].any() else None
                end = self.engine.act(Op.STREAM, ts=i, rows=rows[:stop])
                part = inputs[i:end]
                # what passes an instrument without orders and positions was not met
                met.append(
                    part if concerned is None else part[concerned[part["instrument"]] | ~passing[i:end]]
                )
            i = end
            made = self.engine.drain()
            if len(made) and not recorded:
                made = self._show_to_new(made, int(inputs["ts"][i - 1]), met)
            if len(made):
                events.append(made)
                cut = len(met)
        if events:
            self.pending.extend(met[:cut])
            commit(events[0] if len(events) == 1 else np.concatenate(events))
        self.pending.extend(met[cut:])

    def _show_to_new(self, made: Records, ts: int, met: list[Records]) -> Records:
        """Show the book of the instant to orders that have just fired or arrived and are still open; all events."""
        if self.feed.granularity == "bars":
            return made
        fired = made["order_id"][np.isin(made["kind"], (EventKind.TRIGGERED, EventKind.ARMED))]
        orders = self._orders()
        fresh = orders[np.isin(orders["order_id"], fired) & (orders["works_as"] > 0)]
        for j in sorted(set(fresh["instrument"].tolist())):
            book = book_records(self.feed, j, ts)
            self.show_book(book)
            met.append(book)
        return np.concatenate([made, self.engine.drain()])

    def show_book(self, book: Records) -> None:
        """Let a recorded book meet the orders of its instrument."""
        rows = np.ascontiguousarray(book["v"][:, :3])
        self.engine.act(Op.BOOK, int(book["instrument"][0]), int(book["ts"][0]), rows=rows)
