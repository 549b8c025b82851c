"""The local venue as the real ccxt class sees it: REST answers, limits, and each fault that can be planted."""

from __future__ import annotations

from decimal import Decimal

import ccxt.pro
import pytest
from testing.venue_data import START, decimals, some_bars

from twinstar_kit.kernel.bars import Bars
from twinstar_kit.testing.local_venue import LocalVenue, local_binance


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
