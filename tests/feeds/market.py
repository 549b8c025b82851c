"""What the tests of the simulated market share: one market, times inside it, and helpers that count."""

from __future__ import annotations

import numpy as np

from twinstar_kit.feeds import SimulatedMarket

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START = 1_735_689_600_000  # 2025-01-01
MARKET = SimulatedMarket(seed=11)


def log_returns(bars):
    return np.diff(np.log(bars.close))


def autocorrelation(values, lag):
    centred = values - values.mean()
    return float(np.mean(centred[:-lag] * centred[lag:]) / np.mean(centred**2))


def kurtosis(values):
    centred = values - values.mean()
    return float(np.mean(centred**4) / np.mean(centred**2) ** 2)


def aggregate_trades(trades):
    """Open, high, low, close and volume of trades."""
    price = trades["price"]
    return [price[0], price.max(), price.min(), price[-1], trades["amount"].sum()]
