"""Positions, value and equity of an account, worked out from its fills and balances; floats, for reading only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.instruments import Instrument, Kind
from twinstar_kit.kernel.ledger import Account, Wallet
from twinstar_kit.terminal.backend import AccountView, MarketData
from twinstar_kit.venues.blotter import Blotter, VenueFill

MINUTE_MS = 60_000
POINTS = 600
STEPS_MS = tuple(m * MINUTE_MS for m in (1, 5, 15, 60, 240, 1_440, 10_080))


Marks = Callable[[Instrument], int]
"""Price units that contracts are valued at: the mark, or the last price where there is none."""


@dataclass(slots=True)
class Position:
    """What an account bought of one spot symbol and has not sold, in units; `cost` includes no fees."""

    amount: int = 0
    cost: float = 0.0

    def take(self, fill: VenueFill) -> None:
        """Average cost: sales leave the average as it is; what is sold beyond the position never was part of it."""
        if fill.side > 0:
            self.amount += fill.last_qty
            self.cost += float(fill.last_qty) * fill.last_px
        elif self.amount:
            left = max(0, self.amount - fill.last_qty)
            self.cost *= left / self.amount
            self.amount = left

    def average(self, instrument: Instrument) -> float:
        """The average price paid, in the quote."""
        return self.cost / self.amount / 10**instrument.price_scale if self.amount else 0.0


@dataclass(slots=True)
class Positions:
    """The spot positions of one account, kept up as fills come in; those of contracts are in `Blotter.contracts`."""

    seen: int = 0
    by_symbol: dict[str, Position] = field(default_factory=dict)

    def fold(self, fills: Sequence[VenueFill]) -> Mapping[str, Position]:
        """Take in the fills that are new since the last call."""
        for fill in fills[self.seen :]:
            if fill.instrument.derivative:
                continue
            self.by_symbol.setdefault(fill.instrument.symbol, Position()).take(fill)
        self.seen = len(fills)
        return {symbol: position for symbol, position in self.by_symbol.items() if position.amount}


def money_asset(instruments: Sequence[Instrument]) -> str:
    """What equity is counted in: USDT where it is known, else the first instrument's quote."""
    assets = {instrument.quote for instrument in instruments} | {
        instrument.base for instrument in instruments
    }
    return "USDT" if "USDT" in assets else instruments[0].quote


class Rates:
    """Prices of assets in the money asset: direct, inverse, or through one other quote.

    >>> usdt = Instrument.from_sizes("BTC/USDT"), Instrument.from_sizes("USDT/KRW", tick="1", lot="1")
    >>> Rates(usdt, "USDT").path("KRW")
    [('USDT/KRW', -1)]
    """

    def __init__(self, instruments: Sequence[Instrument], money: str) -> None:
        self.money = money
        self._numbers = {instrument.symbol: j for j, instrument in enumerate(instruments)}
        self._quotes = list(dict.fromkeys(instrument.quote for instrument in instruments))

    def path(self, asset: str) -> list[tuple[str, int]] | None:
        """The symbols that lead from `asset` to the money asset, each with its power 1 or -1; None: no way."""
        if asset == self.money:
            return []
        for through in (self.money, *self._quotes):
            first = self._leg(asset, through)
            if (
                first
                and (second := [] if through == self.money else self._leg(through, self.money)) is not None
            ):
                return first + second
        return None

    def _leg(self, base: str, quote: str) -> list[tuple[str, int]] | None:
        if f"{base}/{quote}" in self._numbers:
            return [(f"{base}/{quote}", 1)]
        if f"{quote}/{base}" in self._numbers:
            return [(f"{quote}/{base}", -1)]
        return None

    def quoted(self, symbol: str, last: npt.NDArray[np.float64]) -> float:
        """The price of an instrument among the instruments' `last` prices."""
        return float(last[self._numbers[symbol]])

    def rate(self, asset: str, last: npt.NDArray[np.float64]) -> float:
        """The price of one `asset` at the instruments' `last` prices; NaN when it has none."""
        path = self.path(asset)
        if path is None:
            return float("nan")
        price = 1.0
        for symbol, power in path:
            quoted = self.quoted(symbol, last)
            price *= quoted if power > 0 else (1.0 / quoted if quoted else float("nan"))
        return price


def wallets(blotter: Blotter) -> list[tuple[Wallet, str, float, float]]:
    """Free and used amounts of the assets that are there: (wallet, asset, free, used); used stands behind orders and positions."""
    found = []
    for wallet, rows in blotter.wallets.items():
        for asset, row in rows.items():
            size = 10 ** blotter.scales[asset]
            free, used = row[Account.FREE], row[Account.HELD] + row[Account.MARGIN]
            if free or used:
                found.append((wallet, asset, free / size, used / size))
    return found


def totals(blotter: Blotter) -> dict[str, float]:
    """Amounts of the assets that are there, in all wallets."""
    found: dict[str, float] = {}
    for _, asset, free, used in wallets(blotter):
        found[asset] = found.get(asset, 0.0) + free + used
    return found


def equity(blotter: Blotter, rates: Rates, last: npt.NDArray[np.float64], marks: Marks) -> float:
    """The worth of an account in the money asset, open contracts at their mark; assets without a price count nothing."""
    worth = 0.0
    for asset, amount in totals(blotter).items():
        price = rates.rate(asset, last)
        worth += amount * price if np.isfinite(price) else 0.0
    for position in blotter.contracts.held():
        m = position.instrument
        rate = rates.rate(m.settle, last)
        worth += m.money(position.profit(marks(m))) * rate if np.isfinite(rate) else 0.0
    return worth


def equity_history(view: AccountView, feed: MarketData, rates: Rates, now_ms: int) -> tuple[Any, Any]:
    """Equity since the account was opened, at most `POINTS` points: (times in ms, values), without the present.

    Balances are led back from today's by what moved them since; prices, also those of contracts, are closes of
    complete bars.
    """
    begin = view.opened_ms
    step = next((s for s in STEPS_MS if (now_ms - begin) / s <= POINTS), STEPS_MS[-1])
    times = np.arange(-(-begin // step) * step, now_ms, step, dtype=np.int64)
    if not len(times):
        return np.empty(0, np.int64), np.empty(0)
    value = np.zeros(len(times))
    amounts = _amounts_at(view.blotter, times)
    for m in {fill.instrument: None for fill in view.blotter.fills if fill.instrument.derivative}:
        profit = _profits_at(view.blotter, m, times, _closes_at(feed, m.symbol, times, step))
        amounts[m.settle] = amounts.get(m.settle, np.zeros(len(times))) + profit
    for asset, amount in amounts.items():
        path = rates.path(asset)
        if path is None:
            continue
        price = np.ones(len(times))
        for symbol, power in path:
            price *= _closes_at(feed, symbol, times, step) ** power
        value += np.where(amount == 0, 0.0, amount * price)
    known = np.isfinite(value)
    return times[known], value[known]


def _amounts_at(blotter: Blotter, times: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
    """What was in the wallets at each time, by asset."""
    amounts = {asset: np.full(len(times), amount) for asset, amount in totals(blotter).items()}
    for posting in blotter.postings:
        before = int(np.searchsorted(times, posting.ts, "left"))  # points before it had not seen it
        values = amounts.setdefault(posting.asset, np.zeros(len(times)))
        values[:before] -= posting.amount / 10 ** blotter.scales[posting.asset]
    for values in amounts.values():
        values[np.abs(values) < 1e-9] = 0.0  # what is left of floats that cancel
    return amounts


def _profits_at(
    blotter: Blotter, m: Instrument, times: npt.NDArray[np.int64], price: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """What the open contracts of `m` were worth beyond their cost at each time, in the asset they settle in."""
    held = {0: (0.0, 0.0), 1: (0.0, 0.0)}  # amount and cost by slot; hedge mode has two
    profit = np.zeros(len(times))
    inverse = m.kind is Kind.INVERSE
    worth = m.contract_size / price if inverse else m.contract_size * price  # of one
    fills = [fill for fill in blotter.fills if fill.instrument is m]
    for fill, following in zip(fills, [*fills[1:], None], strict=True):
        slot = int(blotter.contracts.hedge and (fill.side > 0) == fill.closes)
        held[slot] = _after(fill, *held[slot])
        first, end = (
            int(np.searchsorted(times, f.ts, "left")) if f else len(times) for f in (fill, following)
        )
        for amount, cost in held.values():
            way = -np.sign(amount) if inverse else np.sign(amount)
            if amount:
                profit[first:end] += way * (abs(amount) * worth[first:end] - cost)
    return profit


def _after(fill: VenueFill, amount: float, cost: float) -> tuple[float, float]:
    """Amount and cost of a position of contracts after a fill; what is closed takes its share of the cost along."""
    qty, worth = fill.instrument.amount(fill.last_qty), float(fill.value)
    closing = min(qty, abs(amount)) if amount * fill.side < 0 else 0.0
    if closing:
        cost *= 1.0 - closing / abs(amount)
        amount += fill.side * closing
    opening = qty - closing
    return amount + fill.side * opening, cost + worth * opening / qty


def _closes_at(
    feed: MarketData, symbol: str, times: npt.NDArray[np.int64], step_ms: int
) -> npt.NDArray[np.float64]:
    bars = feed.bars(symbol, int(times[0]) - 2 * step_ms, int(times[-1]), step_ms)
    if not len(bars):
        return np.full(len(times), np.nan)
    at = np.searchsorted(bars.timestamp + step_ms, times, "right") - 1
    return np.where(at >= 0, bars.close[np.maximum(at, 0)], np.nan)
