"""Nonsense of every kind is answered with an error of ccxt, and changes nothing."""

from __future__ import annotations

import contextlib
import inspect
import math
from typing import Any

import ccxt
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from venues.builders import begun, exchange, run, streaming

from twinstar_kit.kernel.ledger import Wallet
from twinstar_kit.venues.order_terms import LEG_PARAMS, ORDER_PARAMS
from twinstar_kit.venues.watch_face import WatchFace

SYMBOLS = ("BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC", "USDT/KRW")
NONSENSE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.binary(max_size=4), st.lists(st.integers(), max_size=2),
    st.sampled_from((math.nan, math.inf, -math.inf, 0, -1, 1e308, 5e-324, 10**400, -(10**30), "1e999", "NaN", "-0", "１２", "\x00", "🙂", "0x10")),
    st.dictionaries(st.sampled_from((*LEG_PARAMS, "x")), st.one_of(st.floats(), st.text(max_size=3), st.integers()), max_size=3),
)  # fmt: skip
SENSE = st.one_of(
    st.sampled_from(
        ("GTC", "IOC", "FOK", "GTD", "PO", "last", "mark", "LONG", "SHORT", "above", True, False)
    ),
    NONSENSE,
)
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def ex() -> Any:
    return exchange({"USDT": 10_000, "BTC": 1}, swap_balances={"USDT": 10_000})


def owned(ex: Any) -> Any:
    """All that an account owns, and its positions."""
    return [ex.venue.balances(wallet) for wallet in Wallet], ex.venue.positions(), len(ex.venue.blotter.open)


def refusal_of(call: Any) -> Exception | None:
    """The error that a call ends with, if it does: one of ccxt, or Python's own about a wrong number of arguments."""
    try:
        call()
    except (ccxt.BaseError, TypeError) as error:
        return error
    return None


def refused_or_done(ex: Any, call: Any) -> None:
    """Nothing but errors of ccxt, of one line; a refusal changes nothing."""
    before = owned(ex)
    error = refusal_of(call)
    if error is None:
        # it made sense after all: let it not stay
        with contextlib.suppress(ccxt.OrderNotFound):
            ex.cancel_all_orders()
        ex.close_all_positions()
        return
    assert isinstance(error, ccxt.BaseError)
    assert "\n" not in str(error)
    assert owned(ex) == before


@FUZZ
@given(
    symbol=st.one_of(st.sampled_from(SYMBOLS), NONSENSE), type=st.one_of(st.sampled_from(("market", "limit")), NONSENSE),
    side=st.one_of(st.sampled_from(("buy", "sell")), NONSENSE), amount=NONSENSE, price=NONSENSE,
    params=st.one_of(NONSENSE, st.dictionaries(st.one_of(st.sampled_from(ORDER_PARAMS), st.text(max_size=5)), SENSE, max_size=4)),
)  # fmt: skip
def test_orders_of_nonsense(ex, symbol, type, side, amount, price, params):
    refused_or_done(ex, lambda: ex.create_order(symbol, type, side, amount, price, params))


@FUZZ
@given(
    symbol=st.sampled_from(SYMBOLS), type=st.sampled_from(("market", "limit")), side=st.sampled_from(("buy", "sell")),
    params=st.dictionaries(st.sampled_from(ORDER_PARAMS), SENSE, min_size=1, max_size=3),
)  # fmt: skip
def test_params_of_nonsense_with_an_order_that_makes_sense(ex, symbol, type, side, params):
    amount = {"BTC/USD:BTC": 1, "USDT/KRW": 10}.get(symbol, 0.001)
    price = ex.fetch_ticker(symbol)["last"]
    refused_or_done(
        ex, lambda: ex.create_order(symbol, type, side, amount, price if type == "limit" else None, params)
    )


CALLS = (
    "fetch_order", "cancel_order", "cancel_orders", "fetch_orders", "fetch_my_trades", "fetch_ledger", "fetch_ohlcv", "fetch_trades",
    "fetch_order_book", "fetch_tickers", "fetch_positions", "fetch_position", "fetch_funding_rate", "fetch_funding_rate_history",
    "set_leverage", "set_margin_mode", "set_position_mode", "add_margin", "transfer", "withdraw", "deposit", "edit_order", "edit_orders",
    "create_orders", "cancel_all_orders_after", "close_position", "cancel_orders_for_symbols", "fetch_balance", "explain",
    "create_market_order_with_cost", "fetch_open_order", "fetch_closed_order", "fetch_orders_by_status", "fetch_deposit", "fetch_withdrawal",
    "fetch_transfer", "fetch_ledger_entry", "cancel_orders_with_client_order_ids", "set_margin", "reduce_margin",
    "fetch_margin_adjustment_history", "fetch_positions_history", "fetch_position_history", "fetch_my_liquidations",
)  # fmt: skip


@FUZZ
@given(
    name=st.sampled_from(CALLS),
    arguments=st.lists(
        st.one_of(st.sampled_from((*SYMBOLS, "USDT", "spot", "swap")), NONSENSE), min_size=1, max_size=5
    ),
)
def test_calls_of_nonsense(ex, name, arguments):
    error = refusal_of(lambda: getattr(ex, name)(*arguments))
    assert not isinstance(error, TypeError) or f"{name}()" in str(error)
    assert not ex.venue.engine.ledger.sum(axis=1).any()
    for wallet in Wallet:
        assert all(free >= 0 and used >= 0 for free, used in ex.venue.balances(wallet).values())


WATCHES = sorted(name for name in vars(WatchFace) if name.startswith(("watch_", "un_watch_")))
LISTS = st.one_of(
    st.lists(st.one_of(st.sampled_from(SYMBOLS), NONSENSE), max_size=3),
    st.lists(st.lists(st.one_of(st.sampled_from((*SYMBOLS, "1m")), NONSENSE), max_size=3), max_size=2),
)


@FUZZ
@given(
    name=st.sampled_from(WATCHES),
    arguments=st.lists(st.one_of(st.sampled_from(SYMBOLS), LISTS, NONSENSE), max_size=5),
)
def test_watching_nonsense(name, arguments):
    wanted = list(inspect.signature(getattr(WatchFace, name)).parameters.values())[1:]
    assume(sum(p.default is p.empty for p in wanted) <= len(arguments) <= len(wanted))

    async def scenario() -> None:
        ex = streaming(swap_balances={"USDT": 10_000})
        watching = await begun(getattr(ex, name)(*arguments))
        if watching.done():
            error = watching.exception()
            assert error is None or (isinstance(error, ccxt.BaseError) and "\n" not in str(error))
        else:
            watching.cancel()
        await ex.close()

    run(scenario())
