"""The symbols of the simulated market, 98 coins' markets and the perpetuals: what each looks like, and the numbers of its paths.

Prices, ticks, lots and smallest orders are of the size that large exchanges have for these coins; they are not
quotes of any day.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.minutes import SLOTS, VOLUME_BY_VOLATILITY, Market, symbol_t
from twinstar_kit.feeds.noise import CELLS, factor_t
from twinstar_kit.feeds.perpetuals import CONTRACTS, FAST_SIZE, FAST_TOP, SLOW_SIZE, SLOW_TOP, Contract
from twinstar_kit.kernel.instruments import Instrument, Kind

EXCHANGE = "virtual"
KRW_PER_USDT = 1_385.0
YEAR_TOP = 19  # the market's longest cell: 2**19 minutes, 364 days
YEAR_MINUTES = 525_600.0
PREMIUM_TOP, PREMIUM_SIZE = 6, 0.0016  # a KRW pair strays by about 0.15 % from its USDT pair, for an hour
RATE_VOLATILITY = 0.09


class Coin(NamedTuple):
    """One coin: what moves it, its USDT market, and the turnover of its KRW market if it has one."""

    base: str
    sector: str
    price: float  # USDT
    volatility: float  # a year
    market: float  # share of the variance that the whole market explains
    sector_share: float
    turnover: float  # million USDT a day
    tick: str
    lot: str
    krw_turnover: float = 0.0  # billion KRW a day; 0: no KRW pair


COINS = (
    Coin("BTC", "store", 65_000, 0.55, 0.86, 0.03, 1500, "0.01", "0.00001", 320),
    Coin("ETH", "layer1", 3_300, 0.68, 0.78, 0.05, 1100, "0.01", "0.0001", 240),
    Coin("SOL", "layer1", 160, 0.88, 0.66, 0.08, 520, "0.01", "0.001", 140),
    Coin("XRP", "payments", 0.62, 0.85, 0.58, 0.08, 480, "0.0001", "0.1", 480),
    Coin("BNB", "layer1", 590, 0.60, 0.66, 0.06, 260, "0.01", "0.001"),
    Coin("DOGE", "meme", 0.145, 1.00, 0.62, 0.12, 380, "0.00001", "1", 190),
    Coin("ADA", "layer1", 0.48, 0.88, 0.66, 0.08, 150, "0.0001", "0.1", 75),
    Coin("TRX", "payments", 0.145, 0.58, 0.45, 0.05, 90, "0.0001", "0.1", 30),
    Coin("AVAX", "layer1", 31, 0.98, 0.66, 0.10, 110, "0.01", "0.01", 28),
    Coin("LINK", "infra", 14.5, 0.92, 0.64, 0.08, 105, "0.01", "0.01", 24),
    Coin("SHIB", "meme", 0.0000185, 1.02, 0.60, 0.16, 120, "0.00000001", "1", 60),
    Coin("DOT", "layer1", 6.2, 0.88, 0.68, 0.09, 70, "0.001", "0.01", 14),
    Coin("LTC", "store", 82, 0.75, 0.64, 0.10, 95, "0.01", "0.001"),
    Coin("BCH", "store", 400, 0.88, 0.58, 0.12, 65, "0.1", "0.001", 18),
    Coin("UNI", "defi", 8.4, 1.00, 0.58, 0.12, 60, "0.001", "0.01"),
    Coin("NEAR", "layer1", 5.1, 1.08, 0.62, 0.11, 75, "0.001", "0.1", 16),
    Coin("APT", "layer1", 8.8, 1.05, 0.60, 0.11, 60, "0.001", "0.01", 22),
    Coin("SUI", "layer1", 1.9, 1.18, 0.55, 0.10, 190, "0.0001", "0.1", 55),
    Coin("ICP", "infra", 10.2, 1.00, 0.58, 0.08, 35, "0.001", "0.01"),
    Coin("ETC", "store", 24.5, 0.88, 0.60, 0.10, 45, "0.01", "0.01", 26),
    Coin("XLM", "payments", 0.105, 0.80, 0.56, 0.18, 40, "0.0001", "1", 34),
    Coin("HBAR", "layer1", 0.072, 1.02, 0.55, 0.10, 55, "0.00001", "1", 36),
    Coin("FIL", "infra", 4.6, 1.00, 0.64, 0.09, 55, "0.001", "0.01"),
    Coin("ATOM", "layer1", 6.1, 0.88, 0.66, 0.10, 40, "0.001", "0.01", 8),
    Coin("ARB", "layer2", 0.72, 1.05, 0.64, 0.14, 60, "0.0001", "0.1", 20),
    Coin("OP", "layer2", 1.75, 1.10, 0.62, 0.15, 55, "0.001", "0.01"),
    Coin("INJ", "defi", 23, 1.15, 0.58, 0.10, 45, "0.01", "0.01", 9),
    Coin("SEI", "layer1", 0.42, 1.22, 0.55, 0.10, 50, "0.0001", "0.1", 30),
    Coin("TIA", "layer2", 6.3, 1.25, 0.54, 0.12, 45, "0.001", "0.01", 11),
    Coin("AAVE", "defi", 125, 0.98, 0.58, 0.14, 50, "0.01", "0.001", 12),
    Coin("MKR", "defi", 2_300, 0.90, 0.52, 0.12, 18, "1", "0.0001"),
    Coin("LDO", "defi", 1.7, 1.10, 0.55, 0.15, 28, "0.001", "0.01"),
    Coin("GRT", "ai", 0.19, 1.05, 0.60, 0.14, 24, "0.0001", "1", 9),
    Coin("ALGO", "layer1", 0.16, 0.92, 0.64, 0.10, 26, "0.0001", "1", 13),
    Coin("VET", "infra", 0.027, 0.92, 0.60, 0.10, 24, "0.00001", "1", 12),
    Coin("RENDER", "ai", 6.4, 1.15, 0.54, 0.18, 55, "0.001", "0.01", 10),
    Coin("FET", "ai", 1.35, 1.25, 0.52, 0.20, 65, "0.001", "0.1"),
    Coin("TAO", "ai", 380, 1.20, 0.50, 0.18, 60, "0.1", "0.0001"),
    Coin("WLD", "ai", 2.2, 1.35, 0.48, 0.16, 70, "0.001", "0.1"),
    Coin("IMX", "games", 1.6, 1.05, 0.56, 0.16, 18, "0.001", "0.01", 9),
    Coin("SAND", "games", 0.33, 1.02, 0.60, 0.18, 28, "0.0001", "1", 17),
    Coin("MANA", "games", 0.37, 1.02, 0.60, 0.18, 20, "0.0001", "1"),
    Coin("AXS", "games", 6.0, 1.02, 0.58, 0.18, 16, "0.001", "0.01", 8),
    Coin("GALA", "games", 0.024, 1.18, 0.56, 0.16, 34, "0.00001", "1"),
    Coin("ENJ", "games", 0.17, 1.10, 0.52, 0.16, 8, "0.0001", "0.1"),
    Coin("CHZ", "games", 0.072, 1.00, 0.55, 0.10, 22, "0.00001", "1", 16),
    Coin("THETA", "infra", 1.35, 1.02, 0.60, 0.10, 12, "0.001", "0.1"),
    Coin("EOS", "layer1", 0.55, 0.92, 0.58, 0.10, 24, "0.0001", "0.1"),
    Coin("XTZ", "layer1", 0.72, 0.90, 0.62, 0.10, 10, "0.001", "0.1"),
    Coin("NEO", "layer1", 10.5, 0.98, 0.58, 0.10, 14, "0.01", "0.01"),
    Coin("QTUM", "layer1", 2.7, 0.98, 0.54, 0.10, 10, "0.001", "0.1"),
    Coin("ZEC", "store", 36, 1.05, 0.44, 0.10, 22, "0.01", "0.001"),
    Coin("DASH", "store", 27, 1.00, 0.46, 0.12, 12, "0.01", "0.001"),
    Coin("CRV", "defi", 0.31, 1.15, 0.52, 0.14, 24, "0.0001", "0.1"),
    Coin("COMP", "defi", 48, 1.00, 0.54, 0.16, 10, "0.01", "0.001"),
    Coin("SNX", "defi", 1.6, 1.08, 0.54, 0.16, 8, "0.001", "0.1"),
    Coin("DYDX", "defi", 1.1, 1.15, 0.52, 0.14, 16, "0.001", "0.01"),
    Coin("STX", "layer2", 1.7, 1.12, 0.58, 0.10, 24, "0.0001", "0.1", 14),
    Coin("PEPE", "meme", 0.0000102, 1.40, 0.48, 0.20, 280, "0.00000001", "1"),
    Coin("WIF", "meme", 2.1, 1.55, 0.44, 0.20, 130, "0.001", "0.01"),
    Coin("BONK", "meme", 0.0000205, 1.50, 0.44, 0.22, 75, "0.00000001", "1"),
    Coin("FLOKI", "meme", 0.000145, 1.42, 0.44, 0.22, 50, "0.00000001", "1"),
    Coin("ORDI", "meme", 36, 1.45, 0.46, 0.12, 55, "0.01", "0.01"),
    Coin("CAKE", "defi", 1.9, 0.98, 0.52, 0.12, 14, "0.001", "0.01"),
)  # fmt: skip

# Size of price moves by hour (UTC) and by day (from Monday), and how Korean volume differs from it.
VOLATILITY_BY_HOUR = (1.06, 0.98, 0.88, 0.78, 0.72, 0.70, 0.72, 0.78, 0.82, 0.82, 0.78, 0.80,
                      0.93, 1.20, 1.50, 1.45, 1.30, 1.22, 1.13, 1.10, 1.08, 0.96, 0.92, 0.94)  # fmt: skip
VOLATILITY_BY_DAY = (1.05, 1.08, 1.05, 1.07, 1.05, 0.74, 0.82)
KRW_VOLUME_BY_HOUR = (1.66, 1.12, 1.03, 1.02, 0.95, 0.88, 1.08, 1.00, 1.15, 1.00, 0.90, 0.87,
                      1.40, 1.50, 1.70, 1.05, 0.80, 0.70, 0.55, 0.50, 0.50, 0.65, 0.85, 1.00)  # fmt: skip
VOLUME_BEYOND_VOLATILITY = 0.45  # the seasons of volume are stronger than those of volatility, by this power

# Order price steps by price in KRW, from the dearest.
KRW_TICKS = ((1_000_000, "1000"), (500_000, "500"), (100_000, "50"), (10_000, "10"), (1_000, "1"), (100, "0.1"),
             (10, "0.01"), (1, "0.001"), (0.1, "0.0001"), (0.0, "0.00001"))  # fmt: skip


def universe(seed: int) -> tuple[tuple[Instrument, ...], Market]:
    """The instruments, and the tables that `seed` makes of them; both have the same order: spot first, then perpetuals.

    >>> instruments, market = universe(0)
    >>> len(instruments), instruments[0].symbol, instruments[97].symbol, instruments[98].symbol
    (120, 'BTC/USDT', 'USDT/KRW', 'BTC/USDT:USDT')
    """
    build = _Builder(seed)
    for coin in COINS:
        build.usdt_pair(coin)
    for coin in COINS:
        if coin.krw_turnover:
            build.krw_pair(coin)
    build.rate_pair()
    coins = {coin.base: coin for coin in COINS}
    for contract in CONTRACTS:
        build.perpetual(coins[contract.base], contract)
    factors, symbols = np.array(build.factors, factor_t), np.array(build.symbols, symbol_t)
    return tuple(build.instruments), Market(factors, symbols, *_seasons())


class _Builder:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.factors: list[tuple[Any, ...]] = []
        self.symbols: list[tuple[Any, ...]] = []
        self.instruments: list[Instrument] = []
        self._numbers: dict[str, int] = {}
        self._weights: dict[str, list[tuple[int, float]]] = {}

    def usdt_pair(self, coin: Coin) -> None:
        scale = amount_scale(coin.price)
        own = 1.0 - coin.market - coin.sector_share
        shares = (
            ("market", coin.market),
            (f"sector {coin.sector}", coin.sector_share),
            (f"coin {coin.base}", own),
        )
        weights = [(self._year_factor(name), coin.volatility * math.sqrt(share)) for name, share in shares]
        self._weights[coin.base] = weights
        instrument = Instrument.from_sizes(
            f"{coin.base}/USDT",
            coin.tick,
            coin.lot,
            min_notional=5,
            exchange=EXCHANGE,
            amount_scale=scale,
            quote_scale=8,
        )
        self._add(instrument, coin.price, coin.turnover * 1e6, coin.turnover, weights, shape=0)

    def krw_pair(self, coin: Coin) -> None:
        weights = [*self._weights[coin.base], (self._year_factor("rate"), RATE_VOLATILITY)]
        self._add_krw(
            coin.base, amount_scale(coin.price), coin.price * KRW_PER_USDT, coin.krw_turnover, weights
        )

    def rate_pair(self) -> None:
        self._add_krw("USDT", 8, KRW_PER_USDT, 90.0, [(self._year_factor("rate"), RATE_VOLATILITY)])

    def perpetual(self, coin: Coin, contract: Contract) -> None:
        inverse = contract.size > 0
        instrument = Instrument.from_sizes(
            contract.symbol,
            contract.tick,
            contract.lot,
            max_amount=contract.max_amount,
            market_max_amount=contract.market_max_amount,
            min_notional=contract.min_notional,
            percent_up=contract.percent,
            percent_down=contract.percent,
            max_orders=200,
            margin_tiers=contract.tiers,
            contract_size=contract.size or 1,
            exchange=EXCHANGE,
            amount_scale=0 if inverse else amount_scale(coin.price),
            quote_scale=8,
        )
        size = coin.volatility / COINS[0].volatility
        premium = [
            (self._premium_factor(f"fast premium {contract.symbol}", FAST_TOP, FAST_SIZE), size),
            (self._premium_factor(f"slow premium {contract.symbol}", SLOW_TOP, SLOW_SIZE), size),
        ]
        weights = [*self._weights[coin.base], *premium]
        turnover = coin.turnover * 1e6 * contract.turnover
        # more turnover than spot makes larger trades, not more of them
        self._add(
            instrument, coin.price, turnover, coin.turnover * min(1.0, contract.turnover), weights, shape=0
        )

    def _add_krw(
        self, base: str, scale: int, price: float, turnover: float, weights: list[tuple[int, float]]
    ) -> None:
        tick = next(tick for least, tick in KRW_TICKS if price >= least)
        premium = (
            self._premium_factor(f"premium {base}", PREMIUM_TOP, PREMIUM_SIZE),
            0.25 if base == "USDT" else 1.0,
        )
        instrument = Instrument.from_sizes(
            f"{base}/KRW",
            tick,
            f"1e-{scale}",
            min_notional=5_000,
            exchange=EXCHANGE,
            amount_scale=scale,
            quote_scale=2,
        )
        self._add(
            instrument, price, turnover * 1e9, turnover * 1e3 / KRW_PER_USDT, [*weights, premium], shape=1
        )

    def _add(
        self, instrument: Instrument, price: float, turnover: float, millions: float, weights: list[tuple[int, float]],
        shape: int,
    ) -> None:  # fmt: skip
        tick = instrument.price(instrument.tick)
        lot = instrument.amount(instrument.lot)
        variance = sum(w * w * self.factors[f][3] / (1 << self.factors[f][2]) for f, w in weights)
        # The mean of a lognormal lies above its centre; 0.5 makes up for it.
        log_turnover = math.log(turnover / 1440.0 / tick / lot) - 0.5
        spread = 1e-4 * (10.0 / millions) ** 0.8
        padded = weights + [(-1, 0.0)] * (SLOTS - len(weights))
        self.instruments.append(instrument)
        self.symbols.append((
            self._key(f"symbol {instrument.symbol}"), [f for f, _ in padded], [w for _, w in padded],
            math.log(price / tick), instrument.tick, instrument.lot, log_turnover, math.log(variance),
            math.log(2.2 * millions**0.6), shape, spread, 0.7 * spread, log_turnover + math.log(0.05),
            instrument.contract_size / tick if instrument.kind is Kind.INVERSE else 0.0,
        ))  # fmt: skip

    def _year_factor(self, name: str) -> int:
        mass = 2.0**YEAR_TOP / YEAR_MINUTES
        return self._factor(name, YEAR_TOP, mass, (0.72, 0.9), seasonal=1)

    def _premium_factor(self, name: str, top: int, size: float) -> int:
        return self._factor(name, top, 2.0 * size**2, (0.5, 0.5), seasonal=0)

    def _factor(self, name: str, top: int, mass: float, roughness: tuple[float, float], seasonal: int) -> int:
        if name not in self._numbers:
            key = self._key(name)
            self._numbers[name] = len(self.factors)
            self.factors.append(
                (key, (key & 0x7FFF) * 16, top, mass, math.sqrt(mass / 2.0), *roughness, seasonal)
            )
        return self._numbers[name]

    def _key(self, name: str) -> int:
        words = f"twinstar simulated market 1|{self.seed}|{name}"
        return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "little")


def amount_scale(price: float) -> int:
    """Decimals of a coin's amounts: fewer for a cheap coin, so that a week's volume of it fits 62 bits.

    >>> amount_scale(65_000), amount_scale(0.145), amount_scale(0.0000185)
    (8, 6, 2)
    """
    return 8 if price >= 1 else 6 if price >= 0.01 else 2


def _seasons() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Cumulated variance over two weeks (2 * CELLS + 1 values), and the log shape of volume (2, CELLS)."""
    volatility = _by_cell(VOLATILITY_BY_HOUR)
    volatility /= math.sqrt(float(np.mean(volatility**2)))
    season = np.zeros(2 * CELLS + 1)
    np.cumsum(np.tile(volatility**2, 2), out=season[1:])
    local = np.log(_by_cell(KRW_VOLUME_BY_HOUR)) - VOLUME_BY_VOLATILITY * np.log(volatility)
    return season, np.ascontiguousarray([VOLUME_BEYOND_VOLATILITY * np.log(volatility), local])


def _by_cell(by_hour: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """Values for the week's cells of 16 minutes, on straight lines between the middles of hours."""
    hours = np.array([hour * day for day in VOLATILITY_BY_DAY for hour in by_hour])
    middles = (np.arange(CELLS) + 0.5) * 16.0 / 60.0 - 0.5
    return np.asarray(np.interp(middles, np.arange(168), hours, period=168))
