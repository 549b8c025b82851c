"""Rules of markets as different ccxt classes state them, in the kernel's integers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import ccxt
import pytest

from twinstar_kit.feeds.ccxt_markets import instrument_of, instruments_of, turnover


def market(symbol: str = "BTC/USDT", kind: str = "spot", **rules: Any) -> dict[str, Any]:
    return {"symbol": symbol, "type": kind, "precision": {}, "limits": {}, **rules}


def exchange(mode: int) -> Any:
    return SimpleNamespace(id="somewhere", precisionMode=mode)


@pytest.mark.parametrize(
    ("mode", "precision", "tick", "lot"),
    [
        (ccxt.TICK_SIZE, {"price": "0.5", "amount": "0.001"}, 0.5, 0.001),
        (ccxt.TICK_SIZE, {"price": 1000.0, "amount": 1e-8}, 1000.0, 1e-8),
        (ccxt.DECIMAL_PLACES, {"price": "2", "amount": 6}, 0.01, 1e-6),
        (ccxt.DECIMAL_PLACES, {"price": 0, "amount": "0"}, 1.0, 1.0),
        # the step of significant digits moves with the price, so it is only known to be at least this fine
        (ccxt.SIGNIFICANT_DIGITS, {"price": "5", "amount": "8"}, 1e-8, 1e-8),
        (ccxt.TICK_SIZE, {"price": None, "amount": None}, 1e-8, 1e-8),
        (ccxt.TICK_SIZE, {"price": "1e-10", "amount": "10"}, 1e-10, 10.0),
    ],
)
def test_ticks_and_lots(mode: int, precision: dict[str, Any], tick: float, lot: float):
    found = instrument_of(exchange(mode), market(precision=precision))
    assert (found.price(found.tick), found.amount(found.lot)) == (tick, lot)
    assert found.price_scale >= 8
    assert found.exchange == "somewhere"


def test_limits_are_kept_and_limitless_ones_left_out():
    limits = {"amount": {"min": "0.001", "max": "9000"}, "cost": {"min": 5}}
    found = instrument_of(exchange(ccxt.TICK_SIZE), market(limits=limits))
    assert (found.amount(found.min_amount), found.amount(found.max_amount)) == (0.001, 9000.0)
    assert found.money(found.min_notional) == 5.0
    none = {"amount": {"min": None, "max": "1e30"}, "cost": {"min": "0"}}
    found = instrument_of(exchange(ccxt.TICK_SIZE), market(limits=none))
    assert (found.min_amount, found.max_amount, found.min_notional) == (found.lot, 2**62, 0)


def test_spot_and_swaps_are_listed_and_nothing_else():
    markets = [
        market(),
        market("BTC/USDT:USDT", "swap"),
        market("BTC/USDT:USDT-261225", "future"),
        market("BTC/USDT:USDT-261225-90000-C", "option"),
        market("A/B/C"),
    ]
    listed = instruments_of(exchange(ccxt.TICK_SIZE), {one["symbol"]: one for one in markets})
    assert list(listed) == ["BTC/USDT", "BTC/USDT:USDT"]
    assert (listed["BTC/USDT:USDT"].base, listed["BTC/USDT:USDT"].quote) == ("BTC", "USDT")


def test_turnover_in_quotes_without_a_price_is_left_out():
    tickers = {
        "BTC/KRW": {"quoteVolume": 1_300_000.0},
        "USDT/KRW": {"quoteVolume": 13_000.0, "last": 1_300.0},
        "ETH/EUR": {"baseVolume": "3", "last": "2"},
        "EUR/USD": {"quoteVolume": "1", "last": "1.1"},
        "DOGE/GALA": {"quoteVolume": "1e9"},
        "BTC/USDT:USDT": {"quoteVolume": "1e12"},
    }
    found = {symbol: float(value) for symbol, value in turnover(tickers).items()}
    assert found == pytest.approx({"BTC/KRW": 1_000.0, "USDT/KRW": 10.0, "ETH/EUR": 6.6, "EUR/USD": 1.0})
