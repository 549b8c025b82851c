"""The virtual venue without any API around it: an account over many instruments, a feed, a clock, and its orders.

What fills and when stands in `kernel.matching`. The venue decides only which market data meets which order:

- A market order, and a limit that crosses, meet the feed's best bid and ask at the instant they arrive.
- Everything later is matched against each trade of the feed (or each bar, when the feed holds bars) with a time
  after the order's. Symbols without open orders are not stepped; nothing they do can change the account.
- An order that arrives inside a bar meets the next bar, not the one under way.

Unrealistic beside what `kernel.matching` says: orders of any size fill at the best price, and nobody reacts to them.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.clock import Clock, ManualClock, SystemClock
from twinstar_kit.journal.errors import JournalDamaged
from twinstar_kit.journal.inputs import InputDigest, InputKind, Inputs, input_t, record
from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.errors import InstrumentError, OrderError, TwinStarError, UsageError
from twinstar_kit.kernel.instruments import Instrument, Number
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.orders import OrdType, Reason
from twinstar_kit.kernel.records import KERNEL_VERSION, Digest, event_t
from twinstar_kit.venues.batches import Command, EventSink, SavedAccount, SavedBatch, VenueBatch
from twinstar_kit.venues.blotter import TIME_IN_FORCE, Blotter, OrderRequest, Posting, VenueOrder
from twinstar_kit.venues.stepping import MINUTE_MS, MarketData, Stepper

__all__ = [
    "Command", "EventSink", "OrderRefused", "SavedAccount", "SavedBatch", "VenueBatch", "VenueStopped", "VirtualVenue",
    "WouldFillAtOnce",
]  # fmt: skip

DEFAULT_BALANCES: Mapping[str, Number] = {"USDT": 10_000, "KRW": 10_000_000}
ORDER_CAPACITY = 256
NO_INPUTS, NO_EVENTS = np.empty(0, input_t), np.empty(0, event_t)
Events = npt.NDArray[np.void]


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

    `balances` are opening amounts per asset; `journal` is an `EventSink`; `saved` continues an account instead of
    opening one. The venue's time is the clock's plus what `advance` added, and never goes back.
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
        self._timeframe_ms = int(getattr(feed, "timeframe_ms", MINUTE_MS))
        self.engine = Engine(
            feed.instruments, self.broker, timeframe_ms=self._timeframe_ms, order_capacity=ORDER_CAPACITY
        )
        if feed.granularity == "bars":
            # series that cannot be matched at one timeframe are refused now, not later
            for m in feed.instruments:
                feed.bars(m.symbol, 0, 0, self._timeframe_ms)
        self.blotter = Blotter(feed.instruments)
        self._stepper = Stepper(self.engine, feed, self._timeframe_ms)
        self._offset_ms = 0
        self._caught_up = int(clock.milliseconds())
        self._failure: BaseException | None = None
        self._lock = threading.RLock()
        self.header: dict[str, Any] = {}
        if saved is None:
            opening = {a: str(v) for a, v in _opening(balances, feed.instruments).items()}
            self._begin(self._describe() | {"balances": opening})
            if journal is not None:
                journal.begin(self.header)
            self._apply({"type": "open", "ts": self._caught_up, "balances": opening}, None)
            self._commit(Command("open", self._caught_up, balances=opening))
        else:
            self._resume(saved)
        if journal is not None:
            self.warm()  # an account that is kept is a desk that people wait at

    def _describe(self) -> dict[str, Any]:
        data = self.feed.spec if self.feed.simulated else getattr(self.feed, "data_digest", "")
        return {
            "kernel": KERNEL_VERSION,
            "granularity": self.feed.granularity,
            "timeframe_ms": self._timeframe_ms,
            "market_data": data,
            **self.engine.header(),
        }

    def _begin(self, header: Mapping[str, Any]) -> None:
        self.header = dict(header)
        self._digest, self._data = Digest(self.header), InputDigest(self.header)

    # -- what it is ---------------------------------------------------------------------------------------

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

    @property
    def speed(self) -> float | None:
        """How much time passes in a real unit of it: 0 when it stands, None when the clock does not say."""
        if self.standing:
            return 0.0
        return 1.0 if isinstance(self.clock, SystemClock) else getattr(self.clock, "speed", None)

    @property
    def remote(self) -> bool:
        """False: commands are carried out at once."""
        return False

    def warm(self) -> None:
        """Compile, or load, what orders need, so that the first one does not wait for it; 0.1 s when it was done before."""
        self._stepper.warm()
        scratch = Engine(self.feed.instruments[:1], self.broker, {self.feed.instruments[0].quote: 1})
        scratch.submit(0, 0, 1, OrdType.LIMIT, 1, price=1)
        scratch.on_quote(0, 0, 1, 2)
        scratch.cancel(0, 0)
        if self.feed.granularity == "trades":
            symbol, now = self.feed.instruments[0].symbol, self.now()
            self.quote(symbol, now), self.feed.last(symbol, now)
            self.feed.trades(symbol, now, now), self.feed.bars(symbol, now, now, MINUTE_MS)

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
            self._move(int(ts) - now)
            self.catch_up()
            if self.journal is not None and self._failure is None:
                self._write(
                    VenueBatch(NO_INPUTS, Command("time", self.now()), NO_EVENTS, self.engine.snapshot)
                )
            return self.now()

    def _move(self, ms: int) -> None:
        if isinstance(self.clock, ManualClock):
            self.clock.advance(ms)
        else:
            self._offset_ms += ms

    def catch_up(self) -> int:
        """Let everything that has happened in the market meet the open orders; returns the venue's time."""
        with self._lock:
            now = self.now()
            if now > self._caught_up and self._failure is None:
                self._stepper.step(self._caught_up + 1, now + 1, self._commit_events)
                self._caught_up = now
            return now

    # -- commands -----------------------------------------------------------------------------------------

    def place(self, request: OrderRequest) -> VenueOrder:
        """Send an order now. A `client_order_id` that is known returns that order and sends nothing.

        Raises OrderRefused, which names the rule; InstrumentError for an unknown symbol; UsageError for a
        time in force that does not exist; VenueStopped after a failure of the journal.
        """
        if request.time_in_force not in TIME_IN_FORCE:
            raise UsageError(
                f"time in force {request.time_in_force!r} must be one of {', '.join(TIME_IN_FORCE)}"
            )
        with self._lock:
            known = (
                self.blotter.by_client_id.get(request.client_order_id) if request.client_order_id else None
            )
            if known is not None:
                return known
            now = self.catch_up()
            self._refuse_when_stopped()
            j = self.engine.index_of(request.symbol)
            if now >= self.feed.span()[1]:
                raise OrderRefused(
                    Reason.NO_MARKET,
                    request,
                    f"{request.symbol}: the market data of {self.feed.spec} has ended",
                )
            bid, ask = self.quote(request.symbol, now)
            last = self.feed.last(request.symbol, now)
            _check_against_market(request, self.engine.instruments[j], bid, ask, last)
            quote = record(InputKind.QUOTE, j, now, (bid, ask, last))
            order_id = self._apply({"type": "place", "ts": now, "request": request.canonical()}, quote[0])
            self._stepper.pending.append(quote)
            refused = self._commit(Command("place", now, (order_id,), request))
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
            self._apply({"type": "cancel", "ts": now, "order_ids": [order_id]}, None)
            self._commit(Command("cancel", now, (order_id,)))
            return order

    def deposit(self, asset: str, amount: Decimal) -> Posting:
        """Credit play money now; OrderError for an amount that is none, UsageError for an asset that is not traded."""
        with self._lock:
            now = self.catch_up()
            self._refuse_when_stopped()
            if amount <= 0:
                raise OrderError(f"a deposit of {amount} {asset} must be above zero")
            command = Command("deposit", now, balances={asset: str(amount)})
            self._apply(command.canonical(), None)
            self._commit(command)
            return self.blotter.postings[-1]

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
        """SHA-256 over the header, every event, and the market data that orders met up to the last of them.

        Equal commands at equal venue times give equal digests, however often the venue was asked in between.
        """
        with self._lock:
            return self._digest.hexdigest(self._data.hexdigest(), self._data.count)

    # -- inside -------------------------------------------------------------------------------------------

    def _refuse_when_stopped(self) -> None:
        if self._failure is not None:
            raise VenueStopped(
                f"the journal failed ({self._failure}); the account is read-only, open it anew"
            )

    def _apply(self, command: Mapping[str, Any], quote: Any) -> int:
        """Carry out a command on the engine, the same whether it is new or read back; returns the order's id.

        `quote` is the QUOTE record (bid, ask, last price) that a new order meets.
        """
        engine, ts = self.engine, int(command["ts"])
        if command["type"] == "time":
            return 0
        if command["type"] in ("open", "deposit"):
            for asset, amount in sorted(command["balances"].items()):
                engine.deposit(ts, asset, amount)
            return 0
        if command["type"] == "cancel":
            (order_id,) = command["order_ids"]
            engine.cancel(ts, order_id)
            return int(order_id)
        request = OrderRequest.from_canonical(command["request"])
        j, (bid, ask, last) = int(quote["instrument"]), quote["v"][:3].tolist()
        # The kernel checks and holds by the last price; a market order's is the price that it will meet.
        met = ask if request.side > 0 else bid
        engine.inst["last"][j] = met if request.ord_type is OrdType.MARKET else last
        order_id = engine.submit(
            ts, j, request.side, request.ord_type, request.order_qty, price=request.price, stop_px=request.stop_px,
            trail=request.trail, trail_rate=request.trail_rate, reduce_only=request.reduce_only,
        )  # fmt: skip
        engine.inst["last"][j] = last
        engine.on_quote(j, ts, bid, ask)
        if request.time_in_force in ("IOC", "FOK") and order_id in engine.open_orders()["order_id"]:
            engine.cancel(ts, order_id)
        return order_id

    def _commit_events(self, events: Events) -> None:
        self._commit(None, events)

    def _commit(self, command: Command | None, events: Events | None = None) -> dict[int, Reason]:
        """Hand what happened to the journal, and only then to everybody else; returns what was refused."""
        events = self.engine.drain() if events is None else events
        inputs = self._stepper.take_pending()
        if self.journal is not None:
            self._write(VenueBatch(inputs, command, events, self.engine.snapshot))
        requests = {command.order_ids[0]: command.request} if command is not None and command.request else {}
        return self._show(inputs, events, requests)

    def _write(self, batch: VenueBatch) -> None:
        assert self.journal is not None
        try:
            self.journal.commit(batch)
        except BaseException as error:
            self._failure = error
            raise VenueStopped(
                f"the journal failed ({error}); the account is read-only, open it anew"
            ) from error

    def _show(
        self, inputs: Events, events: Events, requests: Mapping[int, OrderRequest]
    ) -> dict[int, Reason]:
        self._digest.update(events)
        self._data.update([Inputs(0, mixed=inputs)])
        return {refusal.order_id: refusal.reason for refusal in self.blotter.fold(events, requests)}

    # -- continuing ---------------------------------------------------------------------------------------

    def _resume(self, saved: SavedAccount) -> None:
        """Take up an account where its journal ends: from the snapshot, then by doing again what followed it."""
        differing = [name for name, value in self._describe().items() if saved.header.get(name) != value]
        if differing:
            raise UsageError(
                f"this account was opened with another {' and '.join(differing)}; "
                "open it with the same feed and fees, or choose a new journal"
            )
        self._begin(saved.header)
        if saved.snapshot is not None:
            self.engine.restore(saved.snapshot)
        reached = 0
        for number, batch in enumerate(saved.batches, start=1):
            if (saved.snapshot is None or number > saved.snapshot_at) and not np.array_equal(
                self._again(batch), batch.events
            ):
                raise JournalDamaged(
                    f"batch {number} does not follow from what went in; the journal was changed"
                )
            command = batch.command or {}
            placed = OrderRequest.from_canonical(command["request"]) if "request" in command else None
            self._show(batch.inputs, batch.events, {command["order_ids"][0]: placed} if placed else {})
            self._stepper.remember(batch.inputs)
            reached = max(reached, self._mark_time(batch))
        self._move(max(0, reached - int(self.clock.milliseconds())))

    def _again(self, batch: SavedBatch) -> Events:
        """The events that a batch makes when it is done again."""
        made: list[Events] = []
        quotes = batch.inputs["kind"] == InputKind.QUOTE
        self._stepper.meet(batch.inputs[~quotes], made.append)
        if batch.command is not None:
            quote = batch.inputs[quotes][-1] if quotes.any() else None
            self._apply(batch.command, quote)
        made.append(self.engine.drain())
        self._stepper.take_pending()
        return np.concatenate(made)

    def _mark_time(self, batch: SavedBatch) -> int:
        """Note how far orders have met the market: to a command, or to the trade or bar that made the last event.

        Returns the venue's time at the batch.
        """
        if batch.command is not None:
            if batch.command["type"] != "time":
                self._caught_up, self._stepper.seen = int(batch.command["ts"]), (0, 0, 0)
            return int(batch.command["ts"])
        last = batch.inputs[-1]
        id_ = int(last["v"][3]) if last["kind"] == InputKind.TRADE else 0
        self._stepper.seen = (int(last["ts"]), int(last["instrument"]), id_)
        self._caught_up = int(last["ts"]) - 1
        return int(last["ts"])


def _check_against_market(request: OrderRequest, m: Instrument, bid: int, ask: int, last: int) -> None:
    """Refuse what would not do what it says: a stop that the market has passed, a post-only that crosses."""
    buy = request.side > 0
    if (
        request.ord_type is OrdType.STOP
        and request.stop_px > 0
        and (request.stop_px - last) * request.side <= 0
    ):
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


def _opening(
    balances: Mapping[str, Number] | None, instruments: Sequence[Instrument]
) -> Mapping[str, Number]:
    """The opening balances: what was asked for, else the default for every asset that is traded here."""
    if balances is not None:
        return balances
    assets = {asset for m in instruments for asset in (m.base, m.quote)}
    return {asset: amount for asset, amount in DEFAULT_BALANCES.items() if asset in assets} or {
        instruments[0].quote: 10_000
    }
