"""The durable record of an account: what went in, what came of it, in order, each batch sealed before it is acknowledged.

- `store`: the journal's file (SQLite, WAL, synchronous=FULL), one transaction a batch, a hash chain over the batches.
- `witness`: a second, tiny file that knows how far the journal was acknowledged, so that a lost tail is noticed.
- `inputs`: recorded market data and commands; with the header they reproduce every event.
- `lock`, `inbox`, `doorbell`, `client`, `tail`: how one process owns an account and others read it and give it orders.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AccountClient": "client",
    "AccountLocked": "errors",
    "Batch": "store",
    "Doorbell": "doorbell",
    "FileLock": "lock",
    "Inbox": "inbox",
    "InputKind": "inputs",
    "Inputs": "inputs",
    "Journal": "store",
    "JournalDamaged": "errors",
    "JournalError": "errors",
    "JournalGap": "errors",
    "JournalReader": "store",
    "Replica": "replica",
    "Tail": "tail",
    "input_t": "inputs",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
