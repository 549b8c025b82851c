"""What verifying came to: for each month, for each series, and for the whole; counts, checks and one word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from twinstar_kit.lake.checks import Check, Status, check_gaps
from twinstar_kit.lake.planner import Interval, length, merge, without
from twinstar_kit.lake.series import Series


class Verdict(StrEnum):
    """Proven: every bar is there or carries a proof why not, and nothing contradicts it."""

    PROVEN = "proven"
    INCOMPLETE = "incomplete"
    DISPUTED = "disputed"
    VIOLATED = "violated"


_WORDS = {
    Status.VIOLATED: Verdict.VIOLATED,
    Status.DISPUTED: Verdict.DISPUTED,
    Status.INCOMPLETE: Verdict.INCOMPLETE,
}
_BADNESS = list(Status)


def judge(checks: Iterable[Check]) -> Verdict:
    """The worst that the checks came to; notices, and checks that could not run, take nothing away.

    >>> judge([Check("ohlc", Status.PASSED), Check("gaps", Status.INCOMPLETE, 2)]).value
    'incomplete'
    """
    found = {check.status for check in checks}
    return next((verdict for status, verdict in _WORDS.items() if status in found), Verdict.PROVEN)


@dataclass(frozen=True, slots=True)
class MonthVerdict:
    """One month of a series: what is there, what is not, and every check.

    `gaps` are intervals (ms UTC, half open) without bars, `proven` those that carry a proof of absence; `wrong` counts
    rows that are wrong, duplicates apart; `provenance` counts rows by where they come from; `content` are the hashes of
    the files and of the tail rows that were read.
    """

    month: str
    since_ms: int
    until_ms: int
    rows: int
    checks: tuple[Check, ...]
    gaps: tuple[Interval, ...] = ()
    proven: tuple[Interval, ...] = ()
    wrong: int = 0
    provenance: dict[str, int] = field(default_factory=dict)
    content: tuple[str, ...] = ()
    whole: bool = True
    """Whether every check of the month was asked for, and all of its rows were looked at."""

    @property
    def verdict(self) -> Verdict:
        """One word."""
        return judge(self.checks)

    def count(self, check: str) -> int:
        """What a check counted."""
        return sum(one.count for one in self.checks if one.name == check)


@dataclass(frozen=True, slots=True)
class SeriesVerdict:
    """A series, or a file, and its months."""

    series: Series
    first_ms: int | None
    last_ms: int | None
    months: tuple[MonthVerdict, ...]
    step_ms: int | None
    """Milliseconds from bar to bar; None for what has no grid."""

    @property
    def rows(self) -> int:
        """Rows that were looked at."""
        return sum(month.rows for month in self.months)

    @property
    def gaps(self) -> list[Interval]:
        """Stretches without bars and without proof; one that crosses the end of a month is one."""
        gaps = merge(gap for month in self.months for gap in month.gaps)
        return without(gaps, (span for month in self.months for span in month.proven))

    @property
    def missing(self) -> int:
        """Bars that are neither there nor proven absent."""
        return length(self.gaps, self.step_ms) if self.step_ms else 0

    @property
    def proven_absent(self) -> int:
        """Bars that are not there and carry a proof why."""
        gaps = merge(gap for month in self.months for gap in month.gaps)
        return length(gaps, self.step_ms) - self.missing if self.step_ms else 0

    @property
    def duplicates(self) -> int:
        """Rows that repeat an earlier one."""
        return sum(month.count("duplicates") for month in self.months)

    @property
    def violations(self) -> int:
        """Rows that are wrong, and everything else that violates a rule; duplicates are counted apart."""
        counted = {"duplicates", "order", "grid", "ohlc", "prices", "volumes"}
        others = [c for c in self.checks if c.status is Status.VIOLATED and c.name not in counted]
        return sum(month.wrong for month in self.months) + sum(check.count for check in others)

    @property
    def checks(self) -> list[Check]:
        """Each check over all months; not run where it was not run in one of them."""
        by_name: dict[str, list[Check]] = {}
        for month in self.months:
            for check in month.checks:
                by_name.setdefault(check.name, []).append(check)
        joined = {name: _join(found) for name, found in by_name.items()}
        if self.step_ms and "gaps" in joined:
            gaps = merge(gap for month in self.months for gap in month.gaps)
            proven = [span for month in self.months for span in month.proven]
            joined["gaps"] = check_gaps(gaps, proven, self.step_ms)
        return list(joined.values())

    @property
    def verdict(self) -> Verdict:
        """The worst of its months."""
        return judge(check for month in self.months for check in month.checks)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; times are opens in ms UTC."""
        series = self.series
        return {
            "exchange": series.exchange, "symbol": series.symbol, "timeframe": series.timeframe,
            "kind": series.kind.value, "first": self.first_ms, "last": self.last_ms, "rows": self.rows,
            "gaps": len(self.gaps), "missing": self.missing, "proven_absent": self.proven_absent,
            "duplicates": self.duplicates, "violations": self.violations, "verdict": self.verdict.value,
            "checks": [check.to_dict() for check in self.checks],
            "months": [{"month": m.month, "rows": m.rows, "verdict": m.verdict.value} for m in self.months],
        }  # fmt: skip


def _join(found: Sequence[Check]) -> Check:
    """One check over several months. Its status is the worst; the words tell of each status once, with its months."""
    if len(found) == 1:
        return found[0]
    status = max((check.status for check in found), key=_BADNESS.index)
    words = []
    for one in sorted({check.status for check in found}, key=_BADNESS.index, reverse=True):
        here = [check for check in found if check.status is one]
        if one is Status.PASSED and len(here) == len(found):
            words = [here[-1].detail]
            break
        words.append(f"{one.value} in {len(here)} of {len(found)} months ({here[0].detail})")
    first = [stamp for check in found for stamp in check.first][:8]
    return Check(found[0].name, status, sum(check.count for check in found), tuple(first), "; ".join(words))


@dataclass(frozen=True, slots=True)
class Verification:
    """Everything that was verified in one go."""

    series: tuple[SeriesVerdict, ...]
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether all of it is proven."""
        return all(one.verdict is Verdict.PROVEN for one in self.series)

    @property
    def rows(self) -> int:
        """Rows that were looked at."""
        return sum(one.rows for one in self.series)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "series": [one.to_dict() for one in self.series], "rows": self.rows, "seconds": round(self.seconds, 3),
            "holds": self.holds,
        }  # fmt: skip

    def table(self) -> list[dict[str, Any]]:
        """One line for each series, without its checks."""
        hidden = ("checks", "months", "kind")
        return [{k: v for k, v in one.to_dict().items() if k not in hidden} for one in self.series]

    def __repr__(self) -> str:
        counts = [
            f"{n} {word.value}" for word in Verdict if (n := sum(s.verdict is word for s in self.series))
        ]
        lines = [
            f"<Verification of {len(self.series)} series, {self.rows:,} rows: {', '.join(counts) or 'empty'}>"
        ]
        for one in self.series:
            lines.append(
                f"{one.series!s:<28} {one.verdict.value:<11} {one.rows:>9,} rows  {len(one.gaps):>6,} gaps"
                f" {one.missing:>8,} missing {one.proven_absent:>8,} proven absent"
                f" {one.duplicates:>5,} duplicates {one.violations:>5,} violations"
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        import pandas as pd

        return str(pd.DataFrame(self.table()).to_html(index=False))
