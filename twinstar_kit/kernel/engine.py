"""The engine: the kernel's arrays behind a small Python face, for accounts that are steered by commands."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel import door, step
from twinstar_kit.kernel.context import MAX_PROPOSALS
from twinstar_kit.kernel.desk import Desk
from twinstar_kit.kernel.errors import InstrumentError, OrderError, UsageError
from twinstar_kit.kernel.gate import Op
from twinstar_kit.kernel.instruments import Instrument, Number
from twinstar_kit.kernel.ledger import N_ACCOUNTS, OWN, Account, Wallet
from twinstar_kit.kernel.loading import assets_of, check_leverage, load_instrument, load_state
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.money import MAX_UNITS, to_units
from twinstar_kit.kernel.orders import (
    EventKind,
    OrdFlag,
    OrdType,
    Reason,
    SelfTrade,
    Setting,
    Side,
    TimeInForce,
    TriggerBy,
    order_t,
)
from twinstar_kit.kernel.records import event_t
from twinstar_kit.kernel.tables import instrument_t, level_t, state_t

Rows = npt.NDArray[np.int64]
_PLACE, _CANCEL, _AMEND, _TRADE, _QUOTE = (
    int(op) for op in (Op.PLACE, Op.CANCEL, Op.AMEND, Op.TRADE, Op.QUOTE)
)
_REDUCE_ONLY, _CLOSES = int(OrdFlag.REDUCE_ONLY), int(OrdFlag.REDUCE_ONLY | OrdFlag.CLOSE_POSITION)
_POST_ONLY, _HIDDEN = int(OrdFlag.POST_ONLY), int(OrdFlag.HIDDEN)
HANDED_OVER = 8_192
"""From so many events on the buffer itself is handed over and a new one taken: cheaper than a copy."""
NOT_WHOLE = "the numbers of an order must be whole and fit 64 bits"
_CHANGE = struct.Struct("<5q")
_REQUEST = struct.Struct(
    "<" + "".join({2: "h", 4: "i", 8: "q"}[order_t[n].itemsize] for n in order_t.names or ())
)
"""An `order_t` record as `struct` packs it; faster than assigning its fields one by one."""


class Engine:
    """One account over a list of instruments: the kernel's arrays and the calls that move them.

    `desk` holds the arrays, as every compiled function takes them; `balances` are opening amounts per asset and are posted
    as deposits at `ts`. Everything that happens is written to the event buffer; `drain` takes it out. `levels` is how many levels
    a side of a book can hold; `live_book` says that the book follows every change. `latencies`, which `latency="measured"` needs, is
    int64 (n, 4) of time, order entry, response and feed, ascending in time. UsageError and InstrumentError for what cannot be
    represented.

    >>> btc = Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.00001")
    >>> engine = Engine([btc], Broker(), {"USDT": 1000})
    >>> engine.on_quote(0, 1, btc.price_units("100.00"), btc.price_units("100.01"))
    >>> engine.on_trade(0, 1, btc.price_units("100.00"))
    >>> order_id = engine.submit(2, 0, Side.BUY, OrdType.MARKET, btc.amount_units("1"))
    >>> engine.on_quote(0, 2, btc.price_units("100.00"), btc.price_units("100.01"))
    >>> engine.balance("USDT"), [EventKind(e["kind"]).name for e in engine.drain()][:5]
    ((89988999000, 0), ['DEPOSITED', 'POSTED', 'PLACE', 'ACCEPTED', 'POSTED'])
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        broker: Broker,
        balances: Mapping[str, Number] | None = None,
        *,
        timeframe_ms: int = 60_000,
        ts: int = 0,
        order_capacity: int = 64,
        buffer: int = 16_384,
        levels: int = 1,
        live_book: bool = False,
        latencies: Rows | None = None,
    ) -> None:
        if not instruments:
            raise UsageError("an engine needs at least one instrument")
        check_leverage(broker, instruments)
        self.instruments = tuple(instruments)
        self.broker = broker
        self.scales = assets_of(self.instruments)
        self.assets = tuple(self.scales)
        wallets = 2 if any(m.derivative for m in self.instruments) else 1
        self._room = (
            step.RECORDS_PER_ORDER * (order_capacity + 1 + MAX_PROPOSALS) + step.RECORDS_PER_LEVEL * levels
        )
        self.state = np.zeros(1, state_t)
        self.inst = np.zeros(len(self.instruments), instrument_t)
        self.orders = np.zeros(order_capacity + 1, order_t)
        self.ask = np.zeros(1, order_t)
        self.ledger = np.zeros((wallets * len(self.assets), N_ACCOUNTS), np.int64)
        self.depth = np.zeros((len(self.instruments), 2, levels), level_t)
        self.delays = _latencies(broker, latencies)
        self._change = np.zeros((1, 6), np.int64)
        # views that are made once: a call from Python takes two or three microseconds in all
        self._asked, self._changed = self.ask.data.cast("B"), self._change.data.cast("B")
        self._n_out = self.state["n_out"]
        # whoever writes a record writes every field of it
        self.out = np.empty(max(buffer, 2 * self._room), event_t)
        self.desk = Desk(
            door.address(), state=self.state, inst=self.inst, orders=self.orders, ask=self.ask, ledger=self.ledger, depth=self.depth,
            delays=self.delays, out=self.out,
        )  # fmt: skip
        self._act = door.face(self.desk)
        self._index = {m.symbol: j for j, m in enumerate(self.instruments)}
        load_state(self.state[0], broker, self.instruments, self.scales, timeframe_ms)
        self.state["live_book"] = live_book
        for record, m in zip(self.inst, self.instruments, strict=True):
            load_instrument(record, m, broker, self.instruments, self.scales)
        for asset, amount in (balances or {}).items():
            self.deposit(ts, asset, amount)

    @property
    def act(self) -> Any:
        """The kernel's one function for this account: `act(op, j, ts, a, b, c, e, rows, ctx)`, see `door.act`."""
        return self._act

    def index_of(self, symbol: str) -> int:
        """Where `symbol` stands in the engine's table; InstrumentError when it does not."""
        try:
            return self._index[symbol]
        except KeyError:
            raise InstrumentError(f"{symbol} is not on this venue") from None

    # -- money ---------------------------------------------------------------------------------------------

    def row_of(self, asset: str, wallet: Wallet | None = None) -> int:
        """The ledger row of an asset in a wallet; UsageError for one that is not kept here.

        Without a wallet it is the spot wallet, or the swap wallet where nothing but contracts is traded.
        """
        if asset not in self.scales:
            raise UsageError(f"no instrument here trades {asset}; choose from {', '.join(self.assets[:8])}")
        if wallet is None:
            wallet = Wallet.SWAP if all(m.derivative for m in self.instruments) else Wallet.SPOT
        row = int(wallet) * len(self.assets) + self.assets.index(asset)
        if row >= len(self.ledger):
            raise UsageError("no contracts are traded here, so there is no swap wallet")
        return row

    def _money(self, asset: str, amount: Number, row: int) -> int:
        units = to_units(amount, self.scales[asset], what=f"{asset} balance")
        if units < 0:
            raise OrderError(f"a balance of {amount} {asset} is negative")
        if int(self.ledger[row, : len(OWN)].sum()) + units >= MAX_UNITS:
            raise OrderError(f"{amount} more {asset} would not fit the account's integers")
        return units

    def deposit(self, ts: int, asset: str, amount: Number, wallet: Wallet | None = None) -> None:
        """Credit play money to the free balance of `asset`."""
        row = self.row_of(asset, wallet)
        self._act(Op.MOVE_MONEY, 0, ts, -1, row, self._money(asset, amount, row))

    def withdraw(self, ts: int, asset: str, amount: Number, wallet: Wallet | None = None) -> Reason:
        """Take play money out of the free balance of `asset`; the reason of a refusal, or NONE."""
        row = self.row_of(asset, wallet)
        units = to_units(amount, self.scales[asset], what=f"{asset} amount")
        if units <= 0:
            raise OrderError(f"a withdrawal of {amount} {asset} must be above zero")
        return Reason(self._act(Op.MOVE_MONEY, 0, ts, row, -1, units))

    def transfer(self, ts: int, asset: str, amount: Number, source: Wallet, target: Wallet) -> Reason:
        """Move free balance of `asset` from one wallet to another; the reason of a refusal, or NONE."""
        rows = self.row_of(asset, source), self.row_of(asset, target)
        units = to_units(amount, self.scales[asset], what=f"{asset} amount")
        if units <= 0 or source == target:
            raise OrderError(f"a transfer of {amount} {asset} must be above zero, between two wallets")
        return Reason(self._act(Op.MOVE_MONEY, 0, ts, *rows, units))

    def configure(self, ts: int, setting: Setting, j: int = 0, value: int = 0, slot: int = 0) -> Reason:
        """Change the leverage, the margin mode, the position mode or an isolated margin; a refusal's reason, or NONE."""
        if not 0 <= slot <= 1:
            raise UsageError(f"slot = {slot} must be 0, the long or only position, or 1, the short one")
        return Reason(self._act(Op.CONFIGURE, self._at(j), ts, int(setting), slot, int(value)))

    def _at(self, j: int) -> int:
        """`j` if there is such an instrument: compiled code reads memory as it is told to."""
        if not 0 <= j < len(self.instruments):
            raise UsageError(f"there is no instrument number {j}; there are {len(self.instruments)}")
        return j

    # -- orders --------------------------------------------------------------------------------------------

    def submit(
        self, ts: int, j: int, side: int, ord_type: int, qty: int, *, price: int = 0, stop_px: int = 0, trail: int = 0,
        trail_rate: int = 0, activation_px: int = 0, limit_offset: int = 0, time_in_force: int = TimeInForce.GTC, expire_ts: int = 0,
        post_only: bool = False, reduce_only: bool = False, close_position: bool = False, hidden: bool = False, display_qty: int = 0,
        trigger_by: int = TriggerBy.LAST, self_trade: int = SelfTrade.NONE, position_side: int = 0, link_id: int = 0, parent_id: int = 0,
        arrive_ts: int = 0,
    ) -> int:  # fmt: skip
        """Send an order at `ts`; it is accepted or rejected in the events, and fills with later market data only.

        `qty` in amount units, prices in price units, `trail_rate` in hundred-millionths; see `orders.order_t`. Returns the
        order's id.
        """
        flags = _CLOSES if close_position else _REDUCE_ONLY if reduce_only else 0
        flags += (_POST_ONLY if post_only else 0) + (_HIDDEN if hidden else 0)
        try:
            _REQUEST.pack_into(
                self._asked, 0,
                0, 0, j, side, ord_type, 0, 0, 0, trigger_by, time_in_force, position_side, self_trade, flags, link_id, parent_id,
                qty, 0, price, stop_px, trail, trail_rate, activation_px, limit_offset, 0, 0, display_qty, 0, -1, 0, arrive_ts,
                expire_ts, 0, 0, 0,
            )  # fmt: skip
        except struct.error:
            raise OrderError(NOT_WHOLE) from None
        return int(self._act(_PLACE, 0, ts))

    def amend(
        self,
        ts: int,
        order_id: int,
        *,
        qty: int = -1,
        price: int = -1,
        stop_px: int = -1,
        trail: int = -1,
        trail_rate: int = -1,
    ) -> Reason:
        """Change an open order; what is left out stays. The reason of a refusal, or NONE."""
        try:
            _CHANGE.pack_into(self._changed, 0, qty, price, stop_px, trail, trail_rate)
        except struct.error:
            raise OrderError(NOT_WHOLE) from None
        return Reason(self._act(_AMEND, 0, ts, order_id, rows=self._change))

    def cancel(self, ts: int, order_id: int) -> bool:
        """Cancel an open order; False, and a REJECTED event, when there is none with this id."""
        return bool(self._act(_CANCEL, 0, ts, order_id))

    # -- market data ---------------------------------------------------------------------------------------

    def on_bar(self, j: int, row: Rows) -> None:
        """Let one complete bar (a row of `Bars.rows`) meet the orders of instrument `j`."""
        self._act(Op.BAR, self._at(j), 0, rows=np.array(row, np.int64).reshape(1, 6))

    def on_trade(self, j: int, ts: int, price: int, qty: int = MAX_UNITS, side: int = 0) -> None:
        """Let one trade (side of the taker, 0: unknown) meet the orders of instrument `j`."""
        self._act(_TRADE, self._at(j), ts, price, qty, side)

    def on_quote(self, j: int, ts: int, bid: int, ask: int, bid_qty: int = 0, ask_qty: int = 0) -> None:
        """Let the best bid and ask meet the orders of instrument `j`; a quantity of 0 bounds nothing."""
        self._act(_QUOTE, self._at(j), ts, bid, ask, bid_qty, ask_qty)

    def on_book(self, j: int, ts: int, bids: Rows, asks: Rows) -> None:
        """Let a whole book, int64 (n, 2) of price and quantity with the best first, meet the orders of instrument `j`."""
        rows = np.empty((len(bids) + len(asks), 3), np.int64)
        rows[: len(bids), 0], rows[len(bids) :, 0] = 1, -1
        rows[: len(bids), 1:], rows[len(bids) :, 1:] = bids, asks
        self._act(Op.BOOK, self._at(j), ts, rows=rows)

    def on_levels(self, j: int, ts: int, rows: Rows) -> None:
        """Let changes of levels, int64 (n, 3) of side (1 bids, -1 asks), price and quantity (0: gone), meet the orders."""
        self._act(Op.LEVELS, self._at(j), ts, rows=np.array(rows, np.int64, order="C"))

    def on_mark(self, j: int, ts: int, price: int) -> None:
        """A new mark price of instrument `j`."""
        self._act(Op.MARK, self._at(j), ts, price)

    def on_funding(self, j: int, ts: int, rate: int, price: int) -> None:
        """Funding of instrument `j`: `rate` in hundred-millionths of the positions' value at the mark `price`."""
        self._act(Op.FUNDING, self._at(j), ts, rate, price)

    def on_time(self, ts: int) -> None:
        """Nothing but time has passed: orders arrive and expire."""
        self._act(Op.CLOCK, 0, ts)

    def delay(self, ts: int, leg: int) -> int:
        """How long a leg (0 order entry, 1 response, 2 feed) takes at `ts`, for loops that show an account late.

        With `latency="normal"` it is the account's next draw.
        """
        return int(self._act(Op.DELAY, 0, ts, leg))

    def book(self, j: int, side: int) -> npt.NDArray[np.void]:
        """The levels of a side (1 bids, -1 asks) of instrument `j`, the best first, of dtype `level_t`."""
        at = 0 if side > 0 else 1
        n = int(self.inst["n_levels"][j, at])
        levels: npt.NDArray[np.void] = self.depth[j, at, :n][::-1]
        return levels[levels["qty"] > 0]

    def close_out(self, j: int = 0) -> None:
        """Cancel everything open on instrument `j` and close its positions at the latest price."""
        self._act(Op.CLOSE_OUT, self._at(j))

    # -- what came of it -----------------------------------------------------------------------------------

    def drain(self) -> npt.NDArray[np.void]:
        """Take the events out of the buffer: an array of the caller's own, in order, of dtype `event_t`."""
        n = int(self.state["n_out"][0])
        if n >= len(self.out) - 1:
            raise RuntimeError(
                f"the event buffer of {len(self.out)} overflowed: events were lost, the account cannot go on"
            )
        self.state["n_out"] = 0
        if n < HANDED_OVER:
            return self.out[:n].copy()
        events = self.out[:n]
        self.out = np.empty_like(self.out)
        self.desk.place("out", self.out)
        return events

    @property
    def has_room(self) -> bool:
        """Whether the buffer can take whatever comes next; if not, drain it first."""
        return bool(self._n_out[0] < len(self.out) - self._room)

    @property
    def undrained(self) -> int:
        """How many events wait to be taken out."""
        return int(self._n_out[0])

    def open_orders(self) -> npt.NDArray[np.void]:
        """A copy of the open orders, oldest first, of dtype `order_t`."""
        return self.orders[: int(self.state["n_orders"][0])].copy()

    def balance(self, asset: str, wallet: Wallet | None = None) -> tuple[int, int]:
        """Free units of `asset`, and those that stand behind orders and positions."""
        row = self.ledger[self.row_of(asset, wallet)]
        return int(row[Account.FREE]), int(row[Account.HELD] + row[Account.MARGIN])

    def balance_decimal(self, asset: str, wallet: Wallet | None = None) -> tuple[Decimal, Decimal]:
        """Free and used amounts of `asset`, exact."""
        free, used = self.balance(asset, wallet)
        return Decimal(free).scaleb(-self.scales[asset]), Decimal(used).scaleb(-self.scales[asset])

    def position(self, j: int = 0, slot: int = 0) -> int:
        """The position of instrument `j` in amount units, below zero when short; of a coin its balance."""
        m = self.instruments[j]
        return int(self.inst["position"][j, slot]) if m.derivative else sum(self.balance(m.base))

    def equity(self, j: int = 0) -> int:
        """What the wallet of instrument `j` is worth at its last price: balance and position, in money units."""
        m, r = self.instruments[j], self.inst[j]
        row = self.ledger[int(r["settle"])]
        total, last = int(row[: len(OWN)].sum()), int(r["last"])
        if not m.derivative:
            return total + sum(self.balance(m.base)) * last // m.money_divisor
        for slot in range(2):
            held, cost = int(r["position"][slot]), int(r["cost"][slot])
            if held:
                inverse = m.kind == 2
                value = abs(held) * m.money_divisor, last
                worth = value if inverse else (abs(held) * last, m.money_divisor)
                rises = (held > 0) != inverse
                total += worth[0] // worth[1] - cost if rises else cost + (-worth[0] // worth[1])
        return total

    def header(self) -> dict[str, Any]:
        """What the journal's header says about this engine."""
        said = {"broker": self.broker.canonical(), "instruments": [m.canonical() for m in self.instruments]}
        if self.broker.latency == "measured":
            said["latencies"] = hashlib.sha256(self.delays.astype("<i8").tobytes()).hexdigest()
        return said

    @cached_property
    def _layout(self) -> bytes:
        described = repr(
            (
                state_t,
                instrument_t,
                order_t,
                level_t,
                self.depth.shape,
                self.assets,
                [m.symbol for m in self.instruments],
                N_ACCOUNTS,
            )
        )
        return hashlib.sha256(described.encode()).digest()[:8]

    def snapshot(self) -> bytes:
        """The whole account as bytes, without undrained events; `restore` takes it back."""
        n = int(self.state["n_orders"][0])
        state = self.state.copy()
        state["n_out"] = 0
        kept = (state, self.inst, self.ledger, self._levels(), self.orders[:n])
        return b"".join((self._layout, *(array.tobytes() for array in kept)))

    def _levels(self) -> npt.NDArray[np.void]:
        """The levels of all books that are filled, one after the other."""
        filled = np.arange(self.depth.shape[2]) < self.inst["n_levels"][:, :, None]
        kept: npt.NDArray[np.void] = self.depth[filled]
        return kept

    def restore(self, snapshot: bytes) -> None:
        """Go back to a snapshot of an engine with the same instruments; UsageError for any other."""
        if snapshot[:8] != self._layout:
            raise UsageError(
                "the snapshot was made by another version or for other instruments; replay the journal instead"
            )
        at = 8
        for array in (self.state, self.inst, self.ledger):
            array[...] = np.frombuffer(snapshot, array.dtype, array.size, at).reshape(array.shape)
            at += array.nbytes
        filled = np.arange(self.depth.shape[2]) < self.inst["n_levels"][:, :, None]
        self.depth[filled] = np.frombuffer(snapshot, level_t, int(filled.sum()), at)
        at += int(filled.sum()) * level_t.itemsize
        n = int(self.state["n_orders"][0])
        self.orders[:n] = np.frombuffer(snapshot, order_t, n, at)


def _latencies(broker: Broker, table: Rows | None) -> Rows:
    """The table of measured latencies as the kernel reads it: one row of nothing where none are."""
    if (table is None) == (broker.latency == "measured"):
        raise UsageError(
            "a table of latencies belongs to latency = 'measured', and latency = 'measured' needs one"
        )
    if table is None:
        return np.zeros((1, 4), np.int64)
    made = np.array(table, np.int64, order="C")
    if made.ndim != 2 or made.shape[1] != 4 or not len(made):
        raise UsageError(
            f"latencies must have the shape (n, 4): time, order entry, response, feed; not {made.shape}"
        )
    if (np.diff(made[:, 0]) <= 0).any() or (made[:, 1:] < 0).any():
        raise UsageError("latencies must ascend in time, and none may be below zero")
    return made


__all__ = ["Engine", "EventKind", "OrdType", "Side"]
