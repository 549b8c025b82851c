"""Builders for kernel tests: a desk with one market, orders in plain decimals, bars as four numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from twinstar_kit.kernel.context import Proposal, new_context
from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.gate import Op
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.ledger import Account, Wallet
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.orders import EventKind, OrdType, Reason, Setting, Side
from twinstar_kit.kernel.plain import as_kernel_sees

BTC = Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.001", min_amount="0.001", min_notional="5")
PERP = Instrument.from_sizes("BTC/USDT:USDT", tick="0.01", lot="0.001")
INVERSE = Instrument.from_sizes("BTC/USD:BTC", tick="0.01", lot="1", contract_size=100)
MINUTE = 60_000
TYPES = {
    "market": OrdType.MARKET,
    "limit": OrdType.LIMIT,
    "stop": OrdType.STOP,
    "stop_limit": OrdType.STOP_LIMIT,
    "touch": OrdType.MARKET_IF_TOUCHED,
    "touch_limit": OrdType.LIMIT_IF_TOUCHED,
    "trail": OrdType.TRAILING_STOP,
    "trail_limit": OrdType.TRAILING_STOP_LIMIT,
}
SIDES = {"buy": Side.BUY, "sell": Side.SELL}
Fill = tuple[str, Decimal, Decimal]


class Desk:
    """An engine on one market that is fed and read in decimals; it checks the ledger after every call."""

    def __init__(
        self,
        balances: dict[str, Any] | None = None,
        instrument: Instrument = BTC,
        *,
        others: tuple[Instrument, ...] = (),
        engine: dict[str, Any] | None = None,
        **broker: Any,
    ) -> None:
        self.m = instrument
        if balances is None:
            balances = {"BTC": 10} if instrument.settle == "BTC" else {"USDT": 100_000}
        self.engine = Engine([instrument, *others], Broker(**broker), balances, **(engine or {}))
        self.events: list[Any] = []
        self.ts = 0
        self._drain()

    def _drain(self) -> list[Any]:
        fresh = list(self.engine.drain())
        self.events += fresh
        ledger = self.engine.ledger
        assert not ledger.sum(axis=1).any(), "the ledger does not balance"
        assert (ledger[:, [Account.FREE, Account.HELD, Account.MARGIN]] >= 0).all(), "a balance is negative"
        return fresh

    def units(self, price: Any) -> int:
        return 0 if price is None else self.m.price_units(price)

    def last(self, price: Any) -> Desk:
        """A trade that crosses nothing of interest: it only sets the latest price."""
        self.engine.on_trade(0, self.ts, self.m.price_units(price))
        self._drain()
        return self

    def send(
        self,
        side: str,
        kind: str,
        amount: Any,
        price: Any = None,
        *,
        stop: Any = None,
        trail: Any = None,
        rate: float = 0,
        activation: Any = None,
        offset: Any = None,
        show: Any = None,
        **flags: Any,
    ) -> int:
        """An order; of a plain stop and of an order if touched, `price` is the trigger."""
        if kind in ("stop", "touch"):
            price, stop = None, price
        order_id = self.engine.submit(
            self.ts, 0, SIDES[side], TYPES[kind], 0 if amount is None else self.m.amount_units(amount),
            price=self.units(price), stop_px=self.units(stop), trail=self.units(trail), trail_rate=round(rate * 1e8),
            activation_px=self.units(activation), limit_offset=self.units(offset),
            display_qty=0 if show is None else self.m.amount_units(show), **flags,
        )  # fmt: skip
        self._drain()
        return order_id

    def bar(self, *ohlc: Any, volume: Any = None) -> list[Fill]:
        """One bar; returns its fills as (side, price, amount)."""
        units = [self.m.price_units(x) for x in ohlc]
        amount = 1000 if volume is None else self.m.amount_units(volume)
        self.engine.on_bar(0, np.array([self.ts, *units, amount], np.int64))
        self.ts += MINUTE
        return self.fills(self._drain())

    def trade(self, price: Any, amount: Any = None, side: str | None = None) -> list[Fill]:
        self.ts += 1
        how_much = {} if amount is None else {"qty": self.m.amount_units(amount)}
        self.engine.on_trade(
            0, self.ts, self.m.price_units(price), **how_much, side=SIDES[side] if side else 0
        )
        return self.fills(self._drain())

    def quote(self, bid: Any, ask: Any, bid_amount: Any = None, ask_amount: Any = None) -> list[Fill]:
        self.ts += 1
        amounts = [0 if x is None else self.m.amount_units(x) for x in (bid_amount, ask_amount)]
        self.engine.on_quote(0, self.ts, self.units(bid), self.units(ask), *amounts)
        return self.fills(self._drain())

    def book(self, bids: list[tuple[Any, Any]], asks: list[tuple[Any, Any]]) -> list[Fill]:
        """A whole book, the best of each side first."""
        self.ts += 1
        sides = [
            np.array([(self.m.price_units(p), self.m.amount_units(q)) for p, q in side], np.int64).reshape(
                -1, 2
            )
            for side in (bids, asks)
        ]
        self.engine.on_book(0, self.ts, *sides)
        return self.fills(self._drain())

    def levels(self, *changes: tuple[str, Any, Any]) -> list[Fill]:
        """Changes of levels: ("bid" or "ask", price, what rests there now)."""
        self.ts += 1
        rows = [
            (
                1 if side == "bid" else -1,
                self.m.price_units(p),
                round(Decimal(str(q)) * 10**self.m.amount_scale),
            )
            for side, p, q in changes
        ]
        self.engine.on_levels(0, self.ts, np.array(rows, np.int64))
        return self.fills(self._drain())

    def mark(self, price: Any) -> list[Fill]:
        self.ts += 1
        self.engine.on_mark(0, self.ts, self.m.price_units(price))
        return self.fills(self._drain())

    def funding(self, rate: Any, price: Any) -> None:
        self.ts += 1
        self.engine.on_funding(0, self.ts, round(Decimal(str(rate)) * 10**8), self.m.price_units(price))
        self._drain()

    def time(self, ts: int) -> list[Fill]:
        self.ts = ts
        self.engine.on_time(ts)
        return self.fills(self._drain())

    def cancel(self, order_id: int) -> bool:
        done = self.engine.cancel(self.ts, order_id)
        self._drain()
        return done

    def amend(self, order_id: int, amount: Any = None, price: Any = None, **units: Any) -> Reason:
        if amount is not None:
            units["qty"] = self.m.amount_units(amount)
        if price is not None:
            units["price"] = self.m.price_units(price)
        reason = self.engine.amend(self.ts, order_id, **units)
        self._drain()
        return reason

    def set(self, setting: Setting, value: Any = 0, slot: int = 0) -> Reason:
        reason = self.engine.configure(self.ts, setting, 0, value, slot)
        self._drain()
        return reason

    def fills(self, events: list[Any]) -> list[Fill]:
        return [
            (Side(e["side"]).name.lower(), self.price(e["last_px"]), self.amount(e["last_qty"]))
            for e in events
            if e["kind"] == EventKind.FILLED
        ]

    def price(self, units: Any) -> Decimal:
        return Decimal(int(units)).scaleb(-self.m.price_scale)

    def amount(self, units: Any) -> Decimal:
        return Decimal(int(units)).scaleb(-self.m.amount_scale)

    def money(self, units: Any) -> Decimal:
        return Decimal(int(units)).scaleb(-self.m.quote_scale)

    def free(self, asset: str, wallet: Wallet | None = None) -> Decimal:
        return self.engine.balance_decimal(asset, wallet)[0]

    def held(self, asset: str, wallet: Wallet | None = None) -> Decimal:
        return self.engine.balance_decimal(asset, wallet)[1]

    def position(self, slot: int = 0) -> Decimal:
        return self.amount(self.engine.position(0, slot))

    def margin(self, slot: int = 0) -> Decimal:
        """The collateral of a position."""
        return self.money(self.engine.inst["margin"][0, slot])

    def equity(self) -> Decimal:
        return self.money(self.engine.equity(0))

    def order(self, order_id: int) -> Any:
        """The open order with this id, or None."""
        found = [o for o in self.engine.open_orders() if o["order_id"] == order_id]
        return found[0] if found else None

    def leaves(self, order_id: int) -> Decimal:
        o = self.order(order_id)
        return self.amount(o["order_qty"] - o["cum_qty"])

    def kinds(self) -> list[str]:
        return [EventKind(e["kind"]).name for e in self.events]

    def reasons(self) -> list[Reason]:
        """Why something was refused or ended; why fills happened is not among them."""
        return [Reason(e["reason"]) for e in self.events if e["reason"] and e["kind"] != EventKind.FILLED]

    def met(self) -> list[Reason]:
        """Why fills happened."""
        return [Reason(e["reason"]) for e in self.events if e["kind"] == EventKind.FILLED]

    def fees(self) -> Decimal:
        """What the venue has taken in fees, in what the market settles in."""
        row = self.engine.inst["settle"][0]
        return self.money(self.engine.ledger[row, Account.FEES])

    def open_ids(self) -> list[int]:
        return [int(o["order_id"]) for o in self.engine.open_orders()]


class Floor(Desk):
    """A desk whose orders come from a strategy's proposals, through the two halves of a step."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ctx = new_context()

    def step(self, ohlc: tuple[Any, ...], *proposals: tuple[Proposal, float, float]) -> list[Fill]:
        """One bar, then proposals as (kind, amount, price); returns all fills of the step."""
        row = np.array([[self.ts, *(self.m.price_units(x) for x in ohlc), 1000]], np.int64)
        self.engine.act(Op.MARKET_STEP, 0, 0, rows=row, ctx=as_kernel_sees(self.ctx))
        c = self.ctx[0]
        for n, (kind, amount, price) in enumerate(proposals):
            c["p_kind"][n], c["p_amount"][n], c["p_price"][n] = int(kind), amount, price
        c["n_proposals"] = len(proposals)
        self.engine.act(Op.ORDER_STEP, 0, 0, rows=row, ctx=as_kernel_sees(self.ctx))
        self.ts += MINUTE
        return self.fills(self._drain())
