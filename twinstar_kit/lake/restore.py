"""Asks the venue again for what damaged files held of trades and funding rates; says what nobody can give again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twinstar_kit.feeds.source import GaveUp, SourceError
from twinstar_kit.kernel.errors import TwinStarError
from twinstar_kit.lake.asking import Rows, ask_trades
from twinstar_kit.lake.backfill import GIVE_UP_AFTER, Progress
from twinstar_kit.lake.keeping import SetAside
from twinstar_kit.lake.lost import Lost, missing_of
from twinstar_kit.lake.planner import plan, without
from twinstar_kit.lake.provenance import Provenance
from twinstar_kit.lake.series import Kind, Series

if TYPE_CHECKING:
    from twinstar_kit.feeds.source import Source
    from twinstar_kit.kernel.instruments import Instrument
    from twinstar_kit.lake.store import Lake

PIECE_ROWS = 20_000  # so many rows are asked for, and stored, at a time
Question = Callable[["Source", str, "Instrument", int, int], Rows]
ONCE_ONLY = "a venue tells the changes of its book once, and cannot be asked for them again"


@dataclass
class Restored:
    """What became of the rows of one damaged file.

    `asked` questions were put in this run and `added` rows came; `missing` are not there. `why` says of the missing ones that nobody has them, `error` that
    the venue did not answer, so that the next round asks again.
    """

    series: Series
    file: SetAside
    asked: int = 0
    added: int = 0
    missing: int = 0
    why: str = ""
    error: str = ""

    @property
    def words(self) -> str:
        """One line about what is missing; empty when nothing is."""
        if not self.missing:
            return self.error
        gone = Lost(self.file, self.missing).words("are still to come" if self.error else "are lost")
        return f"{self.series}: {gone}: {self.error or self.why}"

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        file = self.file
        return {
            "series": str(self.series), "file": file.path, "since_ms": file.first_ms, "until_ms": file.until_ms,
            "rows": file.rows, "added": self.added, "missing": self.missing, "why": self.why, "error": self.error,
        }  # fmt: skip


def restore(
    lake: Lake, source: Source, chosen: Iterable[Series], *, progress: Progress | None = None
) -> list[Restored]:
    """Ask `source` for the rows that the damaged files of these series held; returns what was asked for or is missing.

    Bars are not among them: their grid shows the hole, and a backfill fills it. Each answer is durable before the next
    question, and a killed run goes on where it was. A file is asked for once, whatever comes; the log tells what came
    and what did not. A venue that does not answer is asked in the next round.
    """
    parts = [
        Restored(series, file, missing=missing_of(lake, series, file))
        for series in chosen
        if series.kind is not Kind.BARS
        for file in lake.set_aside(series)
    ]
    failed = 0
    for part in parts:
        if failed >= GIVE_UP_AFTER:
            part.error = f"not asked: {source.name} failed {failed} files in a row" if part.missing else ""
            continue
        try:
            _restore(lake, source, part, progress)
            failed = 0
        except TwinStarError as error:
            part.missing = missing_of(lake, part.series, part.file)
            if isinstance(error, SourceError) and not isinstance(error, GaveUp):
                part.why = str(error)
                _enter(lake, part)
            else:
                part.why, part.error = "", str(error)
                failed = failed + 1 if isinstance(error, GaveUp) else 0
    for part in parts:  # a later file of the same day may have brought them
        part.missing = part.missing and missing_of(lake, part.series, part.file)
    return [part for part in parts if part.asked or part.missing]


def _restore(lake: Lake, source: Source, part: Restored, progress: Progress | None) -> None:
    series, file, name = part.series, part.file, source.name
    ask = _QUESTIONS.get(series.kind)
    if ask is None:
        part.why = ONCE_ONLY
        _enter(lake, part)
        return
    part.why = f"{name} was asked again and has no more of them"
    span = (file.first_ms, file.until_ms)
    todo = without([span], lake.answered_since(series, *span, name, file.ts))
    if not todo:
        return
    if todo == [span] and not part.missing:  # they came another way
        _enter(lake, part)
        return
    units = lake.instrument(series)
    requests = list(plan(todo, 1, max(1, (span[1] - span[0]) * PIECE_ROWS // file.rows)))
    for request in requests:
        rows = ask(source, series.symbol, units, request.since_ms, request.until_ms)
        part.asked += 1
        if len(rows):
            part.added += lake.append(series, rows, Provenance.BACKFILLED, name).added
        if request is not requests[-1]:
            lake.asked(series, request.since_ms, request.until_ms, name, len(rows))
        if progress is not None:
            progress(part.asked, len(requests), series.symbol)
    lake.compact(series)
    part.missing = missing_of(lake, series, file)
    _enter(lake, part, name)
    # last: a kill before it asks for one piece again, and enters nothing twice
    lake.asked(series, *span, name, file.rows - part.missing)


def _enter(lake: Lake, part: Restored, source: str = "") -> None:
    """What came again and what did not, in the log; the same is entered once. `source` is who was asked."""
    file, back = part.file, part.file.rows - part.missing
    about = {"file": file.path, "file_id": file.file_id, "set_aside_ms": file.ts, "source": source}
    span = (file.first_ms, file.until_ms)
    if back and (source or not part.missing):
        body = about | {"why": "its file was damaged and set aside", "added": back}
        lake.note("repair", part.series, *span, body, once=True)
    if part.missing:
        lake.note("lost", part.series, *span, about | {"why": part.why, "rows": part.missing}, once=True)


def _ask_funding(source: Source, symbol: str, _: Instrument, since_ms: int, until_ms: int) -> Rows:
    rates = source.funding(symbol, since_ms, until_ms)
    return rates[(rates[:, 0] >= since_ms) & (rates[:, 0] < until_ms)]


_QUESTIONS: dict[Kind, Question] = {Kind.TRADES: ask_trades, Kind.FUNDING: _ask_funding}
