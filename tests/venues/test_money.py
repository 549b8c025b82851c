"""Money through the ccxt face: conserved to the unit whatever is sent, and untouched by whatever is refused."""

from __future__ import annotations

import math
from typing import Any

import ccxt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from venues.builders import exchange, last, totals

from twinstar_kit.kernel.ledger import Account
from twinstar_kit.kernel.orders import OrdFlag

SYMBOLS = ("BTC/USDT", "ETH/USDT", "BTC/KRW")
quiet = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


def books_balance(ex: Any) -> None:
    """Every asset sums to zero, what is shown is what the kernel has, and orders hold exactly what is held."""
    venue = ex.venue
    assert not venue.engine.ledger.sum(axis=1).any()
    for asset, row in venue.blotter.ledger.items():
        assert row == venue.engine.ledger[venue.engine.assets.index(asset)].tolist()
        assert row[Account.FREE] >= 0
        assert row[Account.HELD] >= 0
    held: dict[str, int] = {}
    for order in venue.engine.open_orders():
        m = venue.engine.instruments[order["instrument"]]
        asset = m.quote if order["side"] > 0 else m.base
        held[asset] = held.get(asset, 0) + int(order["held"])
        if order["flags"] & OrdFlag.REDUCE_ONLY:
            assert order["held"] == 0
    for asset, row in venue.blotter.ledger.items():
        assert row[Account.HELD] == held.get(asset, 0)


nonsense = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=3),
    st.floats(),
    st.integers(),
    st.just([]),
    st.just({}),
    st.just(10**30),
)
plausible = st.sampled_from(
    ["market", "limit", "buy", "sell", "BTC/USDT", "", None, 0.001, 1, 1e-12, 1e12, math.nan]
)
anything = st.one_of(plausible, nonsense)
parameters = st.dictionaries(
    st.sampled_from(
        ["clientOrderId", "timeInForce", "postOnly", "reduceOnly", "stopLossPrice", "triggerPrice", "stopPrice",
         "trailingAmount", "trailingPercent", "takeProfitPrice", "leverage", "cost", "x"]
    ),
    anything,
    max_size=3,
)  # fmt: skip


@quiet
@given(st.sampled_from(["BTC/USDT", "nowhere"]), anything, anything, anything, anything, parameters)
def test_whatever_is_sent_is_an_order_or_an_error_of_ccxt_and_a_refusal_changes_nothing(
    symbol, type, side, amount, price, params
):
    ex = exchange()
    before, digest = totals(ex), ex.venue.journal_digest()
    refused: ccxt.BaseError | None = None
    try:
        order = ex.create_order(symbol, type, side, amount, price, params)
    except ccxt.ExchangeError as error:
        refused = error
    if refused is None:
        assert order["status"] in ("open", "closed", "canceled")
    else:
        assert totals(ex) == before
        assert not ex.fetch_orders()
        if not isinstance(refused, ccxt.InsufficientFunds | ccxt.InvalidOrder):
            assert ex.venue.journal_digest() == digest
    books_balance(ex)


READS = {
    "fetch_ohlcv": 5, "fetch_trades": 4, "fetch_orders": 4, "fetch_my_trades": 4, "fetch_order": 3, "cancel_order": 3,
    "cancel_all_orders": 2, "fetch_order_book": 3, "fetch_tickers": 2, "fetch_balance": 1, "advance": 1, "advance_to": 1,
}  # fmt: skip
arguments = st.one_of(
    st.sampled_from([None, "BTC/USDT", "1m", "1h", 1, 3, 1_748_000_000_000, {"until": 5}, {}]), nonsense
)


@quiet
@given(st.sampled_from(sorted(READS)), st.lists(arguments, max_size=5))
def test_no_other_call_changes_a_balance_or_fails_in_other_words(method, args):
    ex = exchange()
    before = totals(ex)
    said = ""
    try:
        getattr(ex, method)(*args[: READS[method]])
    except (ccxt.BaseError, TypeError) as error:
        said = str(error)
    assert not said or said.startswith("virtual") or "required positional argument" in said
    assert totals(ex) == before


steps = st.lists(
    st.tuples(
        st.sampled_from(["market", "limit", "stop", "trail", "cancel", "advance"]),
        st.sampled_from(SYMBOLS),
        st.sampled_from(["buy", "sell"]),
        st.floats(0.0005, 0.3),
        st.floats(-0.01, 0.01),
        st.booleans(),
    ),
    max_size=25,
)


def act(ex: Any, step: Any) -> None:
    """One step of a random trader; what the exchange refuses is refused."""
    kind, symbol, side, amount, away, flag = step
    price = last(ex, symbol)
    try:
        if kind == "advance":
            ex.advance(int(amount * 10_000_000))
        elif kind == "cancel":
            ex.cancel_all_orders(symbol if flag else None)
        elif kind == "limit":
            ex.create_order(symbol, "limit", side, amount, price * (1 + away))
        else:
            params = {
                "market": {},
                "stop": {"stopPrice": price * (1 + (abs(away) if side == "buy" else -abs(away)))},
                "trail": {"trailingPercent": abs(away) * 100 + 0.01},
            }[kind]
            ex.create_order(symbol, "market", side, amount, None, {**params, "reduceOnly": flag})
    except ccxt.ExchangeError:
        pass


@quiet
@given(steps)
def test_money_is_conserved_through_any_trading(walk):
    ex = exchange({"USDT": 50_000, "KRW": 50_000_000})
    for step in walk:
        act(ex, step)
        books_balance(ex)
    venue = ex.venue
    for asset, opening in (("USDT", 50_000), ("KRW", 50_000_000)):
        row = venue.blotter.ledger[asset]
        assert -row[Account.CAPITAL] == opening * 10 ** venue.blotter.scales[asset]


@quiet
@given(steps)
def test_fills_account_for_every_change_of_every_balance(walk):
    ex = exchange({"USDT": 50_000, "KRW": 50_000_000})
    for step in walk:
        act(ex, step)
    expected: dict[str, int] = {a: int(-row[Account.CAPITAL]) for a, row in ex.venue.blotter.ledger.items()}
    for fill in ex.venue.blotter.fills:
        m, exact = fill.instrument, fill.last_px * fill.last_qty
        expected[m.base] += fill.side * fill.last_qty
        # notional is rounded against the account, and so is the fee
        notional = -(-exact // m.money_divisor) if fill.side > 0 else exact // m.money_divisor
        rate = int((ex.venue.broker.fee_maker if fill.maker else ex.venue.broker.fee_taker) * 10**8)
        assert fill.fee == -(-notional * rate // 10**8)
        expected[m.quote] -= fill.side * notional + fill.fee
    for asset, row in ex.venue.blotter.ledger.items():
        assert row[Account.FREE] + row[Account.HELD] == expected[asset]
