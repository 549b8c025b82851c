"""What passes between a venue and its journal: commands, batches, and an account as it was kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from twinstar_kit.venues.requests import OrderRequest

Events = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Command:
    """What a client did; `order_ids` are the ids that it made or named, `terms` what else it said.

    `type` is open, deposit, withdraw, transfer, configure, place, amend, cancel, cancel_after, look or time. cancel_after sets the time at
    which all open orders are canceled, and cancel with `due` in its terms says that this has happened. time says how far the venue's
    time was moved by hand; it changes nothing in the account.
    """

    type: str
    ts: int
    order_ids: tuple[int, ...] = ()
    request: OrderRequest | None = None
    balances: Mapping[str, str] | None = None
    terms: Mapping[str, Any] | None = None

    def canonical(self) -> dict[str, Any]:
        """The command as plain values, as a journal keeps it."""
        fields: dict[str, Any] = {"type": self.type, "ts": self.ts, "order_ids": list(self.order_ids)}
        if self.request is not None:
            fields["request"] = self.request.canonical()
        if self.balances is not None:
            fields["balances"] = dict(self.balances)
        if self.terms is not None:
            fields["terms"] = dict(self.terms)
        return fields


@dataclass(frozen=True, slots=True, eq=False)
class VenueBatch:
    """What happened at once: market data that orders met, then a command if there was one, and the events of both.

    `inputs` is `journal.inputs.input_t`; `snapshot` makes the engine's state after the batch.
    """

    inputs: Events
    command: Command | None
    events: Events
    snapshot: Callable[[], bytes]


class EventSink(Protocol):
    """Takes a batch before anyone sees what is in it, and returns only when it is safe.

    `begin` is called once for a new account, with what its digest begins with, before the first batch.
    """

    def begin(self, header: Mapping[str, Any]) -> None: ...
    def commit(self, batch: VenueBatch) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class SavedBatch:
    """A batch as it was kept."""

    inputs: Events
    command: Mapping[str, Any] | None
    events: Events


@dataclass(frozen=True, slots=True)
class SavedAccount:
    """An account as its journal holds it. `snapshot` is the engine's state after the first `snapshot_at` batches."""

    header: Mapping[str, Any]
    batches: Sequence[SavedBatch]
    snapshot: bytes | None = None
    snapshot_at: int = 0
