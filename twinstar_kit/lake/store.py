"""`Lake`: market data that is stored once, verified when read, and never changed in silence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from twinstar_kit.feeds.clock import Clock, SystemClock, to_milliseconds
from twinstar_kit.kernel.bars import parse_timeframe
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.lake import holes, keeping, log, reading, writing
from twinstar_kit.lake.catalog import Catalog, Known
from twinstar_kit.lake.errors import NoSuchSeries
from twinstar_kit.lake.files import Files, LocalFiles, open_files
from twinstar_kit.lake.keeping import Compacted, SetAside, Snapshot
from twinstar_kit.lake.leases import Leases
from twinstar_kit.lake.place import Place
from twinstar_kit.lake.provenance import Gap, Provenance
from twinstar_kit.lake.reading import Chunk, Reading
from twinstar_kit.lake.series import LAST_MS, Kind, Series
from twinstar_kit.lake.writing import Why, Written
from twinstar_kit.settings import load_settings

if TYPE_CHECKING:
    import duckdb

    from twinstar_kit.feeds.source import Source
    from twinstar_kit.lake.backfill import BackfillReport
    from twinstar_kit.lake.certificate import Certificate, Fault
    from twinstar_kit.lake.exports import Exported
    from twinstar_kit.lake.heal import HealReport
    from twinstar_kit.lake.imports import Imported
    from twinstar_kit.lake.maintain import Maintained
    from twinstar_kit.lake.verdicts import Verification
    from twinstar_kit.lake.verify import Advance

Times = int | str | None


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """A series of the lake and how much of it there is; times are opens in ms UTC, None while it is empty."""

    series: Series
    instrument: Instrument
    simulated: bool
    first_ms: int | None
    last_ms: int | None
    rows: int
    bytes: int


class Lake:
    """Market data in immutable Parquet files under an SQLite catalog.

    `url` is a folder (default: the `lake` setting) or any fsspec URL for the files, with `options` for fsspec; the
    catalog is always a local file: `catalog.sqlite` in a local lake's folder, else `catalog`, else one under the home.
    Safe to use from several threads and processes at once. Rows are int64 in the instrument's units, as `Bars.rows`;
    see `lake.rows.COLUMNS` for other kinds. LakeError when the disk, the catalog or a file refuses.

    >>> import tempfile
    >>> from twinstar_kit.kernel.instruments import Instrument
    >>> lake, btc = Lake(tempfile.mkdtemp()), Series("binance", "BTC/USDT")
    >>> lake.register(btc, Instrument.from_sizes("BTC/USDT", "0.01", "0.00001"))
    >>> minute = [1_735_689_600_000, 9_400_000, 9_410_000, 9_399_000, 9_405_000, 150_000_000]
    >>> lake.append(btc, [minute])
    Written(added=1, same=0, revised=0, off_grid=0)
    >>> lake.read("binance", "BTC/USDT").polars().row(0)
    (1735689600000, 94000.0, 94100.0, 93990.0, 94050.0, 1.5)
    >>> lake.close()
    """

    def __init__(
        self, url: str | Path | None = None, *, catalog: str | Path | None = None, clock: Clock | None = None,
        files: Files | None = None, **options: Any,
    ) -> None:  # fmt: skip
        where = load_settings().lake_folder if url is None else url
        store = files or open_files(where, options)
        path = Path(catalog).expanduser() if catalog is not None else _catalog_path(store)
        self.url = store.url
        self._place = Place(
            Catalog(path), store, Leases(path.with_suffix(".readers")), clock or SystemClock()
        )
        self._sessions: list[Any] = []

    # --- what is there

    def register(self, series: Series, instrument: Instrument, *, simulated: bool = False) -> None:
        """Make a series known; the same again does nothing, other units or rules are a UsageError."""
        self._place.catalog.register(series, instrument, simulated)

    def series(self) -> list[SeriesInfo]:
        """Every series, sorted, with its ends and sizes."""
        return [self.info(known.series) for known in self._place.catalog.all()]

    def info(self, series: Series) -> SeriesInfo:
        """One series' ends and sizes."""
        known = self._known(series)
        return SeriesInfo(series, known.instrument, known.simulated, **keeping.size_of(self._place, known))

    @property
    def clock(self) -> Clock:
        """What the lake tells the time by."""
        return self._place.clock

    @property
    def catalog_path(self) -> Path:
        """Where the catalog lies, always on this machine."""
        return self._place.catalog.path

    def first_held(self, series: Series) -> int | None:
        """The first row that there is, or was until its file was found damaged; None when there never was one."""
        return keeping.first_held(self._place, self._known(series))

    def instrument(self, series: Series) -> Instrument:
        """What a series trades, and the units its rows count."""
        return self._known(series).instrument

    def _known(self, series: Series) -> Known:
        return self._place.catalog.known(series)

    # --- writing

    def append(
        self, series: Series, rows: Any, provenance: Any = Provenance.OBSERVED, source: str = ""
    ) -> Written:
        """Rows into the hot tail, durable when it returns. Where values differ from what is stored the new row wins
        and the old one goes into the log; see `write` for the rules."""
        return self.append_many([(series, rows)], provenance, source)

    def append_many(
        self, batch: Iterable[tuple[Series, Any]], provenance: Any = Provenance.OBSERVED, source: str = ""
    ) -> Written:
        """Rows of several series in one durable transaction: all or none."""
        checked = [writing.batch(self._place, series, rows, provenance) for series, rows in batch]
        return writing.append(self._place, checked, source)

    def write(
        self, series: Series, rows: Any, provenance: Any = Provenance.BACKFILLED, source: str = ""
    ) -> Written:
        """Rows into files, merged with what is there, in one transaction however many months they span.

        Rows ascend in time, one for each key. Equal values are counted as `same` and change nothing; different ones
        are `revised`: the new row wins, the old one stays in older snapshots and in the log. Rows off the grid are kept
        in the log and counted. DataError names the first row that breaks a rule; then nothing is written.
        """
        batch = writing.batch(self._place, series, rows, provenance)
        return writing.write(self._place, batch, Why("revision", source))

    def replace(self, series: Series, rows: Any, provenance: Any, source: str, why: str) -> Written:
        """Repair: as `write`, but a different provenance counts as a difference, and all that changes is logged with
        `why`."""
        batch = writing.batch(self._place, series, rows, provenance)
        return writing.write(self._place, batch, Why("repair", source, why), by_mark=True)

    # --- holes

    def missing(self, series: Series, since_ms: int, until_ms: int) -> list[Gap]:
        """Holes of the grid in [since_ms, until_ms): neither stored nor proven absent."""
        return holes.missing(self._place, self._known(series), since_ms, until_ms)

    def prove_absent(
        self, series: Series, first_ms: int, until_ms: int, reason: Provenance, proof: dict[str, Any]
    ) -> None:
        """Record why the bars of [first_ms, until_ms) cannot be there; DataError when one of them is."""
        holes.prove_absent(self._place, self._known(series), [(first_ms, until_ms)], reason, proof)

    def prove_all_absent(
        self, series: Series, spans: Sequence[tuple[int, int]], reason: Provenance, proof: dict[str, Any]
    ) -> None:
        """The same for many stretches with one proof, all or none."""
        holes.prove_absent(self._place, self._known(series), spans, reason, proof)

    def absences(self, series: Series, since_ms: int | None = None, until_ms: int | None = None) -> list[Gap]:
        """Proven absences, less what came to be stored after all."""
        until_ms = LAST_MS if until_ms is None else until_ms
        return holes.absences(self._place, self._known(series), since_ms or 0, until_ms)

    def asked(self, series: Series, since_ms: int, until_ms: int, source: str, rows: int) -> None:
        """Remember that `source` answered for [since_ms, until_ms) with so many rows."""
        holes.asked(self._place, self._known(series), [(since_ms, until_ms)], source, rows)

    def asked_in_vain(self, series: Series, spans: Iterable[tuple[int, int]], source: str) -> None:
        """Remember that `source` has nothing in any of the spans, in one transaction."""
        holes.asked(self._place, self._known(series), spans, source)

    def was_asked(self, series: Series, since_ms: int, until_ms: int, source: str) -> list[tuple[int, int]]:
        """Parts of [since_ms, until_ms) that `source` answered with nothing."""
        return holes.was_asked(self._place, self._known(series), since_ms, until_ms, source)

    def answered_since(
        self, series: Series, since_ms: int, until_ms: int, source: str, ts_ms: int
    ) -> list[tuple[int, int]]:
        """Parts of [since_ms, until_ms) that `source` answered for at `ts_ms` or later, whatever it had."""
        return holes.answered_since(self._place, self._known(series), (since_ms, until_ms), source, ts_ms)

    # --- reading

    def read(
        self, exchange: str, symbol: str, timeframe: str = "1m", since: Times = None, until: Times = None, *,
        as_of: str | int | None = None, kind: Kind = Kind.BARS,
    ) -> Reading:  # fmt: skip
        """Rows in [since, until): milliseconds or ISO dates; all of them by default.

        A timeframe that is not stored is joined from the longest stored one that divides it: bars of which every part
        is stored or proven absent. `as_of` names a snapshot by name, id, or a time at or after it was taken.
        """
        series = Series(exchange, symbol, timeframe, kind)
        since_ms, until_ms = reading.span(since, until)
        try:
            known, join_ms = self._known(series), None
        except NoSuchSeries:
            known, join_ms = self._divides(series), parse_timeframe(timeframe)
            since_ms, until_ms = reading.widened(since_ms, until_ms, join_ms)
        return self._read(known, since_ms, until_ms, as_of, join_ms)

    def _divides(self, series: Series) -> Known:
        """The longest stored timeframe that `series` can be joined from."""
        if series.kind is Kind.BARS:
            same = [k for k in self._place.catalog.all() if k.series.exchange == series.exchange]
            found = [k for k in same if k.series.symbol == series.symbol and k.series.kind is Kind.BARS]
            found = [k for k in found if series.timeframe_ms % k.series.timeframe_ms == 0]
            if found:
                return max(found, key=lambda k: k.series.timeframe_ms)
        return self._known(series)

    def _read(
        self, known: Known, since_ms: int, until_ms: int, as_of: Any, join_ms: int | None = None
    ) -> Reading:
        pin = self._place.pin()
        try:
            version = keeping.version_of(self._place, as_of)
            return Reading(
                self._place, reading.plan(self._place, known, since_ms, until_ms, version), pin, join_ms
            )
        except BaseException:
            pin.close()
            raise

    def scan(
        self, series: Series, since_ms: int | None = None, until_ms: int | None = None, *,
        columns: Sequence[str] | None = None, as_of: str | int | None = None,
    ) -> Iterator[Chunk]:  # fmt: skip
        """The same rows month by month, holding one file at a time; of `columns` alone if given."""
        found = self._read(
            self._known(series), since_ms or 0, LAST_MS if until_ms is None else until_ms, as_of
        )
        yield from found.chunks(columns)

    def sql(self, query: str, **series: Series) -> duckdb.DuckDBPyRelation:
        """A DuckDB relation over views named as the keywords: `lake.sql("SELECT max(high) FROM btc", btc=series)`.

        Columns are those of `polars()` and `provenance`. Every file is checked whole first.
        """
        from twinstar_kit.lake.sql import Session

        session = Session(self._place)
        self._sessions.append(session)
        for name, one in series.items():
            pin = self._place.pin()
            session.view(name, reading.plan(self._place, self._known(one), 0, LAST_MS), pin)
        return session.connection.sql(query)

    # --- keeping

    def compact(self, series: Series | None = None, *, before_ms: int | None = None) -> Compacted:
        """Move the tail into files; batches that hold rows at or after `before_ms` stay where they are."""
        return keeping.compact(self._place, None if series is None else self._known(series), before_ms)

    def snapshot(self, name: str | None = None) -> Snapshot:
        """Name the present state of the whole lake, which stays readable with `as_of`."""
        return keeping.snapshot(self._place, name)

    def snapshots(self) -> list[Snapshot]:
        """Every snapshot, the oldest first."""
        return keeping.snapshots(self._place)

    def drop_snapshot(self, name: str | int) -> None:
        """Let go of a snapshot, by name or id; its files go with the next `collect_garbage`."""
        keeping.drop_snapshot(self._place, name)

    def collect_garbage(self) -> list[str]:
        """Remove files that no list, snapshot or reader needs, and leftovers of killed writers; returns their paths."""
        return keeping.collect_garbage(self._place)

    def quarantine(self, file_id: str, why: str) -> list[Gap]:
        """Take a corrupt file out of the list and move it aside; returns what is missing now where it was."""
        known, first_ms, last_ms = keeping.quarantine(self._place, file_id, why)
        if known.series.kind is not Kind.BARS:
            return [Gap(first_ms, last_ms + 1, 0)]
        return holes.missing(self._place, known, first_ms, last_ms + 1)

    def set_aside(self, series: Series) -> list[SetAside]:
        """The files that were taken out of the list as damaged, whether or not their rows came again since."""
        return keeping.set_aside(self._place, self._known(series))

    def log(self, series: Series | None = None, since_ms: int | None = None) -> list[dict[str, Any]]:
        """Every revision, repair, quarantine and proof, the oldest first; LakeDamaged when the chain is broken."""
        with self._place.catalog.reading() as db:
            return log.entries(db, None if series is None else self._known(series).id, since_ms)

    def note(
        self,
        kind: str,
        series: Series | None,
        first_ms: int | None,
        until_ms: int | None,
        body: dict[str, Any],
        *,
        once: bool = False,
    ) -> None:
        """Add an entry to the log: what a check found, what a source said; `once`: unless it says just that already."""
        owner = None if series is None else self._known(series).id
        with self._place.catalog.writing() as db:
            if once and log.says(db, kind, owner, body):
                return
            log.record(db, self._place.clock.milliseconds(), kind, owner, first_ms, until_ms, body)

    # --- filling

    def backfill(self, source: Source, symbols: Iterable[str], timeframe: str = "1m", since: Times = None,
                 until: Times = None, **options: Any) -> BackfillReport:  # fmt: skip
        """Ask a venue for every bar that is neither held nor known to be absent; see `lake.backfill`."""
        from twinstar_kit.lake.backfill import backfill

        return backfill(self, source, symbols, timeframe, since, until, **options)

    def heal(
        self, source: Source, symbols: Iterable[str] | None = None, timeframe: str = "1m", **options: Any
    ) -> HealReport:
        """Fill or explain every missing bar of a venue's series; see `lake.heal`."""
        from twinstar_kit.lake.heal import heal

        return heal(self, source, symbols, timeframe, **options)

    def maintain(
        self, source: Source, symbols: Iterable[str] | None = None, timeframe: str = "1m", **options: Any
    ) -> Maintained:
        """The whole round, unattended: backfill, heal, verify, certify, tidy up; see `lake.maintain`."""
        from twinstar_kit.lake.maintain import maintain

        return maintain(self, source, symbols, timeframe, **options)

    # --- from files and to files

    def import_bars(self, path: str | Path, **options: Any) -> Imported:
        """Bring in files as other programs and exchanges write them; see `lake.imports`."""
        from twinstar_kit.lake.imports import import_bars

        return import_bars(self, path, **options)

    def export(self, series: Series | Iterable[Series], to: str | Path, **options: Any) -> list[Exported]:
        """Write series to files that other programs read; see `lake.exports`."""
        from twinstar_kit.lake.exports import export

        return export(self, series, to, **options)

    # --- integrity

    def verify(
        self, series: Series | Iterable[Series] | None = None, since: Times = None, until: Times = None, *,
        against: str | None = None, quick: bool = False, advance: Advance | None = None,
    ) -> Verification:  # fmt: skip
        """Put series (default: all) through every check that can be made; see `lake.verify`. Nothing is written."""
        from twinstar_kit.lake.verify import verify

        since_ms, until_ms = (None if when is None else to_milliseconds(when) for when in (since, until))
        return verify(self, series, since_ms, until_ms, against=against, quick=quick, advance=advance)

    def certify(self, verification: Verification | None = None) -> list[Certificate]:
        """Store a certificate of each whole month that was verified (default: verify everything now)."""
        from twinstar_kit.lake.certificate import certify

        return certify(self, verification or self.verify())

    def put_certificates(self, series: Series, bodies: list[dict[str, Any]]) -> list[Certificate]:
        """Chain what was found of months to a series' certificates; see `lake.certificate`."""
        from twinstar_kit.lake.certificate import store

        return store(self._place, self._known(series), bodies)

    def certificates(self, series: Series) -> list[Certificate]:
        """Every certificate of a series, the oldest first."""
        from twinstar_kit.lake.certificate import stored

        return stored(self._place, self._known(series))

    def check_certificates(self, series: Series) -> list[Fault]:
        """What does not hold of a series' certificates: an altered body, a broken chain, a changed file."""
        from twinstar_kit.lake.certificate import check

        return check(self._place, self._known(series))

    def close(self) -> None:
        """Let go of the catalog and of every file; a second call does nothing."""
        for session in self._sessions:
            session.close()
        self._sessions.clear()
        self._place.files.close()
        self._place.catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        held = self.series()
        lines = [f"<Lake {self.url}: {len(held)} series, {sum(i.rows for i in held):,} rows>"]
        if held:
            lines.append(str(self._table().to_string(index=False)))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        held = self.series()
        head = f"Lake {self.url}: {len(held)} series, {sum(i.rows for i in held):,} rows"
        return f"<p>{head}</p>{self._table().to_html(index=False)}"

    def _table(self) -> Any:
        from twinstar_kit.lake.showing import overview

        return overview(self.series())


def _catalog_path(store: Files) -> Path:
    if isinstance(store, LocalFiles):
        return store.root / "catalog.sqlite"
    name = hashlib.sha256(store.url.encode()).hexdigest()[:16]
    return load_settings().home / "catalogs" / f"{name}.sqlite"
