"""Small tables for notebooks and terminals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from twinstar_kit.lake.provenance import Provenance
from twinstar_kit.lake.rows import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

    from twinstar_kit.lake.reading import Reading
    from twinstar_kit.lake.store import SeriesInfo


def ends(reading: Reading, shown: int) -> pd.DataFrame:
    """The first and last rows, with times and provenance in words."""
    import pandas as pd

    from twinstar_kit.lake.reading import picked

    rows, marks = reading.rows, reading.provenance
    kept = (
        np.arange(len(rows))
        if len(rows) <= shown
        else np.r_[: shown // 2, len(rows) - shown // 2 : len(rows)]
    )
    names = COLUMNS[reading.series.kind]
    columns = reading._floats(picked(reading.series.kind, rows[kept], marks[kept], names), names)
    table = pd.DataFrame(columns)
    table["timestamp"] = [show_time(int(at)) for at in rows[kept, 0]]
    table["provenance"] = [Provenance(int(mark)).name.lower() for mark in marks[kept]]
    return table


def show_time(ts_ms: int | None) -> str:
    """A time in UTC, to the second."""
    return "" if ts_ms is None else f"{datetime.fromtimestamp(ts_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def show_bytes(count: int) -> str:
    """A size as people read it.

    >>> show_bytes(5_347_737)
    '5.3 MB'
    """
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError


def overview(held: list[SeriesInfo]) -> pd.DataFrame:
    """One line a series."""
    import pandas as pd

    return pd.DataFrame({
        "series": [str(info.series) + (" (simulated)" if info.simulated else "") for info in held],
        "first": [show_time(info.first_ms) for info in held],
        "last": [show_time(info.last_ms) for info in held],
        "rows": [f"{info.rows:,}" for info in held],
        "size": [show_bytes(info.bytes) for info in held],
    })  # fmt: skip


class Sheet(NamedTuple):
    """A title over a table of words."""

    title: str
    columns: Sequence[str]
    lines: Sequence[Sequence[str]]


class Shown:
    """A report that shows the same `sheet` in a terminal, in a notebook, and as text."""

    def sheet(self) -> Sheet:
        """What there is to see; the same for the same work, so without times."""
        raise NotImplementedError

    def __rich__(self) -> Any:
        from rich.table import Table

        sheet = self.sheet()
        table = Table(*sheet.columns, title=sheet.title)
        for line in sheet.lines:
            table.add_row(*line)
        return table

    def __repr__(self) -> str:
        sheet = self.sheet()
        lines = [sheet.columns, *sheet.lines]
        widths = [max(len(line[k]) for line in lines) for k in range(len(sheet.columns))]
        return "\n".join(
            [f"<{sheet.title}>"]
            + [
                "  ".join(_placed(word, width) for word, width in zip(line, widths, strict=True)).rstrip()
                for line in lines
            ]
        )

    def _repr_html_(self) -> str:
        import pandas as pd

        sheet = self.sheet()
        table = pd.DataFrame(list(sheet.lines), columns=list(sheet.columns))
        return f"<p>{sheet.title}</p>{table.to_html(index=False)}"


def _placed(word: str, width: int) -> str:
    """Numbers to the right."""
    return word.rjust(width) if word.replace(",", "").isdigit() else word.ljust(width)
