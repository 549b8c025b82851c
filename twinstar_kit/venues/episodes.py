"""Positions of contracts from flat to flat, folded from the fills of an account."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from twinstar_kit.kernel.instruments import Instrument, Kind
from twinstar_kit.venues.blotter import VenueFill


@dataclass(slots=True)
class Episode:
    """One position that was opened and is closed: `qty` is all that was opened, in amount units, above zero for a long one.

    `bought_in` and `sold_out` are what opening and closing were worth, exact, in the asset that the instrument settles in.
    """

    instrument: Instrument
    slot: int
    ts: int
    qty: int = 0
    left: int = 0
    bought_in: Fraction = Fraction(0)
    sold_out: Fraction = Fraction(0)
    closed: int = 0
    fills: int = 0
    liquidated: bool = False

    @property
    def profit(self) -> Fraction:
        """What it gained by price alone; fees and funding are entries of their own."""
        rises = (self.qty > 0) != (self.instrument.kind is Kind.INVERSE)
        return (self.sold_out - self.bought_in) * (1 if rises else -1)

    def price_of(self, worth: Fraction) -> float:
        """The average price at which all of it was worth so much."""
        m, qty = self.instrument, Fraction(abs(self.qty), 10**self.instrument.amount_scale)
        size = qty * m.contract_size
        return float(size / worth if m.kind is Kind.INVERSE else worth / size)


def episodes(fills: Iterable[VenueFill]) -> list[Episode]:
    """The closed positions that fills made, in the order in which they were opened; a fill that turns one ends it and begins the next."""
    running: dict[tuple[str, int], Episode] = {}
    done: list[Episode] = []
    for fill in fills:
        if not fill.instrument.derivative:
            continue
        key, worth, qty = (fill.instrument.symbol, fill.slot), fill.value / fill.last_qty, fill.last_qty
        position = running.get(key)
        if position is not None and position.left * fill.side < 0:
            part = min(qty, abs(position.left))
            position.left += fill.side * part
            position.sold_out += worth * part
            position.fills += 1
            position.liquidated |= fill.liquidation
            qty -= part
            if position.left == 0:
                position.closed = fill.ts
                done.append(running.pop(key))
        if qty:
            position = running.setdefault(key, Episode(fill.instrument, fill.slot, fill.ts))
            position.qty += fill.side * qty
            position.left += fill.side * qty
            position.bought_in += worth * qty
            position.fills += 1
    return sorted(done, key=lambda e: (e.ts, e.closed))
