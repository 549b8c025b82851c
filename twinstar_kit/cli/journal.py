"""`twinstar journal`: what a stored journal is worth, told by a process that took no part in writing it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from twinstar_kit.cli import options
from twinstar_kit.cli.output import print_json, print_pairs

File = Annotated[Path, typer.Argument(metavar="FILE", help="A journal's file.", show_default=False)]


def digest(file: File, json: options.Json = False) -> None:
    """Compute a journal's digest anew.

    It is read from the stored records, and the chain of batches is checked on the way.

    \b
    Examples:
      twinstar journal digest account.db
      twinstar journal digest account.db --json
    """
    from twinstar_kit.journal import JournalReader

    with JournalReader(file) as journal:
        report = journal.digest()
    if json:
        print_json(report)
    else:
        print(report["journal_digest"])


def verify(file: File, json: options.Json = False) -> None:
    """Check that a journal is whole.

    Chain of batches, numbering of events, and the witness beside it. Exit 1 when it is damaged.

    \b
    Examples:
      twinstar journal verify account.db
    """
    from twinstar_kit.journal import JournalDamaged, JournalReader

    try:
        with JournalReader(file) as journal:
            seal = journal.verify()
        report = {"ok": True, "batches": seal.batch, "events": seal.seq, "chain": seal.chain.hex()}
    except JournalDamaged as error:
        report = {"ok": False, "fault": str(error)}
    if json:
        print_json(report)
    else:
        print_pairs(report)
    if not report["ok"]:
        raise typer.Exit(1)


def export(
    file: File,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PATH", help="A .jsonl or .csv file (else JSON lines here)."),
    ] = None,
) -> None:
    """Write a journal's events as a table.

    Numbers that stand for words are written as words, money as decimals.

    \b
    Examples:
      twinstar journal export account.db > events.jsonl
      twinstar journal export account.db --output events.csv
    """
    from twinstar_kit.journal.export import export_events

    count = export_events(file, output)
    if output:
        print(f"{count} events in {output}")
