"""The simulated perpetuals: their contracts, their premium over the spot price, and the mark and funding that follow from it.

A perpetual moves with its coin's USDT market (a dollar counts as a USDT) times a premium that comes and goes: one path
within the hour, one within days. Contract sizes, ticks, limits and margin tiers are of the size that large venues have;
they are not those of a venue or of a day.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from twinstar_kit.feeds.minutes import EPOCH_MS, MINUTE_MS, SLOTS
from twinstar_kit.feeds.noise import exp, path
from twinstar_kit.feeds.tape import PRICE, latest
from twinstar_kit.jit import compiled, inlined

FUNDING_MS = 28_800_000  # 00:00, 08:00 and 16:00 UTC
FUNDING_MINUTES = FUNDING_MS // MINUTE_MS
MARK_MINUTES = 5  # the mark price follows the mean premium of so many minutes
PREMIUM_SLOT = 3  # from here on the paths of a perpetual are its premium
# The premium strays by so much, within cells of 2**top minutes, for a coin as volatile as BTC; others by more.
FAST_TOP, FAST_SIZE = 6, 0.0003
SLOW_TOP, SLOW_SIZE = 12, 0.0004
# Funding in hundred-millionths: interest, how far it outweighs the premium, and the cap.
INTEREST, DAMPER, CAP = 10_000, 50_000, 750_000

MAJOR_TIERS = (
    (50_000, "0.004", 125), (600_000, "0.005", 100), (3_000_000, "0.0065", 75), (12_000_000, "0.01", 50), (70_000_000, "0.02", 25),
    (100_000_000, "0.025", 20), (230_000_000, "0.05", 10), (480_000_000, "0.1", 5), (600_000_000, "0.125", 4),
    (800_000_000, "0.15", 3), (1_200_000_000, "0.25", 2), (1_800_000_000, "0.5", 1),
)  # fmt: skip
LARGE_TIERS = (
    (10_000, "0.005", 75), (50_000, "0.0065", 50), (250_000, "0.01", 40), (1_000_000, "0.02", 25), (5_000_000, "0.025", 20),
    (20_000_000, "0.05", 10), (40_000_000, "0.1", 5), (50_000_000, "0.125", 4), (100_000_000, "0.25", 2), (150_000_000, "0.5", 1),
)  # fmt: skip
SMALL_TIERS = (
    (5_000, "0.01", 50), (25_000, "0.015", 25), (200_000, "0.025", 20), (1_000_000, "0.05", 10), (2_500_000, "0.1", 5),
    (3_000_000, "0.125", 4), (6_000_000, "0.25", 2), (10_000_000, "0.5", 1),
)  # fmt: skip
BTC_TIERS = (
    (5, "0.004", 125), (10, "0.005", 100), (20, "0.01", 50), (50, "0.025", 20), (100, "0.05", 10), (200, "0.1", 5),
    (400, "0.125", 4), (1_000, "0.15", 3), (1_500, "0.25", 2), (3_000, "0.5", 1),
)  # fmt: skip
ETH_TIERS = (
    (15, "0.005", 100), (50, "0.01", 50), (250, "0.02", 25), (500, "0.025", 20), (1_000, "0.05", 10), (2_500, "0.1", 5),
    (5_000, "0.125", 4), (10_000, "0.15", 3), (15_000, "0.25", 2), (30_000, "0.5", 1),
)  # fmt: skip


class Contract(NamedTuple):
    """One perpetual: its coin, the grid and the limits of its orders, its margin tiers, its turnover against spot."""

    base: str
    tick: str
    lot: str
    max_amount: str
    market_max_amount: str
    min_notional: str
    percent: str  # how far from the last price a limit may be
    tiers: tuple[tuple[int, str, int], ...]
    size: int = 0  # dollars of an inverse contract; 0: linear, in USDT
    turnover: float = 4.0  # times that of the coin's spot market

    @property
    def symbol(self) -> str:
        """The ccxt symbol.

        >>> CONTRACTS[0].symbol, CONTRACTS[-1].symbol
        ('BTC/USDT:USDT', 'ETH/USD:ETH')
        """
        return f"{self.base}/USD:{self.base}" if self.size else f"{self.base}/USDT:USDT"


CONTRACTS = (
    Contract("BTC", "0.1", "0.001", "1000", "120", "5", "0.3", MAJOR_TIERS),
    Contract("ETH", "0.01", "0.001", "10000", "2000", "20", "0.3", MAJOR_TIERS),
    Contract("SOL", "0.01", "0.01", "1000000", "5000", "5", "0.3", LARGE_TIERS),
    Contract("XRP", "0.0001", "0.1", "10000000", "2000000", "5", "0.3", LARGE_TIERS),
    Contract("BNB", "0.01", "0.01", "100000", "2000", "5", "0.3", LARGE_TIERS),
    Contract("DOGE", "0.00001", "1", "50000000", "30000000", "5", "0.3", LARGE_TIERS),
    Contract("ADA", "0.0001", "1", "20000000", "3000000", "5", "0.3", LARGE_TIERS),
    Contract("TRX", "0.00001", "1", "50000000", "5000000", "5", "0.3", SMALL_TIERS),
    Contract("AVAX", "0.001", "0.1", "1000000", "50000", "5", "0.3", LARGE_TIERS),
    Contract("LINK", "0.001", "0.01", "1000000", "60000", "20", "0.3", LARGE_TIERS),
    Contract("DOT", "0.001", "0.1", "5000000", "500000", "5", "0.3", LARGE_TIERS),
    Contract("LTC", "0.01", "0.001", "100000", "10000", "20", "0.3", LARGE_TIERS),
    Contract("BCH", "0.01", "0.001", "100000", "5000", "20", "0.3", LARGE_TIERS),
    Contract("UNI", "0.001", "1", "1000000", "100000", "5", "0.3", SMALL_TIERS),
    Contract("NEAR", "0.001", "1", "1000000", "500000", "5", "0.3", SMALL_TIERS),
    Contract("APT", "0.001", "0.1", "500000", "50000", "5", "0.3", SMALL_TIERS),
    Contract("SUI", "0.0001", "0.1", "10000000", "1000000", "5", "0.3", SMALL_TIERS),
    Contract("FIL", "0.001", "0.1", "1000000", "100000", "5", "0.3", SMALL_TIERS),
    Contract("ARB", "0.0001", "0.1", "5000000", "1000000", "5", "0.3", SMALL_TIERS),
    Contract("AAVE", "0.01", "0.1", "50000", "5000", "5", "0.3", SMALL_TIERS),
    Contract("BTC", "0.1", "1", "1000000", "60000", "0", "0.3", BTC_TIERS, size=100, turnover=0.5),
    Contract("ETH", "0.01", "1", "1000000", "300000", "0", "0.3", ETH_TIERS, size=10, turnover=0.4),
)


@inlined
def mean_premium(market: Any, s: Any, first: Any, count: Any) -> Any:
    """The mean premium of perpetual number `s` at the starts of `count` minutes from minute `first`, as a fraction."""
    symbol = market.symbols[s]
    premium = np.zeros(count)
    x, v = np.empty(count + 3), np.empty(count + 3)
    for slot in range(PREMIUM_SLOT, SLOTS):
        path(market.factors[symbol["factor"][slot]], market.season, first, count, x, v)
        for i in range(count):
            premium[i] += symbol["weight"][slot] * x[i]
    total = 0.0
    for i in range(count):
        total += exp(premium[i]) - 1.0
    return total / count


@inlined
def rate_of(premium: Any) -> Any:
    """The funding rate, in hundred-millionths, that a mean premium (a fraction) leads to.

    It is the premium, moved towards the interest of 0.01 % by at most 0.05 %, and capped at 0.75 %: the way in which most venues
    work it out.
    """
    units = int(np.floor(premium * 1e8 + 0.5))
    return min(CAP, max(-CAP, units + min(DAMPER, max(-DAMPER, INTEREST - units))))


@compiled
def funding_rate(market: Any, s: Any, first: Any, count: Any) -> Any:
    """The funding rate that `count` minutes from minute `first` lead to."""
    return rate_of(mean_premium(market, s, first, count))


@compiled
def mark_and_index(market: Any, s: Any, spot: Any, now_ms: Any, units: Any, tape: Any) -> Any:
    """Mark and index price of perpetual number `s` in its price units, of which one of spot number `spot`'s is worth `units`.

    The index is the last trade of the spot market; the mark is the index and the mean premium of the last minutes. `tape` is room for
    the trades of a minute.
    """
    latest(market, spot, now_ms, tape)
    index = float(tape[-1, PRICE] * market.symbols[spot]["tick"]) * units
    minute = (now_ms - EPOCH_MS) // MINUTE_MS
    mark = index * (1.0 + mean_premium(market, s, minute + 1 - MARK_MINUTES, MARK_MINUTES))
    return int(np.floor(mark + 0.5)), int(np.floor(index + 0.5))
