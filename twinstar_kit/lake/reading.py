"""Reading a series: the files and the tail of one state of the catalog, month by month, as columns or rows."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.clock import to_milliseconds
from twinstar_kit.feeds.resample import ceil_time
from twinstar_kit.kernel.bars import Bars, format_timeframe
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.lake import codec, tail
from twinstar_kit.lake.catalog import FileRef, Known, list_files
from twinstar_kit.lake.codec import Decoded
from twinstar_kit.lake.joining import join
from twinstar_kit.lake.leases import Lease
from twinstar_kit.lake.place import Place
from twinstar_kit.lake.provenance import Provenance
from twinstar_kit.lake.rows import AMOUNTS, COLUMNS, PRICES, RATE_SCALE, Marks, Rows, latest
from twinstar_kit.lake.series import LAST_MS, Kind, Series

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from twinstar_kit.lake.attribution import Attribution, Run

SHOWN = 6


@dataclass(frozen=True)
class Chunk:
    """Rows of one month (or of one day, for trades and book changes), or a part of them, as they are stored.

    `file_id` names the file they stand in; None when all of them are in the tail. `columns` are arrays of 32 or
    64 bits that count `price_factor` or `amount_factor` units each; `units` and `rows` give plain units.
    """

    series: Series
    month: str
    file_id: str | None
    decoded: Decoded = field(repr=False)

    def __len__(self) -> int:
        return len(next(iter(self.decoded.columns.values())))

    @property
    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Columns by name, in stored numbers."""
        return self.decoded.columns

    @property
    def price_factor(self) -> int:
        """Price units that one number of a price column counts."""
        return self.decoded.price_factor

    @property
    def amount_factor(self) -> int:
        """Amount units that one number of an amount column counts."""
        return self.decoded.amount_factor

    def units(self, name: str) -> Rows:
        """One column in the instrument's units, int64."""
        return self.decoded.units(name)

    @cached_property
    def rows(self) -> Rows:
        """All columns in units, int64 (n, width), C-contiguous; needs a chunk that was read with all columns."""
        return codec.assemble(self.series.kind, [self.decoded])

    @property
    def provenance(self) -> Marks:
        """One `Provenance` a row, int8."""
        return self.decoded.columns["provenance"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What one state of the catalog says about a series in [since_ms, until_ms)."""

    known: Known
    since_ms: int
    until_ms: int
    files: list[FileRef]
    tail: dict[str, list[tail.Batch]]


def plan(place: Place, known: Known, since_ms: int, until_ms: int, version: int | None = None) -> Plan:
    """File list and tail, read in one transaction; a snapshot has no tail."""
    late: dict[str, list[tail.Batch]] = {}
    with place.catalog.reading() as db:
        files = list_files(db, known.id, since_ms, until_ms, version)
        if version is None:
            for batch in tail.between(db, known.id, since_ms, until_ms):
                late.setdefault(batch.part, []).append(batch)
    return Plan(known, since_ms, until_ms, files, late)


def chunks(place: Place, plan: Plan, columns: Sequence[str] | None = None) -> Iterator[Chunk]:
    """The planned rows in order of time; holds one file at a time."""
    series = plan.known.series
    names = wanted(series.kind, columns)
    by_part = {ref.part: ref for ref in plan.files}
    for part in sorted(by_part.keys() | plan.tail.keys()):
        ref = by_part.get(part)
        for decoded in _part(place, series.kind, ref, plan.tail.get(part), names, plan):
            if len(decoded.columns[names[0]]):
                yield Chunk(series, part, ref.id if ref else None, decoded)


def wanted(kind: Kind, columns: Sequence[str] | None) -> list[str]:
    """Names of columns, checked; default: all of the kind and the provenance."""
    known = [*COLUMNS[kind], "provenance"]
    if columns is None:
        return known
    unknown = [name for name in columns if name not in known]
    if unknown or not columns:
        raise UsageError(f"there is no column {(unknown or [''])[0]!r}; {kind.value} have {', '.join(known)}")
    return list(columns)


def _part(
    place: Place, kind: Kind, ref: FileRef | None, late: list[tail.Batch] | None, names: list[str], plan: Plan,
) -> Iterator[Decoded]:  # fmt: skip
    if late:
        rows, marks = laid_over(place, kind, ref, late)
        stamps = rows[:, 0]
        kept = slice(*np.searchsorted(stamps, (plan.since_ms, plan.until_ms)))
        yield picked(kind, rows[kept], marks[kept], names)
    elif ref is not None:
        whole = plan.since_ms <= ref.first_ms and ref.last_ms < plan.until_ms
        needed = names if whole or "timestamp" in names else ["timestamp", *names]
        for decoded in decoded_groups(place, kind, ref, needed):
            yield decoded if whole else _cut(decoded, names, plan)


def _cut(decoded: Decoded, names: list[str], plan: Plan) -> Decoded:
    kept = slice(*np.searchsorted(decoded.columns["timestamp"], (plan.since_ms, plan.until_ms)))
    columns = {name: decoded.columns[name][kept] for name in names}
    return Decoded(columns, decoded.price_factor, decoded.amount_factor)


def picked(kind: Kind, rows: Rows, marks: Marks, names: Sequence[str]) -> Decoded:
    """Columns of rows that are in units already."""
    at = {name: k for k, name in enumerate(COLUMNS[kind])}
    return Decoded({name: marks if name == "provenance" else rows[:, at[name]] for name in names}, 1, 1)


def decoded_groups(
    place: Place, kind: Kind, ref: FileRef, names: Sequence[str] | None = None
) -> Iterator[Decoded]:
    """The columns of a file, one row group at a time; CorruptFile when it is not what was written."""
    data, layout = place.fetch(ref)
    return codec.decode(data, layout, wanted(kind, names))


def file_rows(place: Place, kind: Kind, ref: FileRef | None) -> tuple[Rows, Marks]:
    """All rows of a file in units, and their marks; none for no file."""
    if ref is None:
        return np.empty((0, len(COLUMNS[kind])), np.int64), np.empty(0, np.int8)
    groups = list(decoded_groups(place, kind, ref))
    marks = [group.columns["provenance"] for group in groups]
    return codec.assemble(kind, groups), marks[0] if len(marks) == 1 else np.concatenate(marks)


def laid_over(
    place: Place, kind: Kind, ref: FileRef | None, late: Sequence[tail.Batch]
) -> tuple[Rows, Marks]:
    """The rows of a file with the tail's batches laid over them in the order they came."""
    rows, marks = file_rows(place, kind, ref)
    if not late:
        return rows, marks
    newer, newer_marks = tail.joined(kind, late)
    return latest(kind, np.concatenate([rows, newer]), np.concatenate([marks, newer_marks]))


class Reading:
    """What `Lake.read` found; rows are fetched when they are first asked for, and are the same ever after.

    `len(reading)` counts rows; `rows` is int64 (n, width) in the instrument's units, `provenance` int8 (n,).
    `polars()`, `pandas()` and `lazy()` give prices and amounts as floats; `bars()` is what strategies run on.
    """

    def __init__(self, place: Place, plan: Plan, pin: Lease, timeframe_ms: int | None = None) -> None:
        self._place, self._plan = place, plan
        self._join_ms = timeframe_ms
        self.series = plan.known.series
        self.instrument: Instrument = plan.known.instrument
        self.simulated = plan.known.simulated
        self._unpin = weakref.finalize(self, pin.close)

    @property
    def timeframe(self) -> str:
        """Timeframe of the rows; "" for what is no bar."""
        return format_timeframe(self._join_ms) if self._join_ms else self.series.timeframe

    @property
    def parts(self) -> dict[str, tuple[str | None, bool]]:
        """The months (or days) to be read: the id of the file, if there is one, and whether rows of the tail join it."""
        files = {ref.part: ref.id for ref in self._plan.files}
        tail = self._plan.tail
        return {part: (files.get(part), part in tail) for part in sorted(files.keys() | tail.keys())}

    def chunks(self, columns: Sequence[str] | None = None) -> Iterator[Chunk]:
        """The stored rows month by month, before any joining; bounded memory."""
        return chunks(self._place, self._plan, columns)

    @cached_property
    def _both(self) -> tuple[Rows, Marks]:
        found = list(self.chunks())
        rows = codec.assemble(self.series.kind, [chunk.decoded for chunk in found])
        marks = np.concatenate([chunk.provenance for chunk in found]) if found else np.empty(0, np.int8)
        if self._join_ms:
            rows, marks = join(self._place, self._plan.known, rows, marks, self._join_ms)
        return rows, marks

    @property
    def rows(self) -> Rows:
        """All rows in the instrument's units."""
        return self._both[0]

    @property
    def provenance(self) -> Marks:
        """Where each row comes from; of a joined bar, the most doubtful of its parts."""
        return self._both[1]

    def __len__(self) -> int:
        return len(self.rows)

    def bars(self) -> Bars:
        """The rows as bars of the kernel, with the doubt of those that are not the venue's own word; UsageError for what is no bar."""
        timeframe_ms = self._join_ms or self.series.timeframe_ms
        rows, doubt = self.rows, np.where(self.provenance >= Provenance.HEALED, self.provenance, 0)
        if doubt.any():
            rows = np.hstack([rows, doubt[:, None].astype(np.int64)])
        return Bars(
            self.instrument, timeframe_ms, rows, source=f"lake:{self.series}", simulated=self.simulated
        )

    def attribution(self, run: Run) -> Attribution:
        """How much of a run's profit came on bars of which provenance: `reading.attribution(backtest(..., reading))`."""
        from twinstar_kit.lake.attribution import attribute

        return attribute(self, run)

    def polars(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """A polars table; `columns` may name `provenance` too."""
        import polars as pl

        names = wanted(self.series.kind, columns or COLUMNS[self.series.kind])
        if self._join_ms or "_both" in self.__dict__:
            return pl.DataFrame(
                self._floats(picked(self.series.kind, self.rows, self.provenance, names), names)
            )
        tables = [pl.DataFrame(self._floats(chunk.decoded, names)) for chunk in self.chunks(names)]
        return pl.concat(tables) if tables else pl.DataFrame(schema=self._schema(names))

    def pandas(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A pandas table; `columns` may name `provenance` too."""
        import pandas as pd

        names = wanted(self.series.kind, columns or COLUMNS[self.series.kind])
        table = self.polars(names)
        return pd.DataFrame({name: table[name].to_numpy() for name in names}, copy=False)

    def lazy(self) -> pl.LazyFrame:
        """A polars query over the rows, `provenance` among the columns: only what it needs is read, month by month."""
        import polars as pl
        from polars.io.plugins import register_io_source

        everything = wanted(self.series.kind, None)
        if self._join_ms:
            return self.polars(everything).lazy()

        def source(
            with_columns: list[str] | None,
            predicate: pl.Expr | None,
            n_rows: int | None,
            batch_size: int | None,
        ) -> Iterator[pl.DataFrame]:
            names = list(with_columns) if with_columns else everything
            needed = list(
                dict.fromkeys([*names, *(predicate.meta.root_names() if predicate is not None else [])])
            )
            for chunk in self.chunks(needed):
                table = pl.DataFrame(self._floats(chunk.decoded, needed))
                if n_rows is not None:
                    table, n_rows = table.head(n_rows), max(0, n_rows - len(table))
                yield (table if predicate is None else table.filter(predicate)).select(names)
                if n_rows == 0:
                    return

        return register_io_source(source, schema=pl.Schema(self._schema(everything)))

    def _floats(self, decoded: Decoded, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        return {name: _float(decoded, name, self.instrument) for name in names}

    def _schema(self, names: Sequence[str]) -> dict[str, Any]:
        import polars as pl

        floats = PRICES | AMOUNTS | {"rate"}
        return {
            n: pl.Int8() if n == "provenance" else pl.Float64() if n in floats else pl.Int64() for n in names
        }

    def __repr__(self) -> str:
        what = f"{self.series.exchange} {self.series.symbol} {self.timeframe or self.series.kind.value}"
        made_up = ", simulated" if self.simulated else ""
        return f"<Reading of {what}: {len(self):,} rows{made_up}>\n{self._table(SHOWN)}"

    def _repr_html_(self) -> str:
        head = repr(self).splitlines()[0][1:-1]
        return f"<p>{head}</p>{self._ends().to_html(index=False)}"

    def _ends(self) -> pd.DataFrame:
        from twinstar_kit.lake.showing import ends

        return ends(self, SHOWN)

    def _table(self, shown: int) -> str:
        return str(self._ends().to_string(index=False)) if len(self) else "no rows"


def _float(decoded: Decoded, name: str, instrument: Instrument) -> npt.NDArray[Any]:
    if name == "provenance":
        return decoded.columns[name]
    scale = instrument.price_scale if name in PRICES else instrument.amount_scale if name in AMOUNTS else None
    if name == "rate":
        scale = RATE_SCALE
    units = decoded.units(name)
    return units if scale is None else units / float(10**scale)


def span(since: Any, until: Any) -> tuple[int, int]:
    """Times as people write them; open ends are the ends of time."""
    since_ms = 0 if since is None else to_milliseconds(since)
    until_ms = LAST_MS if until is None else to_milliseconds(until)
    if until_ms < since_ms:
        raise UsageError(f"until ({until}) lies before since ({since})")
    return since_ms, until_ms


def widened(since_ms: int, until_ms: int, timeframe_ms: int) -> tuple[int, int]:
    """The interval of all parts of the joined bars that open in [since_ms, until_ms)."""
    return ceil_time(since_ms, timeframe_ms), ceil_time(until_ms, timeframe_ms)
