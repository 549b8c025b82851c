"""What `on_bar` is given: the bar, the account, and the proposals a strategy can make.

The methods of `Context` are the one source of both modes: interpreted they run as they stand, compiled they are
copied into the generated module. They must therefore stay within what the compiler takes.
"""

from __future__ import annotations

import math

from twinstar_kit.kernel.context import MAX_PROPOSALS, Proposal

DEFAULT = math.nan
"""An amount of NaN means the default size: the broker's `amount`, else 95 % of the equity; a sale of all there is."""

_BUY, _SELL = int(Proposal.BUY), int(Proposal.SELL)
_BUY_LIMIT, _SELL_LIMIT, _BUY_STOP = int(Proposal.BUY_LIMIT), int(Proposal.SELL_LIMIT), int(Proposal.BUY_STOP)
_STOP, _TRAIL, _TRAIL_RATE = int(Proposal.STOP), int(Proposal.TRAIL), int(Proposal.TRAIL_RATE)
_SELL_STOP, _TARGET = int(Proposal.SELL_STOP), int(Proposal.TARGET)
_CLOSE, _CANCEL = int(Proposal.CLOSE), int(Proposal.CANCEL)


class Bar:
    """The bar that just closed: prices in quote, volume in base, `ts` its close in UTC ms, `index` from zero.

    `doubt` is 0 for a bar that the venue itself gave, else the number of its `lake.Provenance`: healed from another venue,
    or disputed. A strategy that enters on proven bars alone returns when it is not 0.
    """

    open: float
    high: float
    low: float
    close: float
    volume: float
    ts: int
    index: int
    doubt: int


class Context:
    """The bar, the account, and what a strategy may propose; it is read-only but for the calls.

    `position` is in base (contracts of an inverse one), below zero when short; `cash` (free quote), `equity` (at the last close) and `entry` (average price paid, NaN
    while flat) are in quote. Proposals pass the risk gate after `on_bar` returns, orders before protective orders;
    what is refused stands in the journal with its reason. A 17th proposal on one bar is refused.
    """

    bar: Bar
    position: float
    cash: float
    equity: float
    entry: float
    n_proposals: int
    denied: int
    p_kind: list[int]
    p_amount: list[float]
    p_price: list[float]

    def buy(self, amount: float = DEFAULT) -> None:
        """Buy at market; with the default fill that is the next bar's open."""
        self._propose(_BUY, amount, 0.0)

    def sell(self, amount: float = DEFAULT) -> None:
        """Sell at market: a coin out of the position (all of it without an amount); a contract may be sold short."""
        self._propose(_SELL, amount, 0.0)

    def buy_limit(self, price: float, amount: float = DEFAULT) -> None:
        """Buy at `price` or better; the order stays open until it fills or is canceled."""
        self._propose(_BUY_LIMIT, amount, price)

    def sell_limit(self, price: float, amount: float = DEFAULT) -> None:
        """Sell at `price` or better: a coin out of the position, where one exit that fills cancels the others."""
        self._propose(_SELL_LIMIT, amount, price)

    def buy_stop(self, price: float, amount: float = DEFAULT) -> None:
        """Buy at market once the price has risen to `price`."""
        self._propose(_BUY_STOP, amount, price)

    def sell_stop(self, price: float, amount: float = DEFAULT) -> None:
        """Sell at market once the price has fallen to `price`; a coin out of the position."""
        self._propose(_SELL_STOP, amount, price)

    def stop(self, price: float) -> None:
        """Set or move the stop of the position; on the bar of an entry it waits for the entry's fill."""
        self._propose(_STOP, DEFAULT, price)

    def target(self, price: float) -> None:
        """Set or move the take-profit of the position: it is closed at market once the price is as good as `price`."""
        self._propose(_TARGET, DEFAULT, price)

    def trail(self, distance: float) -> None:
        """Set or change the trailing stop, `distance` in quote from the best price since it began."""
        self._propose(_TRAIL, DEFAULT, distance)

    def trail_rate(self, rate: float) -> None:
        """Set or change the trailing stop, a share of the price from the best one: 0.015 is 1.5 %."""
        self._propose(_TRAIL_RATE, DEFAULT, rate)

    def close(self) -> None:
        """End the whole position at market."""
        self._propose(_CLOSE, DEFAULT, 0.0)

    def cancel(self) -> None:
        """Withdraw every open order of the strategy, the protective ones too."""
        self._propose(_CANCEL, DEFAULT, 0.0)

    def _propose(self, kind: int, amount: float, price: float) -> None:
        n = self.n_proposals
        if n >= MAX_PROPOSALS:
            self.denied += 1
        else:
            self.p_kind[n] = kind
            self.p_amount[n] = float(amount)
            self.p_price[n] = float(price)
            self.n_proposals = n + 1


READABLE: dict[str, type] = {"position": float, "cash": float, "equity": float, "entry": float}
"""What a strategy may read of the context, beside `bar`."""

CALLS: tuple[str, ...] = (
    "buy", "sell", "buy_limit", "sell_limit", "buy_stop", "sell_stop", "stop", "target", "trail", "trail_rate", "close", "cancel",
)  # fmt: skip
"""What a strategy may call on the context."""


class InterpretedContext(Context):
    """The context of interpreted code: plain Python numbers, filled in before each bar."""

    __slots__ = (
        "bar",
        "cash",
        "denied",
        "entry",
        "equity",
        "n_proposals",
        "p_amount",
        "p_kind",
        "p_price",
        "position",
    )

    def __init__(self) -> None:
        self.bar = Bar()
        self.position = self.cash = self.equity = 0.0
        self.entry = math.nan
        self.n_proposals = self.denied = 0
        self.p_kind = [0] * MAX_PROPOSALS
        self.p_amount = [0.0] * MAX_PROPOSALS
        self.p_price = [0.0] * MAX_PROPOSALS
