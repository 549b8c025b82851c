"""Positions and equity of an account, against a plain loop over Decimals."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pytest
from terminal.conftest import BALANCES, NOON_MS
from terminal.venue_backend import HeldClock, VenueBackend

from twinstar_kit.feeds.base import Feed
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.ledger import Wallet
from twinstar_kit.kernel.orders import OrdType, Side
from twinstar_kit.terminal.panes import ticker_rows
from twinstar_kit.terminal.portfolio import Positions, Rates, equity, equity_history
from twinstar_kit.venues.blotter import OrderRequest

HOUR_MS = 3_600_000


@pytest.fixture
def traded(market: Feed, clock: HeldClock) -> VenueBackend:
    """An account that bought and sold two symbols over some hours."""
    backend = VenueBackend(market, clock, BALANCES)
    for symbol, side, amount in (
        ("BTC/USDT", Side.BUY, "0.03"), ("ETH/KRW", Side.BUY, "0.5"), ("BTC/USDT", Side.BUY, "0.01"),
        ("BTC/USDT", Side.SELL, "0.025"), ("ETH/KRW", Side.SELL, "0.2"),
    ):  # fmt: skip
        instrument = next(m for m in market.instruments if m.symbol == symbol)
        answer = backend.place(
            OrderRequest(symbol, side, OrdType.MARKET, instrument.amount_units(amount)),
            f"{symbol}{side}{amount}",
        )
        assert answer.ok, answer.text
        clock.advance(HOUR_MS + 7_000)
    backend.refresh()
    return backend


def marks_of(market: Feed, now_ms: int) -> Callable[[Instrument], int]:
    return lambda m: market.mark(m.symbol, now_ms) or market.last(m.symbol, now_ms)


def last_prices(market: Feed, now_ms: int) -> np.ndarray:
    return ticker_rows(market.instruments, market.tickers(now_ms))[:, 0]


def test_an_average_price_is_what_was_paid_for_what_is_left(traded: VenueBackend):
    fills = traded.accounts()[0].blotter.fills
    positions = Positions()
    positions.fold(fills[:2])
    held = positions.fold(fills)  # the fills it has seen are not counted again
    amount, cost = Decimal(0), Decimal(0)
    for fill in fills:
        if fill.instrument.symbol != "BTC/USDT":
            continue
        if fill.side > 0:
            amount, cost = amount + fill.last_qty, cost + Decimal(fill.last_qty) * fill.last_px
        else:
            cost *= (amount - fill.last_qty) / amount
            amount -= fill.last_qty
    position = held["BTC/USDT"]
    assert position.amount == amount
    assert position.average(fills[0].instrument) == pytest.approx(float(cost / amount / 100))


def test_equity_counts_every_asset_at_its_price(traded: VenueBackend, market: Feed, clock: HeldClock):
    last = last_prices(market, clock.now_ms)
    price = dict(zip((m.symbol for m in market.instruments), last, strict=True))
    krw = Decimal(1) / Decimal(str(price["USDT/KRW"]))
    expected = Decimal(0)
    in_usdt = {
        "USDT": Decimal(1), "KRW": krw, "BTC": Decimal(str(price["BTC/USDT"])), "ETH": Decimal(str(price["ETH/USDT"])),
    }  # fmt: skip
    for asset, (free, held) in traded.venues["manual"].balances().items():
        if free or held:
            expected += (free + held) * in_usdt[asset]
    rates = Rates(market.instruments, "USDT")
    assert equity(traded.accounts()[0].blotter, rates, last, marks_of(market, clock.now_ms)) == pytest.approx(
        float(expected), rel=1e-9
    )


def test_the_past_of_equity_is_what_it_was_at_the_time(market: Feed):
    """The history told afterwards equals the worth that was computed at each moment."""
    clock = HeldClock(NOON_MS // HOUR_MS * HOUR_MS)
    backend = VenueBackend(market, clock, BALANCES)
    rates = Rates(market.instruments, "USDT")
    btc = market.instruments[0]
    seen: dict[int, float] = {}
    for minute in range(40):
        backend.refresh()
        # a bar's close is the last price one millisecond before the next bar opens
        last = last_prices(market, clock.now_ms - 1)
        seen[clock.now_ms] = equity(
            backend.accounts()[0].blotter, rates, last, marks_of(market, clock.now_ms)
        )
        if minute in (5, 17, 29):
            side = Side.SELL if minute == 17 else Side.BUY
            clock.advance(30_000)
            backend.place(
                OrderRequest("BTC/USDT", side, OrdType.MARKET, btc.amount_units("0.02")), f"{minute}"
            )
            clock.advance(30_000)
        else:
            clock.advance(60_000)
    times, values = equity_history(backend.accounts()[0], market, rates, clock.now_ms)
    assert times.tolist() == sorted(seen)
    assert np.allclose(values, [seen[int(t)] for t in times], rtol=1e-9)


@pytest.mark.parametrize(
    ("symbol", "asset", "amount"), [("BTC/USDT:USDT", "USDT", "0.03"), ("BTC/USD:BTC", "BTC", "20")]
)
def test_the_past_of_equity_knows_contracts_and_what_moved_the_wallets(
    market: Feed, symbol: str, asset: str, amount: str
):
    """A short that is widened, partly closed, and turned into a long; contracts at the close, as the past has no marks."""
    clock = HeldClock(NOON_MS // HOUR_MS * HOUR_MS)
    backend = VenueBackend(market, clock, {"USDT": "10000", "BTC": "0.2"})
    venue, rates = backend.venues["manual"], Rates(market.instruments, "USDT")
    m = next(m for m in market.instruments if m.symbol == symbol)
    steps = {3: (Side.SELL, 1), 9: (Side.SELL, 1), 15: (Side.BUY, 1), 21: (Side.BUY, 3)}
    seen: dict[int, float] = {}
    for minute in range(26):
        backend.refresh()
        last = last_prices(market, clock.now_ms - 1)
        close = market.last(symbol, clock.now_ms - 1)
        seen[clock.now_ms] = equity(backend.accounts()[0].blotter, rates, last, lambda _, close=close: close)
        clock.advance(30_000)
        if minute == 1:
            venue.transfer(
                asset, Decimal("0.2") if asset == "BTC" else Decimal(9000), Wallet.SPOT, Wallet.SWAP
            )
        if minute in steps:
            side, times = steps[minute]
            request = OrderRequest(symbol, side, OrdType.MARKET, times * m.amount_units(amount))
            assert backend.place(request, f"{minute}").ok
        clock.advance(30_000)
    backend.refresh()
    assert [held.qty > 0 for held in venue.positions()] == [True]
    times, values = equity_history(backend.accounts()[0], market, rates, clock.now_ms)
    assert times.tolist() == sorted(seen)
    assert np.allclose(values, [seen[int(t)] for t in times], rtol=0, atol=0.01)


def test_there_is_no_past_before_the_account_was_opened(market: Feed, clock: HeldClock):
    backend = VenueBackend(market, clock, BALANCES)
    times, _ = equity_history(backend.accounts()[0], market, Rates(market.instruments, "USDT"), clock.now_ms)
    assert len(times) == 0
