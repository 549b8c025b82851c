"""`breakout`: buys new highs and lets two stops decide when to leave."""

from __future__ import annotations

from twinstar_kit.strategy.base import Strategy
from twinstar_kit.strategy.context import Context
from twinstar_kit.strategy.indicators import ATR, Donchian
from twinstar_kit.strategy.params import Param


class Breakout(Strategy):
    """Buy when a bar closes above the highest high of the `lookback` bars before it; leave by a stop, never otherwise.

    With the entry two protective orders are proposed, of which one that fills cancels the other: a stop loss
    `stop_width` average true ranges below the close (but risking at most `max_loss` of the price), and a trailing
    stop `trail_width` average true ranges below the best price since the entry. The entry uses the default size.

    After Richard Donchian's channel rule, with Wilder's average true range (1978) as the yardstick of the stops.
    """

    lookback: int = Param(55, 5, 5_000, help="bars in the channel")
    atr_len: int = Param(14, 2, 500, help="bars in the average true range")
    stop_width: float = Param(
        2.0, 0.1, 20.0, step=0.5, help="average true ranges from the close to the stop loss"
    )
    trail_width: float = Param(
        3.0, 0.1, 20.0, step=0.5, help="average true ranges from the best price to the trailing stop"
    )
    max_loss: float = Param(
        0.1, 0.001, 0.9, help="largest distance of the stop loss, as a share of the price"
    )

    channel = Donchian(lookback)
    atr = ATR(atr_len)

    overlays = ("channel.upper", "channel.lower")

    def on_bar(self, ctx: Context) -> None:
        """Enter on a breakout while flat; the stops are set on the same bar and start with the entry's fill."""
        if not (self.channel.ready and self.atr.ready) or ctx.position > 0.0:
            return
        close = ctx.bar.close
        if close > self.channel.upper and self.atr.value > 0.0:
            ctx.buy()
            ctx.stop(max(close - self.stop_width * self.atr.value, close * (1.0 - self.max_loss)))
            ctx.trail(self.trail_width * self.atr.value)
