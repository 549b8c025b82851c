"""The local venue as the real ccxt class sees it: REST answers, limits, and each fault that can be planted."""

from __future__ import annotations

from decimal import Decimal

import ccxt.pro
import numpy as np
import pytest

from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.testing.local_venue import LocalVenue, local_binance

START, MINUTE = 1_735_689_600_000, 60_000


def some_bars(count: int = 300, symbol: str = "BTC/USDT") -> Bars:
    """A walk of whole ticks with every price and volume different from its neighbours."""
    chance = np.random.default_rng(3)
    close = 9_000_000 + np.cumsum(chance.integers(-900, 900, count))
    opened = np.r_[9_000_000, close[:-1]]
    high, low = np.maximum(opened, close) + 11, np.minimum(opened, close) - 13
    stamps = START + MINUTE * np.arange(count)
    rows = np.column_stack([stamps, opened, high, low, close, chance.integers(1, 10**9, count)])
    return Bars(
        Instrument.from_sizes(symbol, "0.01", "0.00001"), MINUTE, np.ascontiguousarray(rows, np.int64)
    )


def decimals(bars: Bars) -> list[list[Decimal | int]]:
    """The rows as ccxt gives them, computed with Decimal alone."""
    price, amount = Decimal(10) ** -bars.instrument.price_scale, Decimal(10) ** -bars.instrument.amount_scale
    return [
        [int(row[0]), *(int(value) * price for value in row[1:5]), int(row[5]) * amount] for row in bars.rows
    ]


@pytest.fixture(scope="module")
def bars() -> Bars:
    return some_bars()


@pytest.fixture
def venue(bars: Bars):
    with LocalVenue(bars) as venue:
        yield venue


def leaves(value: object) -> list[str]:
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in leaves(inner)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in leaves(inner)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("asynchronous", [False, True])
def test_no_family_of_urls_is_left_that_leads_elsewhere(venue: LocalVenue, asynchronous: bool):
    untouched = (ccxt.pro.binance if asynchronous else ccxt.binance)()
    exchange = local_binance(venue, asynchronous)
    assert len(leaves(exchange.urls)) == len(leaves(untouched.urls)) > 30
    for url in leaves(exchange.urls):
        assert url.startswith((venue.url + "/", venue.ws_url + "/")), url
    for url in leaves(exchange.urls["api"]["ws"] if asynchronous else {}):
        assert url.startswith(venue.ws_url + "/"), url


def test_test_nets_lead_to_the_venue_too(venue: LocalVenue):
    exchange = local_binance(venue)
    exchange.set_sandbox_mode(True)
    assert all(url.startswith(venue.url + "/") for url in leaves(exchange.urls))


def test_ccxt_reads_the_bars_that_were_given_to_the_last_digit(venue: LocalVenue, bars: Bars):
    exchange = local_binance(venue, number=Decimal)
    assert exchange.fetch_ohlcv("BTC/USDT", "1m", START, 1000) == decimals(bars)
