"""Whatever is sent and whatever the market does: money is conserved, fills lie inside their bars and limits."""

from __future__ import annotations

import random

import numba
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from kernel.builders import BTC, Desk
from kernel.world import BROKERS, World

from twinstar_kit.kernel.ledger import Account
from twinstar_kit.kernel.orders import EventKind, OrdType, Reason, Side

price = st.integers(500, 1500)
bars = st.tuples(price, price, price, price).map(lambda p: (p[0], max(p), min(p), p[3]))
orders = st.fixed_dictionaries(
    {
        "side": st.sampled_from([1, -1]),
        "ord_type": st.sampled_from([1, 2, 3, 4]),
        "qty": st.integers(1, 5000).map(lambda n: n * BTC.lot),
        "price": price,
        "stop_px": price,
        "trail": st.integers(1, 200),
        "reduce_only": st.booleans(),
        "link_id": st.sampled_from([0, 0, 1]),
    }
)
script = st.lists(st.one_of(bars, orders, st.integers(1, 30)), min_size=1, max_size=60)


@settings(max_examples=25 if numba.config.DISABLE_JIT else 250, deadline=None)
@given(
    script=script,
    slippage=st.just(0),
    path=st.sampled_from(["adverse_first", "open_high_low_close", "open_low_high_close"]),
)
def test_no_script_breaks_the_books(script, slippage, path) -> None:
    desk = Desk({"USDT": 5000, "BTC": 3}, slippage_bps=slippage, path=path).last(10)
    limits: dict[int, tuple[int, int]] = {}
    bought = sold = 0
    for action in script:
        seen = len(desk.events)
        if isinstance(action, tuple):
            desk.bar(*(p / 100 for p in action))
        elif isinstance(action, dict):
            trail = action["trail"] if action["ord_type"] == 4 else 0
            order = {k: v for k, v in action.items() if k != "trail"}
            side, ord_type, qty = order.pop("side"), order.pop("ord_type"), order.pop("qty")
            desk.engine.submit(desk.ts, 0, side, ord_type, qty, trail=trail, **order)
            desk._drain()
        else:
            desk.cancel(action)
        for e in desk.events[seen:]:
            if e["kind"] == EventKind.ACCEPTED and e["ord_type"] == OrdType.LIMIT:
                limits[int(e["order_id"])] = (int(e["side"]), int(e["price"]))
            if e["kind"] == EventKind.FILLED:
                _o, high, low, _ = action
                assert low <= e["last_px"] <= high, "a fill outside its bar"
                assert e["last_qty"] + e["leaves_qty"] == e["order_qty"]
                side, limit = limits.get(int(e["order_id"]), (0, 0))
                assert (e["last_px"] - limit) * side <= 0, "a fill through its limit"
                bought += int(e["last_qty"]) if e["side"] == Side.BUY else 0
                sold += int(e["last_qty"]) if e["side"] == Side.SELL else 0
        # what is held is exactly what the open orders hold
        held = {"USDT": 0, "BTC": 0}
        for order in desk.engine.open_orders():
            held["USDT" if order["side"] > 0 else "BTC"] += int(order["held"])
        for asset, units in held.items():
            assert desk.engine.balance(asset)[1] == units
        assert sum(desk.engine.balance("BTC")) == BTC.amount_units(3) + bought - sold
    assert [int(e["seq"]) for e in desk.events] == list(range(1, len(desk.events) + 1))
    assert (desk.engine.ledger[:, Account.FEES] >= 0).all()


# --- everything at once -------------------------------------------------------------------------------------------


class AnyRun(RuleBasedStateMachine):
    """Three markets, all order types, commands and market data; `World.check` looks after every step.

    At the end the same actions on another engine, without the restarts in between, give the same journal and state.
    """

    @initialize(number=st.integers(0, 2 * len(BROKERS) - 1))
    def begin(self, number: int) -> None:
        self.world = World(number)

    @rule(number=st.integers(0, 2**31 - 1))
    def act(self, number: int) -> None:
        if number % 40 == 0:
            self.world.restart()
        self.world.act(number)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            assert self.world.told_again() == (self.world.journal(), self.world.engine.snapshot())


UNHURRIED = {"deadline": None, "suppress_health_check": list(HealthCheck)}
TestAnyShortRun = AnyRun.TestCase
TestAnyShortRun.settings = settings(
    max_examples=5 if numba.config.DISABLE_JIT else 30, stateful_step_count=60, **UNHURRIED
)


class LongRun(AnyRun):
    """The same, a thousand steps long."""


TestAnyRunOfAThousandSteps = pytest.mark.slow(LongRun.TestCase)
TestAnyRunOfAThousandSteps.settings = settings(
    max_examples=2 if numba.config.DISABLE_JIT else 15,
    stateful_step_count=1000,
    # a failure is not made smaller here, which would take minutes; the short runs are there for that
    phases=[Phase.reuse, Phase.generate],
    **UNHURRIED,
)


def test_the_world_is_not_a_quiet_one() -> None:
    """What a few runs from seeds hold, so that the properties above are known to look at something."""
    kinds, reasons = set(), set()
    for seed in range(2 * len(BROKERS)):
        world, chance = World(seed), random.Random(seed)
        for _ in range(800):
            world.act(chance.getrandbits(31))
        for batch in world.events:
            kinds |= {EventKind(int(k)) for k in batch["kind"]}
            reasons |= {Reason(int(r)) for r in batch["reason"]}
    assert set(EventKind) - kinds <= {EventKind.PROPOSED, EventKind.DENIED}
    assert {r for r in Reason if r.name.startswith("MET_")} <= reasons
    assert {
        Reason.LIQUIDATION,
        Reason.SELF_TRADE,
        Reason.EXPIRED,
        Reason.PARENT_ENDED,
        Reason.WOULD_TAKE,
    } <= reasons
