"""The journal's file: what is committed comes back, in order, sealed, and nothing else is taken."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import apsw
import numpy as np
import pytest
from journal.builders import BTC, HEADER, bars, batch, events, filled

from twinstar_kit.journal import (
    AccountLocked,
    Batch,
    Inputs,
    Journal,
    JournalDamaged,
    JournalError,
    JournalReader,
    input_t,
)
from twinstar_kit.journal.inputs import InputKind, record
from twinstar_kit.journal.witness import Seal, read_seal, witness_path
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.records import Digest


def test_what_was_committed_comes_back(tmp_path: Path):
    with filled(tmp_path / "j.db", 3) as journal:
        command = {"name": "place", "ts": 5}
        journal.commit(Batch(command=command, answers={"c1": {"ok": True}}, snapshot=b"state", final=True))
    with Journal.open(tmp_path / "j.db") as journal:
        assert np.array_equal(journal.events(), events(1, 9))
        assert np.array_equal(journal.equity(), np.arange(9))
        assert np.array_equal(np.concatenate([run.rows for run in journal.inputs()]), bars(0, 9))
        assert [b.command for b in journal.batches()] == [None, None, None, command]
        assert journal.answer("c1") == {"ok": True}
        assert journal.answer("c2") is None
        assert journal.snapshot() == (4, b"state")
        assert journal.finished
        assert journal.header == HEADER
        assert journal.meta == {"account": "test"}


def test_an_empty_journal_is_a_journal(tmp_path: Path):
    Journal.create(tmp_path / "j.db", HEADER).close()
    with Journal.open(tmp_path / "j.db") as journal:
        assert len(journal.events()) == len(journal.equity()) == 0
        assert journal.seal.batch == 0
        assert journal.snapshot() is None
        assert not journal.finished
        told = journal.digest()
    assert told["journal_digest"] == Digest(HEADER).hexdigest("", 0)


def test_reading_from_the_middle_gives_the_rest(tmp_path: Path):
    with filled(tmp_path / "j.db", 5) as journal:
        assert [b.number for b in journal.batches(after=3)] == [4, 5]
        assert np.concatenate([run.rows for run in journal.inputs(after=4)])[0, 0] == 12 * 60_000
        with pytest.raises(JournalDamaged, match="no batch 9"):
            list(journal.batches(after=9))


def test_the_digest_is_that_of_the_records_and_of_the_bars(tmp_path: Path):
    with filled(tmp_path / "j.db", 4) as journal:
        told = journal.digest()
    expected = Digest(HEADER)
    expected.update(events(1, 12))
    data = Bars(BTC, 60_000, bars(0, 12)).data_digest
    assert told["data_digest"] == data
    assert told["journal_digest"] == expected.hexdigest(data, 12)
    assert (told["events"], told["bars"], told["batches"], told["finished"]) == (12, 12, 4, False)


@pytest.mark.parametrize("size", [1, 2, 6, 12])
def test_how_events_were_grouped_does_not_show_in_the_digest(tmp_path: Path, size: int):
    with filled(tmp_path / "a.db", 1, 12) as one, filled(tmp_path / "b.db", 12 // size, size) as many:
        assert one.digest()["journal_digest"] == many.digest()["journal_digest"]


def test_mixed_market_data_has_a_digest_that_grouping_does_not_change(tmp_path: Path):
    quote, trade = record(InputKind.QUOTE, 0, 5, (99, 101)), record(InputKind.TRADE, 0, 6, (100, 3, 1))
    digests = []
    for name, runs in (("a", [np.concatenate([quote, trade])]), ("b", [quote, trade])):
        with Journal.create(tmp_path / f"{name}.db", HEADER | {"granularity": "trades"}) as journal:
            for run in runs:
                journal.commit(Batch((Inputs(0, mixed=run),)))
            digests.append(journal.digest())
            assert next(journal.inputs()).mixed["ts"][0] == 5
    assert digests[0]["data_digest"] == digests[1]["data_digest"]
    assert digests[0]["bars"] == 2
    assert quote.dtype == input_t


def test_bars_in_mixed_form_have_the_digest_of_the_bars(tmp_path: Path):
    rows = Inputs(0, bars(0, 4))
    with Journal.create(tmp_path / "j.db", HEADER) as journal:
        journal.commit(Batch((Inputs(0, mixed=rows.records(60_000)),)))
        assert journal.digest()["data_digest"] == Bars(BTC, 60_000, bars(0, 4)).data_digest


def test_events_must_follow_on(tmp_path: Path):
    with filled(tmp_path / "j.db", 1) as journal:
        with pytest.raises(JournalError, match="event 9 came where 4 was due"):
            journal.commit(Batch(events=events(9, 2)))
        with pytest.raises(JournalError, match="open it again"):
            journal.commit(batch(2))
    with Journal.open(tmp_path / "j.db") as journal:
        assert journal.commit(batch(2)).seq == 6


def test_nothing_follows_the_end_of_a_run(tmp_path: Path):
    with filled(tmp_path / "j.db", 1) as journal:
        journal.commit(Batch(final=True))
        with pytest.raises(JournalError, match="has ended"):
            journal.commit(batch(2))
    with Journal.open(tmp_path / "j.db") as journal, pytest.raises(JournalError, match="has ended"):
        journal.commit(batch(2))


def test_a_run_that_has_ended_is_one_plain_file(tmp_path: Path):
    with filled(tmp_path / "j.db", 1) as journal:
        journal.commit(Batch(final=True))
    with JournalReader(tmp_path / "j.db") as reader:
        assert reader.verify().batch == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["j.db", "j.witness"]
    Journal.open(tmp_path / "j.db").close()


def test_nothing_is_overwritten(tmp_path: Path):
    filled(tmp_path / "j.db", 2).close()
    with pytest.raises(JournalError, match="exists; nothing is overwritten"):
        Journal.create(tmp_path / "j.db", HEADER)
    (tmp_path / "j.db").unlink()
    with pytest.raises(JournalError, match="knows of a journal that is gone"):
        Journal.create(tmp_path / "j.db", HEADER)
    (tmp_path / "notes.db").write_text("my notes")
    with pytest.raises(JournalError, match="exists"):
        Journal.create(tmp_path / "notes.db", HEADER)
    assert (tmp_path / "notes.db").read_text() == "my notes"


def test_a_creation_that_was_killed_leaves_nothing_in_the_way(tmp_path: Path):
    path = tmp_path / "j.db"
    path.touch()
    Journal.create(path, HEADER).close()
    bare = tmp_path / "k.db"
    db = apsw.Connection(str(bare))
    db.pragma("journal_mode", "wal")
    db.close()
    with Journal.create(bare, HEADER) as journal:
        assert journal.commit(batch(1)).batch == 1


def test_one_writer_and_many_readers(tmp_path: Path):
    with filled(tmp_path / "j.db", 2) as journal:
        with pytest.raises(AccountLocked, match="being written by another process"):
            Journal.open(tmp_path / "j.db")
        with JournalReader(tmp_path / "j.db") as reader:
            assert len(reader.events()) == 6
            journal.commit(batch(3))
            assert len(reader.events()) == 9
    Journal.open(tmp_path / "j.db").close()


def test_files_that_are_no_journals_are_told_apart(tmp_path: Path):
    with pytest.raises(JournalError, match="there is no journal at"):
        JournalReader(tmp_path / "none.db")
    with pytest.raises(JournalError, match="there is no journal at"):
        Journal.open(tmp_path / "none.db")
    (tmp_path / "text.db").write_text("hello" * 500)
    with pytest.raises(JournalDamaged, match="not a database"):
        JournalReader(tmp_path / "text.db")
    with sqlite3.connect(tmp_path / "other.db") as db:
        db.execute("CREATE TABLE t(x)")
    with pytest.raises(JournalDamaged, match="not a TwinStar journal"):
        JournalReader(tmp_path / "other.db")


def test_a_journal_of_another_format_is_refused(tmp_path: Path):
    filled(tmp_path / "j.db", 1).close()
    with sqlite3.connect(tmp_path / "j.db") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="format 99"):
        JournalReader(tmp_path / "j.db")


def tamper(path: Path, sql: str) -> None:
    db = apsw.Connection(str(path))
    db.execute(sql)
    db.close()


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (
            "UPDATE batches SET events = zeroblob(length(events)) WHERE batch = 2",
            "batch 2 is not what was written",
        ),
        (
            "UPDATE batches SET inputs = zeroblob(length(inputs)) WHERE batch = 1",
            "batch 1 is not what was written",
        ),
        ("UPDATE batches SET equity = x'00' WHERE batch = 3", "batch 3 is not what was written"),
        ("UPDATE batches SET answers = '{\"x\": 1}' WHERE batch = 3", "batch 3 is not what was written"),
        ("UPDATE batches SET command = x'00' WHERE batch = 3", "batch 3 is not what was written"),
        ("UPDATE batches SET final = 1 WHERE batch = 3", "batch 3 is not what was written"),
        ("UPDATE batches SET seq = 8 WHERE batch = 3", "batch 3 is not what was written"),
        ("DELETE FROM batches WHERE batch = 2", "batch 2 is not what was written"),
        ("DELETE FROM batches WHERE batch = 3", "events 7 to 9 were acknowledged and are gone"),
        ("UPDATE header SET canonical = '{}'", "the header is not what was written"),
        ("DELETE FROM header", "the header is not what was written"),
    ],
)
def test_every_change_is_noticed(tmp_path: Path, sql: str, told: str):
    filled(tmp_path / "j.db", 3).close()
    tamper(tmp_path / "j.db", sql)
    with pytest.raises(JournalDamaged, match=told):
        Journal.open(tmp_path / "j.db")
    # and the failed attempt holds no lock
    with pytest.raises(JournalDamaged, match=told):
        Journal.open(tmp_path / "j.db")


def test_a_chain_that_was_forged_whole_does_not_match_its_witness(tmp_path: Path):
    filled(tmp_path / "a.db", 3).close()
    filled(tmp_path / "b.db", 3, size=2).close()
    shutil.copy(tmp_path / "b.db", tmp_path / "a.db")
    with pytest.raises(JournalDamaged, match="not the one that was acknowledged"):
        Journal.open(tmp_path / "a.db")


def test_a_damaged_snapshot_is_no_snapshot(tmp_path: Path):
    with filled(tmp_path / "j.db", 1) as journal:
        journal.commit(Batch(snapshot=b"state"))
    tamper(tmp_path / "j.db", "UPDATE snapshot SET state = x'00'")
    with Journal.open(tmp_path / "j.db") as journal:
        assert journal.snapshot() is None


def test_the_witness_is_needed_for_writing_and_not_for_reading(tmp_path: Path):
    path = tmp_path / "j.db"
    filled(path, 3).close()
    witness = witness_path(path)
    content = bytearray(witness.read_bytes())
    content[10] ^= 1
    content[512 + 10] ^= 1
    witness.write_bytes(content)
    with pytest.raises(JournalDamaged, match="the witness is damaged"):
        Journal.open(path)
    witness.unlink()
    with pytest.raises(JournalDamaged, match="is missing"):
        Journal.open(path)
    with JournalReader(path) as reader:
        assert reader.verify().batch == 3
        assert len(reader.events()) == 9


def test_a_torn_witness_still_knows_the_batch_before(tmp_path: Path):
    path = tmp_path / "j.db"
    filled(path, 3).close()
    content = bytearray(witness_path(path).read_bytes())
    content[512 + 20] ^= 1  # batch 3 stands in the second slot
    witness_path(path).write_bytes(content)
    assert read_seal(witness_path(path)).batch == 2
    with Journal.open(path) as journal:
        assert journal.seal.batch == 3


def test_a_seal_survives_packing():
    seal = Seal(7, 99, b"\7" * 32)
    assert Seal.unpack(seal.pack()) == seal
    assert Seal.unpack(b"\0" * 512) is None
    assert Seal.unpack(b"") is None


def test_a_full_disk_acknowledges_nothing_and_stops_the_journal(tmp_path: Path):
    journal = filled(tmp_path / "j.db", 2)
    journal._db.execute(f"PRAGMA max_page_count = {journal._db.pragma('page_count') + 1}")
    with pytest.raises(
        JournalError, match=r"the disk is full; free some space.*nothing of this batch was acknowledged"
    ):
        journal.commit(Batch((Inputs(0, bars(6, 5000)),)))
    with pytest.raises(JournalError, match="closed after an error"):
        journal.commit(batch(3))
    journal.close()
    with Journal.open(tmp_path / "j.db") as again:
        assert len(again.events()) == 6
        assert again.commit(batch(3)).seq == 9


def test_a_witness_that_cannot_be_written_withholds_the_acknowledgement(tmp_path: Path):
    journal = filled(tmp_path / "j.db", 2)
    kept, reader = journal._witness._fd, (tmp_path / "j.witness").open("rb")
    journal._witness._fd = reader.fileno()
    with pytest.raises(JournalError, match="was not acknowledged"):
        journal.commit(batch(3))
    journal._witness._fd = kept
    reader.close()
    journal.close()
    with Journal.open(
        tmp_path / "j.db"
    ) as again:  # stored, never acknowledged: either is allowed, and it is whole
        assert again.seal.batch in (2, 3)


def test_a_command_is_answered_once(tmp_path: Path):
    with filled(tmp_path / "j.db", 1) as journal:
        journal.commit(Batch(answers={"a": {"order_id": 1}}))
        with pytest.raises(JournalError, match="UNIQUE"):
            journal.commit(Batch(answers={"a": {"order_id": 2}}))
    with Journal.open(tmp_path / "j.db") as journal:
        assert journal.answer("a") == {"order_id": 1}
