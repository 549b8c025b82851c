"""A random world for the kernel: three markets, every order type and command, every kind of market data, and what must always hold.

An action is a pure function of one number and of what the account shows, so a list of numbers is a run that can be told
again: by hypothesis, which takes numbers away until what breaks is small, or from one seed.
"""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import numpy as np

from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.instruments import Instrument, Kind
from twinstar_kit.kernel.ledger import OWN, Account, Wallet
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.orders import EventKind, OrdFlag, OrdStatus, OrdType, Reason, Setting, next_status
from twinstar_kit.kernel.tables import FillFlag

SPOT = Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.001", min_notional=1)
LINEAR = Instrument.from_sizes(
    "BTC/USDT:USDT", tick="0.05", lot="0.001", max_position=500, max_orders=12,
    margin_tiers=[(5_000, "0.005", 50), (20_000, "0.01", 20), (10**7, "0.05", 5)],
)  # fmt: skip
INVERSE = Instrument.from_sizes("BTC/USD:BTC", tick="0.01", lot="1", contract_size=10)
FEE_COIN = Instrument.from_sizes("BNB/USDT", tick="0.01", lot="0.001")
MARKETS = (SPOT, LINEAR, INVERSE, FEE_COIN)
LIMITS = (OrdType.LIMIT, OrdType.STOP_LIMIT, OrdType.LIMIT_IF_TOUCHED, OrdType.TRAILING_STOP_LIMIT)
LIFE = {
    EventKind.ACCEPTED, EventKind.ARMED, EventKind.REPLACED, EventKind.TRIGGERED, EventKind.FILLED, EventKind.CANCELED, EventKind.REJECTED,
}  # fmt: skip
BROKERS: tuple[dict[str, Any], ...] = (
    {},
    {"liquidity": "bounded", "queue": "risk_averse", "volume_share": "0.2"},
    {"liquidity": "bounded", "queue": "probability_power", "slippage_bps": 3, "protection_bps": 300, "path": "open_high_low_close"},
    {"latency": "normal", "latency_order_ms": 20_000, "latency_spread_ms": 15_000, "seed": 7, "slippage_model": "square_root", "slippage": "0.01"},
    {"liquidity": "bounded", "queue": "probability_log", "fee_asset": "BNB", "fee_tiers": [(0, "0.002", "0.001"), (5000, "-0.0001", "0.0005")],
     "leverage": 10, "latency": "fixed", "latency_order_ms": 500},
    {"leverage": 20, "path": "open_low_high_close", "fee_maker": "0.002", "fee_taker": "0.0005"},
)  # fmt: skip


def make_engine(number: int) -> Engine:
    """An account with one of the brokers, money in both wallets, and a price on every market."""
    engine = Engine(
        MARKETS,
        Broker(**BROKERS[number % len(BROKERS)]),
        {"USDT": 50_000, "BTC": 200, "BNB": 3},
        order_capacity=24,
        levels=4,
        live_book=number % 2 == 0,
    )
    engine.deposit(0, "USDT", 1_500, Wallet.SWAP)
    engine.deposit(0, "BTC", 5, Wallet.SWAP)
    for j in range(len(MARKETS)):
        engine.on_trade(j, 0, 10_000)
    return engine


class World:
    """An engine, what is done to it, and a shadow of what its events say."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.engine = make_engine(number)
        self.bounded = self.engine.broker.liquidity == "bounded"
        self.slips = self.engine.broker.slippage_bps > 0 or self.engine.broker.slippage > 0
        self.done: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.events: list[np.ndarray] = []
        self.ts, self.prices = 0, [10_000] * len(MARKETS)
        self.ledger = np.zeros_like(self.engine.ledger)
        self.position: dict[tuple[int, int], int] = defaultdict(int)
        self.cum: dict[int, int] = defaultdict(int)
        self.status: dict[int, OrdStatus] = {}
        self.sent: dict[int, int] = {}
        self.flags: dict[int, int] = {}
        self.fills = 0
        self.check(None)

    # -- what can happen -----------------------------------------------------------------------------------

    def act(self, number: int) -> None:
        """Do what a number stands for, and check everything."""
        chance = random.Random(number)
        self.ts += chance.choice((0, 1, 1, 500, 60_000, 4_000_000))
        actions = (
            [self.order] * 7 + [self.trade] * 4 + [self.bar] * 4 + [self.book] * 3 + [self.quote, self.mark, self.amend, self.amend]
            + [self.cancel, self.money, self.configure, self.funding, self.clock, self.close_out, self.levels]
        )  # fmt: skip
        chance.choice(actions)(chance)

    def do(self, name: str, *args: Any, bounds: Any = None, **kwargs: Any) -> None:
        self.done.append((name, args, kwargs))
        result = getattr(self.engine, name)(*args, **kwargs)
        if name == "submit":
            self.sent[result] = kwargs.get("position_side", 0)
        self.check(bounds)

    def near(self, chance: random.Random, j: int, spread: int = 300) -> int:
        tick = MARKETS[j].tick
        return max(tick, (self.prices[j] + chance.randint(-spread, spread)) // tick * tick)

    def step_price(self, chance: random.Random, j: int) -> int:
        """A walk that comes back, with a jump now and then."""
        jump = chance.randint(-2_500, 2_500) if chance.random() < 0.04 else chance.randint(-120, 120)
        self.prices[j] = max(2_000, self.prices[j] + jump + (10_000 - self.prices[j]) // 40)
        return self.prices[j]

    def order(self, chance: random.Random) -> None:
        j = chance.choice((0, 0, 1, 1, 2))
        m = MARKETS[j]
        ord_type = OrdType(chance.randint(1, 8))
        opened = [int(o["order_id"]) for o in self.engine.open_orders()]
        qty = chance.randint(1, 40 if j == 2 else 30_000) * m.lot
        terms: dict[str, Any] = {
            "price": self.near(chance, j) if ord_type in LIMITS else 0,
            "stop_px": self.near(chance, j) if ord_type in (3, 4, 5, 6) else 0,
            "time_in_force": chance.choice((0, 0, 0, 1, 2, 3, 4)) if ord_type <= 2 else 0,
            "reduce_only": chance.random() < 0.25,
            "close_position": chance.random() < 0.05,
            "post_only": ord_type == 2 and chance.random() < 0.2,
            "hidden": ord_type == 2 and chance.random() < 0.1,
            "trigger_by": chance.choice((0, 0, 1, 2)),
            "self_trade": chance.randint(0, 3),
            "link_id": chance.choice((0, 0, 0, 1, 2)),
            "parent_id": chance.choice(opened) if opened and chance.random() < 0.2 else 0,
        }
        if ord_type >= 7:
            terms["trail" if chance.random() < 0.5 else "trail_rate"] = chance.randint(1, 300) * 1_000
            if "trail" in terms:
                terms["trail"] //= 1_000
            terms["activation_px"] = self.near(chance, j) if chance.random() < 0.3 else 0
            terms["limit_offset"] = chance.randint(0, 50) if ord_type == 8 else 0
        if terms["time_in_force"] == 3:
            terms["expire_ts"] = self.ts + chance.randint(1, 200_000)
        if ord_type == 2 and chance.random() < 0.1 and qty > m.lot:
            terms["display_qty"] = m.lot * chance.randint(1, qty // m.lot - 1)
        if self.engine.state["hedge"][0] and m.derivative:
            terms["position_side"] = chance.choice((1, -1))
        self.do("submit", self.ts, j, chance.choice((1, -1)), int(ord_type), qty, **terms)

    def amend(self, chance: random.Random) -> None:
        opened = self.engine.open_orders()
        if not len(opened):
            return
        o = opened[chance.randrange(len(opened))]
        j = int(o["instrument"])
        change: dict[str, int] = {}
        if chance.random() < 0.6:
            change["qty"] = max(0, int(o["order_qty"]) + chance.randint(-5_000, 3_000) * MARKETS[j].lot)
        if o["ord_type"] in (2, 4, 6) and chance.random() < 0.6:
            change["price"] = self.near(chance, j)
        if o["ord_type"] in (3, 4, 5, 6) and chance.random() < 0.4:
            change["stop_px"] = self.near(chance, j)
        if o["ord_type"] >= 7 and chance.random() < 0.5:
            change["trail"] = chance.randint(1, 300)
        self.do("amend", self.ts, int(o["order_id"]), **change)

    def cancel(self, chance: random.Random) -> None:
        self.do("cancel", self.ts, chance.randint(1, int(self.engine.state["next_order_id"][0])))

    def trade(self, chance: random.Random) -> None:
        j = chance.randrange(len(MARKETS))
        m, price = MARKETS[j], self.step_price(chance, j)
        resting = [
            int(o["price"]) for o in self.engine.open_orders() if o["instrument"] == j and o["ord_type"] == 2
        ]
        if resting and chance.random() < 0.3:
            price = self.prices[j] = chance.choice(resting)  # at the price of an order: its queue moves
        qty = chance.randint(1, 100 if j == 2 else 40_000) * m.lot
        self.do(
            "on_trade", j, self.ts, price, qty, chance.choice((-1, 0, 1)), bounds=("trade", j, price, qty)
        )

    def bar(self, chance: random.Random) -> None:
        j = chance.randrange(len(MARKETS))
        opened = self.step_price(chance, j)
        inside = [opened, *(self.step_price(chance, j) for _ in range(3))]
        volume = chance.randint(0, 60_000) * MARKETS[j].lot
        row = np.array([self.ts, opened, max(inside), min(inside), inside[-1], volume], np.int64)
        self.ts += 60_000
        self.do("on_bar", j, row, bounds=("bar", j, min(inside), max(inside), volume))

    def sides(self, chance: random.Random, j: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        m, middle = MARKETS[j], self.step_price(chance, j)

        def side(way: int) -> list[tuple[int, int]]:
            prices = {(middle // m.tick + way * chance.randint(1, 12)) * m.tick for _ in range(4)}
            rows = [(p, chance.randint(1, 20 if j == 2 else 9_000) * m.lot) for p in prices]
            return sorted(rows, reverse=way < 0)

        return side(-1), side(1)

    def book(self, chance: random.Random) -> None:
        j = chance.randrange(3)
        bids, asks = self.sides(chance, j)
        self.do("on_book", j, self.ts, np.array(bids, np.int64), np.array(asks, np.int64), bounds=("book", j))

    def levels(self, chance: random.Random) -> None:
        j = chance.randrange(3)
        bids, asks = self.sides(chance, j)
        gone = (
            {p for p, _ in self.shown(j, 1) if p >= asks[0][0]},
            {p for p, _ in self.shown(j, -1) if p <= bids[0][0]},
        )
        rows = [(1, p, 0) for p in gone[0]] + [(-1, p, 0) for p in gone[1]]
        rows += [(1, *level) for level in bids[:2]] + [(-1, *level) for level in asks[:2]]
        self.do("on_levels", j, self.ts, np.array(rows, np.int64), bounds=("book", j))

    def shown(self, j: int, side: int) -> list[tuple[int, int]]:
        return [(int(level["price"]), int(level["qty"])) for level in self.engine.book(j, side)]

    def quote(self, chance: random.Random) -> None:
        j = chance.randrange(3)
        (bid, bid_qty), (ask, ask_qty) = (side[0] for side in self.sides(chance, j))
        known = chance.random() < 0.7
        self.do("on_quote", j, self.ts, bid, ask, bid_qty * known, ask_qty * known, bounds=("book", j))

    def mark(self, chance: random.Random) -> None:
        j = chance.choice((1, 2))
        self.do("on_mark", j, self.ts, self.near(chance, j, 5_000 if chance.random() < 0.2 else 200))

    def funding(self, chance: random.Random) -> None:
        j = chance.choice((1, 2))
        self.do(
            "on_funding",
            j,
            self.ts,
            chance.choice((1, 1, 1, 30)) * chance.randint(-300_000, 300_000),
            self.prices[j],
        )

    def clock(self, chance: random.Random) -> None:
        self.do("on_time", self.ts)

    def close_out(self, chance: random.Random) -> None:
        if chance.random() < 0.3:
            self.do("close_out", chance.choice((0, 1, 2)))

    def money(self, chance: random.Random) -> None:
        asset, amount = chance.choice(("USDT", "BTC")), chance.randint(1, 50)
        way = chance.randrange(4)
        if way == 0:
            self.do("deposit", self.ts, asset, amount, chance.choice((Wallet.SPOT, Wallet.SWAP)))
        elif way == 1:
            self.do("withdraw", self.ts, asset, amount)
        else:
            wallets = [Wallet.SPOT, Wallet.SWAP]
            chance.shuffle(wallets)
            self.do(
                "transfer", self.ts, asset, amount * 20 if asset == "USDT" else amount // 10 + 1, *wallets
            )

    def configure(self, chance: random.Random) -> None:
        setting = Setting(chance.randint(1, 4))
        value = {1: chance.randint(0, 60), 2: chance.randint(0, 1), 3: chance.randint(0, 1), 4: chance.randint(-(10**9), 10**9)}  # fmt: skip
        self.do("configure", self.ts, setting, chance.choice((0, 1, 1, 2)), value[int(setting)], chance.randint(0, 1))  # fmt: skip

    def restart(self) -> None:
        """Go on with another engine, from a snapshot."""
        twin = make_engine(self.number)
        twin.drain()
        twin.restore(self.engine.snapshot())
        assert twin.snapshot() == self.engine.snapshot()
        self.engine = twin

    # -- what must hold ------------------------------------------------------------------------------------

    def check(self, bounds: Any) -> None:
        """Whatever happened: money, positions, orders and holds are what the events say, and fills lie where they may."""
        fresh = self.engine.drain()
        self.events.append(fresh)
        taken = 0
        for e in fresh:
            kind = EventKind(int(e["kind"]))
            if kind is EventKind.POSTED:
                self.ledger[e["asset"], e["debit"]] -= e["amount"]
                self.ledger[e["asset"], e["credit"]] += e["amount"]
                assert e["amount"] > 0
            elif kind in LIFE:
                self.follow(kind, e)
                if kind is EventKind.FILLED:
                    taken += self.filled(e, bounds)
        if self.bounded and bounds is not None and bounds[0] in ("trade", "bar"):
            most = bounds[3] if bounds[0] == "trade" else bounds[4] * float(self.engine.broker.volume_share)
            assert taken <= most, "more was filled than traded"
        self.books(fresh)

    def follow(self, kind: EventKind, e: Any) -> None:
        """Orders live by the table of their life, and their quantities add up."""
        order_id = int(e["order_id"])
        known = self.status.get(order_id, OrdStatus.NONE)
        assert e["order_qty"] == e["cum_qty"] + e["leaves_qty"] or kind is EventKind.REJECTED
        if kind is EventKind.REJECTED and (known is not OrdStatus.NONE or not e["ord_type"]):
            return  # a change of something, refused
        comes = 0
        if kind is EventKind.ACCEPTED:
            comes, self.flags[order_id] = int(e["amount"]), int(e["flags"])
        self.status[order_id] = next_status(
            known, kind, dormant=comes < 0, leaves_qty=int(e["leaves_qty"]), in_flight=comes > 0
        )

    def filled(self, e: Any, bounds: Any) -> int:
        """A fill adds up, stays inside its limit and its data, and reduces when it says so; returns its quantity."""
        order_id, j, side, qty = (int(e[n]) for n in ("order_id", "instrument", "side", "last_qty"))
        assert qty > 0
        assert e["leaves_qty"] >= 0
        liquidation = bool(e["flags"] & FillFlag.LIQUIDATION)
        self.cum[order_id] += qty
        assert self.cum[order_id] == e["cum_qty"]
        price, met = int(e["last_px"]), int(e["ref_px"])
        if e["ord_type"] in LIMITS and e["price"]:
            assert (price - e["price"]) * side <= 0, "through its limit"
        assert (price - met) * side >= 0 or e["ord_type"] in LIMITS
        if not self.slips or e["flags"] & FillFlag.MAKER:
            assert price == met
        if e["ref_qty"]:
            assert qty <= e["ref_qty"], "more than was there"
        if bounds is not None and bounds[0] == "bar":
            assert bounds[2] <= met <= bounds[3], "outside its bar"
        if bounds is not None and bounds[0] == "trade" and not e["flags"] & FillFlag.MAKER:
            assert met == bounds[2] or liquidation or self.engine.state["live_book"][0]
        if MARKETS[j].derivative:
            slot = self.slot_of(order_id, side)
            before = self.position[j, slot]
            self.position[j, slot] += side * qty
            if liquidation:
                assert self.position[j, slot] == 0
            elif self.reduces(order_id):
                assert abs(self.position[j, slot]) == abs(before) - qty
        self.fills += 1
        from_book = e["reason"] in (Reason.MET_BOOK, Reason.MET_QUOTE)
        return 0 if liquidation or from_book else qty

    def reduces(self, order_id: int) -> bool:
        """Whether an order only reduces, as its acceptance says."""
        return bool(self.flags[order_id] & OrdFlag.REDUCE_ONLY)

    def slot_of(self, order_id: int, side: int) -> int:
        """Which of two positions a fill belongs to; in one-way mode there is one."""
        if not self.engine.state["hedge"][0]:
            return 0
        position_side = self.sent.get(order_id, -side)
        return 1 if position_side < 0 else 0

    def books(self, fresh: np.ndarray) -> None:
        """The account agrees with its events."""
        engine, ledger = self.engine, self.engine.ledger
        assert (ledger == self.ledger).all(), "the ledger is not what was posted"
        assert not ledger.sum(axis=1).any(), "the ledger does not balance"
        assert (ledger[:, list(OWN)] >= 0).all(), "a balance is below zero"
        assert not ledger[:, Account.TRANSFER].reshape(2, -1).sum(axis=0).any()
        held, margin = np.zeros(len(ledger), np.int64), np.zeros(len(ledger), np.int64)
        for o in engine.open_orders():
            m = engine.inst[o["instrument"]]
            held[m["base"] if m["kind"] == Kind.SPOT and o["side"] < 0 else m["settle"]] += o["held"]
            assert o["held"] >= 0
            assert o["order_qty"] > o["cum_qty"] or o["flags"] & OrdFlag.CLOSE_POSITION
            if o["status"] == OrdStatus.DORMANT or o["flags"] & OrdFlag.REDUCE_ONLY:
                assert o["held"] == 0
        for m in engine.inst:
            if m["kind"] != Kind.SPOT:
                margin[m["settle"]] += m["margin"].sum()
                if engine.state["hedge"][0]:
                    assert m["position"][0] >= 0 >= m["position"][1], (
                        "a long and a short are not on their sides"
                    )
                for slot in range(2):
                    assert m["margin"][slot] >= 0
                    assert m["cost"][slot] >= 0
                    if m["position"][slot] == 0:
                        assert m["cost"][slot] == m["margin"][slot] == 0
        assert (ledger[:, Account.HELD] == held).all(), "what is held is not what open orders hold"
        assert (ledger[:, Account.MARGIN] == margin).all(), "collateral is not what positions have"
        for j in (1, 2):
            for slot in range(2):
                assert engine.position(j, slot) == self.position[j, slot], (
                    "a position is not the sum of its fills"
                )
        for row in range(len(engine.assets)):
            free, used = engine.balance(engine.assets[row], Wallet.SPOT)
            assert free + used == ledger[row, list(OWN)].sum()
        if self.bounded:
            n = engine.inst["n_levels"]
            for j in range(3):
                for side in range(2):
                    levels = engine.depth[j, side, : n[j, side]]
                    assert (levels["taken"] <= levels["qty"]).all(), "more was eaten than rested"
        if len(fresh):
            assert (np.diff(fresh["seq"]) == 1).all()

    def journal(self) -> bytes:
        """All events, as bytes."""
        return b"".join(batch.tobytes() for batch in self.events)

    def told_again(self) -> tuple[bytes, bytes]:
        """The journal and the final state of the same actions in one go, on another engine."""
        engine = make_engine(self.number)
        parts = [engine.drain().tobytes()]
        for name, args, kwargs in self.done:
            getattr(engine, name)(*args, **kwargs)
            parts.append(engine.drain().tobytes())
        return b"".join(parts), engine.snapshot()
