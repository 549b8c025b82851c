"""The accounts that a session process owns: `manual`, which people steer, and those that strategies trade on."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.clock import Clock, ManualClock
from twinstar_kit.journal.errors import JournalDamaged, JournalError
from twinstar_kit.journal.folder import AccountFolder
from twinstar_kit.journal.inbox import Command, Inbox
from twinstar_kit.journal.inputs import Inputs, input_t
from twinstar_kit.journal.store import Batch, Journal, JournalReader
from twinstar_kit.kernel.errors import OrderError, TwinStarError
from twinstar_kit.kernel.ledger import Wallet
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.orders import EventKind, OrdType, Reason, Setting, Side
from twinstar_kit.kernel.records import canonical_json
from twinstar_kit.session.live import LiveRun, Source, advance
from twinstar_kit.session.proof import ParityReport
from twinstar_kit.session.setup import strategy_name
from twinstar_kit.venues.core import SavedAccount, SavedBatch, VenueBatch, VirtualVenue
from twinstar_kit.venues.durable import SNAPSHOT_EVERY, JournalSink, saved_account
from twinstar_kit.venues.requests import OrderRequest

if TYPE_CHECKING:
    from twinstar_kit.feeds.base import Feed

LOOK_MS = 200
"""How often, in the wall's milliseconds, open orders meet the market that has passed."""


class Account(Protocol):
    """What the session does with an account."""

    folder: AccountFolder

    @property
    def batch(self) -> int:
        """The last batch that was stored."""

    def tick(self, now_ms: int) -> None:
        """Let the market up to `now_ms` (the venue's time) happen."""

    def next_ms(self, now_ms: int, speed: float) -> int | None:
        """When it wants to be ticked again (the venue's time), or None for not before a command."""

    def kept(self, command_id: str) -> dict[str, Any] | None:
        """The answer that was stored with what a command did, or None when it did nothing yet."""

    def carry_out(self, body: Mapping[str, Any], command_id: str) -> dict[str, Any]:
        """Do what a client asked for, stored when it returns; never raises for what is merely refused."""

    def describe(self) -> dict[str, Any]:
        """The account for the session's description."""

    def close(self) -> None:
        """Store what waits and let go of the account."""


class AnsweringSink(JournalSink):
    """Stores the answer to a command in the transaction that holds its consequences, so that it acts exactly once."""

    command_id: str | None = None
    answer: dict[str, Any] | None = None

    def commit(self, batch: VenueBatch) -> None:
        """Store a batch durably, or raise JournalError."""
        journal, self.answer = self.journal, None
        assert journal is not None, "begin comes first"
        if batch.command is not None and batch.command.type != "look" and self.command_id is not None:
            self.answer = _answer(batch)
        journal.commit(
            Batch(
                inputs=(Inputs(0, mixed=batch.inputs),) if len(batch.inputs) else (),
                events=batch.events,
                command=batch.command.canonical() if batch.command else None,
                answers={self.command_id: self.answer} if self.command_id and self.answer else {},
                snapshot=batch.snapshot() if (journal.seal.batch + 1) % SNAPSHOT_EVERY == 0 else None,
            )
        )


def _answer(batch: VenueBatch) -> dict[str, Any]:
    assert batch.command is not None
    ids = batch.command.order_ids or (0,)
    order_id, e = ids[0], batch.events
    refused = e[(e["kind"] == EventKind.REJECTED) & np.isin(e["order_id"], ids)]
    if len(refused):
        reason = Reason(int(refused["reason"][0]))
        symbol = f"{batch.command.request.symbol}: " if batch.command.request else ""
        return {
            "ok": False,
            "order_id": order_id,
            "text": f"{symbol}{reason.text}",
            "kind": "OrderRefused",
            "reason": int(reason),
        }
    return {"ok": True, "order_id": order_id, "ts": batch.command.ts, "text": ""}


class ManualAccount:
    """An account over the virtual venue: orders of people and programs, matched against the session's feed.

    Each market has a journal of its own: coming back to a market continues its journal.
    """

    def __init__(
        self,
        folder: AccountFolder,
        feed: Feed,
        clock: Clock,
        broker: Broker,
        balances: Mapping[str, Any],
        meta: dict[str, Any],
    ):
        self.folder, self.feed = folder, feed
        self._lock = folder.lock(f"session {meta['session']}", port=meta["port"]).acquire()
        try:
            self.venue, self._sink = self._open(clock, broker, balances, meta)
        except BaseException:
            self._lock.release()
            raise
        self._lock.tell(journal=str(self._sink.path))

    def _open(
        self, clock: Clock, broker: Broker, balances: Mapping[str, Any], meta: dict[str, Any]
    ) -> tuple[VirtualVenue, AnsweringSink]:
        known = {m.base for m in self.feed.instruments} | {m.quote for m in self.feed.instruments}
        opening = {asset: amount for asset, amount in balances.items() if asset in known}
        probe = VirtualVenue(self.feed, ManualClock(clock.milliseconds()), broker, opening)
        path = next((p for p in reversed(self.folder.journals()) if _is_of(p, probe.header)), None)
        if path is None:
            sink = AnsweringSink(
                self.folder.next(),
                meta={**meta, "account": self.folder.name, "mode": "paper", "feed": self.feed.spec},
            )
            return VirtualVenue(self.feed, clock, broker, opening, sink), sink
        journal = Journal.open(path)
        try:
            sink = AnsweringSink(path, journal)
            return VirtualVenue(self.feed, clock, broker, journal=sink, saved=saved_account(journal)), sink
        except BaseException:
            journal.close()
            raise

    @property
    def batch(self) -> int:
        """See `Account`."""
        return self._sink.journal.seal.batch if self._sink.journal else 0

    def kept(self, command_id: str) -> dict[str, Any] | None:
        """See `Account`."""
        return self._sink.journal.answer(command_id) if self._sink.journal else None

    def tick(self, now_ms: int) -> None:
        """See `Account`."""
        if self.venue.failure is None:
            self.venue.catch_up()

    def next_ms(self, now_ms: int, speed: float) -> int | None:
        """See `Account`."""
        return (
            now_ms + max(1, int(LOOK_MS * speed))
            if self.venue.blotter.open and self.venue.failure is None
            else None
        )

    def carry_out(self, body: Mapping[str, Any], command_id: str) -> dict[str, Any]:
        """See `Account`."""
        self._sink.command_id, self._sink.answer = command_id, None
        try:
            return self._do(body)
        except TwinStarError as error:
            return self._sink.answer or refusal(error)
        finally:
            self._sink.command_id = None

    def _do(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if body["type"] == "place":
            order = self.venue.place(OrderRequest.from_canonical(body["request"]))
            return self._sink.answer or {"ok": True, "order_id": order.order_id, "ts": order.ts, "text": ""}
        if body["type"] == "cancel":
            self.venue.cancel(int(body["order_id"]))
            return self._sink.answer or {"ok": True, "order_id": int(body["order_id"]), "text": ""}
        if body["type"] == "amend":
            self.venue.amend(
                int(body["order_id"]), **{name: int(value) for name, value in body["changes"].items()}
            )
            return self._sink.answer or {"ok": True, "order_id": int(body["order_id"]), "text": ""}
        if body["type"] == "cancel_after":
            due = self.venue.cancel_all_after(int(body["ms"]))
            return {**(self._sink.answer or {"ok": True, "text": ""}), "due": due}
        if body["type"] == "transfer":
            wallets = Wallet(body["source"]), Wallet(body["target"])
            self.venue.transfer(body["asset"], Decimal(body["amount"]), *wallets)
            return self._sink.answer or {"ok": True, "text": ""}
        if body["type"] == "configure":
            self.venue.configure(
                Setting(body["setting"]), body["symbol"], int(body["value"]), int(body["slot"])
            )
            return self._sink.answer or {"ok": True, "text": ""}
        if body["type"] == "flatten":
            # many orders, one answer: repeating it is harmless, so it stands in the inbox only
            self._sink.command_id = None
            return {"ok": True, "text": self._flatten()}
        return {
            "ok": False,
            "text": f"an account takes place, amend, cancel, transfer, configure and flatten, not {body['type']!r}",
            "kind": "UsageError",
        }

    def _flatten(self) -> str:
        """Cancel every order, close every position of contracts, then sell what was bought, in the market where it was bought last."""
        venue = self.venue
        canceled = 0
        while venue.blotter.open:
            venue.cancel(next(iter(venue.blotter.open)))
            canceled += 1
        closed = []
        for held in venue.positions():
            side = Side.SELL if held.qty > 0 else Side.BUY
            position_side = (1 if held.qty > 0 else -1) if venue.blotter.contracts.hedge else 0
            request = OrderRequest(
                held.instrument.symbol,
                side,
                OrdType.MARKET,
                abs(held.qty),
                reduce_only=True,
                position_side=position_side,
            )
            venue.place(request)
            closed.append(held.instrument.symbol)
        markets = {
            fill.instrument.base: fill.instrument
            for fill in venue.blotter.fills
            if not fill.instrument.derivative
        }
        for base, m in markets.items():
            units = int(venue.blotter.balance(base)[0].scaleb(m.amount_scale)) // m.lot * m.lot
            if units:
                venue.place(OrderRequest(m.symbol, Side.SELL, OrdType.MARKET, units))
                closed.append(m.symbol)
        return f"{canceled} orders canceled, sold {', '.join(closed) or 'nothing'}"

    def describe(self) -> dict[str, Any]:
        """See `Account`."""
        failure = self.venue.failure
        return {
            "name": self.folder.name, "strategy": None, "symbol": None, "journal": str(self._sink.path),
            "stops": triggers(self.venue.engine.open_orders()),
            "status": "running" if failure is None else f"read-only: {failure}",
        }  # fmt: skip

    def close(self) -> None:
        """See `Account`."""
        self.venue.close()
        self._lock.release()


def _is_of(path: Path, header: Mapping[str, Any]) -> bool:
    """Whether the journal at `path` is an account in the same market under the same rules, whatever it opened with."""
    try:
        with JournalReader(path) as journal:
            return all(
                canonical_json(journal.header.get(n)) == canonical_json(header[n])
                for n in header
                if n not in ("balances", "swap_balances")
            )
    except JournalError:
        return False


class StrategyAccount:
    """An account that a strategy trades on, bar by bar as the session's feed completes them."""

    def __init__(
        self, folder: AccountFolder, run: LiveRun, source: Source, journal: Journal, release: Any
    ) -> None:
        self.folder, self.run, self._source, self._journal, self._release = (
            folder,
            run,
            source,
            journal,
            release,
        )
        self.failure: str | None = None
        self.finished = False

    @property
    def batch(self) -> int:
        """See `Account`."""
        return self._journal.seal.batch

    def kept(self, command_id: str) -> dict[str, Any] | None:
        """See `Account`."""
        return self._journal.answer(command_id)

    def tick(self, now_ms: int) -> None:
        """See `Account`. A strategy that fails stops; what it did stays."""
        if self.failure is None and not self.finished:
            try:
                self.finished = advance(self.run, self._source, now_ms)
            except TwinStarError as error:
                self.failure = str(error)

    def next_ms(self, now_ms: int, speed: float) -> int | None:
        """See `Account`."""
        return None if self.failure or self.finished else self._source.next_close(now_ms)

    def carry_out(self, body: Mapping[str, Any], command_id: str) -> dict[str, Any]:
        """See `Account`."""
        if self.failure or self.finished:
            return {
                "ok": False,
                "text": f"account {self.folder.name} has ended: {self.failure or 'the feed is over'}",
                "kind": "UsageError",
            }
        try:
            return self.run.command(dict(body), command_id)
        except TwinStarError as error:
            self.failure = str(error)
            return refusal(error)

    def finish(self) -> None:
        """End the run for good."""
        if not self.finished and self.failure is None:
            self.run.commit(final=True)
            self.finished = True

    def describe(self) -> dict[str, Any]:
        """See `Account`."""
        strategy = self.run.setup.strategy
        return {
            "name": self.folder.name, "strategy": strategy_name(strategy), "params": strategy.params(),
            "symbol": self.run.setup.instrument.symbol, "journal": str(self._journal.path),
            "stops": triggers(self.run.setup.engine.open_orders()),
            "status": f"failed: {self.failure}" if self.failure else "finished" if self.finished else "running",
        }  # fmt: skip

    def close(self) -> None:
        """See `Account`."""
        try:
            if self.failure is None:
                self.run.commit_waiting()
        finally:
            self._release()


def triggers(orders: npt.NDArray[np.void]) -> dict[str, int]:
    """Where open stops fire now, in price units by order id: a trailing one moves without an event."""
    return {str(o["order_id"]): int(o["stop_px"]) for o in orders if o["stop_px"] > 0}


def refusal(error: TwinStarError) -> dict[str, Any]:
    """The answer to a command that was refused before it did anything."""
    answer: dict[str, Any] = {"ok": False, "text": str(error), "kind": type(error).__name__}
    reason = getattr(error, "reason", None)
    if isinstance(error, OrderError) and isinstance(reason, Reason):
        answer["reason"] = int(reason)
    return answer


def serve_inbox(account: Account, inbox: Inbox, wall_ms: int, stale_ms: int) -> list[str]:
    """Carry out what waits in an inbox, oldest first, each exactly once; returns the ids that were answered.

    A command older than `stale_ms` is refused: whoever sent it has given up, and the market has moved.
    """
    done = []
    for command in inbox.waiting():
        inbox.answer(command.command_id, _serve(account, command, wall_ms, stale_ms))
        done.append(command.command_id)
    return done


def _serve(account: Account, command: Command, wall_ms: int, stale_ms: int) -> dict[str, Any]:
    kept = account.kept(command.command_id)
    if kept is not None:
        return kept
    if wall_ms - command.sent_ms > stale_ms:
        return {
            "ok": False,
            "text": "the command came too late and was not carried out; send a new one",
            "kind": "Stale",
        }
    try:
        return account.carry_out(command.body, command.command_id)
    except (KeyError, TypeError, ValueError) as error:
        return {
            "ok": False,
            "text": f"the command cannot be read: {type(error).__name__}: {error}",
            "kind": "UsageError",
        }


def parity_of_account(header: dict[str, Any], meta: dict[str, Any], batches: list[Batch]) -> ParityReport:
    """Do a manual account's journal again from its recorded commands and market data, and compare the events."""
    from twinstar_kit.feeds.base import open_feed

    feed = open_feed(meta["feed"], **meta.get("rules", {}))
    saved = [
        SavedBatch(
            np.concatenate([np.empty(0, input_t), *(run.records(0) for run in b.inputs)]), b.command, b.events
        )
        for b in batches
    ]
    broker = Broker(**header["broker"])
    events = np.concatenate([b.events for b in batches])
    differences, waterfall = 0, []
    try:
        VirtualVenue(feed, ManualClock(feed.span()[0]), broker, saved=SavedAccount(header, saved))
    except JournalDamaged as error:
        differences, waterfall = 1, [{"stage": "events", "differences": 1, "first": str(error)}]
    kinds = events["kind"]
    return ParityReport(
        meta.get("account", "manual"), 0, int((kinds == EventKind.ACCEPTED).sum()), int((kinds == EventKind.FILLED).sum()),
        differences, waterfall, ("again", "journal"),
    )  # fmt: skip
