"""Files of other programs and exchanges into the lake: whole folders, told apart by name, refused by the row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twinstar_kit.feeds.files import infer_timeframe, loose_instrument, normalise_symbol
from twinstar_kit.kernel.bars import format_timeframe
from twinstar_kit.kernel.errors import DataError, InstrumentError, UsageError
from twinstar_kit.kernel.instruments import Instrument, Number
from twinstar_kit.lake.layouts import Clue, Hints, Layout, Part, recognise
from twinstar_kit.lake.layouts.rules import broken, counted
from twinstar_kit.lake.provenance import Provenance
from twinstar_kit.lake.rows import Rows
from twinstar_kit.lake.series import LAST_MS, Kind, Series

if TYPE_CHECKING:
    from twinstar_kit.lake.store import Lake

HELD = 2_000_000
"""Checked rows of a file that are kept for writing; a longer file is read a second time."""
Progress = Callable[[float, float | None, str], None]


@dataclass(slots=True)
class ImportedFile:
    """What came of one file: `error` says why it was refused, `skipped` why it was left alone.

    `same` rows were in the lake already, `revised` ones replaced others. `bad` are rows that were kept out, with
    the rule that each breaks.
    """

    path: str
    layout: str = ""
    series: list[str] = field(default_factory=list)
    rows: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    added: int = 0
    same: int = 0
    revised: int = 0
    bad: dict[int, str] = field(default_factory=dict)
    skipped: str = ""
    error: str = ""


@dataclass(slots=True)
class Imported:
    """What came of an import, file by file. `dry` when nothing was written."""

    files: list[ImportedFile]
    dry: bool = False

    @property
    def ok(self) -> bool:
        """Whether no file was refused and at least one was taken."""
        return any(not file.skipped for file in self.files) and not any(file.error for file in self.files)

    def total(self, name: str) -> int:
        """The sum of a count over all files."""
        return sum(len(file.bad) if name == "bad" else getattr(file, name) for file in self.files)

    def to_dict(self) -> dict[str, Any]:
        """The report as `data import --json` prints it."""
        totals = {name: self.total(name) for name in ("rows", "added", "same", "revised", "bad")}
        return {**totals, "dry_run": self.dry, "ok": self.ok, "files": [asdict(file) for file in self.files]}


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the caller asked for, for all files alike."""

    hints: Hints
    tick: Number | None
    lot: Number | None
    dry: bool
    keep_good: bool


def import_bars(
    lake: Lake,
    path: str | Path,
    *,
    exchange: str | None = None,
    symbol: str | None = None,
    timeframe: str | None = None,
    market: str | None = None,
    layout: str | None = None,
    tick: Number | None = None,
    lot: Number | None = None,
    dry_run: bool = False,
    keep_good: bool = False,
    progress: Progress | None = None,
) -> Imported:
    """Bring a file, or every file of market data below a folder, into the lake: bars, trades, funding rates, book changes.

    `layout` is one of `lake.layouts.NAMES`; without it a file's name and first line tell. `exchange`, `symbol` and
    `timeframe` go before what names tell; what neither says is asked for, never guessed. `market` is spot or swap, for
    names that do not tell them apart. A series that the lake does not know gets fixed units of 1e-8, unless `tick` and
    `lot` say otherwise. Rows are marked as backfilled, with the file's name and SHA-256 as their source.

    A row that breaks a rule refuses its file as a whole, with `keep_good` only itself: it is then put into the log. Of a
    folder, the other files are taken. Importing again changes nothing. `dry_run` reads and checks, and writes nothing.

    Raises DataError (a file that is refused) and UsageError (a name that must be said) for a single file; of a folder
    they stand in the report.
    """
    root = Path(path).expanduser()
    if market not in (None, "spot", "swap"):
        raise UsageError(f"market {market!r}: say spot or swap")
    symbol = normalise_symbol(symbol) if symbol else None
    wish = _Wish(Hints(exchange, symbol, timeframe, market, layout), tick, lot, dry_run, keep_good)
    if not root.exists():
        raise DataError(f"no file or folder {root}; check the path")
    if root.is_file():
        return Imported([_one(lake, root, wish)], dry_run)
    own = Path(lake.url).resolve()  # a lake may lie below the folder; its own files are not for it
    files = sorted(
        file
        for file in root.rglob("*")
        if file.is_file() and not file.name.startswith(".") and own not in file.resolve().parents
    )
    sizes = [file.stat().st_size for file in files]
    report: list[ImportedFile] = []
    for number, file in enumerate(files):
        if progress is not None:
            progress(sum(sizes[:number]), sum(sizes), file.name)
        try:
            report.append(_one(lake, file, wish))
        except (DataError, InstrumentError, UsageError) as error:
            report.append(ImportedFile(str(file), error=str(error)))
    if not any(not file.skipped for file in report):
        raise DataError(f"{root}: there are no files of market data in this folder")
    return Imported(report, dry_run)


def _one(lake: Lake, file: Path, wish: _Wish) -> ImportedFile:
    found = recognise(file, wish.hints)
    if found is None:
        return ImportedFile(str(file), skipped="no file of market data")
    layout, clue = found
    done = ImportedFile(str(file), layout.NAME, skipped=clue.skip)
    if clue.skip:
        return done
    try:
        source = f"file:{file.name} sha256:{_digest(file)}"
        # everything is looked at before the first write, so that a bad row far down refuses what stands above it
        held: list[_Batch] | None = []
        for batch in _batches(lake, file, layout, clue, wish, done):
            if held is not None:
                held = [*held, batch] if done.rows <= HELD else None
        if not wish.dry:
            again = ImportedFile(str(file))
            for batch in held if held is not None else _batches(lake, file, layout, clue, wish, again):
                _write(lake, batch, source, done)
    except (DataError, InstrumentError, UsageError) as error:
        text = str(error)
        raise type(error)(text if str(file) in text else f"{file}: {text}") from None
    return done


@dataclass(slots=True)
class _Batch:
    """Rows of one series that are ready for the lake, and those of the same part that are not."""

    series: Series
    instrument: Instrument
    simulated: bool
    rows: Rows
    bad: dict[int, str]
    values: dict[int, list[str]]


def _batches(
    lake: Lake, file: Path, layout: Layout, clue: Clue, wish: _Wish, done: ImportedFile
) -> Iterator[_Batch]:
    """Check a file part by part, counting into `done`; DataError at the first bad row unless good ones are kept."""
    last: dict[Series, int] = {}
    chosen: dict[Series, Instrument] = {}
    for part in layout.read(file, clue):
        said = part.clue or clue
        series = _series(said, part, wish.hints)
        if series not in chosen:
            chosen[series] = _instrument(lake, series, part.label, wish)
            done.series.append(str(series))
        bad = broken(series, part, last.get(series, -1))
        if bad and not wish.keep_good:
            row, rule = next(iter(bad.items()))
            raise DataError(f"row {part.first + row}: {rule}")
        kept = np.ones(len(part), np.bool_)
        kept[list(bad)] = False
        rows = counted(series, part, chosen[series], kept)
        named = {part.first + row: rule for row, rule in bad.items()}
        done.rows += len(rows)
        done.bad.update(named)
        if len(rows):
            last[series] = int(rows[-1, 0])
            done.first_ms = min(int(rows[0, 0]), done.first_ms if done.first_ms is not None else LAST_MS)
            done.last_ms = max(int(rows[-1, 0]), done.last_ms or 0)
        values = {part.first + row: part.values(row) for row in bad}
        yield _Batch(series, chosen[series], bool(part.label.get("simulated")), rows, named, values)


def _write(lake: Lake, batch: _Batch, source: str, done: ImportedFile) -> None:
    lake.register(batch.series, batch.instrument, simulated=batch.simulated)
    if batch.bad:
        _log_bad(lake, batch, source)
    written = lake.write(batch.series, batch.rows, Provenance.BACKFILLED, source)
    done.added += written.added
    done.same += written.same
    done.revised += written.revised


def _log_bad(lake: Lake, batch: _Batch, source: str) -> None:
    """Put the rows that were kept out into the log, as the file had them; once, however often it is imported."""
    rows = [{"row": row, "rule": rule, "values": batch.values[row]} for row, rule in batch.bad.items()]
    lake.note("bad_rows", batch.series, None, None, {"source": source, "rows": rows}, once=True)


def _series(clue: Clue, part: Part, hints: Hints) -> Series:
    """Whose rows these are; UsageError for what neither the caller nor the name says."""
    exchange = hints.exchange or clue.exchange
    if clue.refuse and exchange == clue.exchange:
        raise UsageError(clue.refuse)
    if exchange is None:
        raise UsageError("nothing says which exchange it is of: say --exchange, such as binance")
    symbol = hints.symbol or clue.symbol
    if symbol is None:
        raise UsageError(clue.unclear or "its name tells no symbol: say --symbol, such as BTC/USDT")
    if hints.symbol and clue.symbol and hints.symbol.partition(":")[0] != clue.symbol.partition(":")[0]:
        raise UsageError(f"it says {clue.symbol}, and --symbol {hints.symbol}: leave --symbol out")
    if clue.kind is not Kind.BARS:
        return Series(exchange, symbol, kind=clue.kind)
    if hints.timeframe and clue.timeframe and hints.timeframe != clue.timeframe:
        raise UsageError(
            f"it says {clue.timeframe}, and --timeframe {hints.timeframe}: leave --timeframe out"
        )
    timeframe = hints.timeframe or clue.timeframe or format_timeframe(infer_timeframe(part.timestamp, None))
    return Series(exchange, symbol, timeframe)


def _instrument(lake: Lake, series: Series, label: dict[str, Any], wish: _Wish) -> Instrument:
    """The units of a series: the lake's own, those of the same symbol's other series, the file's label, or fixed ones."""
    near = [info.instrument for info in lake.series()
            if (info.series.exchange, info.series.symbol) == (series.exchange, series.symbol)]  # fmt: skip
    if near:
        if wish.tick is not None or wish.lot is not None:
            raise UsageError(
                f"the lake has its units of {series.exchange} {series.symbol} already: leave tick and lot out"
            )
        return near[0]
    if label.get("instrument") and wish.tick is None and wish.lot is None:
        saved = Instrument.from_canonical(label["instrument"])
        if (saved.exchange, saved.symbol) == (series.exchange, series.symbol):
            return saved
    pair, colon, settle = series.symbol.partition(":")
    loose = loose_instrument("", pair, series.exchange, wish.tick, wish.lot)
    return replace(loose, symbol=pair + colon + settle)


def _digest(file: Path) -> str:
    """SHA-256 of the file; DataError when a `.CHECKSUM` beside it says otherwise."""
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    beside = file.with_name(file.name + ".CHECKSUM")
    if beside.is_file():
        stated = beside.read_text(errors="replace").split()[:1]
        if stated != [digest]:
            raise DataError(f"its SHA-256 is not the one in {beside.name}; fetch it again")
    return digest


__all__ = ["Imported", "ImportedFile", "import_bars"]
