"""Verifying: every month of every series through every check that can be made, in the memory of one month."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twinstar_kit.feeds.resample import ceil_time
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.lake.certificate import rows_name
from twinstar_kit.lake.checks import (
    BasicScan,
    Check,
    Columns,
    Status,
    Unusual,
    check_gaps,
    check_opening,
    check_spikes,
    found,
    not_run,
)
from twinstar_kit.lake.errors import CorruptFile
from twinstar_kit.lake.lost import Lost, lost
from twinstar_kit.lake.planner import Interval, common
from twinstar_kit.lake.provenance import Provenance
from twinstar_kit.lake.reading import Chunk, Reading
from twinstar_kit.lake.rowchecks import check_rows
from twinstar_kit.lake.rows import Marks
from twinstar_kit.lake.series import Kind, Series, month_span, months
from twinstar_kit.lake.verdicts import MonthVerdict, SeriesVerdict, Verification
from twinstar_kit.lake.witnesses import OWN, Witnesses, known_venue

if TYPE_CHECKING:
    from twinstar_kit.lake.store import Lake, SeriesInfo

Advance = Callable[[float, float, str], Any]
SINGLE = ("stale", "copies", "off_tick", "tick_changes", "spikes", "opening_hour", "disputed")
BASIC = ("gaps", "duplicates", "order", "grid", "ohlc", "prices", "volumes")
LEFT_OUT = [not_run(name, "left out by quick") for name in (*SINGLE, *OWN)]
UNREAD = [not_run(name, "a file of the month cannot be read") for name in (*BASIC, *SINGLE, *OWN)]


def verify(
    lake: Lake, series: Series | Iterable[Series] | None = None, since_ms: int | None = None,
    until_ms: int | None = None, *, against: str | None = None, quick: bool = False,
    advance: Advance | None = None,
) -> Verification:  # fmt: skip
    """Check series of the lake (default: all) in [since_ms, until_ms) (default: from the first row to the last).

    `against` names the exchange whose bars of the same symbol are compared (default: any other in the lake). `quick`
    leaves out all but gaps, duplicates, order, grid, OHLC and signs. `advance` is told rows done, rows in all and a
    series' name. Nothing is written; corrupt files are reported, not raised.
    """
    begun = time.perf_counter()
    held = lake.series()
    known_venue(held, against)
    wanted = {series} if isinstance(series, Series) else None if series is None else set(series)
    chosen = [
        info for info in held
        if (info.rows or lost(lake, info.series) if wanted is None else info.series in wanted)
    ]  # fmt: skip
    unknown = sorted(wanted - {info.series for info in chosen}) if wanted else []
    for one in unknown:
        lake.info(one)  # raises, and names what there is
    log = [] if quick else lake.log()
    total, done, verdicts = sum(info.rows for info in chosen), 0, []
    for info in chosen:
        if info.series.kind is Kind.BARS:
            witnesses = None if quick else Witnesses.find(lake, info, held, against, log)
            exam: Exam = BarsExam(lake, info, since_ms, until_ms, witnesses)
        else:
            exam = Exam(lake, info, since_ms, until_ms)
        found_months = []
        for month in exam.months():
            found_months.append(month)
            done += month.rows
            if advance is not None:
                advance(done, max(total, done), str(info.series))
        verdicts.append(exam.verdict(found_months))
    return Verification(tuple(verdicts), time.perf_counter() - begun)


@dataclass(frozen=True, slots=True)
class Piece:
    """The rows of one month as they were read, or why they could not be."""

    month: str
    chunks: list[Chunk]
    broken: CorruptFile | None = None


class Exam:
    """A series that is checked row by row, without a grid: trades, funding rates, book changes."""

    def __init__(self, lake: Lake, info: SeriesInfo, since_ms: int | None, until_ms: int | None) -> None:
        self.lake, self.info, self.quick = lake, info, False
        self.parts: dict[str, tuple[str | None, bool]] = {}
        self.lost = lost(lake, info.series)
        spans = [(one.file.first_ms, one.file.until_ms) for one in self.lost]
        if info.first_ms is not None and info.last_ms is not None:
            spans.append((info.first_ms, info.last_ms + 1))
        first = self.first_ms = min((begin for begin, _ in spans), default=0)
        self.end_ms = max((end for _, end in spans), default=0)
        self.since_ms = first if since_ms is None else since_ms
        self.until_ms = self.end_ms if until_ms is None else until_ms
        if self.until_ms < self.since_ms:
            raise UsageError(f"{info.series}: there is nothing between since and until")

    def verdict(self, found_months: list[MonthVerdict]) -> SeriesVerdict:
        """The whole of the months."""
        info = self.info
        inside = info.rows > 0 and self.since_ms <= self.first_ms and self.end_ms <= self.until_ms
        first, last = (info.first_ms, info.last_ms) if inside else self._ends(found_months)
        return SeriesVerdict(info.series, first, last, tuple(found_months), None)

    def _ends(self, found_months: list[MonthVerdict]) -> tuple[int | None, int | None]:
        full = [month for month in found_months if month.rows]
        if not full or self.info.first_ms is None or self.info.last_ms is None:
            return None, None
        return max(self.info.first_ms, self.since_ms), min(self.info.last_ms, self.until_ms - 1)

    def months(self) -> Iterator[MonthVerdict]:
        """One verdict after another."""
        before = None
        for piece in self._with_lost(self.pieces(None)):
            since, until = self._span(piece.month)
            checks = [_files(piece, [one for one in self.lost if one.file.part == piece.month])]
            rows = sum(len(chunk) for chunk in piece.chunks)
            if piece.chunks:
                table = np.concatenate([chunk.rows for chunk in piece.chunks])
                more, before = check_rows(self.info.series.kind, table, before)
                checks += more
            wrong = sum(
                c.count
                for c in checks
                if c.status is Status.VIOLATED and c.name not in ("duplicates", "files")
            )
            yield MonthVerdict(
                piece.month, since, until, rows, tuple(checks), (), (), wrong, _origins(piece.chunks),
                self._content(piece), self._whole(piece.month, since, until),
            )  # fmt: skip

    def _with_lost(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        """The pieces, and one for each month or day of which a damaged file left nothing."""
        waiting = sorted({one.file.part for one in self.lost if one.touches(self.since_ms, self.until_ms)})
        for piece in pieces:
            while waiting and waiting[0] < piece.month:
                yield Piece(waiting.pop(0), [])
            waiting = [part for part in waiting if part != piece.month]
            yield piece
        yield from (Piece(part, []) for part in waiting)

    def pieces(self, columns: tuple[str, ...] | None) -> Iterator[Piece]:
        """What was read, month by month (day by day where files are daily); a corrupt file is skipped and told."""
        since = self.since_ms
        while since < self.until_ms:
            reading = self._open(since)
            self.parts = reading.parts
            held: list[Chunk] = []
            try:
                for chunk in reading.chunks(columns):
                    if held and held[0].month != chunk.month:
                        yield Piece(held[0].month, held)
                        held = []
                    held.append(chunk)
                if held:
                    yield Piece(held[0].month, held)
                return
            except CorruptFile as error:
                part = error.path.rpartition("/")[2].rpartition("-")[0]
                if held and held[0].month != part:
                    yield Piece(held[0].month, held)
                yield Piece(part, [], error)
                since = month_span(part)[1]

    def _open(self, since_ms: int) -> Reading:
        one = self.info.series
        return self.lake.read(
            one.exchange, one.symbol, one.timeframe or "1m", since_ms, self.until_ms, kind=one.kind
        )

    def _span(self, month: str) -> Interval:
        since, until = month_span(month)
        return max(since, self.since_ms), min(until, self.until_ms)

    def _whole(self, month: str, since_ms: int, until_ms: int) -> bool:
        """Whether [since_ms, until_ms) is all that the series has of the month (or day)."""
        begin, end = month_span(month)
        return since_ms <= max(begin, self.first_ms) and until_ms >= min(end, self.end_ms)

    def _content(self, piece: Piece) -> tuple[str, ...]:
        file, in_tail = self.parts.get(piece.month, (None, False))
        if in_tail:
            return () if self.quick else (rows_name(piece.chunks),)
        return (file,) if file else ()


class BarsExam(Exam):
    """A series of bars: also on its grid, and against its witnesses unless there are none (`quick`)."""

    def __init__(
        self,
        lake: Lake,
        info: SeriesInfo,
        since_ms: int | None,
        until_ms: int | None,
        witnesses: Witnesses | None,
    ) -> None:
        super().__init__(lake, info, since_ms, until_ms)
        self.step = info.series.timeframe_ms
        self.witnesses = witnesses
        self.quick = witnesses is None
        if info.last_ms is not None:
            self.end_ms = info.last_ms + self.step
        if until_ms is None:
            self.until_ms = self.end_ms
        self.ticks: np.ndarray[Any, np.dtype[np.int64]] | None = None

    def verdict(self, found_months: list[MonthVerdict]) -> SeriesVerdict:
        """The whole of the months, with the step of the grid."""
        plain = super().verdict(found_months)
        return SeriesVerdict(plain.series, plain.first_ms, plain.last_ms, plain.months, self.step)

    def months(self) -> Iterator[MonthVerdict]:
        """One verdict after another, for months without any row as well."""
        absent = self.lake.absences(self.info.series, self.since_ms, self.until_ms)
        proven = [(gap.first_ms, gap.until_ms) for gap in absent]
        columns = None if self.witnesses else Columns._fields
        pieces = self.pieces(columns)
        piece = next(pieces, None)
        for month in months(self.since_ms, self.until_ms):
            since, until = (ceil_time(at, self.step) for at in self._span(month))
            here = Piece(month, []) if piece is None or piece.month != month else piece
            if since < until or here.chunks:
                yield self._month(here, since, until, common(proven, [(since, until)]))
            if here is piece:
                piece = next(pieces, None)

    def _month(self, piece: Piece, since: int, until: int, proven: list[Interval]) -> MonthVerdict:
        checks = [_files(piece)]
        if piece.broken is not None:
            checks += UNREAD
            return MonthVerdict(piece.month, since, until, 0, tuple(checks))
        scan = BasicScan(self.step, since)
        for chunk in piece.chunks:
            scan.feed(_columns(chunk))
        scan.finish(until)
        checks += [check_gaps(scan.gaps, proven, self.step), *scan.checks()]
        if self.witnesses is None:
            checks += LEFT_OUT
        else:
            checks += self._thorough(piece)
        return MonthVerdict(
            piece.month, since, until, scan.rows, tuple(checks), tuple(scan.gaps), tuple(proven), scan.wrong,
            {} if self.quick else _origins(piece.chunks), self._content(piece),
            not self.quick and self._whole(piece.month, since, until),
        )  # fmt: skip

    def _thorough(self, piece: Piece) -> list[Check]:
        assert self.witnesses is not None
        columns = _units(piece.chunks)
        unusual = Unusual(self.step, self.info.instrument.tick, self.ticks)
        unusual.feed(columns, last=True)
        self.ticks = unusual.ticks
        disputed = columns.timestamp[_marks(piece.chunks) == Provenance.DISPUTED]
        rows = np.column_stack(columns) if self.witnesses.any else np.empty((0, 6), np.int64)
        return [
            *unusual.checks(), check_spikes(columns), check_opening(columns, self.step),
            found("disputed", Status.DISPUTED, len(disputed), disputed, "rows that two sources told differently"),
            *self.witnesses.checks(piece.month, rows),
        ]  # fmt: skip


def _columns(chunk: Chunk) -> Columns:
    return Columns(*(chunk.columns[name] for name in Columns._fields))


def _units(chunks: list[Chunk]) -> Columns:
    """The columns of a month in the instrument's units."""
    parts = [[chunk.units(name) for name in Columns._fields] for chunk in chunks]
    if len(parts) == 1:
        return Columns(*parts[0]).wide()
    empty = np.empty(0, np.int64)
    return (
        Columns(*(np.concatenate([empty, *column]) for column in zip(*parts, strict=True)))
        if parts
        else Columns(*[empty] * 6)
    )


def _files(piece: Piece, gone: Sequence[Lost] = ()) -> Check:
    if piece.broken is not None:
        return found("files", Status.VIOLATED, 1, (), str(piece.broken))
    words = "; ".join(one.words() for one in gone)
    first = (one.file.first_ms for one in gone)
    return found("files", Status.INCOMPLETE, sum(one.rows for one in gone), first, words)


def _marks(chunks: list[Chunk]) -> Marks:
    if len(chunks) == 1:
        return chunks[0].provenance
    return np.concatenate([np.empty(0, np.int8), *(chunk.provenance for chunk in chunks)])


def _origins(chunks: list[Chunk]) -> dict[str, int]:
    counts = np.bincount(_marks(chunks), minlength=len(Provenance))
    return {mark.name.lower(): int(counts[mark]) for mark in Provenance if counts[mark]}
