"""The virtual venue without any API around it: an account over many instruments, a feed, a clock, and its orders.

What fills and when stands in `kernel.matching`. The venue decides only which market data meets which order:

- A market order, and a limit that crosses, meet the feed's best bid and ask at the instant they arrive.
- Everything later is matched against each trade of the feed (or each bar, when the feed holds bars) with a time
  after the order's. Symbols without open orders are not stepped; nothing they do can change the account.
- An order that arrives inside a bar meets the next bar, not the one under way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.clock import Clock, ManualClock
from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.errors import InstrumentError, OrderError, TwinStarError, UsageError
from twinstar_kit.kernel.instruments import Instrument, Number
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.orders import OrdFlag, OrdStatus, OrdType, Reason
from twinstar_kit.kernel.records import KERNEL_VERSION, Digest
from twinstar_kit.venues import stepping
from twinstar_kit.venues.blotter import TIME_IN_FORCE, Blotter, OrderRequest, VenueOrder

DEFAULT_BALANCES: Mapping[str, Number] = {"USDT": 100_000, "KRW": 100_000_000}
MINUTE_MS = 60_000
CHUNK_MS = 1_440 * MINUTE_MS
ORDER_CAPACITY = 256


class MarketData(Protocol):
    """What the venue asks of a feed; see `feeds.base.Feed`."""

    spec: str
    simulated: bool
    granularity: str
    instruments: tuple[Instrument, ...]

    def bars(self, symbol: str, since_ms: int, until_ms: int, timeframe_ms: int = ...) -> Any: ...
    def trades(self, symbol: str, since_ms: int, until_ms: int) -> npt.NDArray[np.void]: ...
    def book(self, symbol: str, now_ms: int, depth: int = ...) -> tuple[Any, Any]: ...
    def last(self, symbol: str, now_ms: int) -> int: ...


@dataclass(frozen=True, slots=True)
class Command:
    """What a client did: `name` is place or cancel; `order_ids` are the kernel's ids that it made or named."""

    name: str
    ts: int
    order_ids: tuple[int, ...]
    request: OrderRequest | None = None


class EventSink(Protocol):
    """Takes a batch of events before anyone sees it, and returns only when it is safe.

    `command` is what caused the batch, None when the market did; `snapshot` gives the venue's state after it.
    """

    def commit(
        self, events: npt.NDArray[np.void], command: Command | None, snapshot: Callable[[], bytes]
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class SavedAccount:
    """An account as its journal holds it: header, all events, the requests by order id, and the last snapshot."""

    header: Mapping[str, Any]
    events: npt.NDArray[np.void]
    requests: Mapping[int, OrderRequest]
    snapshot: bytes


class OrderRefused(OrderError):
    """The venue rejected an order; `reason` is the rule, `request` what was asked."""

    def __init__(self, reason: Reason, request: OrderRequest, message: str = "") -> None:
        super().__init__(message or f"{request.symbol}: {reason.text}")
        self.reason = reason
        self.request = request


class WouldFillAtOnce(OrderRefused):
    """A stop that the market has passed already, or a post-only order that would take: it was not sent."""


class VenueStopped(TwinStarError):
    """The journal could not take an event, so the account is read-only until it is opened anew."""


class VirtualVenue:
    """One account on the virtual exchange. All its methods may be called from any thread.

    `balances` are opening amounts per asset; `journal` is an `EventSink`. The venue's time is the clock's plus
    what `advance` added, and never goes back.
    """

    def __init__(
        self,
        feed: MarketData,
        clock: Clock,
        broker: Broker | None = None,
        balances: Mapping[str, Number] | None = None,
        journal: EventSink | None = None,
        *,
        saved: SavedAccount | None = None,
    ) -> None:
        self.feed, self.clock, self.journal = feed, clock, journal
        self.broker = broker or Broker()
        self.instruments = {m.symbol: m for m in feed.instruments}
        self._offset_ms = 0
        self._caught_up = int(clock.milliseconds())
        self._timeframe_ms = int(getattr(feed, "timeframe_ms", MINUTE_MS))
        self._failure: BaseException | None = None
        self._lock = threading.RLock()
        self.engine = Engine(
            feed.instruments, self.broker, timeframe_ms=self._timeframe_ms, order_capacity=ORDER_CAPACITY
        )
        self.blotter = Blotter(feed.instruments)
        if saved is None:
            self._open(_opening(balances, feed.instruments))
        else:
            self._resume(saved)

    def _open(self, balances: Mapping[str, Number]) -> None:
        self.header = self._describe() | {"balances": {asset: str(amount) for asset, amount in balances.items()}}
        self._digest = Digest(self.header)
        for asset, amount in balances.items():
            self.engine.deposit(self._caught_up, asset, amount)
        self._commit(None, {})

    def _resume(self, saved: SavedAccount) -> None:
        self.header = dict(saved.header)
        differing = [name for name, value in self._describe().items() if self.header.get(name) != value]
        if differing:
            raise UsageError(
                f"this account was opened with another {' and '.join(differing)}; "
                "open it with the same feed and fees, or choose a new journal"
            )
        self._digest = Digest(self.header)
        self._digest.update(saved.events)
        self.engine.restore(saved.snapshot[8:])
        self._caught_up = max(int(np.frombuffer(saved.snapshot, np.int64, 1)[0]), 0)
        self._offset_ms = max(0, self._caught_up - int(self.clock.milliseconds()))
        self.blotter.fold(saved.events, saved.requests)

    def _describe(self) -> dict[str, Any]:
        data = self.feed.spec if self.feed.simulated else getattr(self.feed, "data_digest", "")
        return {
            "kernel": KERNEL_VERSION,
            "granularity": self.feed.granularity,
            "market_data": data,
            **self.engine.header(),
        }

    @property
    def failure(self) -> BaseException | None:
        """Why the account is read-only, or None."""
        return self._failure

    @property
    def label(self) -> str:
        """What kind of market and money this is, in a few words."""
        return f"{'SIMULATED' if self.feed.simulated else 'REPLAY'} market ({self.feed.spec}), PAPER money"

    @property
    def standing(self) -> bool:
        """Whether time passes only when it is advanced."""
        return isinstance(self.clock, ManualClock)

    def close(self) -> None:
        """Close the journal, if it is the venue's to close."""
        closing = getattr(self.journal, "close", None)
        if closing is not None:
            closing()

    # -- time ---------------------------------------------------------------------------------------------

    def now(self) -> int:
        """The venue's time in UTC milliseconds."""
        return max(self._caught_up, int(self.clock.milliseconds()) + self._offset_ms)

    def advance(self, ms: int) -> int:
        """Move the venue's time on by `ms` and let the market meet the open orders; returns the new time."""
        return self.advance_to(self.now() + int(ms))

    def advance_to(self, ts: int) -> int:
        """Move the venue's time on to `ts` (UTC milliseconds); UsageError when that lies in the past."""
        with self._lock:
            now = self.now()
            if ts < now:
                raise UsageError(f"the venue's time is {now} already; it cannot go back to {ts}")
            if isinstance(self.clock, ManualClock):
                self.clock.advance(int(ts) - now)
            else:
                self._offset_ms += int(ts) - now
            return self.catch_up()

    def catch_up(self) -> int:
        """Let everything that has happened in the market meet the open orders; returns the venue's time."""
        with self._lock:
            now = self.now()
            if now > self._caught_up and self._failure is None:
                if self.blotter.open:
                    step = self._step_trades if self.feed.granularity == "trades" else self._step_bars
                    step(self._caught_up + 1, now + 1)
                self._caught_up = now
            return now

    # -- commands -----------------------------------------------------------------------------------------

    def place(self, request: OrderRequest) -> VenueOrder:
        """Send an order now. A `client_order_id` that is known returns that order and sends nothing.

        Raises OrderRefused, which names the rule; InstrumentError for an unknown symbol; UsageError for a
        time in force that does not exist; VenueStopped after a failure of the journal.
        """
        if request.time_in_force not in TIME_IN_FORCE:
            raise UsageError(f"time in force {request.time_in_force!r} must be one of {', '.join(TIME_IN_FORCE)}")
        with self._lock:
            known = self.blotter.by_client_id.get(request.client_order_id) if request.client_order_id else None
            if known is not None:
                return known
            now = self.catch_up()
            self._refuse_when_stopped()
            engine, j = self.engine, self.engine.index_of(request.symbol)
            bid, ask = self.quote(request.symbol, now)
            self._check_against_market(request, j, bid, ask, now)
            meets = (ask if request.side > 0 else bid) if request.ord_type is OrdType.MARKET else 0
            if meets:
                # the kernel holds what a market order may cost at the price that it will meet
                engine.inst["last"][j] = meets
            order_id = engine.submit(
                now, j, request.side, request.ord_type, request.order_qty, price=request.price,
                stop_px=request.stop_px, trail=request.trail, trail_rate=request.trail_rate,
                reduce_only=request.reduce_only,
            )  # fmt: skip
            if meets:
                engine.inst["last"][j] = self.feed.last(request.symbol, now)
            engine.on_quote(j, now, bid, ask)
            self._mark_seen(order_id)
            if request.time_in_force in ("IOC", "FOK") and self._is_open(order_id):
                engine.cancel(now, order_id)
            refused = self._commit(Command("place", now, (order_id,), request), {order_id: request})
            if order_id in refused:
                raise OrderRefused(refused[order_id], request)
            return self.blotter.orders[order_id]

    def cancel(self, order_id: int) -> VenueOrder:
        """Cancel an open order now; OrderError when it is not open (it may have filled just before)."""
        with self._lock:
            now = self.catch_up()
            self._refuse_when_stopped()
            order = self.blotter.orders.get(order_id)
            if order is None:
                raise OrderError(f"order {order_id} was never accepted here")
            if order_id not in self.blotter.open:
                raise OrderError(f"order {order_id} is {order.status} and cannot be canceled")
            self.engine.cancel(now, order_id)
            self._commit(Command("cancel", now, (order_id,)), {})
            return order

    # -- reads --------------------------------------------------------------------------------------------

    def instrument(self, symbol: str) -> Instrument:
        """The instrument of `symbol`; InstrumentError when it is not on this venue."""
        try:
            return self.instruments[symbol]
        except KeyError:
            raise InstrumentError(f"{symbol} is not on this venue") from None

    def quote(self, symbol: str, now_ms: int) -> tuple[int, int]:
        """Best bid and ask in price units."""
        bids, asks = self.feed.book(symbol, now_ms, 1)
        return int(bids[0][0]), int(asks[0][0])

    def orders(self) -> list[VenueOrder]:
        """Every order that was accepted, oldest first; the triggers of open trailing stops are the present ones."""
        with self._lock:
            for row in self.engine.open_orders():
                self.blotter.orders[int(row["order_id"])].stop_px = int(row["stop_px"])
            return list(self.blotter.orders.values())

    def balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Free and held amounts of every asset, exact."""
        with self._lock:
            return {asset: self.blotter.balance(asset) for asset in self.blotter.scales}

    def journal_digest(self) -> str:
        """SHA-256 over the header and every event so far; equal for equal commands at equal times."""
        with self._lock:
            return self._digest.hexdigest("", 0)

    # -- inside -------------------------------------------------------------------------------------------

    def _refuse_when_stopped(self) -> None:
        if self._failure is not None:
            raise VenueStopped(f"the journal failed ({self._failure}); the account is read-only, open it anew")

    def _check_against_market(self, request: OrderRequest, j: int, bid: int, ask: int, now: int) -> None:
        """Refuse what would not do what it says: a stop that the market has passed, a post-only that crosses."""
        last = self.feed.last(request.symbol, now)
        self.engine.inst["last"][j] = last
        m, buy = self.engine.instruments[j], request.side > 0
        if request.ord_type is OrdType.STOP and request.stop_px > 0 and (request.stop_px - last) * request.side <= 0:
            raise WouldFillAtOnce(
                Reason.INVALID_PRICE, request,
                f"{m.symbol}: a {'buy' if buy else 'sell'} stop must lie {'above' if buy else 'below'} the last price "
                f"{m.price(last)}, and {m.price(request.stop_px)} does not; "
                f"to {'buy lower' if buy else 'sell higher'}, send a limit order",
            )  # fmt: skip
        if request.time_in_force == "PO" and request.ord_type is not OrdType.LIMIT:
            raise OrderRefused(Reason.INVALID_TYPE, request, f"{m.symbol}: only a limit order can be post-only")
        if request.time_in_force == "PO" and (request.price >= ask if buy else request.price <= bid):
            raise WouldFillAtOnce(
                Reason.INVALID_PRICE, request,
                f"{m.symbol}: a post-only order at {m.price(request.price)} would take the "
                f"{'ask' if buy else 'bid'} of {m.price(ask if buy else bid)}; "
                f"choose a {'lower' if buy else 'higher'} price",
            )  # fmt: skip

    def _row(self, order_id: int) -> int | None:
        n = int(self.engine.state["n_orders"][0])
        rows = np.flatnonzero(self.engine.orders["order_id"][:n] == order_id)
        return int(rows[0]) if len(rows) else None

    def _is_open(self, order_id: int) -> bool:
        return self._row(order_id) is not None

    def _mark_seen(self, order_id: int) -> None:
        # The quote on arrival is the first market data of every order. The kernel shows it to market and limit
        # orders only; marking stops here too keeps the journal the same however often the venue catches up.
        row = self._row(order_id)
        if row is not None:
            self.engine.orders["flags"][row] |= int(OrdFlag.SEEN)

    def _commit(self, command: Command | None, requests: Mapping[int, OrderRequest]) -> dict[int, Reason]:
        """Hand the kernel's events to the journal, and only then to everybody else."""
        events = self.engine.drain()
        if not len(events):
            return {}
        if self.journal is not None:
            try:
                self.journal.commit(events, command, self.snapshot)
            except BaseException as error:
                self._failure = error
                raise VenueStopped(f"the journal failed ({error}); the account is read-only, open it anew") from error
        self._digest.update(events)
        return {refusal.order_id: refusal.reason for refusal in self.blotter.fold(events, requests)}

    def _open_instruments(self) -> list[int]:
        n = int(self.engine.state["n_orders"][0])
        return sorted(set(self.engine.orders["instrument"][:n].tolist()))

    def _step_trades(self, since: int, until: int) -> None:
        """Lead the trades of [since, until) past the open orders; minutes that cannot matter are not made."""
        at = since
        while at < until and self._open_instruments():
            end = min(until, at // CHUNK_MS * CHUNK_MS + CHUNK_MS)
            self._step_chunk(at, end)
            at = end

    def _step_chunk(self, since: int, until: int) -> None:
        first = since // MINUTE_MS
        minutes = -(-until // MINUTE_MS) - first
        busy: dict[int, npt.NDArray[np.bool_]] = {}
        ranges: dict[int, tuple[Any, Any]] = {}
        minute = 0
        while minute < minutes:
            open_now = self._open_instruments()
            if not open_now:
                return
            for j in open_now:
                if j not in ranges:
                    ranges[j] = self._minute_ranges(j, first, minutes)
                if j not in busy:
                    busy[j] = self._may_matter(j, *ranges[j])
            next_minutes = {j: minute + int(busy[j][minute:].argmax()) for j in open_now if busy[j][minute:].any()}
            if not next_minutes:
                return
            minute = min(next_minutes.values())
            span = ((first + minute) * MINUTE_MS, (first + minute + 1) * MINUTE_MS)
            js = [j for j in open_now if busy[j][minute]]
            before = self.engine.orders[: int(self.engine.state["n_orders"][0])].tobytes()
            self._meet_trades(js, max(since, span[0]), min(until, span[1]))
            if self.engine.orders[: int(self.engine.state["n_orders"][0])].tobytes() != before:
                busy.clear()
            minute += 1

    def _minute_ranges(self, j: int, first: int, minutes: int) -> tuple[Any, Any]:
        rows = self.feed.bars(
            self.engine.instruments[j].symbol, first * MINUTE_MS, (first + minutes) * MINUTE_MS, MINUTE_MS
        ).rows
        # a minute without a bar has no trades: an empty range matters to nobody
        high, low = np.zeros(minutes, np.int64), np.full(minutes, np.iinfo(np.int64).max)
        at = rows[:, 0] // MINUTE_MS - first
        high[at], low[at] = rows[:, 2], rows[:, 3]
        return high, low

    def _may_matter(self, j: int, high: Any, low: Any) -> npt.NDArray[np.bool_]:
        """Minutes whose range reaches an order of instrument `j`: fills or fires it, or moves its trail."""
        result = np.zeros(len(high), bool)
        for o in self.engine.open_orders():
            if o["instrument"] != j:
                continue
            buy, kind = o["side"] > 0, o["ord_type"]
            if o["status"] != OrdStatus.WORKING:
                continue
            if kind == OrdType.LIMIT:
                result |= low < o["price"] if buy else high > o["price"]
            elif kind == OrdType.STOP:
                result |= high >= o["stop_px"] if buy else low <= o["stop_px"]
            else:
                fires = high >= o["stop_px"] if buy else low <= o["stop_px"]
                result |= fires | (low < o["anchor"] if buy else high > o["anchor"])
        return result

    def _meet_trades(self, js: Sequence[int], since: int, until: int) -> None:
        parts = [self.feed.trades(self.engine.instruments[j].symbol, since, until) for j in js]
        which = np.concatenate([np.full(len(part), j, np.int64) for part, j in zip(parts, js, strict=True)])
        ts = np.concatenate([np.asarray(part["ts"], np.int64) for part in parts])
        prices = np.concatenate([np.asarray(part["price"], np.int64) for part in parts])
        order = np.lexsort((which, ts))
        self._run(stepping.meet_trades, len(order), which[order], ts[order], prices[order])

    def _step_bars(self, since: int, until: int) -> None:
        """Lead the bars that were completed in [since, until) past the open orders."""
        timeframe = self._timeframe_ms
        parts = []
        for j in self._open_instruments():
            rows = self.feed.bars(
                self.engine.instruments[j].symbol, since - timeframe, until - timeframe, timeframe
            ).rows
            parts.append((np.full(len(rows), j, np.int64), rows))
        which = np.concatenate([part[0] for part in parts])
        rows = np.concatenate([part[1] for part in parts])
        order = np.lexsort((which, rows[:, 0]))
        self._run(stepping.meet_bars, len(order), which[order], np.ascontiguousarray(rows[order]))

    def _run(self, loop: Any, n: int, *columns: npt.NDArray[np.int64]) -> None:
        i = 0
        while i < n:
            i = loop(*self.engine.arrays, *columns, i)
            self._commit(None, {})

    # -- snapshot -----------------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """The account's state as bytes, for `SavedAccount`."""
        return np.int64(self._caught_up).tobytes() + self.engine.snapshot()


def _opening(balances: Mapping[str, Number] | None, instruments: Sequence[Instrument]) -> Mapping[str, Number]:
    """The opening balances: what was asked for, else the default for every asset that is traded here."""
    if balances is not None:
        return balances
    assets = {asset for m in instruments for asset in (m.base, m.quote)}
    return {asset: amount for asset, amount in DEFAULT_BALANCES.items() if asset in assets} or {
        instruments[0].quote: 100_000
    }
