"""How an account is kept: written before anything of it is shown, told by one digest, and taken up again where it ended."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.clock import Clock
from twinstar_kit.journal.errors import JournalDamaged
from twinstar_kit.journal.inputs import InputDigest, Inputs
from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.errors import TwinStarError, UsageError
from twinstar_kit.kernel.orders import Reason
from twinstar_kit.kernel.records import KERNEL_VERSION, Digest
from twinstar_kit.venues.acting import MEETS, act_on
from twinstar_kit.venues.batches import Command, EventSink, SavedAccount, SavedBatch, VenueBatch
from twinstar_kit.venues.blotter import Blotter, OrderRequest, requests_of
from twinstar_kit.venues.market_data import NO_RECORDS, MarketData, last_key
from twinstar_kit.venues.stepping import Stepper

Events = npt.NDArray[np.void]


class VenueStopped(TwinStarError):
    """The journal could not take an event, so the account is read-only until it is opened anew."""


class Keeper:
    """What a venue does with its journal; a base of `core.VirtualVenue`, which makes what is kept."""

    feed: MarketData
    clock: Clock
    engine: Engine
    blotter: Blotter
    journal: EventSink | None
    _stepper: Stepper
    _timeframe_ms: int
    _caught_up: int
    _cancel_at: int
    _failure: BaseException | None
    _lock: threading.RLock

    def _describe(self) -> dict[str, Any]:
        data = self.feed.spec if self.feed.simulated else getattr(self.feed, "data_digest", "")
        return {
            "kernel": KERNEL_VERSION,
            "granularity": self.feed.granularity,
            "timeframe_ms": self._timeframe_ms,
            "market_data": data,
            **self.engine.header(),
        }

    def _begin(self, header: Mapping[str, Any]) -> None:
        self.header = dict(header)
        self._digest, self._data = Digest(self.header), InputDigest(self.header)

    def journal_digest(self) -> str:
        """SHA-256 over the header, every event, and the market data that orders met up to the last of them.

        Equal commands at equal venue times give equal digests, however often the venue was asked in between.
        """
        with self._lock:
            return self._digest.hexdigest(self._data.hexdigest(), self._data.count)

    def _commit_events(self, events: Events) -> None:
        self._commit(None, events)

    def _commit(self, command: Command | None, events: Events | None = None) -> dict[int, Reason]:
        """Hand what happened to the journal, and only then to everybody else; returns what was refused."""
        events = self.engine.drain() if events is None else events
        inputs = self._stepper.take_pending()
        if self.journal is not None:
            self._write(VenueBatch(inputs, command, events, self.engine.snapshot))
        return self._show(inputs, events, _named(command))

    def _write(self, batch: VenueBatch) -> None:
        assert self.journal is not None
        try:
            self.journal.commit(batch)
        except BaseException as error:
            self._failure = error
            raise VenueStopped(
                f"the journal failed ({error}); the account is read-only, open it anew"
            ) from error

    def _show(
        self, inputs: Events, events: Events, requests: Mapping[int, OrderRequest]
    ) -> dict[int, Reason]:
        self._digest.update(events)
        self._data.update([Inputs(0, mixed=inputs)])
        return {refusal.order_id: refusal.reason for refusal in self.blotter.fold(events, requests)}

    # -- continuing ---------------------------------------------------------------------------------------

    def _move(self, ms: int) -> None:
        raise NotImplementedError

    def _resume(self, saved: SavedAccount) -> None:
        """Take up an account where its journal ends: from the snapshot, then by doing again what followed it."""
        differing = [name for name, value in self._describe().items() if saved.header.get(name) != value]
        if differing:
            raise UsageError(
                f"this account was opened with another {' and '.join(differing)}; "
                "open it with the same feed and fees, or choose a new journal"
            )
        self._begin(saved.header)
        if saved.snapshot is not None:
            self.engine.restore(saved.snapshot)
        reached = 0
        for number, batch in enumerate(saved.batches, start=1):
            if (saved.snapshot is None or number > saved.snapshot_at) and not np.array_equal(
                self._again(batch), batch.events
            ):
                raise JournalDamaged(
                    f"batch {number} does not follow from what went in; the journal was changed"
                )
            self._show(batch.inputs, batch.events, requests_of(batch.command))
            self._stepper.remember(batch.inputs)
            reached = max(reached, self._mark_time(batch))
        self._move(max(0, reached - int(self.clock.milliseconds())))

    def _again(self, batch: SavedBatch) -> Events:
        """The events that a batch makes when it is done again."""
        made: list[Events] = []
        inputs, book = batch.inputs, NO_RECORDS
        if batch.command is not None and batch.command["type"] in MEETS:
            begin = len(inputs) - int(inputs["v"][-1, 3])
            inputs, book = inputs[:begin], inputs[begin:]
        self._stepper.meet(inputs, made.append, recorded=True)
        if batch.command is not None:
            act_on(self.engine, batch.command, book)
            if len(book):
                self._stepper.show_book(book)
        made.append(self.engine.drain())
        self._stepper.take_pending()
        return np.concatenate(made)

    def _mark_time(self, batch: SavedBatch) -> int:
        """Note how far orders have met the market: to a command, or to the record that made the last event.

        Returns the venue's time at the batch.
        """
        command = batch.command
        if command is not None:
            ts, terms = int(command["ts"]), command.get("terms") or {}
            if command["type"] != "time":
                self._caught_up, self._stepper.seen = ts, (0, 0, 0, 0)
            if "due" in terms:
                self._cancel_at = int(terms["due"]) if command["type"] == "cancel_after" else 0
            return ts
        self._stepper.seen = last_key(batch.inputs) or (0, 0, 0, 0)
        ts = int(batch.inputs["ts"][-1])
        self._caught_up = ts - 1
        return ts


def _named(command: Command | None) -> Mapping[int, OrderRequest]:
    """What a command asked for, by the ids that its orders got."""
    if command is None or command.request is None:
        return {}
    return dict(zip(command.order_ids, command.request.orders(), strict=False))
