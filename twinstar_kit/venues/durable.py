"""A private account that is kept in a journal: written before anything is shown, read back when it is opened again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from twinstar_kit.feeds.clock import Clock
from twinstar_kit.journal.inputs import Inputs, input_t
from twinstar_kit.journal.store import Batch, Journal, is_unborn
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.instruments import Number
from twinstar_kit.kernel.models import Broker
from twinstar_kit.venues.batches import SavedAccount, SavedBatch, VenueBatch
from twinstar_kit.venues.core import VirtualVenue
from twinstar_kit.venues.stepping import MarketData

SNAPSHOT_EVERY = 32
"""Batches between snapshots; what follows the last one is done again when the account is opened."""


class JournalSink:
    """Writes a venue's batches to the journal at `path`, which `begin` creates."""

    def __init__(
        self, path: Path, journal: Journal | None = None, meta: Mapping[str, Any] | None = None
    ) -> None:
        self.path, self.journal, self.meta = path, journal, dict(meta or {})

    def begin(self, header: Mapping[str, Any]) -> None:
        """Create the journal of a new account."""
        if self.journal is None:
            self.journal = Journal.create(self.path, dict(header), self.meta)

    def commit(self, batch: VenueBatch) -> None:
        """Store a batch durably, or raise JournalError."""
        assert self.journal is not None, "begin comes first"
        due = (self.journal.seal.batch + 1) % SNAPSHOT_EVERY == 0
        self.journal.commit(
            Batch(
                inputs=(Inputs(0, mixed=batch.inputs),) if len(batch.inputs) else (),
                events=batch.events,
                command=batch.command.canonical() if batch.command else None,
                snapshot=batch.snapshot() if due else None,
            )
        )

    def close(self) -> None:
        """Close the journal."""
        if self.journal is not None:
            self.journal.close()


def saved_account(journal: Journal) -> SavedAccount:
    """What a journal holds of an account."""
    batches = []
    for batch in journal.batches():
        runs = [run.mixed for run in batch.inputs if run.mixed is not None]
        inputs = np.concatenate(runs) if runs else np.empty(0, input_t)
        batches.append(SavedBatch(inputs, batch.command, batch.events))
    at, state = journal.snapshot() or (0, None)
    return SavedAccount(journal.header, batches, state, at)


def open_durable(
    path: str | Path, feed: MarketData, clock: Clock, broker: Broker, balances: Mapping[str, Number] | None
) -> VirtualVenue:
    """The account in the journal at `path`, begun when there is none yet.

    UsageError when it was opened with another feed, other fees or other balances; JournalDamaged when anything that
    was acknowledged is gone; AccountLocked while another process has it open.
    """
    path = Path(path)
    if not path.exists() or is_unborn(path):
        return VirtualVenue(feed, clock, broker, balances, JournalSink(path, meta={"feed": feed.spec}))
    journal = Journal.open(path)
    try:
        opened_with = journal.header.get("balances")
        if balances is not None and opened_with != {asset: str(amount) for asset, amount in balances.items()}:
            raise UsageError(
                f"the account in {path} was opened with {opened_with}, not with {dict(balances)}; "
                "leave out the option 'balances', or choose a new journal"
            )
        saved = saved_account(journal) if journal.seal.batch else None
        opening = balances if saved or balances is not None else opened_with
        return VirtualVenue(feed, clock, broker, opening, JournalSink(path, journal), saved=saved)
    except BaseException:
        journal.close()
        raise
