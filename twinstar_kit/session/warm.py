"""Compiles the kernel and the starter strategies once, so that nobody waits for it later: `python -m twinstar_kit.session.warm`."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from twinstar_kit.kernel.bars import Bars


def warm(say: Callable[[str], None] = print) -> float:
    """Run every starter strategy and every order type once, compiled; returns the seconds it took.

    Machine code that is cached already is only loaded, which takes about two seconds.
    """
    from twinstar_kit.kernel.instruments import Instrument
    from twinstar_kit.session.history import backtest
    from twinstar_kit.strategy import available

    started = time.perf_counter()
    wave = 100 + 10 * np.sin(np.arange(3_000) / 40)
    bars = Bars.from_floats(
        Instrument.from_sizes("BTC/USDT"),
        60_000,
        np.arange(3_000) * 60_000,
        wave,
        wave + 0.5,
        wave - 0.5,
        wave,
        np.ones(3_000),
    )
    for name, strategy in available().items():
        say(f"compiling {name}")
        backtest(strategy(), bars, close_at_end=True)
    say("compiling the virtual exchange")
    _warm_venue()
    say("compiling the lake")
    _warm_lake(bars)
    return time.perf_counter() - started


def _warm_venue() -> None:
    """Every command of an account in the simulated market."""
    from twinstar_kit.feeds.clock import ManualClock
    from twinstar_kit.feeds.simulated import SimulatedMarket
    from twinstar_kit.kernel.models import Broker
    from twinstar_kit.kernel.orders import OrdType, Side
    from twinstar_kit.venues.durable import open_durable
    from twinstar_kit.venues.requests import OrderRequest

    feed = SimulatedMarket()
    m = feed.instruments[0]
    clock = ManualClock(feed.span()[0] + 86_400_000)
    with tempfile.TemporaryDirectory() as folder:
        venue = open_durable(Path(folder) / "warm.db", feed, clock, Broker(), {m.quote: 1_000_000_000})
        price = feed.last(m.symbol, venue.now())
        low = price // 2 // m.tick * m.tick
        qty = (
            max(m.min_amount, -(-m.min_notional * m.money_divisor * 3 // price), m.lot) // m.lot * m.lot
            + m.lot
        )
        venue.place(OrderRequest(m.symbol, Side.BUY, OrdType.MARKET, qty))
        resting = venue.place(OrderRequest(m.symbol, Side.BUY, OrdType.LIMIT, qty, price=low))
        venue.advance(120_000)
        venue.cancel(resting.order_id)
        feed.tickers(venue.now())
        venue.close()


def _warm_lake(bars: Bars) -> None:
    """Bars written, read and verified, of numbers that fit 32 bits and of numbers that do not."""
    from twinstar_kit.lake import Lake, Series

    with tempfile.TemporaryDirectory() as folder, Lake(Path(folder) / "lake") as lake:
        for exchange, far in (("near", 0), ("far", 10**10 + 1)):
            series = Series(exchange, bars.instrument.symbol)
            lake.register(series, bars.instrument, simulated=True)
            lake.write(series, bars.rows + np.array([1_735_689_600_000, *[far] * 5]))
        lake.verify()


if __name__ == "__main__":
    seconds = warm(lambda text: print(text, file=sys.stderr))
    print(f"compiled in {seconds:.1f} s", file=sys.stderr)
