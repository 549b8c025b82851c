"""A private account that is kept in a journal: written before anything is shown, read back when it is opened again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from twinstar_kit.feeds.clock import Clock
from twinstar_kit.journal.folder import AccountFolder
from twinstar_kit.journal.inputs import Inputs, input_t
from twinstar_kit.journal.store import Batch, Journal, is_unborn
from twinstar_kit.journal.witness import witness_path
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.instruments import Number
from twinstar_kit.kernel.models import Broker
from twinstar_kit.venues.batches import SavedAccount, SavedBatch, VenueBatch
from twinstar_kit.venues.core import VirtualVenue
from twinstar_kit.venues.market_data import MarketData

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
    path: str | Path,
    feed: MarketData,
    clock: Clock,
    broker: Broker,
    balances: Mapping[str, Number] | None = None,
    swap_balances: Mapping[str, Number] | None = None,
) -> VirtualVenue:
    """The account in the journal at `path`, begun when there is none yet.

    UsageError when it was opened with another feed, other fees or other balances; JournalDamaged when anything that
    was acknowledged is gone; AccountLocked while another process has it open.
    """
    path = Path(path)
    if not path.exists() or is_unborn(path):
        sink = JournalSink(path, meta={"feed": feed.spec})
        return VirtualVenue(feed, clock, broker, balances, sink, swap_balances=swap_balances)
    journal = Journal.open(path)
    try:
        header = journal.header
        for name, given in (("balances", balances), ("swap_balances", swap_balances)):
            if given is not None and header.get(name, {}) != {
                asset: str(amount) for asset, amount in given.items()
            }:
                raise UsageError(
                    f"the account in {path} was opened with {name} of {header.get(name, {})}, not with {dict(given)}; "
                    f"leave out the option {name!r}, or choose a new journal"
                )
        saved = saved_account(journal) if journal.seal.batch else None
        sink = JournalSink(path, journal)
        return VirtualVenue(
            feed,
            clock,
            broker,
            header.get("balances"),
            sink,
            saved=saved,
            swap_balances=header.get("swap_balances"),
        )
    except BaseException:
        journal.close()
        raise


def open_named(
    home: Path,
    name: str,
    feed: MarketData,
    clock: Clock,
    broker: Broker,
    balances: Mapping[str, Number] | None = None,
    swap_balances: Mapping[str, Number] | None = None,
    *,
    anew: bool = False,
) -> VirtualVenue:
    """The account `name` under `home`: the latest of its journals, or with `anew` a new one.

    AccountLocked while another process, such as a session, has the account.
    """
    folder = AccountFolder(home, name)
    lock = folder.lock("virtual exchange").acquire()
    try:
        path = (None if anew else folder.latest()) or folder.next()
        lock.tell(journal=str(path))
        venue = open_durable(path, feed, clock, broker, balances, swap_balances)
    except BaseException:
        lock.release()
        raise
    venue.on_close.append(lock.release)
    return venue


def put_away(venue: VirtualVenue, *, named: bool) -> Path:
    """Close the account's journal and see that a new one can begin; returns where the old one stays.

    The journal of a named account stays where it is, as the next gets the next number. Any other moves aside together with its
    witness; nothing is overwritten.
    """
    assert isinstance(venue.journal, JournalSink)
    path = venue.journal.path
    venue.close()
    if named:
        return path
    number = 1
    while (kept := path.with_name(f"{path.stem}-{number:04d}{path.suffix}")).exists() or witness_path(
        kept
    ).exists():
        number += 1
    witness_path(path).rename(witness_path(kept))
    for end in ("-wal", "-shm", ""):
        part = path.with_name(path.name + end)
        if part.exists():
            part.rename(kept.with_name(kept.name + end))
    return kept
