"""What the ccxt faces ask of a venue, whether it lives in this process or in a session."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Protocol

from twinstar_kit.journal.positions import Contracts
from twinstar_kit.kernel.explain import Explanation
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.ledger import Wallet
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.orders import Setting
from twinstar_kit.venues.blotter import Blotter, OrderRequest, Posting, VenueOrder


class Venue(Protocol):
    """One account and its market; `core.VirtualVenue` and `attached.AttachedVenue` are two of them."""

    feed: Any
    broker: Broker
    blotter: Blotter
    instruments: dict[str, Instrument]

    @property
    def label(self) -> str:
        """What kind of market and money this is, in a few words."""

    @property
    def failure(self) -> BaseException | None:
        """Why nothing more is accepted, or None."""

    @property
    def standing(self) -> bool:
        """Whether time passes only when it is advanced."""

    @property
    def speed(self) -> float | None:
        """How much time passes in a real unit of it: 0 when it stands, None when that is not known."""

    @property
    def remote(self) -> bool:
        """Whether another process carries out the commands, so that they have to be waited for."""

    def now(self) -> int:
        """The venue's time in UTC milliseconds."""

    def advance(self, ms: int) -> int:
        """Move the venue's time on; returns the new time."""

    def advance_to(self, ts: int) -> int:
        """Move the venue's time on to `ts`."""

    def catch_up(self) -> int:
        """Bring the blotter up to date; returns the venue's time."""

    def quote(self, symbol: str, now_ms: int) -> tuple[int, int]:
        """Best bid and ask in price units."""

    def place(self, request: OrderRequest) -> VenueOrder:
        """Send an order; OrderRefused names the rule that it broke."""

    def cancel(self, order_id: int) -> VenueOrder:
        """Cancel an open order."""

    def amend(self, order_id: int, **changes: int) -> VenueOrder:
        """Change an open order; OrderRefused names the rule that it would break."""

    def cancel_all_after(self, ms: int) -> int:
        """Cancel every open order in `ms` from now, unless it is called again before; returns when."""

    def deposit(self, asset: str, amount: Decimal, wallet: Wallet = ...) -> Posting:
        """Credit play money."""

    def withdraw(self, asset: str, amount: Decimal, wallet: Wallet = ...) -> Posting:
        """Take play money out."""

    def transfer(self, asset: str, amount: Decimal, source: Wallet, target: Wallet) -> Posting:
        """Move free balance from one wallet to the other."""

    def configure(self, setting: Setting, symbol: str = "", value: int = 0, slot: int = 0) -> None:
        """Change how the account is set up; OrderRefused names the rule that it would break."""

    def orders(self) -> list[VenueOrder]:
        """Every order that was accepted, oldest first."""

    def balances(self, wallet: Wallet = ...) -> dict[str, tuple[Decimal, Decimal]]:
        """Free and used amounts of every asset, exact."""

    def mark(self, m: Instrument) -> int:
        """Price units that positions of an instrument are valued at now."""

    def explain(self, order_id: int) -> Explanation:
        """Why an order filled as it did, or what still stands between it and a fill, in numbers."""

    def positions(self) -> list[Contracts]:
        """The open positions of contracts."""

    def close(self) -> None:
        """Let go of files and connections."""
