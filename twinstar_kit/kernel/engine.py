"""The engine: the kernel's arrays behind a small Python face, for accounts that are steered by commands."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.jit import compiled
from twinstar_kit.kernel import book, matching, step
from twinstar_kit.kernel.context import MAX_PROPOSALS
from twinstar_kit.kernel.errors import InstrumentError, OrderError, UsageError
from twinstar_kit.kernel.instruments import Instrument, Number
from twinstar_kit.kernel.ledger import N_ACCOUNTS, Account, post
from twinstar_kit.kernel.models import FILLS, PATHS, Broker, rate_units
from twinstar_kit.kernel.money import MAX_UNITS, to_units
from twinstar_kit.kernel.orders import EventKind, OrdFlag, OrdStatus, OrdType, Reason, Side, order_t
from twinstar_kit.kernel.plain import as_kernel_sees
from twinstar_kit.kernel.records import event_t
from twinstar_kit.kernel.tables import instrument_t, note, state_t

Arrays = tuple[Any, Any, Any, Any, Any]
PLACE, CANCEL, DEPOSITED = int(EventKind.PLACE), int(EventKind.CANCEL), int(EventKind.DEPOSITED)
REJECTED, WORKING = int(EventKind.REJECTED), int(OrdStatus.WORKING)
REQUESTED, UNKNOWN_ORDER = int(Reason.REQUESTED), int(Reason.UNKNOWN_ORDER)
REDUCE_ONLY, NO_POSITION = int(OrdFlag.REDUCE_ONLY), int(Reason.NO_POSITION)
FREE, CAPITAL = int(Account.FREE), int(Account.CAPITAL)


@compiled
def place(
    state: Any, inst: Any, orders: Any, ledger: Any, out: Any, ts: int, j: int, side: int, ord_type: int, flags: int, qty: int,
    price: int, stop_px: int, trail: int, trail_rate: int, link_id: int,
) -> int:  # fmt: skip
    """Journal the command, check it, and accept or reject it; returns the order's id either way."""
    state[0].now = ts
    note(
        state, out, PLACE, 0, j, side, ord_type, flags, 0, link_id, price + trail, stop_px, qty, 0, trail_rate
    )
    reason = book.refusal(state, inst, orders, ledger, j, side, ord_type, flags, qty, price, stop_px)
    if reason == 0 and ord_type == book.TRAILING_STOP and trail + trail_rate <= 0:
        reason = book.INVALID_PRICE
    if reason == 0 and flags & REDUCE_ONLY and book.position_of(inst, ledger, j) < inst[j].lot:
        reason = NO_POSITION
    if reason != 0:
        return book.refuse(
            state, out, REJECTED, reason, j, side, ord_type, flags, qty, price, stop_px, link_id
        )
    k = book.enter(
        state,
        inst,
        orders,
        ledger,
        out,
        j,
        side,
        ord_type,
        flags,
        qty,
        price,
        stop_px,
        trail,
        trail_rate,
        link_id,
        WORKING,
    )
    return orders[k].order_id  # type: ignore[no-any-return]


@compiled
def cancel(state: Any, inst: Any, orders: Any, ledger: Any, out: Any, ts: int, order_id: int) -> bool:
    """Journal the command and cancel the order, if it is open."""
    state[0].now = ts
    note(state, out, CANCEL, 0, 0, 0, 0, 0, order_id, 0, 0, 0, 0, 0, 0)
    for k in range(state[0].n_orders):
        if orders[k].order_id == order_id:
            j = orders[k].instrument
            book.cancel_row(state, inst, orders, ledger, out, k, REQUESTED)
            book.end_protection(state, inst, orders, ledger, out, j)
            return True
    note(state, out, REJECTED, UNKNOWN_ORDER, 0, 0, 0, 0, order_id, 0, 0, 0, 0, 0, 0)
    return False


@compiled
def deposit(state: Any, ledger: Any, out: Any, ts: int, asset: int, amount: int) -> None:
    """Credit `amount` units of play money."""
    state[0].now = ts
    note(state, out, DEPOSITED, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, asset, amount)
    post(state, ledger, out, asset, CAPITAL, FREE, amount, 0, 0)


@compiled
def bar_entry(state: Any, inst: Any, orders: Any, ledger: Any, out: Any, j: int, bars: Any, i: int) -> None:
    """`matching.on_bar`, callable from Python without compiling it anew in each process."""
    matching.on_bar(state, inst, orders, ledger, out, j, bars, i)


@compiled
def trade_entry(
    state: Any, inst: Any, orders: Any, ledger: Any, out: Any, j: int, ts: int, price: int
) -> None:
    """`matching.on_trade`, callable from Python without compiling it anew in each process."""
    matching.on_trade(state, inst, orders, ledger, out, j, ts, price)


@compiled
def quote_entry(
    state: Any, inst: Any, orders: Any, ledger: Any, out: Any, j: int, ts: int, bid: int, ask: int
) -> None:
    """`matching.on_quote`, callable from Python without compiling it anew in each process."""
    matching.on_quote(state, inst, orders, ledger, out, j, ts, bid, ask)


class Engine:
    """One account over a list of instruments: the kernel's arrays and the calls that move them.

    `arrays` are (state, instruments, orders, ledger, events), as every compiled function takes them; `balances`
    are opening amounts per asset and are posted as deposits at `ts`. Everything that happens is written to the
    event buffer; `drain` takes it out. UsageError and InstrumentError for what cannot be represented.

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
    ) -> None:
        if not instruments:
            raise UsageError("an engine needs at least one instrument")
        self.instruments = tuple(instruments)
        self.broker = broker
        self.assets = tuple(dict.fromkeys(a for m in self.instruments for a in (m.base, m.quote)))
        self.scales = self._scales()
        if buffer < 2 * step.RECORDS_PER_ORDER * (order_capacity + MAX_PROPOSALS):
            raise UsageError(f"a buffer of {buffer} events is too small for {order_capacity} orders")
        self.state = np.zeros(1, state_t)
        self.inst = np.zeros(len(self.instruments), instrument_t)
        self.orders = np.zeros(order_capacity, order_t)
        self.ledger = np.zeros((len(self.assets), N_ACCOUNTS), np.int64)
        self.out = np.zeros(buffer, event_t)
        see = as_kernel_sees
        self._arrays = (see(self.state), see(self.inst), see(self.orders), see(self.ledger), see(self.out))
        self._index = {m.symbol: j for j, m in enumerate(self.instruments)}
        self._load(timeframe_ms)
        for asset, amount in (balances or {}).items():
            self.deposit(ts, asset, amount)

    def _scales(self) -> dict[str, int]:
        scales: dict[str, int] = {}
        for m in self.instruments:
            for asset, scale in ((m.base, m.amount_scale), (m.quote, m.quote_scale)):
                if scales.setdefault(asset, scale) != scale:
                    raise InstrumentError(
                        f"{m.symbol} counts {asset} with {scale} decimals, another instrument with {scales[asset]}; use one scale per asset"
                    )
        return scales

    def _load(self, timeframe_ms: int) -> None:
        broker, s = self.broker, self.state[0]
        s["next_order_id"] = 1
        s["timeframe_ms"] = timeframe_ms
        s["fill_on_close"] = FILLS.index(broker.fill)
        s["path"] = PATHS.index(broker.path)
        s["slippage"] = rate_units(broker.slippage_bps / 10_000)
        if broker.amount is not None:
            s["fixed_amount"] = self.instruments[0].amount_units(broker.amount)
        for record, m in zip(self.inst, self.instruments, strict=True):
            record["base"], record["quote"] = self.assets.index(m.base), self.assets.index(m.quote)
            record["divisor"] = m.money_divisor
            for name in ("tick", "lot", "min_amount", "max_amount", "min_notional"):
                record[name] = getattr(m, name)
            record["fee_maker"], record["fee_taker"] = (
                rate_units(broker.fee_maker),
                rate_units(broker.fee_taker),
            )
            record["price_one"], record["amount_one"] = 10.0**m.price_scale, 10.0**m.amount_scale
            record["money_one"] = 10.0**m.quote_scale

    @property
    def arrays(self) -> Arrays:
        """State, instruments, orders, ledger and event buffer, as the compiled functions take them."""
        return self._arrays

    def index_of(self, symbol: str) -> int:
        """Where `symbol` stands in the engine's table; InstrumentError when it does not."""
        try:
            return self._index[symbol]
        except KeyError:
            raise InstrumentError(f"{symbol} is not on this venue") from None

    def deposit(self, ts: int, asset: str, amount: Number) -> None:
        """Credit play money to the free balance of `asset`."""
        if asset not in self.scales:
            raise UsageError(f"no instrument here trades {asset}; choose from {', '.join(self.assets[:8])}")
        units = to_units(amount, self.scales[asset], what=f"{asset} balance")
        if units < 0:
            raise OrderError(f"a balance of {amount} {asset} is negative")
        if sum(self.balance(asset)) + units >= MAX_UNITS:
            raise OrderError(f"{amount} more {asset} would not fit the account's integers")
        deposit(self.arrays[0], self.ledger, self.arrays[4], ts, self.assets.index(asset), units)

    def submit(
        self, ts: int, j: int, side: int, ord_type: int, qty: int, *, price: int = 0, stop_px: int = 0, trail: int = 0,
        trail_rate: int = 0, reduce_only: bool = False, close_position: bool = False, link_id: int = 0,
    ) -> int:  # fmt: skip
        """Send an order at `ts`; it is accepted or rejected in the events, and fills with later market data only.

        `qty` in amount units, prices in price units, `trail_rate` in hundred-millionths. Returns the order's id.
        """
        flags = (OrdFlag.REDUCE_ONLY if reduce_only or close_position else 0) | (
            OrdFlag.CLOSE_POSITION if close_position else 0
        )
        return int(
            place(
                *self.arrays,
                ts,
                j,
                int(side),
                int(ord_type),
                int(flags),
                qty,
                price,
                stop_px,
                trail,
                trail_rate,
                link_id,
            )
        )

    def cancel(self, ts: int, order_id: int) -> bool:
        """Cancel an open order; False, and a REJECTED event, when there is none with this id."""
        return bool(cancel(*self.arrays, ts, order_id))

    def on_bar(self, j: int, row: npt.NDArray[np.int64]) -> None:
        """Let one complete bar (a row of `Bars.rows`) meet the orders of instrument `j`."""
        bar_entry(*self.arrays, j, np.ascontiguousarray(row).reshape(1, 6), 0)

    def on_trade(self, j: int, ts: int, price: int) -> None:
        """Let one trade meet the orders of instrument `j`."""
        trade_entry(*self.arrays, j, ts, price)

    def on_quote(self, j: int, ts: int, bid: int, ask: int) -> None:
        """Let the best bid and ask meet the market and limit orders of instrument `j`."""
        quote_entry(*self.arrays, j, ts, bid, ask)

    def close_out(self, j: int = 0) -> None:
        """Cancel everything open on instrument `j` and sell its position at the latest price."""
        step.close_out(*self.arrays, j)

    def drain(self) -> npt.NDArray[np.void]:
        """Take the events out of the buffer: a copy, in order, of dtype `event_t`."""
        n = int(self.state["n_out"][0])
        events = self.out[:n].copy()
        self.state["n_out"] = 0
        return events

    @property
    def has_room(self) -> bool:
        """Whether the buffer can take whatever comes next; if not, drain it first."""
        s = self.state[0]
        return bool(len(self.out) - s["n_out"] > step.RECORDS_PER_ORDER * (s["n_orders"] + MAX_PROPOSALS))

    def open_orders(self) -> npt.NDArray[np.void]:
        """A copy of the open orders, oldest first, of dtype `order_t`."""
        return self.orders[: int(self.state["n_orders"][0])].copy()

    def balance(self, asset: str) -> tuple[int, int]:
        """Free and held units of `asset`."""
        row = self.ledger[self.assets.index(asset)]
        return int(row[Account.FREE]), int(row[Account.HELD])

    def balance_decimal(self, asset: str) -> tuple[Decimal, Decimal]:
        """Free and held amounts of `asset`, exact."""
        free, held = self.balance(asset)
        return Decimal(free).scaleb(-self.scales[asset]), Decimal(held).scaleb(-self.scales[asset])

    def equity(self, j: int = 0) -> int:
        """Quote balance of instrument `j` plus its position at the latest price, in money units."""
        m = self.instruments[j]
        base, quote = (sum(self.balance(a)) for a in (m.base, m.quote))
        return quote + base * int(self.inst["last"][j]) // m.money_divisor

    def header(self) -> dict[str, Any]:
        """What the journal's header says about this engine."""
        return {"broker": self.broker.canonical(), "instruments": [m.canonical() for m in self.instruments]}

    @cached_property
    def _layout(self) -> bytes:
        described = repr(
            (state_t, instrument_t, order_t, self.assets, [m.symbol for m in self.instruments], N_ACCOUNTS)
        )
        return hashlib.sha256(described.encode()).digest()[:8]

    def snapshot(self) -> bytes:
        """The whole account as bytes, without undrained events; `restore` takes it back."""
        n = int(self.state["n_orders"][0])
        state = self.state.copy()
        state["n_out"] = 0
        return b"".join(
            (
                self._layout,
                state.tobytes(),
                self.inst.tobytes(),
                self.ledger.tobytes(),
                self.orders[:n].tobytes(),
            )
        )

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
        n = int(self.state["n_orders"][0])
        self.orders[:n] = np.frombuffer(snapshot, order_t, n, at)


__all__ = ["Arrays", "Engine", "OrdType", "Side"]
