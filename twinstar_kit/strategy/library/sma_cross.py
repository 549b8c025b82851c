"""`sma_cross`: long while a fast average lies above a slow one."""

from __future__ import annotations

from twinstar_kit.strategy.base import Strategy
from twinstar_kit.strategy.context import Context
from twinstar_kit.strategy.indicators import SMA
from twinstar_kit.strategy.params import Param


class SmaCross(Strategy):
    """Hold the default size while the simple average of `fast` closes lies above that of `slow` closes.

    It enters as soon as both averages are ready and the fast one is higher, and leaves when it falls below; while
    they are equal nothing changes. It sets no stop: it is here as the plainest trend rule, and to measure against.
    """

    fast: int = Param(20, 1, 5_000, help="closes in the fast average")
    slow: int = Param(50, 2, 10_000, help="closes in the slow average")

    quick = SMA(fast)
    calm = SMA(slow)

    overlays = ("quick.value", "calm.value")

    def on_bar(self, ctx: Context) -> None:
        """Buy when the fast average is above the slow one, sell everything when it is below."""
        if not self.calm.ready or not self.quick.ready:
            return
        if self.quick.value > self.calm.value:
            if ctx.position == 0.0:
                ctx.buy()
        elif self.quick.value < self.calm.value and ctx.position > 0.0:
            ctx.close()
