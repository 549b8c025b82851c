"""Whatever is sent and whatever the market does: money is conserved, fills lie inside their bars and limits."""

from __future__ import annotations

import numba
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel.builders import BTC, Desk

from twinstar_kit.kernel.ledger import Account
from twinstar_kit.kernel.orders import EventKind, OrdType, Side

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
