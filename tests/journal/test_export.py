"""A journal's events written out: every word, every decimal exact, and the whole file or none."""

from __future__ import annotations

import csv
import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from twinstar_kit.journal.errors import JournalError
from twinstar_kit.journal.export import COLUMNS, export_events
from twinstar_kit.journal.store import Batch, Journal
from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.orders import OrdType, Side

BTC = Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.00001")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """An account that bought 0.5 BTC at 100 and was refused an order that it could not pay."""
    engine = Engine([BTC], Broker(), {"USDT": 1_000})
    engine.on_trade(0, 1_000, BTC.price_units("100"))
    engine.submit(1_000, 0, Side.BUY, OrdType.MARKET, BTC.amount_units("0.5"))
    engine.on_trade(0, 2_000, BTC.price_units("100"))
    engine.submit(2_000, 0, Side.BUY, OrdType.LIMIT, BTC.amount_units("99"), price=BTC.price_units("90"))
    path = tmp_path / "account.db"
    with Journal.create(path, engine.header()) as written:
        written.commit(Batch(events=engine.drain()))
    return path


def test_json_lines_hold_words_and_exact_decimals(journal: Path, capsys: pytest.CaptureFixture[str]):
    count = export_events(journal)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == count
    assert [row["seq"] for row in rows] == list(range(1, count + 1))
    fill = next(row for row in rows if row["kind"] == "FILLED")
    assert (fill["symbol"], fill["side"], fill["flags"]) == ("BTC/USDT", "BUY", "TAKER")
    assert (fill["last_px"], fill["last_qty"], fill["amount"]) == ("100", "0.5", "0.05")
    refusal = next(row for row in rows if row["kind"] in {"REJECTED", "DENIED"})
    assert refusal["reason"] == "the free balance does not cover the order and its fee"


def test_postings_of_the_table_add_up_to_the_balance(journal: Path, tmp_path: Path):
    count = export_events(journal, tmp_path / "events.csv")
    with (tmp_path / "events.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == count
    assert tuple(rows[0]) == COLUMNS
    free = {"USDT": Decimal(0), "BTC": Decimal(0)}
    for row in rows:
        if row["debit"]:
            free[row["asset"]] += Decimal(row["amount"]) * (
                (row["credit"] == "FREE") - (row["debit"] == "FREE")
            )
    assert free == {"USDT": Decimal("949.95"), "BTC": Decimal("0.5")}


def test_a_file_appears_whole_or_not_at_all(journal: Path, tmp_path: Path):
    with pytest.raises(UsageError, match=re.escape("must end with .jsonl or .csv")):
        export_events(journal, tmp_path / "events.xlsx")
    with pytest.raises(JournalError, match="there is no journal"):
        export_events(tmp_path / "nothing.db", tmp_path / "events.csv")
    assert not list(tmp_path.glob("*events*"))
