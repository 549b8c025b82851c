"""What the lake holds of a series, at a glance: ends, size, coverage, holes, age, and what is certified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twinstar_kit.lake.certificate import latest
from twinstar_kit.lake.errors import LakeError
from twinstar_kit.lake.series import Kind, months
from twinstar_kit.lake.verdicts import Verdict

if TYPE_CHECKING:
    from twinstar_kit.lake.store import Lake, SeriesInfo


def series_status(lake: Lake, info: SeriesInfo, now_ms: int) -> dict[str, Any]:
    """One line of the status; times are opens in ms UTC.

    `coverage` is the share of bars between the first and the last that are there or proven absent, `gaps` and
    `missing` count the rest; None where rows lie on no grid or a file cannot be read. `behind_ms` is the time from the
    end of the last row to `now_ms`. `verdict` is the worst of the last certificates, None unless every month has one.
    """
    series = info.series
    end_ms = gaps = missing = coverage = None
    if info.first_ms is not None and info.last_ms is not None:
        end_ms = info.last_ms + (series.timeframe_ms if series.kind is Kind.BARS else 1)
        if series.kind is Kind.BARS:
            try:
                holes = lake.missing(series, info.first_ms, end_ms)
            except LakeError:
                holes = None
            if holes is not None:
                gaps, missing = len(holes), sum(gap.count for gap in holes)
                coverage = 1 - missing / ((end_ms - info.first_ms) // series.timeframe_ms)
    held = latest(lake.certificates(series))
    spanned = _months(lake, info, end_ms)
    certified = [held[month].verdict for month in spanned if month in held]
    worst = max(certified, key=list(Verdict).index) if certified and len(certified) == len(spanned) else None
    return {
        "exchange": series.exchange, "symbol": series.symbol, "timeframe": series.timeframe,
        "kind": series.kind.value, "simulated": info.simulated, "first": info.first_ms, "last": info.last_ms,
        "behind_ms": None if end_ms is None else now_ms - end_ms, "rows": info.rows, "bytes": info.bytes,
        "coverage": coverage, "gaps": gaps, "missing": missing, "months": len(spanned),
        "months_certified": len(certified), "verdict": worst,
    }  # fmt: skip


def _months(lake: Lake, info: SeriesInfo, end_ms: int | None) -> list[str]:
    """The months from the first row to the last; where files are daily, the days that have rows."""
    if info.first_ms is None or end_ms is None:
        return []
    if info.series.kind is Kind.BARS:
        return list(months(info.first_ms, end_ms))
    one = info.series
    return list(lake.read(one.exchange, one.symbol, kind=one.kind).parts)
