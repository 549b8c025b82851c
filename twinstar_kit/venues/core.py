"""The virtual venue without any API around it: an account over many instruments, a feed, a clock, and its orders.

What fills and when stands in `kernel.flow` (trades and books) and `kernel.matching` (bars). The venue decides only which market data
meets which order:

- An order that arrives meets the feed's book of that instant, `market_data.LEVELS` levels a side; so does one that fires.
- Everything later is matched against each trade of the feed (or each bar, when the feed holds bars) with a time
  after the order's. Symbols without open orders and positions are not stepped; nothing they do can change the account.
- An order that arrives inside a bar meets the next bar, not the one under way.

Unrealistic beside what the kernel says: nobody reacts to the orders, and what lies behind the levels that are looked at cannot be taken.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from twinstar_kit.feeds.clock import Clock, ManualClock, SystemClock
from twinstar_kit.journal.inputs import InputKind, record
from twinstar_kit.journal.positions import Contracts
from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.errors import InstrumentError, OrderError, UsageError
from twinstar_kit.kernel.explain import Explanation, explain
from twinstar_kit.kernel.instruments import Instrument, Number
from twinstar_kit.kernel.ledger import Wallet
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.orders import OrdType, Reason, Setting, TriggerBy
from twinstar_kit.kernel.records import event_t
from twinstar_kit.venues.acting import act_on
from twinstar_kit.venues.batches import Command, EventSink, SavedAccount, SavedBatch, VenueBatch
from twinstar_kit.venues.blotter import Blotter, OrderRequest, Posting, VenueOrder
from twinstar_kit.venues.entry import OrderRefused, WouldFillAtOnce, check_against_market
from twinstar_kit.venues.keeping import Events, Keeper, VenueStopped
from twinstar_kit.venues.live_stepping import LiveStepper
from twinstar_kit.venues.market_data import (
    LEVELS,
    MINUTE_MS,
    NO_RECORDS,
    MarketData,
    book_records,
    joined,
    mark_record,
    market_word,
    prices_of,
)
from twinstar_kit.venues.requests import TIME_IN_FORCE
from twinstar_kit.venues.stepping import Stepper

__all__ = [
    "Command", "EventSink", "OrderRefused", "SavedAccount", "SavedBatch", "VenueBatch", "VenueStopped", "VirtualVenue",
    "WouldFillAtOnce",
]  # fmt: skip

DEFAULT_BALANCES: Mapping[str, Number] = {"USDT": 10_000, "KRW": 10_000_000}
DEFAULT_SWAP_BALANCES: Mapping[str, Number] = {"USDT": 10_000, "BTC": "0.1", "ETH": 2}
ORDER_CAPACITY = 256
NO_EVENTS = np.empty(0, event_t)


class Shifted:
    """A clock that is ahead of another by `ms`."""

    def __init__(self, clock: Clock, ms: int, speed: float | None) -> None:
        self.clock, self.ms, self.speed = clock, ms, speed

    def milliseconds(self) -> int:
        """The other clock's time and what it is behind."""
        return self.clock.milliseconds() + self.ms


class VirtualVenue(Keeper):
    """One account on the virtual exchange. All its methods may be called from any thread.

    `balances` are opening amounts per asset in the spot wallet, `swap_balances` those of the swap wallet; `journal` is an
    `EventSink`; `saved` continues an account instead of opening one. The venue's time is the clock's plus what `advance` added, and never goes back.
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
        swap_balances: Mapping[str, Number] | None = None,
    ) -> None:
        self.feed, self.clock, self.journal = feed, clock, journal
        self.broker = broker or Broker()
        self.instruments = {m.symbol: m for m in feed.instruments}
        self._timeframe_ms = int(getattr(feed, "timeframe_ms", MINUTE_MS))
        self.engine = Engine(
            feed.instruments,
            self.broker,
            timeframe_ms=self._timeframe_ms,
            order_capacity=ORDER_CAPACITY,
            levels=LEVELS,
        )
        if feed.granularity == "bars":
            # series that cannot be matched at one timeframe are refused now, not later
            for m in feed.instruments:
                feed.bars(m.symbol, 0, 0, self._timeframe_ms)
        self.blotter = Blotter(feed.instruments, self.broker.leverage)
        self.live = bool(getattr(feed, "live", False))
        self._stepper = (LiveStepper if self.live else Stepper)(self.engine, feed, self._timeframe_ms)  # type: ignore[arg-type]
        self._offset_ms = 0
        self._cancel_at = 0
        self._caught_up = int(clock.milliseconds())
        self._failure: BaseException | None = None
        self._lock = threading.RLock()
        self.on_close: list[Callable[[], object]] = []
        self.owns_feed = False
        self.header: dict[str, Any] = {}
        if saved is None:
            opening, swap = _opening(balances, swap_balances, feed.instruments)
            terms = {"swap": swap} if swap else None
            self._begin(self._describe() | {"balances": opening} | ({"swap_balances": swap} if swap else {}))
            if journal is not None:
                journal.begin(self.header)
            self._do(Command("open", self._caught_up, balances=opening, terms=terms))
        else:
            self._resume(saved)
        if journal is not None:
            self.warm()  # an account that is kept is a desk that people wait at

    # -- what it is ---------------------------------------------------------------------------------------

    @property
    def failure(self) -> BaseException | None:
        """Why the account is read-only, or None."""
        return self._failure

    @property
    def label(self) -> str:
        """What kind of market and money this is, in a few words."""
        return f"{market_word(self.feed)} market ({self.feed.spec}), PAPER money"

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
        scratch = Engine(self.feed.instruments[:1], Broker(), {self.feed.instruments[0].quote: 1})
        scratch.cancel(0, 0)
        if self.feed.granularity == "trades" and not self.live:
            symbol, now = self.feed.instruments[0].symbol, self.now()
            self.feed.book(symbol, now, LEVELS), self.feed.last(symbol, now)
            self.feed.trades(symbol, now, now), self.feed.bars(symbol, now, now, MINUTE_MS)

    def close(self) -> None:
        """Close journal and feed, if they are the venue's to close, and do what `on_close` holds."""
        closing = getattr(self.journal, "close", None)
        if closing is not None:
            closing()
        while self.on_close:
            self.on_close.pop()()
        if self.owns_feed:
            self.feed.close()  # type: ignore[attr-defined]

    # -- time ---------------------------------------------------------------------------------------------

    def now(self) -> int:
        """The venue's time in UTC milliseconds."""
        return max(self._caught_up, int(self.clock.milliseconds()) + self._offset_ms)

    def clock_now(self) -> Clock:
        """The clock with what `advance` added to it, for the account that follows this one."""
        return Shifted(self.clock, self._offset_ms, self.speed) if self._offset_ms else self.clock

    def advance(self, ms: int) -> int:
        """Move the venue's time on by `ms` and let the market meet the open orders; returns the new time."""
        return self.advance_to(self.now() + int(ms))

    def advance_to(self, ts: int) -> int:
        """Move the venue's time on to `ts` (UTC milliseconds); UsageError when that lies in the past."""
        with self._lock:
            now = self.now()
            if ts < now:
                raise UsageError(f"the venue's time is {now} already; it cannot go back to {ts}")
            if self.live:
                raise UsageError(f"{self.feed.spec} is now, and its time cannot be moved on")
            self._move(int(ts) - now)
            self.catch_up()
            if self.journal is not None and self._failure is None:
                self._write(
                    VenueBatch(NO_RECORDS, Command("time", self.now()), NO_EVENTS, self.engine.snapshot)
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
                if 0 < self._cancel_at <= now:
                    self._pass_to(max(self._cancel_at, self._caught_up))
                    self._cancel_due()
                self._pass_to(now)
            return now

    def _pass_to(self, now: int) -> None:
        if now > self._caught_up:
            self._stepper.step(self._caught_up + 1, now + 1, self._commit_events)
            self._caught_up = now

    def _cancel_due(self) -> None:
        """The time that `cancel_all_after` set has come."""
        ids = tuple(reversed(self.blotter.open))
        self._cancel_at = 0
        self._do(Command("cancel", self._caught_up, ids, terms={"due": True}))

    # -- commands -----------------------------------------------------------------------------------------

    def place(self, request: OrderRequest) -> VenueOrder:
        """Send an order now, and what is attached to it. A `client_order_id` that is known returns that order and sends nothing.

        Raises OrderRefused, which names the rule; InstrumentError for an unknown symbol; UsageError for a
        time in force that does not exist; VenueStopped after a failure of the journal.
        """
        for each in request.orders():
            if each.time_in_force not in TIME_IN_FORCE:
                raise UsageError(
                    f"time in force {each.time_in_force!r} must be one of {', '.join(TIME_IN_FORCE)}"
                )
        with self._lock:
            known = (
                self.blotter.by_client_id.get(request.client_order_id) if request.client_order_id else None
            )
            if known is not None:
                return known
            now = self._ready()
            j = self.engine.index_of(request.symbol)
            if self.live and self.engine.instruments[j].derivative:
                raise UsageError(
                    f"{request.symbol}: marks and funding of {self.feed.spec} are not known, so its contracts cannot be "
                    "traded on paper; choose a spot market"
                )
            if now >= self.feed.span()[1]:
                raise OrderRefused(
                    Reason.NO_MARKET,
                    request,
                    f"{request.symbol}: the market data of {self.feed.spec} has ended",
                )
            book = self._look(j, now)
            market = (*self._best(book), *self._known(j))
            for each in (request, *request.linked):
                check_against_market(each, self.engine.instruments[j], *market)
            refused, command = self._do(Command("place", now, request=request), book)
            for order_id, each in zip(command.order_ids, request.orders(), strict=False):
                if order_id in refused:
                    raise OrderRefused(refused[order_id], each)
            return self.blotter.orders[command.order_ids[0]]

    def amend(self, order_id: int, **changes: int) -> VenueOrder:
        """Change an open order now: `qty`, `price`, `stop_px`, `trail`, `trail_rate`, in units; what is left out stays.

        It keeps its id, and its place in the queue when only its amount shrinks. OrderRefused names the rule that it would break.
        """
        with self._lock:
            now = self._ready()
            order = self._open_order(order_id)
            j = self.engine.index_of(order.instrument.symbol)
            book, wanted = self._look(j, now), _as_request(order, changes)
            if not order.dormant and not order.triggered:
                check_against_market(wanted, order.instrument, *self._best(book), *self._known(j))
            refused, _ = self._do(Command("amend", now, (order_id,), terms=changes), book)
            if order_id in refused:
                raise OrderRefused(refused[order_id], wanted)
            return order

    def cancel(self, order_id: int) -> VenueOrder:
        """Cancel an open order now; OrderError when it is not open (it may have filled just before)."""
        with self._lock:
            now = self._ready()
            order = self._open_order(order_id)
            self._do(Command("cancel", now, (order_id,)))
            return order

    def cancel_all_after(self, ms: int) -> int:
        """Cancel every open order in `ms` from now unless this is called again before; 0 calls it off. Returns when."""
        with self._lock:
            now = self._ready()
            self._cancel_at = now + ms if ms > 0 else 0
            self._do(Command("cancel_after", now, terms={"due": self._cancel_at}))
            return self._cancel_at

    def deposit(self, asset: str, amount: Decimal, wallet: Wallet = Wallet.SPOT) -> Posting:
        """Credit play money now; OrderError for an amount that is none, UsageError for an asset that is not traded."""
        return self._move_money("deposit", asset, amount, wallet)

    def withdraw(self, asset: str, amount: Decimal, wallet: Wallet = Wallet.SPOT) -> Posting:
        """Take play money out of the free balance now; OrderRefused when there is not so much."""
        return self._move_money("withdraw", asset, amount, wallet)

    def _move_money(self, kind: str, asset: str, amount: Decimal, wallet: Wallet) -> Posting:
        with self._lock:
            now = self._ready()
            if amount <= 0:
                raise OrderError(f"a {kind} of {amount} {asset} must be above zero")
            self._look_at_marks(now)
            terms = {"wallet": int(wallet)} if wallet else None
            self._do_or_raise(Command(kind, now, balances={asset: str(amount)}, terms=terms), asset)
            return self.blotter.postings[-1]

    def transfer(self, asset: str, amount: Decimal, source: Wallet, target: Wallet) -> Posting:
        """Move free balance from one wallet to the other now; returns what the target received."""
        with self._lock:
            now = self._ready()
            self._look_at_marks(now)
            terms = {"asset": asset, "amount": str(amount), "source": int(source), "target": int(target)}
            self._do_or_raise(Command("transfer", now, terms=terms), asset)
            return self.blotter.postings[-1]

    def configure(self, setting: Setting, symbol: str = "", value: int = 0, slot: int = 0) -> None:
        """Change the leverage, the margin mode, the position mode or an isolated margin now; OrderRefused names the rule."""
        with self._lock:
            now = self._ready()
            if symbol:
                self._look_at_marks(now, self.engine.index_of(symbol))
            terms = {"setting": int(setting), "symbol": symbol, "value": value, "slot": slot}
            self._do_or_raise(Command("configure", now, terms=terms), symbol)

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

    def balances(self, wallet: Wallet = Wallet.SPOT) -> dict[str, tuple[Decimal, Decimal]]:
        """Free and used amounts of every asset, exact."""
        with self._lock:
            return self.blotter.balances(wallet)

    def mark(self, m: Instrument) -> int:
        """Price units that positions of an instrument are valued at now: the mark, or the last price where there is none."""
        now = self.now()
        return self.feed.mark(m.symbol, now) or self.feed.last(m.symbol, now)

    def explain(self, order_id: int) -> Explanation:
        """Why an order filled as it did, or what still stands between it and a fill, in numbers; UsageError for an unknown one."""
        with self._lock:
            now = self.catch_up()
            order = self.blotter.orders.get(order_id)
            market = prices_of(self.feed, order.instrument.symbol, now) if order else None
            return explain(self.engine, self.blotter.events_of(order_id), order_id, market)

    def positions(self) -> list[Contracts]:
        """The open positions of contracts."""
        with self._lock:
            return self.blotter.contracts.held()

    # -- inside -------------------------------------------------------------------------------------------

    def _ready(self) -> int:
        """Catch up before a command; returns the venue's time."""
        now = self.catch_up()
        if self._failure is not None:
            raise VenueStopped(
                f"the journal failed ({self._failure}); the account is read-only, open it anew"
            )
        return now

    def _open_order(self, order_id: int) -> VenueOrder:
        order = self.blotter.orders.get(order_id)
        if order is None:
            raise OrderError(f"order {order_id} was never accepted here")
        if order_id not in self.blotter.open:
            raise OrderError(f"order {order_id} is {order.status} and cannot be changed or canceled")
        return order

    def _look(self, j: int, now: int) -> Events:
        """Let the account see the prices of this instant before an order for instrument `j`; returns the book that will meet it."""
        symbol = self.engine.instruments[j].symbol
        prices = [
            record(InputKind.LAST, j, now, (self.feed.last(symbol, now),)),
            *self._stepper.fee_prices(now),
        ]
        self._look_at_marks(now, j, prices)
        return book_records(self.feed, j, now)

    def _look_at_marks(self, now: int, j: int = -1, prices: Sequence[Events] = ()) -> None:
        """Mark the positions of contracts, and instrument `j`, at this instant."""
        marks = (mark_record(self.feed, k, now) for k in self._stepper.marked(j))
        inputs = joined((*prices, *marks))
        self._stepper.meet(inputs, lambda events: self._commit(Command("look", now), events))

    def _known(self, j: int) -> tuple[int, int]:
        """The last and the mark price of instrument `j` in price units, as the account knows them."""
        return int(self.engine.inst["last"][j]), int(self.engine.inst["mark"][j])

    @staticmethod
    def _best(book: Events) -> tuple[int, int]:
        sides, prices = book["v"][:, 0], book["v"][:, 1]
        return int(prices[sides > 0][0]), int(prices[sides < 0][0])

    def _do(self, command: Command, book: Events = NO_RECORDS) -> tuple[dict[int, Reason], Command]:
        """Carry out a command and commit it; returns what was refused, by order id, and the command with the ids it made."""
        ids = act_on(self.engine, command.canonical(), book)
        if len(book):
            self._stepper.show_book(book)
            self._stepper.pending.append(book)
        if command.type == "place":
            command = Command("place", command.ts, ids, command.request)
        return self._commit(command), command

    def _do_or_raise(self, command: Command, subject: str) -> None:
        refused, _ = self._do(command)
        if refused:
            reason = next(iter(refused.values()))
            raise OrderRefused(reason, None, f"{subject}: {reason.text}")


def _as_request(order: VenueOrder, changes: Mapping[str, int]) -> OrderRequest:
    """An order as a request with what is to change; what stays of its trigger and of post-only has been checked before."""
    return OrderRequest(
        order.instrument.symbol,
        order.side,
        OrdType(order.ord_type),
        changes.get("qty", order.order_qty),
        price=changes.get("price", order.price),
        stop_px=changes.get("stop_px", 0),
        time_in_force=order.time_in_force if "price" in changes else "GTC",
        trigger_by=order.request.trigger_by if order.request else TriggerBy.LAST,
    )


def _opening(
    balances: Mapping[str, Number] | None,
    swap_balances: Mapping[str, Number] | None,
    instruments: Sequence[Instrument],
) -> tuple[dict[str, str], dict[str, str]]:
    """What both wallets open with: what was asked for, else the defaults for assets that are traded here."""
    spot = {asset for m in instruments for asset in ((m.settle,) if m.derivative else (m.base, m.quote))}
    settled = {m.settle for m in instruments if m.derivative}
    if balances is None:
        balances = {a: v for a, v in DEFAULT_BALANCES.items() if a in spot} or {instruments[0].quote: 10_000}
        if swap_balances is None:
            swap_balances = {a: v for a, v in DEFAULT_SWAP_BALANCES.items() if a in settled}
    return {a: str(v) for a, v in balances.items()}, {a: str(v) for a, v in (swap_balances or {}).items()}
