"""The port between the terminal and whatever runs the account: all that the panes need, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.ledger import Wallet
from twinstar_kit.venues.blotter import Blotter, OrderRequest

MANUAL = "manual"


class MarketData(Protocol):
    """What the terminal asks of a feed; see `feeds.base.Feed`. It never asks for a time after now."""

    @property
    def spec(self) -> str: ...
    @property
    def simulated(self) -> bool: ...
    @property
    def synthetic(self) -> frozenset[str]: ...
    @property
    def instruments(self) -> tuple[Instrument, ...]: ...

    def span(self) -> tuple[int, int]: ...
    def bars(self, symbol: str, since_ms: int, until_ms: int, timeframe_ms: int = ...) -> Any: ...
    def forming_bar(self, symbol: str, now_ms: int, timeframe_ms: int = ...) -> Any: ...
    def trades(self, symbol: str, since_ms: int, until_ms: int) -> Any: ...
    def book(self, symbol: str, now_ms: int, depth: int = ...) -> Any: ...
    def tickers(self, now_ms: int) -> Any: ...
    def mark(self, symbol: str, now_ms: int) -> int: ...
    def next_funding(self, symbol: str, now_ms: int) -> Any: ...


@dataclass(slots=True)
class AccountView:
    """One account as the terminal folds it from its journal.

    `owner` is the strategy that trades on it, empty for a person's; `params` are the strategy's, for reading.
    `opened_ms` is when the account was opened, in the session's time; `stops` are the present triggers of its open
    orders by id, in price units, where they have moved without a record, as trailing stops do.
    """

    name: str
    blotter: Blotter
    opened_ms: int
    owner: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    stops: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the session said to a command: `text` is the rule when it refused, `order_id` the order it made."""

    ok: bool
    text: str = ""
    order_id: int = 0


class Backend(Protocol):
    """A session as the terminal sees it. `refresh`, `accounts` and the feed are used by one thread at a time;
    `place` and `cancel` come from others and may wait for the session's answer."""

    @property
    def session(self) -> str: ...
    @property
    def mode(self) -> str:
        """PAPER or LIVE."""

    @property
    def alive(self) -> bool:
        """Whether the session runs; one that has ended shows its last state and takes no orders."""

    @property
    def feed(self) -> MarketData: ...
    @property
    def fees(self) -> tuple[float, float]:
        """Maker and taker, as fractions of the notional."""

    def now_ms(self) -> int:
        """The session's time in UTC milliseconds; it may run faster than the wall clock, or stand still."""

    def refresh(self) -> int:
        """Fold what is new in the journals; the answer grows whenever an account changed."""

    def accounts(self) -> Sequence[AccountView]:
        """The accounts of the session, `manual` first."""

    def place(self, request: OrderRequest, command_id: str) -> Answer:
        """Send an order for the account `manual`; the same `command_id` twice is one order."""

    def cancel(self, account: str, order_id: int, command_id: str) -> Answer:
        """Cancel an open order of `account`."""

    def transfer(
        self, asset: str, amount: Decimal, source: Wallet, target: Wallet, command_id: str
    ) -> Answer:
        """Move free balance of `manual` from one wallet to the other."""

    def set_leverage(self, symbol: str, leverage: int, command_id: str) -> Answer:
        """Choose the leverage of a market of contracts for `manual`."""

    def wait(self, timeout_s: float) -> None:
        """Return when an account may have changed, at the latest after `timeout_s`."""

    def close(self) -> None:
        """Let go of the session; it goes on running."""
