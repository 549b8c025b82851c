"""Small tables for notebooks and terminals."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

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
