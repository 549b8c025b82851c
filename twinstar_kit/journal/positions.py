"""Positions of contracts as an account's events tell them: size, cost, collateral, and how the account is set up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twinstar_kit.kernel.instruments import Instrument, Kind
from twinstar_kit.kernel.money import RATE_SCALE
from twinstar_kit.kernel.orders import EventKind, Setting
from twinstar_kit.kernel.records import event_t
from twinstar_kit.kernel.tables import FillFlag

AT = {name: i for i, name in enumerate(event_t.names or ())}
"""Where each field of an event stands in its tuple."""
_KIND, _J, _SIDE, _FLAGS = (AT[n] for n in ("kind", "instrument", "side", "flags"))
_PX, _QTY, _AMOUNT, _TS, _SEQ = (AT[n] for n in ("last_px", "last_qty", "amount", "ts_event", "seq"))
FILLED, FUNDED, CONFIGURE, REJECTED = (
    int(k) for k in (EventKind.FILLED, EventKind.FUNDED, EventKind.CONFIGURE, EventKind.REJECTED)
)  # fmt: skip


def value(m: Instrument, price: int, qty: int, *, up: bool) -> int:
    """Money units that `qty` of an instrument is worth at `price`, rounded up or down."""
    whole, part = (qty * m.money_divisor, price) if m.kind is Kind.INVERSE else (price * qty, m.money_divisor)
    return -(-whole // part) if up else whole // part


def share(whole: int, part: int, parts: int) -> int:
    """`part` of `parts` of an amount, rounded down; all of it for the last part."""
    return whole if part >= parts else whole * part // parts


@dataclass(slots=True)
class Contracts:
    """One position: `qty` signed in amount units, `cost` and `margin` in money units, `since` when it began, `updated` when it changed."""

    instrument: Instrument
    slot: int
    qty: int = 0
    cost: int = 0
    margin: int = 0
    since: int = 0
    updated: int = 0

    @property
    def rises(self) -> bool:
        """Whether it gains as its value rises: long, or short an inverse contract."""
        return (self.qty > 0) != (self.instrument.kind is Kind.INVERSE)

    @property
    def entry(self) -> float:
        """The average price that it was opened at, in the quote."""
        m, qty = self.instrument, abs(self.qty)
        units = (
            qty * m.money_divisor / self.cost if m.kind is Kind.INVERSE else self.cost * m.money_divisor / qty
        )
        return units / float(10**m.price_scale)

    def profit(self, price: int) -> int:
        """What closing it at `price` would bring, in money units, rounded against the account."""
        if not self.qty or price <= 0:
            return 0
        if self.rises:
            return value(self.instrument, price, abs(self.qty), up=False) - self.cost
        return self.cost - value(self.instrument, price, abs(self.qty), up=True)

    def maintenance(self, price: int) -> int:
        """The margin below which it is liquidated at `price`, in money units."""
        rate, amount = self.tier(value(self.instrument, price, abs(self.qty), up=True))
        worth = value(self.instrument, price, abs(self.qty), up=True)
        return max(0, -(-worth * rate // RATE_SCALE) - amount)

    def tier(self, worth: int) -> tuple[int, int]:
        """Rate and amount of the maintenance tier of a value; without tiers half of a hundredth."""
        tiers = self.instrument.margin_tiers
        found = next((tier for tier in tiers if worth <= tier.cap), tiers[-1] if tiers else None)
        return (found.rate, found.amount) if found else (RATE_SCALE // 200, 0)


@dataclass(frozen=True, slots=True)
class MarginChange:
    """Collateral that was moved into an isolated position (`amount` below zero: out of it), in money units; `total` is what it had then."""

    seq: int
    ts: int
    instrument: Instrument
    slot: int
    amount: int
    total: int


class ContractBook:
    """All positions of contracts of an account, kept by folding its events in journal order.

    `leverages`, `isolated` and `hedge` are how the account is set up, by instrument number; `margin_changes` is what was moved into
    isolated positions and out of them. `leverage` is the broker's.
    """

    def __init__(self, instruments: Sequence[Instrument], leverage: int = 1) -> None:
        self.instruments = tuple(instruments)
        self.numbers = {m.symbol: j for j, m in enumerate(self.instruments) if m.derivative}
        most = {
            j: m.margin_tiers[0].leverage if (m := self.instruments[j]).margin_tiers else 1_000
            for j in self.numbers.values()
        }
        self.leverages = {j: min(leverage, limit) for j, limit in most.items()}
        self.isolated = dict.fromkeys(self.numbers.values(), False)
        self.hedge = False
        self._held = {
            (j, slot): Contracts(self.instruments[j], slot) for j in self.numbers.values() for slot in (0, 1)
        }
        self.margin_changes: list[MarginChange] = []
        self._asked: tuple[int, ...] | None = None

    def held(self, symbol: str | None = None) -> list[Contracts]:
        """The positions that are open, of one symbol or of all, in the order of the instruments."""
        js = (
            self.numbers.values()
            if symbol is None
            else [self.numbers[symbol]]
            if symbol in self.numbers
            else []
        )
        return [found for j in js for slot in (0, 1) if (found := self._held[j, slot]).qty]

    def fold(self, e: tuple[int, ...]) -> None:
        """Take in one event as a tuple in the order of `event_t`; call `settle` at the end of a batch."""
        kind = e[_KIND]
        if self._asked is not None:
            if kind == REJECTED:
                self._asked = None
            self.settle()
        if kind == CONFIGURE:
            self._asked = e
        elif kind == FILLED and self.instruments[e[_J]].derivative:
            self._fill(e)
        elif kind == FUNDED and self.isolated[e[_J]]:
            position = self._held[e[_J], 1 if self.hedge and e[_SIDE] < 0 else 0]
            position.margin -= min(max(0, -e[_AMOUNT]), position.margin)

    def fold_all(self, events: np.ndarray[Any, Any]) -> None:
        """Take in a batch of events."""
        for e in events[np.isin(events["kind"], (FILLED, FUNDED, CONFIGURE, REJECTED))].tolist():
            self.fold(e)
        self.settle()

    def _fill(self, e: tuple[int, ...]) -> None:
        j, side, price, qty = e[_J], e[_SIDE], e[_PX], e[_QTY]
        closes = bool(e[_FLAGS] & FillFlag.CLOSES)
        p = self._held[j, 1 if self.hedge and (side > 0) == closes else 0]
        own = abs(p.qty)
        closing = min(qty, own) if p.qty * side < 0 else 0
        p.updated = e[_TS]
        if closing:
            p.cost -= share(p.cost, closing, own)
            p.margin -= share(p.margin, closing, own)
            p.qty += side * closing
        opening = qty - closing
        if opening:
            p.since = p.since if p.qty else e[_TS]
            p.qty += side * opening
            up = value(p.instrument, price, opening, up=True)
            p.cost += up if p.rises else value(p.instrument, price, opening, up=False)
            p.margin += -(-up // self.leverages[j])

    def settle(self) -> None:
        """A setting that was not refused counts from here on."""
        e, self._asked = self._asked, None
        if e is None:
            return
        setting, j, amount = e[_FLAGS], e[_J], e[_AMOUNT]
        if setting == Setting.HEDGE:
            self.hedge = bool(amount)
        elif setting == Setting.ISOLATED:
            if self.isolated[j] and not amount:
                for slot in (0, 1):
                    p = self._held[j, slot]
                    p.margin = min(p.margin, -(-p.cost // self.leverages[j]))
            self.isolated[j] = bool(amount)
        elif setting == Setting.ADD_MARGIN:
            p = self._held[j, 1 if e[_SIDE] < 0 else 0]
            p.margin += amount
            self.margin_changes.append(MarginChange(e[_SEQ], e[_TS], p.instrument, p.slot, amount, p.margin))
        else:
            self.leverages[j] = amount
            for slot in (0, 1):
                p = self._held[j, slot]
                wanted = -(-p.cost // amount)
                if p.qty and (wanted > p.margin or not self.isolated[j]):
                    p.margin = wanted

    # -- what it is worth ---------------------------------------------------------------------------------

    def liquidation_px(
        self, p: Contracts, marks: Callable[[Instrument], int], balances: Mapping[str, int]
    ) -> int:
        """The price in units at which a position is liquidated, other prices unchanged; 0 when there is none.

        `balances` are units of the swap wallet by asset, `marks` gives price units. As `kernel.margin.liquidation_px`.
        """
        m = p.instrument
        rate, amount = p.tier(p.cost)
        room = self.backing(p, marks, balances) + amount
        if p.rises:
            left = p.cost - room
            worth = -(-left * RATE_SCALE // (RATE_SCALE - rate))
        else:
            left = p.cost + room
            worth = left * RATE_SCALE // (RATE_SCALE + rate)
        if left <= 0 or worth <= 0:
            return 0
        qty = abs(p.qty)
        whole, part = (
            (qty * m.money_divisor, worth) if m.kind is Kind.INVERSE else (worth * m.money_divisor, qty)
        )
        return -(-whole // part) if p.qty > 0 else whole // part

    def backing(self, p: Contracts, marks: Callable[[Instrument], int], balances: Mapping[str, int]) -> int:
        """What may be lost on a position before its own profit and maintenance margin count, in money units."""
        m = p.instrument
        if self.isolated[self.numbers[m.symbol]]:
            return p.margin
        same = [q for q in self.held() if q.instrument.settle == m.settle]
        room = balances.get(m.settle, 0)
        for q in same:
            if self.isolated[self.numbers[q.instrument.symbol]]:
                room -= q.margin
            elif q is not p:
                price = marks(q.instrument)
                room += q.profit(price) - q.maintenance(price)
        return room
