"""Recorded order books: snapshots, changes of levels and trades of one market, in the order in which they happened.

A file of changes has one row a level that changed: `last_update_id` and `first_update_id` say which updates of the venue it
covers, `type` is `snapshot` or `update`, `side` is `bid` or `ask`, an `amount` of 0 removes the level. Times are `transact_ms` where the
venue tells it, else `event_ms`, and `local_ts_ns` when it was recorded.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.base import Rows
from twinstar_kit.feeds.files import loose_instrument
from twinstar_kit.kernel.errors import DataError
from twinstar_kit.kernel.instruments import Instrument, Number
from twinstar_kit.kernel.replay import CLEAR, COLUMNS, LAST, LEVEL, PRICE, QTY, SEEN_TS, SIDE, TRADE, TS, WHAT

if TYPE_CHECKING:
    import pyarrow as pa

    from twinstar_kit.kernel.engine import Engine

MS = 1_000_000  # nanoseconds
SIDES = {"bid": 1, "ask": -1, "buy": 1, "sell": -1}
Column = npt.NDArray[Any]


class Gap(NamedTuple):
    """Updates that a recording lacks: none between `after` and `before` (ids), which came at `ts` (nanoseconds)."""

    ts: int
    after: int
    before: int


@dataclass(frozen=True, slots=True, repr=False)
class DepthReplay:
    """The recorded book and trades of one market, ready for a replay.

    `rows` is a recording as `kernel.replay` describes it: at each snapshot the book is cleared and set, then come the updates that
    the snapshot does not hold yet. At a gap in the updates' ids the book is cleared, and stays empty until the next snapshot: what it was
    is not known; `gaps` tells of each. `late` counts updates that were recorded after later ones, which count when the chain
    says so. `levels` is how many levels a side can need. Where the clock of the recorder was behind the venue's, `shift` nanoseconds were
    added to what it wrote.
    """

    instrument: Instrument
    rows: Rows
    gaps: tuple[Gap, ...]
    late: int
    levels: int
    shift: int
    spec: str

    def __repr__(self) -> str:
        return f"DepthReplay({self.spec!r}, {len(self.rows)} rows, {len(self.gaps)} gaps)"

    @classmethod
    def open(
        cls, spec: str, symbol: str | None = None, exchange: str | None = None, tick: Number | None = None, lot: Number | None = None,
        instrument: Instrument | None = None,
    ) -> DepthReplay:  # fmt: skip
        """The recording in `PATH` or `PATH,trades:PATH`; `instrument`, or what names one, says how its numbers are counted.

        DataError for what is wrong with a file, in one line that names it.
        """
        path, _, trades = spec.partition(",trades:")
        market = instrument or loose_instrument(path, symbol, exchange, tick, lot)
        levels, gaps, late = _levels(Path(path), market)
        rows, shift = _in_order(levels, _trades(Path(trades), market) if trades else levels[:0])
        most = max(
            len(np.unique(rows[(rows[:, WHAT] != TRADE) & (rows[:, SIDE] == side), PRICE]))
            for side in (1, -1)
        )
        return cls(market, rows, tuple(gaps), late, most, shift, f"depth:{spec}")

    def span(self) -> tuple[int, int]:
        """The time of the first row and that after the last, in milliseconds."""
        return int(self.rows[0, TS]) // MS, int(self.rows[-1, TS]) // MS + 1

    def events(self) -> Iterator[tuple[int, Rows]]:
        """What happened at each instant, as (time in nanoseconds, rows of the recording).

        A book that is cleared comes together with the levels that it has from then on, if any.
        """
        what = self.rows[:, WHAT]
        known_again = (what[:-1] == CLEAR) & (what[1:] == LEVEL) if len(what) else what
        ends = (
            np.flatnonzero(
                (what == LAST) | (what == TRADE) | ((what == CLEAR) & ~np.append(known_again, False))
            )
            + 1
        )
        start = 0
        for end in ends.tolist():
            yield int(self.rows[start, TS]), self.rows[start:end]
            start = end

    def play(self, engine: Engine, j: int = 0, until_ms: int | None = None) -> Iterator[int]:
        """Let the recording meet the orders of instrument `j`, instant by instant; yields the time of each in milliseconds after it.

        The engine is one with `live_book=True` and room for `levels` levels, whose times are milliseconds.
        """
        for ts, rows in self.events():
            now_ms = ts // MS
            if until_ms is not None and now_ms >= until_ms:
                return
            first = rows[0]
            if first[WHAT] == TRADE:
                engine.on_trade(j, now_ms, int(first[PRICE]), int(first[QTY]), int(first[SIDE]))
            elif first[WHAT] == CLEAR:
                levels = rows[1:]
                bids, asks = (_best_first(levels, side) for side in (1, -1))
                engine.on_book(j, now_ms, bids, asks)
            else:
                engine.on_levels(j, now_ms, rows[:, SIDE : QTY + 1])
            yield now_ms


def _best_first(levels: Rows, side: int) -> Rows:
    """Price and quantity of one side of a snapshot, the best level first."""
    found = levels[levels[:, SIDE] == side][:, PRICE : QTY + 1]
    ordered: Rows = found[np.argsort(-side * found[:, 0], kind="stable")]
    return ordered


def _levels(file: Path, market: Instrument) -> tuple[Rows, list[Gap], int]:
    """The book of a file as rows of a recording, its gaps, and how many updates came late."""
    table = _read(file, "local_ts_ns", "event_ms", "transact_ms", "type", "side", "price", "amount",
                  "first_update_id", "last_update_id", "prev_update_id")  # fmt: skip
    transact, event = _whole(table, "transact_ms"), _whole(table, "event_ms")
    rows = np.zeros((table.num_rows, COLUMNS), np.int64)
    rows[:, TS] = np.where(transact >= 0, transact, event) * MS
    rows[:, SEEN_TS], rows[:, WHAT] = _whole(table, "local_ts_ns"), LEVEL
    rows[:, SIDE] = _words(table, "side", SIDES, file)
    rows[:, PRICE] = _units(table, "price", market.price_scale, file, least=1)
    rows[:, QTY] = _units(table, "amount", market.amount_scale, file, least=0)
    last, snapshot = (
        _whole(table, "last_update_id"),
        _words(table, "type", {"snapshot": 1, "update": 0}, file),
    )
    starts = np.flatnonzero(
        np.r_[True, (last[1:] != last[:-1]) | (snapshot[1:] != snapshot[:-1])][: len(last)]
    )
    ids = [snapshot, _whole(table, "first_update_id"), last, _whole(table, "prev_update_id")]
    groups = zip(*(column[starts].tolist() for column in ids), np.split(rows, starts[1:]), strict=True)
    updates = [_Update(*group) for group in groups] if len(starts) else []
    parts, gaps, late = _chained(updates)
    if not parts:
        raise DataError(
            f"{file}: it holds no snapshot, so the book is not known; begin with the file that has one"
        )
    joined = np.concatenate(parts)
    # the chain says what came first: no clock of an earlier change is later than that of a later one
    joined[:, TS], joined[:, SEEN_TS] = (np.maximum.accumulate(joined[:, column]) for column in (TS, SEEN_TS))
    return joined, gaps, late


class _Update(NamedTuple):
    """Rows of one update of the venue, with the ids that it covers and the one before it (-1: not told)."""

    snapshot: int
    first: int
    last: int
    before: int
    rows: Rows


def _chained(updates: list[_Update]) -> tuple[list[Rows], list[Gap], int]:
    """From each snapshot on, the updates that it does not hold yet, as long as each joins the one before.

    They may have been recorded before the snapshot was, as it takes longer to come.
    """
    parts: list[Rows] = []
    gaps: list[Gap] = []
    late = 0
    anchors = [n for n, update in enumerate(updates) if update.snapshot]
    for anchor, before, after in zip(anchors, [-1, *anchors], [*anchors[1:], len(updates)], strict=False):
        base = updates[anchor]
        end = updates[after].last if after < len(updates) else None
        found = [
            u
            for u in updates[before + 1 : after]
            if not u.snapshot and u.last >= base.last and (end is None or u.last < end)
        ]
        late += sum(b.last < a.last for a, b in itertools.pairwise(found))
        found.sort(key=lambda update: update.last)
        cleared = base.rows[:1].copy()
        cleared[0, WHAT:] = (CLEAR, 0, 0, 0)
        parts += [cleared, _ended(base.rows)]
        if found and cleared[0, TS] < 0:  # the venue did not say when the snapshot was taken
            parts[-1][:, TS] = parts[-2][:, TS] = found[0].rows[0, TS]
        reached = base.last
        for number, update in enumerate(found):
            follows = update.before == reached if update.before >= 0 else update.first == reached + 1
            if not (follows if number else update.first <= reached + 1):
                ts, seen = (int(t) for t in update.rows[0, :WHAT])
                gaps.append(Gap(ts, reached, update.first))
                parts.append(np.array([[ts, seen, CLEAR, 0, 0, 0]], np.int64))
                break
            parts.append(_ended(update.rows))
            reached = update.last
    return parts, gaps, late


def _ended(rows: Rows) -> Rows:
    """The rows of one instant, the last of them marked."""
    rows = rows.copy()
    rows[-1, WHAT] = LAST
    return rows


def _trades(file: Path, market: Instrument) -> Rows:
    """The trades of a file as rows of a recording, in the order of their ids."""
    table = _read(file, "timestamp", "local_ts_ns", "price", "amount", "side", "id")
    rows = np.zeros((table.num_rows, COLUMNS), np.int64)
    rows[:, TS], rows[:, SEEN_TS], rows[:, WHAT] = (
        _whole(table, "timestamp") * MS,
        _whole(table, "local_ts_ns"),
        TRADE,
    )
    rows[:, SIDE] = _words(table, "side", SIDES, file)
    rows[:, PRICE] = _units(table, "price", market.price_scale, file, least=1)
    rows[:, QTY] = _units(table, "amount", market.amount_scale, file, least=1)
    rows = rows[np.lexsort((_whole(table, "id"), rows[:, TS]))]
    return rows


def _in_order(levels: Rows, trades: Rows) -> tuple[Rows, int]:
    """Both in the order of the venue's time, and by how much the recorder's clock had to be put forward.

    At one instant trades come first: the change of the book that tells of them comes after. Nothing can be seen before it has happened.
    """
    rows = np.concatenate([trades, levels])
    rows = np.ascontiguousarray(rows[np.argsort(rows[:, TS], kind="stable")])
    shift = max(0, -int((rows[:, SEEN_TS] - rows[:, TS]).min()))
    rows[:, SEEN_TS] += shift
    return rows, shift


def _read(file: Path, *columns: str) -> pa.Table:
    """These columns of a Parquet file; DataError when it is not one, or lacks some."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not file.is_file():
        raise DataError(f"no file {file}")
    try:
        held = pq.read_schema(file).names
        missing = [name for name in columns if name not in held]
        if missing:
            raise DataError(f"{file}: it lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}")
        return pq.read_table(file, columns=list(columns))
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{file}: not a readable Parquet file: {str(error).splitlines()[0]}") from None


def _whole(table: pa.Table, name: str) -> Rows:
    """A column of whole numbers, -1 where there is none."""
    values: Rows = table[name].cast("int64").fill_null(-1).to_numpy()
    return values


def _words(table: pa.Table, name: str, meaning: dict[str, int], file: Path) -> Rows:
    """A column of words as numbers; DataError for a word that has none."""
    column = table[name].combine_chunks().dictionary_encode()
    known = [meaning.get(word, 0 if word is None else None) for word in column.dictionary.to_pylist()]
    if None in known or column.null_count:
        raise DataError(f"{file}: {name} must be one of {', '.join(meaning)} in every row")
    numbers: Rows = np.array(known, np.int64)[column.indices.to_numpy()]
    return numbers


def _units(table: pa.Table, name: str, scale: int, file: Path, *, least: int) -> Rows:
    """A column of prices or amounts in units; DataError with the row of one that is below `least` or finer than a unit."""
    values = table[name].cast("float64").fill_null(float("nan")).to_numpy()
    with np.errstate(invalid="ignore"):
        scaled = values * 10.0**scale
        units = np.rint(scaled)
        bad = ~(
            (np.abs(scaled - units) <= 1e-9 * np.maximum(1.0, np.abs(scaled)))
            & (units >= least)
            & (units < 2.0**62)
        )
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"{file}: {name} {values[row]} in row {row} is not a whole number of {10.0**-scale:.{scale}f}, at least {least}"
        )
    counted: Rows = units.astype(np.int64)
    return counted
