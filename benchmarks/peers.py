"""vectorbt's side of the comparison, by the leanest public way, and the words for where its rules differ.

What vectorbt 1.2 does in `from_signals`, read from its source and checked against our fills:

- Signals of bar i fill at the close of bar i (`price` at its default). Ours: `fill="close"`.
- One order a bar at most. A stop that fires comes first, and that bar's signals are then ignored.
- A long trailing stop compares the low of bar i with `peak * (1 - stop)`, where `peak` is the highest price *before*
  bar i, and only then lets `peak` follow the high of bar i: the path open, low, high, close. It starts from the
  close of the entry bar and is first looked at on the next bar. Ours: `path="open_low_high_close"`.
- It fills at the trigger, or at the open when the bar opened beyond it. Ours does the same.
- What is left to differ: when the price falls from a bar's high by more than the stop before its close, ours fires
  inside that bar at the new trigger, vectorbt at the next bar's open. It needs one minute that falls by the stop's
  whole width, and the trigger is a float there and a whole tick here.
- Sizes are not rounded unless `size_granularity` is given; fees are `size * price * rate`, a float. Ours are
  integers, each fee rounded up to 1e-8 of the quote: hence a tolerance of 1e-6 relative on fees and equity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinstar_kit.kernel.bars import Bars

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """What a run came to: the bar and price of every order, the fees and the equity after the last bar."""

    bars: NDArray[np.int64]
    prices: Floats
    fees: float
    end: float

    def differences(self, other: Answer, tick: float = 0.0, amount: float = 0.0) -> list[str]:
        """How two answers differ, in words; empty when they agree.

        Money may differ by 1e-6 of itself. Where a trigger is a float there and a whole tick here, each fill of
        `amount` may lie one `tick` apart, and the money by what that makes.
        """
        out = []
        if not np.array_equal(self.bars, other.bars):
            n = min(len(self.bars), len(other.bars))
            first = next((k for k in range(n) if self.bars[k] != other.bars[k]), n)
            out.append(
                f"{len(self.bars)} and {len(other.bars)} orders, the first to differ is number {first}"
            )
        elif np.abs(self.prices - other.prices).max(initial=0.0) > tick + 1e-9:
            k = int(np.abs(self.prices - other.prices).argmax())
            out.append(f"order {k} on bar {self.bars[k]} filled at {self.prices[k]} and {other.prices[k]}")
        for name in ("fees", "end"):
            a, b = getattr(self, name), getattr(other, name)
            if abs(a - b) > 1e-6 * abs(b) + tick * amount * len(self.bars):
                out.append(f"{name} {a:.6f} and {b:.6f}")
        return out


class Vectorbt:
    """vectorbt over one series of bars with one engine ("rust" or "numba"): arrays once, then each work from them."""

    def __init__(self, bars: Bars, engine: str, *, amount: float, fee: float, start: float) -> None:
        import vectorbt as vbt
        from vectorbt.generic import dispatch

        self.vbt, self.rolling, self.engine = vbt, dispatch, engine
        self.settings = {"size": amount, "fees": fee, "init_cash": start, "freq": "1min", "engine": engine}
        self.open, self.high, self.low, self.close = (
            np.ascontiguousarray(x) for x in (bars.open, bars.high, bars.low, bars.close)
        )

    def sma_cross(self, fast: int, slow: int) -> Any:
        """Signals from two means and the simulation; nothing is computed that nobody asked for."""
        column = self.close.reshape(-1, 1)
        quick = self.rolling.rolling_mean(column, fast, minp=fast, engine=self.engine)[:, 0]
        calm = self.rolling.rolling_mean(column, slow, minp=slow, engine=self.engine)[:, 0]
        return self.vbt.Portfolio.from_signals(self.close, quick > calm, quick < calm, **self.settings)

    def breakout(self, lookback: int, exit_lookback: int, trail: float, *, pandas: bool = False) -> Any:
        """Donchian channels of the bars before, and a trailing stop in percent.

        vectorbt's own rolling extremes look at every window anew; `pandas` takes those of pandas, which do not.
        """
        upper, lower = np.full_like(self.close, np.nan), np.full_like(self.close, np.nan)
        if pandas:
            import pandas as pd

            upper[1:] = pd.Series(self.high).rolling(lookback).max().to_numpy()[:-1]
            lower[1:] = pd.Series(self.low).rolling(exit_lookback).min().to_numpy()[:-1]
        else:
            high, low = self.high.reshape(-1, 1), self.low.reshape(-1, 1)
            tops = self.rolling.rolling_max(high, lookback, minp=lookback, engine=self.engine)
            bottoms = self.rolling.rolling_min(low, exit_lookback, minp=exit_lookback, engine=self.engine)
            upper[1:], lower[1:] = tops[:-1, 0], bottoms[:-1, 0]
        return self.vbt.Portfolio.from_signals(
            self.close,
            self.close > upper,
            self.close < lower,
            open=self.open,
            high=self.high,
            low=self.low,
            sl_stop=trail,
            sl_trail=True,
            **self.settings,
        )

    def answer(self, portfolio: Any) -> Answer:
        """The orders and the money of a portfolio."""
        records = portfolio.orders.values
        return Answer(
            records["idx"].astype(np.int64),
            records["price"].astype(np.float64),
            float(records["fees"].sum()),
            float(portfolio.final_value()),
        )

    @staticmethod
    def equity_and_trades(portfolio: Any) -> Any:
        """The equity after every bar, and the trades."""
        return portfolio.value(), portfolio.trades.values

    @staticmethod
    def figures(portfolio: Any) -> list[Any]:
        """The metrics that both sides have, each by its own call: a third of the time that `stats()` takes."""
        trades = portfolio.trades
        returns = trades.returns
        return [
            portfolio.total_return(),
            portfolio.annualized_return(),
            portfolio.annualized_volatility(),
            portfolio.sharpe_ratio(),
            portfolio.sortino_ratio(),
            portfolio.calmar_ratio(),
            portfolio.omega_ratio(),
            portfolio.max_drawdown(),
            portfolio.value_at_risk(),
            portfolio.cond_value_at_risk(),
            portfolio.position_coverage(),
            trades.count(),
            trades.win_rate(),
            trades.profit_factor(),
            trades.expectancy(),
            trades.sqn(),
            returns.mean(),
            returns.max(),
            returns.min(),
        ]
