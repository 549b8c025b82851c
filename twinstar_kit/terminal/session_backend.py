"""The terminal's port over a session process: its journals are tailed, its inbox takes commands, its bell is heard."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinstar_kit.journal.client import AccountClient
from twinstar_kit.journal.doorbell import Ringer
from twinstar_kit.journal.errors import JournalError
from twinstar_kit.journal.store import Batch
from twinstar_kit.journal.tail import Tail
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.ledger import Wallet
from twinstar_kit.kernel.orders import Setting
from twinstar_kit.session import attach, start_session
from twinstar_kit.session.setup import as_strategy, strategy_name
from twinstar_kit.settings import Settings, load_settings
from twinstar_kit.terminal.backend import MANUAL, AccountView, Answer
from twinstar_kit.venues.blotter import Blotter, OrderRequest, requests_of

if TYPE_CHECKING:
    from twinstar_kit.feeds.base import Feed
    from twinstar_kit.session import Session

LOOK_S = 1.0  # how often the session's description is read: strategies may have come, or the process gone


class AccountTail:
    """One account folded from its journal, from the first batch on."""

    def __init__(self, described: Mapping[str, Any], now_ms: int) -> None:
        self.path = Path(described["journal"])
        self.tail = Tail(self.path)
        instruments = [Instrument.from_canonical(fields) for fields in self.tail.header["instruments"]]
        self.view = AccountView(
            described["name"],
            Blotter(instruments, int(self.tail.header["broker"].get("leverage", 1))),
            0,
            described["strategy"] or "",
            dict(described.get("params") or {}),
        )
        self._now_ms = now_ms

    def fold(self) -> int:
        """Take in what was committed; the number of batches so far."""
        for batch in self.tail.poll():
            if not self.view.opened_ms:
                self.view.opened_ms = _opened_ms(batch, self.tail.meta)
            self.view.blotter.fold(batch.events, requests_of(batch.command))
        self.view.opened_ms = self.view.opened_ms or self._now_ms
        return self.tail.batch

    def close(self) -> None:
        """Close the journal."""
        self.tail.close()


def _opened_ms(batch: Batch, meta: Mapping[str, Any]) -> int:
    """The opening deposit of a strategy has the time 0: its run begins with its first bar."""
    stamps = batch.events["ts_event"][batch.events["ts_event"] > 0]
    bars = [int(run.rows[0, 0]) for run in batch.inputs if run.rows is not None and len(run.rows)]
    since = meta.get("plan", {}).get("since_ms")
    return int(since or min([*bars, *stamps[:1].tolist()], default=0))


class SessionBackend:
    """A running session as the terminal's `Backend`."""

    mode = "PAPER"

    def __init__(self, session: Session) -> None:
        self._session = session
        self.session = session.name
        self.feed: Feed = session.feed
        fees = session.info["fees"]
        self.fees = (float(fees["maker"]), float(fees["taker"]))
        self.alive = True
        self._tails: dict[str, AccountTail] = {}
        self._clients: dict[str, AccountClient] = {}
        self._commands = threading.Lock()
        self._ringer: Ringer | None = None
        self._looked = 0.0
        self.refresh()

    def now_ms(self) -> int:
        """The session's time."""
        return self._session.now_ms()

    def accounts(self) -> Sequence[AccountView]:
        """The accounts of the session, `manual` first."""
        return [tail.view for tail in self._tails.values()]

    def refresh(self) -> int:
        """Fold what the journals got; see `Backend`."""
        if time.monotonic() - self._looked > LOOK_S:
            self._looked = time.monotonic()
            self._look()
        return sum(tail.fold() for tail in self._tails.values())

    def _look(self) -> None:
        """Read the session's description: accounts may have come, the process may have ended or begun again."""
        info = self._session.folder.info() or {}
        # a session of this name that began again in another market is another one
        self.alive = self._session.folder.owner() is not None and info.get("feed") == self.feed.spec
        if not self.alive:
            return
        described = self._session.reload()["accounts"]
        for account in described:
            known = self._tails.get(account["name"])
            if known is None or known.path != Path(account["journal"]):
                if known is not None:
                    known.close()
                known = self._tails[account["name"]] = AccountTail(account, self.now_ms())
            known.view.stops = {int(order_id): px for order_id, px in account.get("stops", {}).items()}

    def place(self, request: OrderRequest, command_id: str) -> Answer:
        """Send an order for `manual`; see `Backend`."""
        return self._send(MANUAL, {"type": "place", "request": request.canonical()}, command_id)

    def cancel(self, account: str, order_id: int, command_id: str) -> Answer:
        """Cancel an order; see `Backend`."""
        return self._send(account, {"type": "cancel", "order_id": order_id}, command_id)

    def transfer(
        self, asset: str, amount: Decimal, source: Wallet, target: Wallet, command_id: str
    ) -> Answer:
        """Move balance between wallets; see `Backend`."""
        body = {
            "type": "transfer",
            "asset": asset,
            "amount": str(amount),
            "source": int(source),
            "target": int(target),
        }
        return self._send(MANUAL, body, command_id)

    def set_leverage(self, symbol: str, leverage: int, command_id: str) -> Answer:
        """Choose a leverage; see `Backend`."""
        body = {
            "type": "configure",
            "setting": int(Setting.LEVERAGE),
            "symbol": symbol,
            "value": leverage,
            "slot": 0,
        }
        return self._send(MANUAL, body, command_id)

    def _send(self, account: str, body: dict[str, Any], command_id: str) -> Answer:
        with self._commands:
            client = self._clients.get(account)
            if client is None:
                client = self._clients[account] = AccountClient(self._session.home, account)
            told = client.send(body, command_id or None)
        return Answer(bool(told["ok"]), str(told.get("text", "")), int(told.get("order_id", 0)))

    def wait(self, timeout_s: float) -> None:
        """Listen for the session's bell; without a session, just wait."""
        try:
            if self._ringer is None:
                self._ringer = Ringer(int(self._session.info["port"]))
            self._ringer.listen(timeout_s)
        except TimeoutError:
            return
        except OSError:
            self._hang_up()
            self._looked = 0.0
            threading.Event().wait(timeout_s)

    def _hang_up(self) -> None:
        if self._ringer is not None:
            self._ringer.close()
            self._ringer = None

    def close(self) -> None:
        """Let go of the session; it goes on running."""
        self._hang_up()
        for tail in self._tails.values():
            tail.close()
        for client in self._clients.values():
            client.close()
        self._session.close()


def open_backend(
    settings: Settings | None = None, *, feed: str | None = None, strategy: str | None = None
) -> SessionBackend:
    """Attach to the session that `settings` name, or start it.

    `feed`, when given, must be what a running session has; `strategy` begins to trade in the session unless it does.
    Raises UsageError in one line.
    """
    settings = settings or load_settings()
    if strategy is not None:
        as_strategy(strategy)  # an unknown one is refused before anything is started
    session = _attach_or_start(settings, feed)
    try:
        if strategy is not None:
            _let_trade(session, strategy)
        return SessionBackend(session)
    except JournalError as error:
        session.close()
        raise UsageError(f"session {session.name}: {error}") from error


def _attach_or_start(settings: Settings, feed: str | None) -> Session:
    from twinstar_kit.feeds.base import open_feed
    from twinstar_kit.journal.folder import SessionFolder

    if SessionFolder(settings.home, settings.session).owner() is None:
        return start_session(settings.session, feed=settings.feed, speed=settings.speed, home=settings.home)
    session = attach(settings.session, home=settings.home)
    runs = session.info["feed"]
    if feed is not None and feed != runs and open_feed(feed).spec != runs:
        session.close()
        raise UsageError(
            f"session {session.name} runs on {runs}, not {feed}; "
            "stop it with `twinstar session stop`, or choose another with --session NAME"
        )
    return session


def _let_trade(session: Session, strategy: str) -> None:
    name = strategy_name(as_strategy(strategy))
    at_work = {account["strategy"] for account in session.info["accounts"] if account["status"] == "running"}
    if name not in at_work:
        session.run(strategy)
