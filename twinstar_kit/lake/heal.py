"""Heals holes: from the venue itself, its trades or a second venue; else by a proof of absence; else they are listed."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twinstar_kit.kernel.errors import TwinStarError, UsageError
from twinstar_kit.lake.asking import settled
from twinstar_kit.lake.backfill import GIVE_UP_AFTER, Progress, backfill
from twinstar_kit.lake.doubts import ask_about_doubtful
from twinstar_kit.lake.planner import length
from twinstar_kit.lake.proofs import prove
from twinstar_kit.lake.remedies import Patient, SeriesHeal, ask_again, borrow, rebuild
from twinstar_kit.lake.series import Series
from twinstar_kit.lake.showing import Sheet, Shown
from twinstar_kit.lake.wanted import Time, first_held, window

if TYPE_CHECKING:
    from twinstar_kit.feeds.clock import Clock
    from twinstar_kit.feeds.source import Source
    from twinstar_kit.lake.store import Lake

STEPS = (ask_again, rebuild, borrow, prove)
COUNTS = ("fetched", "holes", "again", "from_trades", "healed", "disputed", "no_trade", "outage", "revised")


@dataclass(repr=False)
class HealReport(Shown):
    """What healing did; `ok` says that no bar is missing without a proof."""

    parts: list[SeriesHeal] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not any(part.error or part.left for part in self.parts)

    def total(self, name: str) -> int:
        """The sum of one count over all series."""
        return sum(getattr(part, name) for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        series = [{**vars(part), "series": str(part.series), "missing": _left(part)} for part in self.parts]
        counts = {name: self.total(name) for name in (*COUNTS, "requests")}
        missing = sum(_left(part) for part in self.parts)
        return {"ok": self.ok, **counts, "missing": missing, "seconds": self.seconds, "series": series}

    def sheet(self) -> Sheet:
        """One line a series."""
        lines = [
            [str(part.series), *(f"{getattr(part, name):,}" for name in COUNTS), f"{_left(part):,}",
             part.error or "; ".join(part.notes[:2])]
            for part in self.parts
        ]  # fmt: skip
        columns = ("series", *(name.replace("_", " ") for name in COUNTS), "missing", "")
        title = (
            f"heal: {self.total('fetched'):,} bars fetched, {self.total('holes'):,} missing ones looked at"
        )
        return Sheet(title, columns, lines)


def _left(part: SeriesHeal) -> int:
    return length(part.left, part.series.timeframe_ms)


def heal(
    lake: Lake,
    source: Source,
    symbols: Iterable[str] | None = None,
    timeframe: str = "1m",
    since: Time = None,
    until: Time = None,
    *,
    second: Source | None = None,
    workers: int = 4,
    clock: Clock | None = None,
    progress: Progress | None = None,
) -> HealReport:
    """Fill or explain every missing bar of the series of `source` (default: all that the lake holds in `timeframe`).

    Each hole is looked at in this order: the venue is asked again; its trades, where they cover the hole without a
    break; `second`, another venue, whose bars are marked as healed when its prices beside the hole are those of the
    first, and as disputed when they are further off. What nobody has is proven absent when the whole venue was silent
    or when no venue saw a trade. The rest stays missing and is listed. Stored bars that cannot be true are asked for
    again too. No step is taken twice for the same bar.
    """
    clock = clock or lake.clock
    begun = time.perf_counter()
    known = [
        info.series.symbol
        for info in lake.series()
        if (info.series.exchange, info.series.timeframe) == (source.name, timeframe)
        and first_held(lake, info.series) is not None
    ]
    chosen = known if symbols is None else list(dict.fromkeys(symbols))
    if unknown := [symbol for symbol in chosen if symbol not in known]:
        raise UsageError(
            f"the lake holds no bars of {source.name} {unknown[0]} {timeframe}; backfill it first"
        )
    if symbols is None and not chosen:
        raise UsageError(f"the lake holds no {timeframe} bars of {source.name} yet; backfill some first")
    asked: dict[str, Any] = {"workers": workers, "clock": clock}
    fetched = backfill(lake, source, chosen, timeframe, since, until, **asked).parts if chosen else []
    report, failed = HealReport(), 0
    for number, (symbol, before) in enumerate(zip(chosen, fetched, strict=True)):
        series = Series(source.name, symbol, timeframe)
        part = SeriesHeal(series, requests=before.requests, fetched=before.added, error=before.error)
        report.parts.append(part)
        if failed >= GIVE_UP_AFTER:
            part.error = part.error or f"not asked: {source.name} failed {failed} series in a row"
        if not part.error:
            since_ms, until_ms = window(lake, series, since, until, clock)
            until_ms = min(until_ms, settled(clock.milliseconds(), series.timeframe_ms))
            _heal_one(Patient(lake, series, source, second, since_ms, until_ms, clock, workers, part))
        failed = failed + 1 if part.error else 0
        if progress is not None:
            progress(number + 1, len(chosen), symbol)
    report.seconds = time.perf_counter() - begun
    return report


def _heal_one(p: Patient) -> None:
    p.part.holes = length(p.missing(), p.step)
    try:
        ask_about_doubtful(p)
        for step in STEPS:
            if not p.missing():
                break
            step(p)
    except TwinStarError as error:
        p.part.error = str(error)
    p.part.left = p.missing()
