"""Positions, value and equity of an account, worked out from its fills and balances; floats, for reading only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.ledger import Account
from twinstar_kit.terminal.backend import AccountView, MarketData
from twinstar_kit.venues.blotter import Blotter, VenueFill

MINUTE_MS = 60_000
POINTS = 600
STEPS_MS = tuple(m * MINUTE_MS for m in (1, 5, 15, 60, 240, 1_440, 10_080))


@dataclass(slots=True)
class Position:
    """What an account bought of one symbol and has not sold, in units; `cost` includes no fees. Short contracts are below zero."""

    amount: int = 0
    cost: float = 0.0

    def take(self, fill: VenueFill) -> None:
        """Average cost: sales leave the average as it is; what is sold beyond the position never was part of it."""
        if fill.instrument.derivative:
            self._take_contracts(fill)
        elif fill.side > 0:
            self.amount += fill.last_qty
            self.cost += float(fill.last_qty) * fill.last_px
        elif self.amount:
            left = max(0, self.amount - fill.last_qty)
            self.cost *= left / self.amount
            self.amount = left

    def _take_contracts(self, fill: VenueFill) -> None:
        closing = min(fill.last_qty, abs(self.amount)) if self.amount * fill.side < 0 else 0
        if closing:
            self.cost *= 1.0 - closing / abs(self.amount)
            self.amount += fill.side * closing
        self.cost += float(fill.last_qty - closing) * fill.last_px
        self.amount += fill.side * (fill.last_qty - closing)

    def average(self, instrument: Instrument) -> float:
        """The average price paid, in the quote."""
        return self.cost / abs(self.amount) / 10**instrument.price_scale if self.amount else 0.0


@dataclass(slots=True)
class Positions:
    """The positions of one account, kept up as fills come in."""

    seen: int = 0
    by_symbol: dict[str, Position] = field(default_factory=dict)

    def fold(self, fills: Sequence[VenueFill]) -> Mapping[str, Position]:
        """Take in the fills that are new since the last call."""
        for fill in fills[self.seen :]:
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

    def rate(self, asset: str, last: npt.NDArray[np.float64]) -> float:
        """The price of one `asset` at the instruments' `last` prices; NaN when it has none."""
        path = self.path(asset)
        if path is None:
            return float("nan")
        price = 1.0
        for symbol, power in path:
            quoted = float(last[self._numbers[symbol]])
            price *= quoted if power > 0 else (1.0 / quoted if quoted else float("nan"))
        return price


def totals(blotter: Blotter) -> dict[str, tuple[float, float]]:
    """Free and held amounts of the assets that are there, of both wallets, as floats."""
    found = {}
    for asset, scale in blotter.scales.items():
        rows = [wallet[asset] for wallet in blotter.wallets.values()]
        free, held = (
            sum(row[a] for row in rows for a in part)
            for part in ((Account.FREE,), (Account.HELD, Account.MARGIN))
        )
        if free or held:
            found[asset] = (free / 10**scale, held / 10**scale)
    return found


def equity(blotter: Blotter, rates: Rates, last: npt.NDArray[np.float64]) -> float:
    """The worth of an account in the money asset, open contracts at the last price; assets without a price count nothing."""
    worth = 0.0
    for asset, (free, held) in totals(blotter).items():
        price = rates.rate(asset, last)
        worth += (free + held) * price if np.isfinite(price) else 0.0
    for position in blotter.contracts.held():
        m = position.instrument
        quoted, rate = last[blotter.contracts.numbers[m.symbol]], rates.rate(m.settle, last)
        if np.isfinite(quoted) and np.isfinite(rate):
            worth += m.money(position.profit(round(quoted * 10**m.price_scale))) * rate
    return worth


def equity_history(view: AccountView, feed: MarketData, rates: Rates, now_ms: int) -> tuple[Any, Any]:
    """Equity since the account was opened, at most `POINTS` points: (times in ms, values), without the present.

    Balances are led back from today's by the fills since, prices are closes of complete bars.
    """
    begin = view.opened_ms
    step = next((s for s in STEPS_MS if (now_ms - begin) / s <= POINTS), STEPS_MS[-1])
    times = np.arange(-(-begin // step) * step, now_ms, step, dtype=np.int64)
    if not len(times):
        return np.empty(0, np.int64), np.empty(0)
    value = np.zeros(len(times))
    for asset, amount in _amounts_at(view.blotter, times).items():
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
    now = {asset: free + held for asset, (free, held) in totals(blotter).items()}
    amounts = {asset: np.full(len(times), amount) for asset, amount in now.items()}
    for fill in blotter.fills:
        instrument = fill.instrument
        if instrument.derivative:
            continue  # contracts move the swap wallet only
        after = int(np.searchsorted(times, fill.ts, "left"))  # points before the fill had not seen it
        base = int(fill.side) * instrument.amount(fill.last_qty)
        money, fee = -base * instrument.price(fill.last_px), fill.fee / 10 ** blotter.scales[fill.fee_asset]
        for asset, change in ((instrument.base, base), (instrument.quote, money), (fill.fee_asset, -fee)):
            amounts.setdefault(asset, np.zeros(len(times)))[:after] -= change
    for values in amounts.values():
        values[np.abs(values) < 1e-9] = 0.0  # what is left of floats that cancel
    return amounts


def _closes_at(
    feed: MarketData, symbol: str, times: npt.NDArray[np.int64], step_ms: int
) -> npt.NDArray[np.float64]:
    bars = feed.bars(symbol, int(times[0]) - 2 * step_ms, int(times[-1]), step_ms)
    if not len(bars):
        return np.full(len(times), np.nan)
    at = np.searchsorted(bars.timestamp + step_ms, times, "right") - 1
    return np.where(at >= 0, bars.close[np.maximum(at, 0)], np.nan)
