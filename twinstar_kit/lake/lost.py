"""What a damaged file took with it, of series that lie on no grid which would show a hole: trades, funding, book changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twinstar_kit.lake.errors import CorruptFile
from twinstar_kit.lake.keeping import SetAside
from twinstar_kit.lake.series import Kind, Series

if TYPE_CHECKING:
    from twinstar_kit.lake.store import Lake


@dataclass(frozen=True, slots=True)
class Lost:
    """`rows` of the rows that a damaged file held are not in the lake."""

    file: SetAside
    rows: int

    def touches(self, since_ms: int, until_ms: int) -> bool:
        """Whether any of them may lie in [since_ms, until_ms)."""
        return self.file.first_ms < until_ms and since_ms < self.file.until_ms

    def covers(self, other: Lost) -> bool:
        """Whether the other file's time lies within this one's."""
        return self.file.first_ms <= other.file.first_ms and other.file.until_ms <= self.file.until_ms

    def words(self, state: str = "are lost") -> str:
        """How many, of which file, and from when to when."""
        file = self.file
        first, last = (datetime.fromtimestamp(at / 1000, UTC) for at in (file.first_ms, file.until_ms - 1))
        span = f"{first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S}"
        return f"{self.rows:,} of {file.rows:,} rows of {span} {state}, of the damaged file {file.path}"


def lost(lake: Lake, series: Series) -> list[Lost]:
    """The damaged files of a series whose rows are not all there again, in order of time; none for bars, whose grid tells.

    Rows are counted, as nothing else is known of what cannot be read any more.
    """
    if series.kind is Kind.BARS:
        return []
    found = [Lost(file, missing_of(lake, series, file)) for file in lake.set_aside(series)]
    kept: list[Lost] = []
    for one in sorted(found, key=lambda one: -one.rows):  # a day that was lost twice counts once
        if one.rows and not any(other.covers(one) for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda one: one.file.first_ms)


def missing_of(lake: Lake, series: Series, file: SetAside) -> int:
    """How many rows fewer there are now than the file held in its time."""
    try:
        chunks = lake.scan(series, file.first_ms, file.until_ms, columns=["timestamp"])
        return max(0, file.rows - sum(len(chunk) for chunk in chunks))
    except CorruptFile:
        return file.rows
