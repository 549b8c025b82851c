"""Order operations from Python callbacks: a quoter that submits, amends and cancels on every quote, through the kernel and bare.

The peer is what such a loop costs in plain Python with nothing around it: two dictionaries, floats, no ledger, no
journal, no rules. Known engines with rules reach 4-7 k (nautilus) and 50 k (backtesting.py) such operations a second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.measure import Row, alternate

QUOTES = 20_000
TICK, LOT = 0.01, 0.001
START, FEE = 10_000_000.0, 0.001
TARGET = 200_000


@dataclass
class Resting:
    """An order of the bare matcher; `fresh` until it has met a quote."""

    side: int
    price: int
    fresh: bool = True


class Bare:
    """A matcher in plain Python: prices in ticks, an amount of one lot, money as a float."""

    def __init__(self) -> None:
        self.orders: dict[int, Resting] = {}
        self.cash, self.coins, self.fills, self.next_id = START, 0, 0, 1

    def submit(self, ts: int, side: int, price: int) -> int:
        """A limit, or with a price of 0 a market order."""
        order_id, self.next_id = self.next_id, self.next_id + 1
        self.orders[order_id] = Resting(side, price)
        return order_id

    def amend(self, ts: int, order_id: int, price: int) -> None:
        """A new price; the order is fresh again."""
        order = self.orders[order_id]
        order.price, order.fresh = price, True

    def cancel(self, ts: int, order_id: int) -> None:
        """Take an order away."""
        del self.orders[order_id]

    def is_open(self, order_id: int) -> bool:
        """Whether an order still works."""
        return order_id in self.orders

    def on_quote(self, ts: int, bid: int, ask: int) -> None:
        """What is fresh takes if it crosses; what rests fills at its price once the market is through it."""
        for order_id, o in list(self.orders.items()):
            best = ask if o.side > 0 else bid
            price = 0
            if o.fresh and (o.price == 0 or (o.price - best) * o.side >= 0):
                price = best
            elif not o.fresh and (o.price - best) * o.side > 0:
                price = o.price
            o.fresh = False
            if price:
                value = price * TICK * LOT
                self.cash -= o.side * value + value * FEE
                self.coins += o.side
                self.fills += 1
                del self.orders[order_id]


class Kernel:
    """The same calls through `Engine`: ledger, journal, rules and all."""

    def __init__(self) -> None:
        from twinstar_kit.kernel.engine import Engine
        from twinstar_kit.kernel.instruments import Instrument
        from twinstar_kit.kernel.models import Broker

        self.m = Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.001")
        self.engine = Engine([self.m], Broker(fee_maker=FEE, fee_taker=FEE), {"USDT": START, "BTC": 1000})
        self.engine.on_trade(0, 0, 3_000_000)
        self.lot, self.fills, self.gone = self.m.lot, 0, set[int]()
        self.submit_to, self.quote_to = self.engine.submit, self.engine.on_quote

    def submit(self, ts: int, side: int, price: int) -> int:
        """A limit, or with a price of 0 a market order."""
        return self.submit_to(ts, 0, side, 2 if price else 1, self.lot, price=price)

    def amend(self, ts: int, order_id: int, price: int) -> None:
        """A new price."""
        self.engine.amend(ts, order_id, price=price)

    def cancel(self, ts: int, order_id: int) -> None:
        """Take an order away."""
        self.engine.cancel(ts, order_id)

    def is_open(self, order_id: int) -> bool:
        """Whether an order still works, as the events have told."""
        return order_id not in self.gone

    def on_quote(self, ts: int, bid: int, ask: int) -> None:
        """Let the quote meet the orders, and read what it did."""
        engine = self.engine
        before = engine.undrained
        self.quote_to(0, ts, bid, ask)
        if engine.undrained != before or not engine.has_room:
            events = engine.drain()
            filled = events[events["kind"] == 25]
            self.fills += len(filled)
            self.gone.update(filled["order_id"].tolist())

    @property
    def cash(self) -> float:
        """All money, in the quote."""
        free, used = self.engine.balance_decimal("USDT")
        return float(free + used)


def quotes(n: int = QUOTES) -> list[tuple[int, int]]:
    """Best bids and asks in ticks: a walk that comes back."""
    steps = np.random.default_rng(3).integers(-4, 5, n)
    middle = 3_000_000 + np.cumsum(steps)
    return [(int(p) - 1, int(p) + 1) for p in middle]


def quoter(matcher: Any, market: list[tuple[int, int]]) -> int:
    """Two resting orders that follow the market, canceled now and then, and a market order now and then; counts operations."""
    mine = {1: 0, -1: 0}
    done = 0
    for n, (bid, ask) in enumerate(market):
        ts = n + 1
        matcher.on_quote(ts, bid, ask)
        for side in (1, -1):
            price = bid - 3 if side > 0 else ask + 3
            order_id = mine[side]
            if not order_id or not matcher.is_open(order_id):
                mine[side] = matcher.submit(ts, side, price)
            elif n % 8 == 0:
                matcher.cancel(ts, order_id)
                mine[side] = 0
            else:
                matcher.amend(ts, order_id, price)
            done += 1
        if n % 16 == 0:
            matcher.submit(ts, 1 if n % 32 else -1, 0)
            done += 1
    return done


def callbacks(rounds: int = 5) -> list[Row]:
    """Operations a second of CPU time, the market data between them included."""
    market = quotes()
    ours, bare = Kernel(), Bare()
    count = quoter(ours, market)
    assert quoter(bare, market) == count
    same = ours.fills == bare.fills and abs(ours.cash - bare.cash) <= 1e-9 * START

    def run(make: Callable[[], Any]) -> Callable[[], int]:
        return lambda: quoter(make(), market)

    spent = alternate(rounds, ours=run(Kernel), bare=run(Bare))
    rate, peer = count / spent["ours"], count / spent["bare"]
    return [
        Row(
            "orders from Python callbacks",
            rate / 1e3,
            "k a second",
            peer / 1e3,
            "bare Python",
            rate / peer,
            target=f">= {TARGET / 1e3:.0f} k a second",
            holds=same and rate >= TARGET,
            answers=f"{count:,} operations, {ours.fills:,} fills, {ours.cash:,.8f} and {bare.cash:,.8f}",
            notes=[
                "orders: submit, amend and cancel on every quote; ours with ledger, journal and rules, the peer without"
            ],
        )
    ]
