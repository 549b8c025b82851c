"""A client of a running session: leaves commands for an account, hears the answers, and reads its journal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from twinstar_kit.journal.doorbell import Ringer
from twinstar_kit.journal.errors import CommandError, JournalError
from twinstar_kit.journal.folder import AccountFolder
from twinstar_kit.journal.inbox import Inbox
from twinstar_kit.journal.replica import Replica
from twinstar_kit.journal.store import Batch
from twinstar_kit.journal.tail import Tail

TIMEOUT_S = 10.0


class AccountClient:
    """One account of a running session, from any process.

    Commands are named by a `command_id`; sending one again after a lost answer gives the first answer and acts once.
    `replica` is the account as of the last `refresh`. Raises JournalError when the account has no journal yet.
    """

    def __init__(self, home: str | Path, account: str = "manual") -> None:
        self.folder = AccountFolder(Path(home), account)
        self.account = account
        self._inbox: Inbox | None = None
        self._ringer: Ringer | None = None
        self._open_tail()

    def _open_tail(self) -> None:
        latest = self.folder.active()
        if latest is None:
            raise JournalError(
                f"account {self.account} has no journal yet; start a session with `twinstar terminal` or `twinstar paper`"
            )
        self.tail = Tail(latest)
        self.replica = Replica(self.tail.header)
        self.refresh()

    @property
    def running(self) -> bool:
        """Whether a process owns the account now."""
        return self.folder.owner() is not None

    def refresh(self) -> list[Batch]:
        """Read what was committed since the last call into `replica`; returns the new batches.

        When the owner writes another journal by now, the replica begins anew with that one.
        """
        batches = self.tail.poll()
        for batch in batches:
            self.replica.apply(batch)
        if not batches and self._moved():
            self.tail.close()
            self._open_tail()
        return batches

    def _moved(self) -> bool:
        told = (self.folder.owner() or {}).get("journal")
        return told is not None and Path(told) != self.tail.path

    def send(
        self, body: Mapping[str, Any], command_id: str | None = None, timeout_s: float = TIMEOUT_S
    ) -> dict[str, Any]:
        """Leave a command and wait for its answer: `{"ok": true, ...}` or `{"ok": false, "error": ..., "kind": ...}`.

        CommandError when no session owns the account (nothing was sent), or when no answer came: then whether it was
        carried out is unknown, and sending it again with the same `command_id` tells.
        """
        ringer = self._connect()
        inbox = self._inbox = self._inbox or Inbox(self.folder.inbox)
        command_id = inbox.put(body, int(time.time() * 1000), command_id)
        ends = time.monotonic() + timeout_s
        try:
            ringer.ring(self.account)
            while (answer := inbox.answered(command_id)) is None:
                ringer.listen(max(ends - time.monotonic(), 0.0))
        except (OSError, TimeoutError) as error:
            self._hang_up()
            if (answer := inbox.answered(command_id)) is None:
                raise CommandError(
                    f"the session did not answer within {timeout_s:g} s; whether it acted is unknown: "
                    f"send the command again with command_id={command_id!r}"
                ) from error
        self.refresh()
        return answer

    def place(
        self, request: Mapping[str, Any], command_id: str | None = None, timeout_s: float = TIMEOUT_S
    ) -> dict[str, Any]:
        """Send an order; `request` holds the fields of the venue's order request in its plain form, in units."""
        return self.send({"type": "place", "request": dict(request)}, command_id, timeout_s)

    def cancel(
        self, order_id: int, command_id: str | None = None, timeout_s: float = TIMEOUT_S
    ) -> dict[str, Any]:
        """Cancel an open order."""
        return self.send({"type": "cancel", "order_id": int(order_id)}, command_id, timeout_s)

    def flatten(self, command_id: str | None = None, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """Cancel every open order and sell every position at market."""
        return self.send({"type": "flatten"}, command_id, timeout_s)

    def answer(self, command_id: str) -> dict[str, Any] | None:
        """The answer to a command sent before, or None while it waits."""
        self._inbox = self._inbox or Inbox(self.folder.inbox)
        return self._inbox.answered(command_id)

    def wait(self, timeout_s: float) -> list[Batch]:
        """Wait until the session commits something, at most `timeout_s`; returns the new batches, perhaps none.

        CommandError when no session owns the account.
        """
        batches = self.refresh()
        ends = time.monotonic() + timeout_s
        while not batches and (left := ends - time.monotonic()) > 0:
            try:
                self._connect().listen(left)
            except TimeoutError:
                break
            except OSError:
                self._hang_up()
                break
            batches = self.refresh()
        return batches

    def _connect(self) -> Ringer:
        if self._ringer is None:
            owner = self.folder.owner() or {}
            if "port" not in owner:
                raise CommandError(
                    f"no session runs account {self.account}; start one with `twinstar terminal`"
                )
            try:
                self._ringer = Ringer(int(owner["port"]))
            except OSError as error:
                raise CommandError(
                    f"the session of account {self.account} does not answer ({error}); is it ending?"
                ) from error
        return self._ringer

    def _hang_up(self) -> None:
        if self._ringer is not None:
            self._ringer.close()
            self._ringer = None

    def close(self) -> None:
        """Close the files and hang up."""
        self._hang_up()
        self.tail.close()
        if self._inbox is not None:
            self._inbox.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
