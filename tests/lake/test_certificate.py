"""Certificates: made once for what was found, and no change of a file, a result, a link or the chain's end goes unseen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pytest
from lake.bars import MINUTE, START, walk

from twinstar_kit.feeds.clock import ManualClock
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.records import canonical_json
from twinstar_kit.lake import Lake, Provenance, Series
from twinstar_kit.lake.certificate import latest
from twinstar_kit.lake.verdicts import Verdict

BTC = Series("binance", "BTC/USDT")
RULES = Instrument.from_sizes("BTC/USDT", "0.01", "0.00001")
ROWS = walk(90_000)  # into March


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with Lake(tmp_path / "lake", clock=ManualClock(START)) as opened:
        opened.register(BTC, RULES)
        opened.write(BTC, ROWS[:85_000])
        yield opened


def faults(lake: Lake) -> list[str]:
    return [fault.what for fault in lake.check_certificates(BTC)]


def test_every_month_gets_one_and_verifying_again_adds_none(lake: Lake, tmp_path: Path):
    made = lake.certify()
    assert [(one.number, one.month, one.verdict) for one in made] == [
        (1, "2025-01", Verdict.PROVEN), (2, "2025-02", Verdict.PROVEN), (3, "2025-03", Verdict.PROVEN),
    ]  # fmt: skip
    assert lake.certify() == []
    assert lake.certificates(BTC) == made
    assert faults(lake) == []


def test_a_certificate_says_what_was_checked_by_what_and_of_which_file(lake: Lake, tmp_path: Path):
    first, second, _ = lake.certify()
    (file,) = (tmp_path / "lake").rglob("2025-02-*.parquet")
    assert second.body["content"] == [hashlib.sha256(file.read_bytes()).hexdigest()]
    assert second.body["previous"] == first.hash
    assert second.hash == hashlib.sha256(canonical_json(second.body)).hexdigest()
    assert {"gaps", "duplicates", "order", "ohlc", "trades"} <= {check.name for check in second.checks}
    assert set(second.body["by"]) == {"version", "sources"}
    words = repr(second)
    assert "proven" in words
    assert "not run              no trades of binance in the lake" in words


def test_what_changed_is_certified_anew_and_the_old_one_stays(lake: Lake):
    lake.certify()
    lake.write(BTC, ROWS[85_100:])
    assert faults(lake) == ["2025-03 holds other rows than it was certified with: verify it anew"]
    (made,) = lake.certify()
    assert (made.number, made.month, made.verdict) == (4, "2025-03", Verdict.INCOMPLETE)
    assert faults(lake) == []
    held = lake.certificates(BTC)
    assert [one.month for one in held] == ["2025-01", "2025-02", "2025-03", "2025-03"]
    assert latest(held)["2025-03"] == made


def test_rows_that_move_from_the_tail_into_a_file_stay_certified(lake: Lake):
    lake.append(BTC, ROWS[85_000:])
    march = lake.certify()[-1]
    assert march.body["content"][0].startswith("rows:")
    assert march.body["provenance"] == {"observed": 5_000, "backfilled": march.body["rows"] - 5_000}
    lake.compact()
    assert faults(lake) == []
    lake.append(BTC, [ROWS[-1] + np.array([MINUTE, 0, 0, 0, 0, 0])])
    assert faults(lake) == ["2025-03 holds other rows than it was certified with: verify it anew"]


def test_a_proof_changes_the_verdict_and_so_the_certificate(lake: Lake):
    lake.write(BTC, ROWS[85_010:])
    assert lake.certify()[-1].verdict is Verdict.INCOMPLETE
    lake.prove_absent(
        BTC, int(ROWS[85_000, 0]), int(ROWS[85_010, 0]), Provenance.OUTAGE, {"asked": "the venue"}
    )
    (made,) = lake.certify()
    assert (made.verdict, made.body["proven_absent"]) == (Verdict.PROVEN, 10)


def test_part_of_a_month_and_a_quick_look_are_not_certified(lake: Lake):
    assert lake.certify(lake.verify(BTC, quick=True)) == []
    assert [one.month for one in lake.certify(lake.verify(BTC, since="2025-01-15"))] == ["2025-02", "2025-03"]


def test_a_changed_file_is_seen_even_when_its_pages_are_sealed_anew(lake: Lake, tmp_path: Path):
    lake.certify()
    (january,) = (tmp_path / "lake").rglob("2025-01-*.parquet")
    (february,) = (tmp_path / "lake").rglob("2025-02-*.parquet")
    january.write_bytes(february.read_bytes())  # a sound file of other rows
    assert len(faults(lake)) == 1
    assert "is not what was written" in faults(lake)[0]
    january.unlink()
    assert "is gone" in faults(lake)[0]


def forge(body: str) -> str:
    fields = json.loads(body)
    fields["verdict"] = "proven"
    return canonical_json(fields).decode()


def edit_body(db: apsw.Connection) -> None:
    (body,) = db.execute("SELECT body FROM certificates WHERE number = 2").fetchone()
    db.execute("UPDATE certificates SET body = ? WHERE number = 2", (body.replace("proven", "PROVEN", 1),))


def edit_body_and_hash(db: apsw.Connection) -> None:
    (body,) = db.execute("SELECT body FROM certificates WHERE number = 2").fetchone()
    body = forge(body.replace('"rows":', '"was":', 1))
    digest = hashlib.sha256(body.encode()).hexdigest()
    db.execute("UPDATE certificates SET body = ?, hash = ? WHERE number = 2", (body, digest))


def edit_the_last(db: apsw.Connection) -> None:
    (body,) = db.execute("SELECT body FROM certificates WHERE number = 3").fetchone()
    body = forge(body.replace('"missing":0', '"missing":1', 1))
    digest = hashlib.sha256(body.encode()).hexdigest()
    db.execute("UPDATE certificates SET body = ?, hash = ? WHERE number = 3", (body, digest))


def swap_two(db: apsw.Connection) -> None:
    db.execute("UPDATE certificates SET number = 9 WHERE number = 1")
    db.execute("UPDATE certificates SET number = 1 WHERE number = 2")
    db.execute("UPDATE certificates SET number = 2 WHERE number = 9")


def drop_the_first(db: apsw.Connection) -> None:
    db.execute("DELETE FROM certificates WHERE number = 1")


def drop_the_last(db: apsw.Connection) -> None:
    db.execute("DELETE FROM certificates WHERE number = 3")


def drop_all(db: apsw.Connection) -> None:
    db.execute("DELETE FROM certificates")


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (edit_body, "its body is not what was hashed"),
        (edit_body_and_hash, "it does not follow on the certificate before"),
        (edit_the_last, "the lake's log tells of other certificates than are stored"),
        (swap_two, "it does not follow on the certificate before"),
        (drop_the_first, "it is missing"),
        (drop_the_last, "the lake's log tells of other certificates than are stored"),
        (drop_all, "the lake's log tells of other certificates than are stored"),
    ],
)
def test_no_tampering_with_the_chain_goes_unseen(
    lake: Lake, tmp_path: Path, tamper: Callable[[apsw.Connection], Any], told: str
):
    lake.certify()
    assert faults(lake) == []
    db = apsw.Connection(str(tmp_path / "lake" / "catalog.sqlite"))
    tamper(db)
    db.close()
    assert told in faults(lake)


def test_a_log_that_was_changed_to_match_is_seen_too(lake: Lake, tmp_path: Path):
    lake.certify()
    db = apsw.Connection(str(tmp_path / "lake" / "catalog.sqlite"))
    db.execute("DROP TRIGGER log_is_kept")
    drop_the_last(db)
    db.execute("DELETE FROM log WHERE id = (SELECT min(id) FROM log WHERE kind = 'certificate')")
    db.close()
    assert any("log" in what for what in faults(lake))
