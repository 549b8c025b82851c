"""The symbols, spot and perpetual: enough, distinct, and inside the kernel's integers for any week."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from feeds.market import DAY, MARKET, START

from twinstar_kit.feeds.universe import COINS, universe
from twinstar_kit.kernel.money import MAX_UNITS

INSTRUMENTS = MARKET.instruments
SPOT, PERPETUALS = INSTRUMENTS[:98], INSTRUMENTS[98:]


def test_there_are_98_spot_symbols_in_usdt_and_krw():
    assert not any(i.derivative for i in SPOT)
    assert len({i.symbol for i in SPOT}) == len(SPOT) == 98
    assert {quote: sum(i.quote == quote for i in SPOT) for quote in ("USDT", "KRW")} == {
        "USDT": 64,
        "KRW": 34,
    }


def test_perpetuals_of_large_coins_come_after_them():
    spot = {i.base for i in SPOT if i.quote == "USDT"}
    kinds = [i.kind.name for i in PERPETUALS]
    assert kinds == ["LINEAR"] * 20 + ["INVERSE"] * 2
    assert len({i.symbol for i in INSTRUMENTS}) == len(INSTRUMENTS) == 120
    assert {i.base for i in PERPETUALS} <= spot
    assert [(i.symbol, i.contract_size, i.settle) for i in PERPETUALS[20:]] == [
        ("BTC/USD:BTC", 100, "BTC"),
        ("ETH/USD:ETH", 10, "ETH"),
    ]


@pytest.mark.parametrize("instrument", PERPETUALS, ids=lambda i: i.symbol)
def test_margin_tiers_are_those_that_a_venue_can_have(instrument):
    """More notional needs more margin; what opens a position is more than what keeps it, and no tier jumps."""
    tiers = instrument.margin_tiers
    assert len(tiers) >= 8
    for below, tier in itertools.pairwise(tiers):
        assert below.cap < tier.cap
        assert below.rate < tier.rate
        assert below.leverage > tier.leverage
        margins = [below.cap * t.rate / 1e8 - t.amount for t in (below, tier)]
        assert margins[0] == pytest.approx(margins[1], abs=1)
    assert all(1e8 / tier.leverage > tier.rate for tier in tiers)
    assert tiers[-1].leverage == 1


def test_an_asset_is_counted_in_one_unit_everywhere():
    scales: dict[str, set[int]] = {}
    for i in INSTRUMENTS:
        if i.kind.name != "INVERSE":
            scales.setdefault(i.base, set()).add(i.amount_scale)
        scales.setdefault(i.settle, set()).add(i.quote_scale)
    assert {asset: found for asset, found in scales.items() if len(found) > 1} == {}


def test_rules_are_those_of_such_venues():
    by_symbol = {i.symbol: i for i in INSTRUMENTS}
    btc, krw, cheap = by_symbol["BTC/USDT"], by_symbol["BTC/KRW"], by_symbol["SHIB/KRW"]
    assert (btc.price(btc.tick), btc.amount(btc.lot), btc.money(btc.min_notional)) == (0.01, 0.00001, 5)
    assert (krw.price(krw.tick), krw.amount(krw.lot), krw.money(krw.min_notional)) == (1000, 1e-8, 5_000)
    assert cheap.price(cheap.tick) == 0.00001
    assert max(i.price_scale for i in SPOT if i.quote == "KRW") <= 5


@pytest.mark.parametrize("share", ["market", "sector_share"])
def test_shares_of_variance_are_shares(share):
    assert all(0 < getattr(coin, share) < 1 for coin in COINS)
    assert all(coin.market + coin.sector_share < 0.95 for coin in COINS)


def test_a_week_of_any_symbol_fits_the_integers():
    for number, instrument in enumerate(INSTRUMENTS):
        week = MARKET.bars(
            instrument.symbol, START + (number % 7) * 90 * DAY, START + (number % 7) * 90 * DAY + 7 * DAY
        )
        rows = week.rows
        assert float(rows[:, 5].astype(np.float64).sum()) < MAX_UNITS / 4
        assert rows[:, 1:5].min() > 20 * instrument.tick
        steps = len(np.unique(rows[:, 4]))
        assert steps > 8, f"{instrument.symbol} hardly moves"


def test_a_seed_changes_the_keys_and_nothing_else():
    (one, first), (other, second) = universe(1), universe(2)
    assert one == other
    assert not set(first.factors["key"]) & set(second.factors["key"])
    assert np.array_equal(first.symbols["log_price"], second.symbols["log_price"])
