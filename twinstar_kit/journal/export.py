"""Writes a journal's events for people and other programs: words instead of codes, exact decimals instead of units."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from twinstar_kit.journal.store import JournalReader
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.ledger import Account, Wallet
from twinstar_kit.kernel.loading import assets_of
from twinstar_kit.kernel.orders import EventKind, OrdFlag, OrdType, Reason, Setting, Side
from twinstar_kit.kernel.tables import FillFlag

FORMATS = (".jsonl", ".csv")
COLUMNS = (
    "seq", "ts_event", "kind", "reason", "symbol", "side", "ord_type", "flags", "order_id", "link_id",
    "price", "stop_px", "order_qty", "last_px", "last_qty", "cum_qty", "leaves_qty",
    "wallet", "asset", "debit", "credit", "amount", "ref_px", "ref_qty",
)  # fmt: skip
"""What is written of an event; a field that its kind does not use is empty."""


MONEY = (EventKind.POSTED, EventKind.DEPOSITED, EventKind.WITHDRAWN, EventKind.TRANSFER)
PRICES = (
    "price",
    "stop_px",
    "order_qty",
    "last_px",
    "last_qty",
    "cum_qty",
    "leaves_qty",
    "ref_px",
    "ref_qty",
)
_Writer = Callable[[dict[str, Any]], object]


def export_events(journal: str | Path, output: str | Path | None = None) -> int:
    """Write all events of a stored journal, checked on the way; returns how many there were.

    `output` is a `.jsonl` or `.csv` file that appears complete or not at all; without it JSON lines go to standard
    output. Prices, quantities and amounts are exact decimals as text. Raises JournalError or UsageError.
    """
    target = None if output is None else Path(output)
    if target is not None and target.suffix not in FORMATS:
        raise UsageError(
            f"{target}: the name must end with {' or '.join(FORMATS)}, which says how to write it"
        )
    count = 0
    with JournalReader(journal) as reader:
        words = _Words([Instrument.from_canonical(fields) for fields in reader.header["instruments"]])
        with _rows_into(target) as write:
            for batch in reader.batches():
                for event in batch.events:
                    write(words.of(event))
                count += len(batch.events)
    return count


@contextmanager
def _rows_into(target: Path | None) -> Iterator[_Writer]:
    if target is None:
        yield _lines(sys.stdout)
        return
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with aside.open("w", newline="") as file:
            if target.suffix == ".csv":
                table = csv.DictWriter(file, COLUMNS)
                table.writeheader()
                yield table.writerow
            else:
                yield _lines(file)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def _lines(file: TextIO) -> _Writer:
    return lambda row: file.write(
        json.dumps({key: value for key, value in row.items() if value != ""}) + "\n"
    )


class _Words:
    """Turns the codes of a record into words, with the scales of its instruments."""

    def __init__(self, instruments: list[Instrument]) -> None:
        self._instruments = instruments
        self._assets = [*assets_of(instruments).items()]

    def _money(self, row: int, units: int) -> dict[str, str]:
        """Wallet, asset and amount of units of a ledger row."""
        wallet, number = divmod(row, len(self._assets))
        asset, scale = self._assets[number]
        return {"wallet": Wallet(wallet).name, "asset": asset, "amount": decimal(units, scale)}

    def of(self, event: np.void) -> dict[str, Any]:
        """One event under the names of `COLUMNS`."""
        codes: dict[str, int] = {name: event[name].item() for name in event.dtype.names or ()}
        kind = EventKind(codes["kind"])
        row: dict[str, Any] = dict.fromkeys(COLUMNS, "")
        row.update(seq=codes["seq"], ts_event=codes["ts_event"], kind=kind.name)
        if kind in MONEY:
            row.update(self._money(codes["asset"], codes["amount"]))
            if kind is EventKind.POSTED:
                row.update(debit=Account(codes["debit"]).name, credit=Account(codes["credit"]).name)
            return row
        instrument = self._instruments[codes["instrument"]]
        row.update(
            reason=Reason(codes["reason"]).text, symbol=instrument.symbol, flags=_flags(kind, codes["flags"])
        )
        row.update(side=_word(Side, codes["side"]), ord_type=_word(OrdType, codes["ord_type"]))
        scales = {
            "px": instrument.price_scale,
            "price": instrument.price_scale,
            "qty": instrument.amount_scale,
        }
        for name in PRICES:
            if codes[name]:
                row[name] = decimal(codes[name], scales[name.rpartition("_")[2]])
        for name in ("order_id", "link_id"):
            row[name] = codes[name] or ""
        if kind in (EventKind.FILLED, EventKind.FUNDED, EventKind.LIQUIDATED):
            row.update(self._money(codes["asset"], codes["amount"]))
        if kind is EventKind.FUNDED:
            row["ref_px"] = decimal(codes["ref_px"], 8)
        elif kind is EventKind.LIQUIDATED:
            row["ref_px"] = self._money(codes["asset"], codes["ref_px"])["amount"]
        elif kind is EventKind.CONFIGURE:
            row.update(flags=Setting(codes["flags"]).name, amount=codes["amount"])
        return row


def decimal(units: int, scale: int) -> str:
    """Units at a scale as exact text.

    >>> decimal(-1_050, 2), decimal(3, 8), decimal(7, 0)
    ('-10.5', '0.00000003', '7')
    """
    whole, part = divmod(abs(units), 10**scale)
    text = f"{whole}.{part:0{scale}d}".rstrip("0").rstrip(".") if scale else str(whole)
    return f"-{text}" if units < 0 else text


def _word(words: Any, code: int) -> str:
    return str(words(code).name) if code else ""


def _flags(kind: EventKind, code: int) -> str:
    if kind is EventKind.FILLED:
        said = [flag.name or "" for flag in FillFlag if flag and flag in FillFlag(code)]
        return "|".join(said if code & FillFlag.MAKER else ["TAKER", *said])
    if kind in (EventKind.TERMS, EventKind.FUNDED, EventKind.LIQUIDATED, EventKind.CONFIGURE):
        return ""
    return "|".join(flag.name or "" for flag in OrdFlag if flag and flag in OrdFlag(code))
