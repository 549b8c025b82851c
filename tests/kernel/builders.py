"""Builders for kernel tests: a desk with one market, orders in plain decimals, bars as four numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from twinstar_kit.kernel.context import Proposal, new_context
from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.gate import Op
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.ledger import Account
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.orders import EventKind, OrdType, Reason, Side
from twinstar_kit.kernel.plain import as_kernel_sees

BTC = Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.001", min_amount="0.001", min_notional="5")
MINUTE = 60_000
TYPES = {
    "market": OrdType.MARKET,
    "limit": OrdType.LIMIT,
    "stop": OrdType.STOP,
    "trail": OrdType.TRAILING_STOP,
}
SIDES = {"buy": Side.BUY, "sell": Side.SELL}


class Desk:
    """An engine on BTC/USDT that is fed and read in decimals; it checks the ledger after every call."""

    def __init__(
        self, balances: dict[str, Any] | None = None, instrument: Instrument = BTC, **broker: Any
    ) -> None:
        self.m = instrument
        self.engine = Engine([instrument], Broker(**broker), balances or {"USDT": 100_000})
        self.events: list[Any] = []
        self.ts = 0
        self._drain()

    def _drain(self) -> list[Any]:
        fresh = list(self.engine.drain())
        self.events += fresh
        ledger = self.engine.ledger
        assert not ledger.sum(axis=1).any(), "the ledger does not balance"
        assert (ledger[:, [Account.FREE, Account.HELD]] >= 0).all(), "a balance is negative"
        return fresh

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
        trail: Any = None,
        rate: float = 0,
        **flags: Any,
    ) -> int:
        p = 0 if price is None else self.m.price_units(price)
        order_id = self.engine.submit(
            self.ts, 0, SIDES[side], TYPES[kind], self.m.amount_units(amount),
            price=p if kind == "limit" else 0, stop_px=p if kind == "stop" else 0,
            trail=0 if trail is None else self.m.price_units(trail), trail_rate=round(rate * 1e8), **flags,
        )  # fmt: skip
        self._drain()
        return order_id

    def bar(self, *ohlc: Any) -> list[tuple[str, Decimal, Decimal]]:
        """One bar; returns its fills as (side, price, amount)."""
        units = [self.m.price_units(x) for x in ohlc]
        self.engine.on_bar(0, np.array([self.ts, *units, 1000], np.int64))
        self.ts += MINUTE
        return self.fills(self._drain())

    def trade(self, price: Any) -> list[tuple[str, Decimal, Decimal]]:
        self.ts += 1
        self.engine.on_trade(0, self.ts, self.m.price_units(price))
        return self.fills(self._drain())

    def quote(self, bid: Any, ask: Any) -> list[tuple[str, Decimal, Decimal]]:
        self.ts += 1
        self.engine.on_quote(0, self.ts, self.m.price_units(bid), self.m.price_units(ask))
        return self.fills(self._drain())

    def cancel(self, order_id: int) -> bool:
        done = self.engine.cancel(self.ts, order_id)
        self._drain()
        return done

    def fills(self, events: list[Any]) -> list[tuple[str, Decimal, Decimal]]:
        return [
            (
                Side(e["side"]).name.lower(),
                self.price(e["last_px"]),
                Decimal(int(e["last_qty"])).scaleb(-self.m.amount_scale),
            )
            for e in events
            if e["kind"] == EventKind.FILLED
        ]

    def price(self, units: Any) -> Decimal:
        return Decimal(int(units)).scaleb(-self.m.price_scale)

    def free(self, asset: str) -> Decimal:
        return self.engine.balance_decimal(asset)[0]

    def held(self, asset: str) -> Decimal:
        return self.engine.balance_decimal(asset)[1]

    def kinds(self) -> list[str]:
        return [EventKind(e["kind"]).name for e in self.events]

    def reasons(self) -> list[Reason]:
        """Why something was refused or ended; why fills happened is not among them."""
        return [Reason(e["reason"]) for e in self.events if e["reason"] and e["kind"] != EventKind.FILLED]

    def open_ids(self) -> list[int]:
        return [int(o["order_id"]) for o in self.engine.open_orders()]


class Floor(Desk):
    """A desk whose orders come from a strategy's proposals, through the two halves of a step."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ctx = new_context()

    def step(
        self, ohlc: tuple[Any, ...], *proposals: tuple[Proposal, float, float]
    ) -> list[tuple[str, Decimal, Decimal]]:
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
