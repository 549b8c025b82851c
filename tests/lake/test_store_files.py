"""The files themselves: what other programs read in them, how small they are, and that no flipped bit goes unnoticed."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lake.bars import START, walk
from lake.lakes import (
    BTC,
    DEPTH,
    FEBRUARY,
    FUNDING,
    INSTRUMENT,
    TRADES,
    depth_rows,
    funding_rows,
    held,
    opened,
    trade_rows,
)

from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.lake import CorruptFile, Lake, LakeDamaged, Series, codec, pages
from twinstar_kit.lake.rows import COLUMNS

EVERY_KIND = [
    (BTC, walk(3_000)),
    (TRADES, trade_rows(3_000)),
    (FUNDING, funding_rows(90)),
    (DEPTH, depth_rows(900)),
]


def encoded(series: Series, rows: np.ndarray) -> tuple[bytes, pages.Layout]:
    marks = (np.arange(len(rows)) % 50 == 7).astype(np.int8) * 3
    return codec.encode(series, "2025-01", INSTRUMENT, rows, marks)


def decoded(series: Series, data: bytes, layout: pages.Layout) -> np.ndarray:
    names = [*COLUMNS[series.kind], "provenance"]
    return codec.assemble(series.kind, list(codec.decode(data, layout, names)))


@pytest.mark.parametrize(("series", "rows"), EVERY_KIND, ids=[str(s) for s, _ in EVERY_KIND])
def test_what_our_reader_decodes_is_what_pyarrow_and_polars_read(series: Series, rows):
    data, layout = encoded(series, rows)
    assert np.array_equal(decoded(series, data, layout), rows)
    arrow = pq.read_table(io.BytesIO(data), page_checksum_verification=True)
    frame = pl.read_parquet(io.BytesIO(data))
    (part,) = codec.decode(data, layout, arrow.column_names)
    for name in arrow.column_names:
        assert np.array_equal(arrow[name].to_numpy(), part.columns[name])
        assert frame[name].to_list() == part.columns[name].tolist()


def test_a_file_says_what_it_holds_and_how_its_numbers_count():
    data, _ = encoded(BTC, walk(100, tick=50))
    label = pq.read_metadata(io.BytesIO(data)).metadata[b"twinstar"].decode()
    assert '"series": "binance BTC/USDT 1m"' in label
    assert '"price_scale": 2' in label
    assert '"price_factor": 50' in label
    assert '"amount_scale": 8' in label


EDGES = st.sampled_from(
    [
        0,
        1,
        -1,
        2**30 - 1,
        2**30,
        -(2**30) - 1,
        2**31,
        2**56,
        2**57 + 1,
        2**62 - 1,
        -(2**62),
        -(2**63),
        2**63 - 1,
    ]
)


@given(
    values=st.lists(
        st.one_of(EDGES, st.integers(-(2**63), 2**63 - 1), st.integers(-9, 9)), min_size=1, max_size=400
    )
)
def test_any_numbers_survive_whatever_their_size(values: list[int]):
    rows = np.column_stack([START + 60_000 * np.arange(len(values)), values]).astype(np.int64)
    data, layout = encoded(FUNDING, rows)
    assert np.array_equal(decoded(FUNDING, data, layout), rows)
    assert np.array_equal(pq.read_table(io.BytesIO(data))["rate"].to_numpy(), rows[:, 1])


def test_a_long_file_is_read_group_by_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(codec, "GROUP_ROWS", 1_000)
    rows = walk(2_500)
    with opened(tmp_path) as lake:
        lake.write(BTC, rows)
        assert [len(chunk) for chunk in lake.scan(BTC)] == [1_000, 1_000, 500]
        assert np.array_equal(held(lake), rows)
        assert np.array_equal(held(lake, since=int(rows[990, 0]), until=int(rows[1_010, 0])), rows[990:1_010])
        assert len(lake.missing(BTC, START, int(rows[-1, 0]))) == 0


def test_a_flipped_bit_anywhere_in_a_file_is_caught_and_the_file_is_named(tmp_path: Path):
    with opened(tmp_path) as lake:
        lake.write(BTC, walk(2_000))
        (path,) = tmp_path.rglob("*.parquet")
        good = path.read_bytes()
        # every byte of header, page headers and footer stands near an end or between pages; the rest by chance
        rng = random.Random(1)
        layout = codec_layout(lake)
        edges = {
            at for page in layout.groups[0].pages.values() for at in range(page.start - 40, page.start + 8)
        }
        edges |= set(range(len(good) - 900, len(good))) | set(range(8))
        places = sorted(edges | {rng.randrange(len(good)) for _ in range(600)})
        for at in (at for at in places if 0 <= at < len(good)):
            bad = bytearray(good)
            bad[at] ^= 1 << rng.randrange(8)
            path.write_bytes(bad)
            with pytest.raises(CorruptFile, match=r"2025-01-.*is damaged: (the page of|what lies between)"):
                held(lake, since=START)
        path.write_bytes(good[:-1])
        with pytest.raises(CorruptFile, match=r"has \d+ bytes, not \d+"):
            held(lake)
        path.unlink()
        with pytest.raises(CorruptFile, match="is gone"):
            held(lake)
        path.write_bytes(good)
        assert len(held(lake)) == 2_000


def test_a_flipped_bit_in_the_tail_is_caught(tmp_path: Path):
    with opened(tmp_path) as lake:
        lake.append(BTC, walk(20))
        with lake._place.catalog.writing() as db:
            (rows,) = db.execute("SELECT rows FROM tail").fetchone()
            bad = bytearray(rows)
            bad[77] ^= 16
            db.execute("UPDATE tail SET rows = ?", (bytes(bad),))
        for deed in (
            lambda: held(lake),
            lake.compact,
            lambda: lake.write(BTC, walk(30)),
            lambda: lake.append(BTC, walk(5)),
        ):
            with pytest.raises(LakeDamaged, match="batch 1 of 2025-01 is not what was written"):
                deed()


def codec_layout(lake: Lake) -> pages.Layout:
    with lake._place.catalog.reading() as db:
        return pages.Layout.loads(db.execute("SELECT layout FROM files").fetchone()[0])


@pytest.mark.parametrize("verb", ["read", "scan", "sql", "write", "append", "compact"])
def test_whatever_meets_a_corrupt_file_refuses_it_and_changes_nothing(tmp_path: Path, verb: str):
    rows = walk(100)
    with opened(tmp_path) as lake:
        lake.write(BTC, rows[:90])
        (path,) = tmp_path.rglob("*.parquet")
        if verb == "compact":
            lake.append(BTC, rows[90:95])
        path.write_bytes(b"PAR1" + path.read_bytes()[4:-1] + b"2")
        deeds = {
            "read": lambda: held(lake), "scan": lambda: list(lake.scan(BTC)), "sql": lambda: lake.sql("SELECT 1", b=BTC),
            "write": lambda: lake.write(BTC, rows), "append": lambda: lake.append(BTC, rows[80:]), "compact": lake.compact,
        }  # fmt: skip
        before = sorted(tmp_path.rglob("*.parquet"))
        with pytest.raises(CorruptFile) as caught:
            deeds[verb]()
        assert str(path) in str(caught.value)
        assert sorted(tmp_path.rglob("*.parquet")) == before
        # newer bars need the file not at all
        assert lake.append(BTC, rows[96:]).added == 4


def test_a_corrupt_file_is_quarantined_fetched_anew_and_older_snapshots_say_what_they_lost(tmp_path: Path):
    rows = walk(2_000, start=FEBRUARY - 1_000 * 60_000)
    with opened(tmp_path) as lake:
        lake.write(BTC, rows)
        lake.snapshot("before")
        path = next(p for p in tmp_path.rglob("*.parquet") if "2025-02" in p.name)
        path.write_bytes(path.read_bytes()[::-1])
        with pytest.raises(CorruptFile) as caught:
            held(lake)
        (gap,) = lake.quarantine(caught.value.file_id, "a page was damaged")
        assert (gap.first_ms, gap.count) == (FEBRUARY, 1_000)
        assert np.array_equal(held(lake), rows[:1_000])
        assert not path.exists()
        assert (tmp_path / "quarantine" / path.relative_to(tmp_path)).is_file()
        (entry,) = lake.log(BTC)
        assert (entry["kind"], entry["why"], entry["file_id"]) == (
            "quarantine",
            "a page was damaged",
            caught.value.file_id,
        )
        with pytest.raises(CorruptFile, match="was quarantined"):
            held(lake, as_of="before")

        assert lake.write(BTC, rows[1_000:]).added == 1_000
        assert np.array_equal(held(lake), rows)
        assert np.array_equal(held(lake, as_of="before"), rows)  # the same content has the same name
        with pytest.raises(UsageError, match="names 0 files"):
            lake.quarantine("0123456789abcdef", "no such file")


@pytest.mark.real_data
@pytest.mark.parametrize("date", ["20210326", "20220615", "20230826", "20241001", "20250101"])
def test_real_minutes_take_at_most_twelve_bytes_and_forty_percent_less_than_default_files(
    tmp_path: Path, real_data: Path, date: str
):
    from twinstar_kit.feeds import load_bars

    bars = load_bars(real_data / "ohlcv" / f"binance_BTCUSDT_spot_1m_{date}.parquet", "BTC/USDT", "binance")
    assert isinstance(bars.instrument, Instrument)
    with Lake(tmp_path / "lake") as lake:
        lake.register(BTC, bars.instrument)
        lake.write(BTC, bars.rows)
        assert np.array_equal(held(lake), bars.rows)
        ours = lake.info(BTC).bytes / len(bars)
        plain = tmp_path / "plain.parquet"
        table = lake.read("binance", "BTC/USDT").polars()
        table.write_parquet(plain)
        polars_bytes = plain.stat().st_size / len(bars)
        pq.write_table(table.to_arrow(), plain)
        arrow_bytes = plain.stat().st_size / len(bars)
    assert ours <= 12
    assert ours <= 0.6 * min(polars_bytes, arrow_bytes)


def test_times_and_provenance_take_nearly_nothing():
    rows = walk(44_640)
    _, layout = codec.encode(BTC, "2025-01", INSTRUMENT, rows, np.zeros(len(rows), np.int8))
    sizes = {name: page.length / len(rows) for name, page in layout.groups[0].pages.items()}
    assert sizes["timestamp"] < 0.06
    assert sizes["provenance"] < 0.06
