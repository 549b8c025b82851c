"""Recorded order books: the chain of updates, what a gap does, and the best prices that the venue itself published."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from twinstar_kit.feeds import open_feed
from twinstar_kit.feeds.base import Feed
from twinstar_kit.feeds.depth import DepthReplay, Gap
from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.errors import DataError, UsageError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.orders import EventKind, OrdType, Side
from twinstar_kit.kernel.replay import CLEAR, LAST, LEVEL, PRICE, SEEN_TS, TRADE, TS, WHAT, rebuild

MS = 1_000_000
SPOT = Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.001", amount_scale=8)


def update(ids, levels, at_ms, before=None, seen_ms=None, kind="update"):
    """Rows of one update as a file holds them."""
    first, last = ids
    return [
        {
            "local_ts_ns": (at_ms if seen_ms is None else seen_ms) * MS, "event_ms": at_ms, "transact_ms": None,
            "first_update_id": first, "last_update_id": last, "prev_update_id": before, "type": kind,
            "side": side, "price": price, "amount": amount,
        }
        for side, price, amount in levels
    ]  # fmt: skip


def snapshot(last, levels, seen_ms, at_ms=None):
    return [row | {"event_ms": at_ms} for row in update((last, last), levels, seen_ms, kind="snapshot")]


def written(path, *parts):
    rows = [row for part in parts for row in part]
    whole = ("local_ts_ns", "event_ms", "transact_ms", "first_update_id", "last_update_id", "prev_update_id")
    columns = {name: pa.array([row[name] for row in rows], pa.int64()) for name in whole}
    columns |= {name: [row[name] for row in rows] for name in ("type", "side", "price", "amount")}
    pq.write_table(pa.table(columns), path)
    return path


def traded(path, *rows):
    """Trades (ms, price, amount, side, id)."""
    names = ("timestamp", "price", "amount", "side", "id")
    columns = {name: [row[n] for row in rows] for n, name in enumerate(names)}
    pq.write_table(pa.table(columns | {"local_ts_ns": [row[0] * MS for row in rows]}), path)
    return path


BOOK = [("bid", 100.0, 1.0), ("bid", 99.99, 2.0), ("ask", 100.02, 1.5), ("ask", 100.03, 2.5)]


def engine(levels):
    return Engine([SPOT], Broker(fee_maker=0, fee_taker=0), {"USDT": 1_000}, levels=levels, live_book=True)


def sides(made):
    return [
        [(SPOT.price(int(v["price"])), SPOT.amount(int(v["qty"]))) for v in made.book(0, side)]
        for side in (1, -1)
    ]


def played(replay, made=None):
    made = made or engine(replay.levels)
    return made, list(replay.play(made))


def test_the_snapshot_comes_first_and_what_it_holds_already_is_left_out(tmp_path):
    """The recorder asked for the snapshot while updates came in: some are older than it, some newer, though recorded before it."""
    path = written(
        tmp_path / "book.parquet",
        update((1, 5), [("bid", 100.01, 9.0)], 1_000),
        update((6, 12), [("bid", 99.98, 3.0)], 1_100),
        snapshot(10, BOOK, 1_150),
        update((13, 14), [("ask", 100.02, 0.0)], 1_200),
    )
    replay = DepthReplay.open(str(path), instrument=SPOT)
    assert replay.rows[:, WHAT].tolist() == [CLEAR, LEVEL, LEVEL, LEVEL, LAST, LAST, LAST]
    assert replay.rows[0, TS] == 1_100 * MS, (
        "the venue did not say when it made the snapshot: no later than what follows it"
    )
    assert replay.rows[5, SEEN_TS] == 1_150 * MS, "nobody knew the book before the snapshot was there"
    made, times = played(replay)
    assert sides(made) == [[(100.0, 1.0), (99.99, 2.0), (99.98, 3.0)], [(100.03, 2.5)]]
    assert times == [1_100, 1_100, 1_200]
    assert (replay.gaps, replay.late, replay.shift) == ((), 0, 0)


def test_an_update_that_was_recorded_late_counts_where_the_chain_says(tmp_path):
    path = written(
        tmp_path / "book.parquet",
        snapshot(10, BOOK, 1_000, at_ms=1_000),
        update((13, 15), [("bid", 100.0, 7.0)], 1_200),
        update((11, 12), [("bid", 100.0, 5.0)], 1_100, seen_ms=1_250),
    )
    replay = DepthReplay.open(str(path), instrument=SPOT)
    assert replay.late == 1
    assert sides(played(replay)[0])[0][0] == (100.0, 7.0)
    assert np.all(np.diff(replay.rows[:, TS]) >= 0)


@pytest.mark.parametrize("before", [None, 11], ids=["ids follow", "ids name the one before"])
def test_a_gap_is_told_and_ends_the_book_until_the_next_snapshot(tmp_path, before):
    """Neither the changes after the gap nor the book before it are taken for the book: nobody knows what it was."""
    lost = update((14, 15), [("bid", 100.0, 7.0)], 1_200, before=None if before is None else 13)
    path = written(
        tmp_path / "book.parquet",
        snapshot(10, BOOK, 1_000, at_ms=1_000),
        update((11, 12), [("bid", 100.0, 5.0)], 1_100, before=before),
        lost,
        update((16, 17), [("bid", 100.0, 8.0)], 1_300, before=None if before is None else 15),
        snapshot(20, [("bid", 90.0, 1.0), ("ask", 91.0, 1.0)], 1_400, at_ms=1_400),
        update((21, 21), [("bid", 90.0, 2.0)], 1_500, before=None if before is None else 20),
    )
    replay = DepthReplay.open(str(path), instrument=SPOT)
    assert replay.gaps == (Gap(1_200 * MS, 12, 14),)
    made = engine(replay.levels)
    books = {now: sides(made) for now in replay.play(made)}
    assert books[1_100][0][0] == (100.0, 5.0)
    assert books[1_200] == [[], []]
    assert 1_300 not in books
    assert books[1_500] == [[(90.0, 2.0)], [(91.0, 1.0)]]


def test_an_order_does_not_fill_against_a_book_that_is_not_known(tmp_path):
    path = written(
        tmp_path / "book.parquet",
        snapshot(10, BOOK, 1_000, at_ms=1_000),
        update((13, 15), [("ask", 99.0, 7.0)], 1_200),
    )
    replay = DepthReplay.open(str(path), instrument=SPOT)
    made = engine(replay.levels)
    for now in replay.play(made):
        if now == 1_000:
            made.submit(
                now, 0, Side.BUY, OrdType.LIMIT, SPOT.amount_units("1"), price=SPOT.price_units("99.5")
            )
    assert not np.any(made.drain()["kind"] == EventKind.FILLED)


def test_trades_come_before_the_change_of_the_book_that_tells_of_them(tmp_path):
    book = written(
        tmp_path / "book.parquet",
        snapshot(10, BOOK, 1_000, at_ms=1_000),
        update((11, 12), [("ask", 100.02, 0.5)], 1_100),
    )
    trades = traded(
        tmp_path / "trades.parquet",
        (1_100, 100.02, 0.6, "buy", 8),
        (1_100, 100.02, 0.4, "buy", 7),
        (1_050, 100.0, 0.1, "sell", 6),
    )
    replay = DepthReplay.open(f"{book},trades:{trades}", instrument=SPOT)
    assert replay.spec == f"depth:{book},trades:{trades}"
    assert replay.rows[-4:, WHAT].tolist() == [TRADE, TRADE, TRADE, LAST]
    assert [SPOT.amount(int(v)) for v in replay.rows[-4:-1, 5]] == [0.1, 0.4, 0.6], (
        "one instant in the order of ids"
    )
    made, times = played(replay)
    assert times == [1_000, 1_050, 1_100, 1_100, 1_100]
    assert int(made.inst["last"][0]) == SPOT.price_units("100.02")
    assert replay.span() == (1_000, 1_101)


def test_a_resting_order_waits_in_the_recorded_queue(tmp_path):
    book = written(
        tmp_path / "book.parquet",
        snapshot(10, BOOK, 1_000, at_ms=1_000),
        update((11, 12), [("bid", 100.0, 0.6)], 1_300),
    )
    trades = traded(
        tmp_path / "trades.parquet", (1_200, 100.0, 0.7, "sell", 1), (1_400, 100.0, 0.4, "sell", 2)
    )
    replay = DepthReplay.open(f"{book},trades:{trades}", instrument=SPOT)
    made = Engine(
        [SPOT], Broker(fee_maker=0, fee_taker=0, queue="risk_averse", liquidity="bounded"), {"USDT": 1_000}, levels=replay.levels, live_book=True
    )  # fmt: skip
    for now in replay.play(made):
        if now == 1_000:
            made.submit(
                now, 0, Side.BUY, OrdType.LIMIT, SPOT.amount_units("1"), price=SPOT.price_units("100")
            )
            made.on_levels(0, now, np.zeros((0, 3), np.int64))
    fills = made.drain()
    fills = fills[fills["kind"] == EventKind.FILLED]
    # 1.0 stood before it: 0.7 traded, 0.3 is left before it, and of the next 0.4 it gets 0.1
    assert [(int(f["ts_event"]), SPOT.amount(int(f["last_qty"]))) for f in fills] == [(1_400, 0.1)]


def test_nothing_is_seen_before_it_has_happened(tmp_path):
    """A recorder whose clock is behind the venue's is put forward by as much as it must be."""
    path = written(
        tmp_path / "book.parquet",
        snapshot(10, BOOK, 200, at_ms=1_000),
        update((11, 12), [("bid", 100.0, 5.0)], 1_100, seen_ms=250),
        update((13, 13), [("bid", 100.0, 6.0)], 1_200, seen_ms=420),
    )
    replay = DepthReplay.open(str(path), instrument=SPOT)
    assert replay.shift == 850 * MS
    assert (replay.rows[-2:, SEEN_TS] - replay.rows[-2:, TS]).tolist() == [0, 70 * MS]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([update((1, 5), [("bid", 100.0, 1.0)], 1)], "holds no snapshot"),
        ([snapshot(1, [("buyer", 100.0, 1.0)], 1)], "side must be one of bid, ask"),
        ([snapshot(1, [("bid", 100.0, 1.0), ("bid", 100.001, 1.0)], 1)], "price 100.001 in row 1"),
        ([snapshot(1, [("bid", 100.0, -1.0)], 1)], "amount -1.0 in row 0"),
        ([snapshot(1, [("bid", float("nan"), 1.0)], 1)], "price nan in row 0"),
        ([snapshot(1, [("bid", 0.0, 1.0)], 1)], "price 0.0 in row 0"),
        ([], "holds no snapshot"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(tmp_path, parts, words):
    path = written(tmp_path / "book.parquet", *parts)
    with pytest.raises(DataError, match=words) as refusal:
        DepthReplay.open(str(path), instrument=SPOT)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_files_that_are_something_else_are_refused(tmp_path):
    with pytest.raises(DataError, match="no file"):
        DepthReplay.open(str(tmp_path / "nowhere.parquet"), instrument=SPOT)
    (tmp_path / "text.parquet").write_text("price,amount\n")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        DepthReplay.open(str(tmp_path / "text.parquet"), instrument=SPOT)
    pq.write_table(pa.table({"price": [1.0]}), tmp_path / "few.parquet")
    with pytest.raises(DataError, match="lacks the columns"):
        DepthReplay.open(str(tmp_path / "few.parquet"), instrument=SPOT)


CAPTURES = {
    # name: symbol, tick, lot, contract size, depth events whose best prices the venue published since the snapshot
    "usdm_BTCUSDT": ("BTC/USDT:USDT", "0.1", "0.001", 1, 6_546),
    "spot_BTCUSDT": ("BTC/USDT", "0.01", "0.00001", 1, 3_449),
    "cm_BTCUSD_PERP": ("BTC/USD:BTC", "0.1", "1", 100, 26_819),
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", CAPTURES)
def test_the_rebuilt_book_has_the_best_prices_that_the_venue_published(real_data, name):
    """At every depth event bid and ask, price and size, are those of the latest best-bid-offer record not newer than it."""
    symbol, tick, lot, size, known = CAPTURES[name]
    market = Instrument.from_sizes(symbol, tick, lot, contract_size=size)
    path = real_data / "l2" / f"binance_{name}_depth_20240808.parquet"
    trades = real_data / "trades" / f"binance_{name}_trades_20240808.parquet"
    replay = DepthReplay.open(f"{path},trades:{trades}", instrument=market)
    assert (replay.gaps, replay.late) == ((), 0)
    made = Engine([market], Broker(), levels=replay.levels, live_book=True)
    best = np.zeros((int((replay.rows[:, WHAT] == LAST).sum()), 5), np.int64)
    assert rebuild(made.desk.handle, 0, replay.rows, best) == len(best)
    assert np.all(best[:, 1] < best[:, 3]), "a crossed book"

    columns = pq.read_table(path, columns=["type", "last_update_id"])
    ids, kinds = columns["last_update_id"].to_numpy(), np.array(columns["type"].to_pylist())
    since = ids[kinds == "snapshot"][0]
    events = np.unique(ids[(kinds == "update") & (ids >= since)])
    assert len(events) == len(best) - 1, "the first instant is the snapshot"
    quotes = pq.read_table(real_data / "l2" / f"binance_{name}_bbo_20240808.parquet")
    latest = np.searchsorted(quotes["update_id"].to_numpy(), events, "right") - 1
    published = np.column_stack([
        np.rint(quotes[column].to_numpy() * 10.0**scale).astype(np.int64)
        for column, scale in (("bid", market.price_scale), ("bid_amount", market.amount_scale),
                              ("ask", market.price_scale), ("ask_amount", market.amount_scale))
    ])  # fmt: skip
    assert latest.min() >= 0
    equal = np.all(published[latest] == best[1:, 1:], axis=1)
    assert equal.all()
    fresh = quotes["update_id"].to_numpy()[latest] >= since
    assert int(equal[fresh].sum()) == known


@pytest.mark.real_data
def test_python_and_the_compiled_loop_rebuild_the_same_book(real_data):
    market = Instrument.from_sizes("ETH/USDT", "0.01", "0.0001")
    replay = DepthReplay.open(
        str(real_data / "l2" / "binance_spot_ETHUSDT_depth_20240808.parquet"), instrument=market
    )
    by_loop, by_call = (Engine([market], Broker(), levels=replay.levels, live_book=True) for _ in range(2))
    best = np.zeros((int((replay.rows[:, WHAT] == LAST).sum()), 5), np.int64)
    rebuild(by_loop.desk.handle, 0, replay.rows, best)
    found = []
    for _ in replay.play(by_call):
        found.append((int(by_call.inst["bid"][0]), int(by_call.inst["ask"][0])))
    assert found == [tuple(row) for row in best[:, [1, 3]].tolist()]
    for side in (1, -1):
        assert (
            by_loop.book(0, side)[["price", "qty"]].tolist()
            == by_call.book(0, side)[["price", "qty"]].tolist()
        )
    prices = by_call.book(0, 1)["price"]
    assert np.all(np.diff(prices) < 0)
    assert set(prices.tolist()) <= set(replay.rows[:, PRICE].tolist())


@pytest.fixture
def feed(tmp_path):
    """Two and a half minutes of a small market, from 12:00:30 to 12:02:59.5."""
    start = 1_735_732_830_000
    book = written(
        tmp_path / "book.parquet",
        snapshot(10, BOOK, start, at_ms=start),
        *(update((n, n), [("bid", 100.0, 1.0 + n)], start + 1_000 * n) for n in range(11, 150)),
    )
    trades = traded(
        tmp_path / "trades.parquet",
        *(
            (start + 1_000 * n + 500, 100.0 + 0.01 * (n % 7), 0.5, "buy" if n % 2 else "sell", n)
            for n in range(150)
        ),
    )
    return open_feed(f"depth:{book},trades:{trades}", symbol="BTC/USDT", tick="0.01", lot="0.001"), start


def test_a_recorded_book_with_trades_is_a_feed(feed):
    market, start = feed
    assert isinstance(market, Feed)
    assert (market.granularity, market.simulated, market.synthetic) == ("trades", False, frozenset())
    assert market.span() == (start, start + 149_501)
    assert market.instruments[0].symbol == "BTC/USDT"


def test_its_bars_are_its_trades_and_only_complete_ones(feed):
    market, start = feed
    bars = market.bars("BTC/USDT", 0, start + 10**9)
    assert bars.timestamp.tolist() == [start + 30_000], "the first and the last minute are not whole"
    inside = market.trades("BTC/USDT", start + 30_000, start + 90_000)
    price = inside["price"]
    assert bars.rows[0, 1:].tolist() == [
        price[0],
        price.max(),
        price.min(),
        price[-1],
        inside["amount"].sum(),
    ]
    assert market.forming_bar("BTC/USDT", start + 30_499) is None
    forming = market.forming_bar("BTC/USDT", start + 31_500)
    assert forming.tolist() == [
        start + 30_000,
        price[0],
        max(price[:2]),
        min(price[:2]),
        price[1],
        inside["amount"][:2].sum(),
    ]


def test_its_book_is_what_it_was_in_any_order_of_asking(feed):
    market, start = feed
    units = market.instruments[0]

    def best_bid(now):
        return units.amount(int(market.book("BTC/USDT", now)[0][0, 1]))

    assert [best_bid(start + ms) for ms in (20_000, 12_999, 100_000, 11_000)] == [21.0, 13.0, 101.0, 12.0]
    bids, asks = market.book("BTC/USDT", start + 60_000, 1)
    assert (len(bids), len(asks)) == (1, 1)


def test_its_ticker_is_the_day_that_it_holds(feed):
    market, start = feed
    row = market.tickers(start + 60_000)[0]
    trades = market.trades("BTC/USDT", start, start + 60_001)
    assert row["last"] == market.last("BTC/USDT", start + 60_000) == trades["price"][-1]
    assert row["volume"] == pytest.approx(30.0)
    assert row["quote_volume"] == pytest.approx(
        float((trades["price"] * 1e-8 * trades["amount"] * 1e-8).sum())
    )
    assert row["bid_amount"] == market.instruments[0].amount_units("61")
    assert market.tickers(start - 1)[0]["last"] == 0
    with pytest.raises(DataError, match="no trades before"):
        market.last("BTC/USDT", start)


def test_a_feed_of_a_book_needs_its_trades(tmp_path):
    path = written(tmp_path / "book.parquet", snapshot(10, BOOK, 1_000, at_ms=1_000))
    with pytest.raises(UsageError, match="needs trades beside the book"):
        open_feed(f"depth:{path}", symbol="BTC/USDT")
    with pytest.raises(UsageError, match="depth:PATH,trades:PATH"):
        open_feed("depth:")
