"""Strategies that exist to be compared: the same rules as a peer's, no more and no less."""

from __future__ import annotations

from twinstar_kit.strategy import Context, Param, Strategy
from twinstar_kit.strategy.indicators import Donchian


class ChannelTrail(Strategy):
    """Enter above the highest high, leave below the lowest low or by a trailing stop in percent: vectorbt's rules."""

    lookback: int = Param(240, 2, 5_000)
    exit_lookback: int = Param(120, 2, 5_000)
    trail: float = Param(0.015, 0.0001, 0.5)

    entry = Donchian(lookback)
    leave = Donchian(exit_lookback)

    def on_bar(self, ctx: Context) -> None:
        """Signals are acted on at the close of the bar that gives them."""
        if ctx.position > 0.0:
            if self.leave.ready and ctx.bar.close < self.leave.lower:
                ctx.close()
        elif self.entry.ready and ctx.bar.close > self.entry.upper:
            ctx.buy()
            ctx.trail_rate(self.trail)


class ChannelStopTrail(ChannelTrail):
    """The same with a stop loss beside the trailing stop, which vectorbt has no second one for."""

    stop: float = Param(0.01, 0.0001, 0.5)

    def on_bar(self, ctx: Context) -> None:
        """As `ChannelTrail`; whichever of the two stops fills ends the other."""
        if ctx.position > 0.0:
            if self.leave.ready and ctx.bar.close < self.leave.lower:
                ctx.close()
        elif self.entry.ready and ctx.bar.close > self.entry.upper:
            ctx.buy()
            ctx.stop(ctx.bar.close * (1.0 - self.stop))
            ctx.trail_rate(self.trail)
