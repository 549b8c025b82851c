"""`twinstar data`: the commands of the lake, one file for each family; COMMANDS is the list that the program shows."""

from __future__ import annotations

from collections.abc import Callable

from twinstar_kit.cli.data import backfill, collect, integrity, transfer

# the functions load what they need when they run
COMMANDS: dict[str, Callable[..., None]] = {
    "backfill": backfill.backfill,
    "heal": backfill.heal,
    "maintain": backfill.maintain,
    "import": transfer.import_,
    "export": transfer.export,
    "collect": collect.collect,
    "verify": integrity.verify,
    "certificate": integrity.certificate,
    "status": integrity.status,
    "snapshot": integrity.snapshot,
}
