"""What the lake holds: series of bars, trades, funding rates and book changes, and the months they are kept in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from twinstar_kit.kernel.bars import parse_timeframe
from twinstar_kit.kernel.errors import UsageError

DAY_MS = 86_400_000
FIRST_MS, LAST_MS = 631_152_000_000, 4_102_444_800_000
"""1990 and 2100: a timestamp outside counts seconds or microseconds where milliseconds are meant."""


class Kind(StrEnum):
    """What a row of a series is; `COLUMNS` in `lake.rows` says what stands in it."""

    BARS = "bars"
    TRADES = "trades"
    FUNDING = "funding"
    DEPTH = "depth"


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """One series of one venue. `timeframe` is "" for everything but bars.

    >>> Series("binance", "BTC/USDT", "1m"), str(Series("binance", "BTC/USDT", kind=Kind.TRADES))
    (Series('binance', 'BTC/USDT', '1m'), 'binance BTC/USDT trades')
    >>> Series.parse("binance BTC/USDT 1m").timeframe_ms
    60000
    """

    exchange: str
    symbol: str
    timeframe: str = "1m"
    kind: Kind = Kind.BARS

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", Kind(self.kind))
        if self.kind is Kind.BARS:
            parse_timeframe(self.timeframe)
        else:
            object.__setattr__(self, "timeframe", "")
        if not re.fullmatch(r"[A-Za-z0-9_.]+", self.exchange):
            raise UsageError(f"exchange {self.exchange!r}: use letters, digits, dots and underscores")
        if not re.fullmatch(r"[^\s\\*?\"<>|]+", self.symbol) or ".." in self.symbol:
            raise UsageError(f"symbol {self.symbol!r}: write it as ccxt does, such as BTC/USDT")

    def __str__(self) -> str:
        return f"{self.exchange} {self.symbol} {self.timeframe or self.kind.value}"

    def __repr__(self) -> str:
        rest = f", {self.timeframe!r}" if self.kind is Kind.BARS else f", kind=Kind.{self.kind.name}"
        return f"Series({self.exchange!r}, {self.symbol!r}{rest})"

    @classmethod
    def parse(cls, text: str) -> Series:
        """The series that `str` wrote; UsageError for anything else."""
        words = text.split()
        if len(words) != 3:
            raise UsageError(f"{text!r} is not a series; write exchange, symbol and timeframe or kind")
        if words[2] in Kind.__members__.values():
            return cls(words[0], words[1], "", Kind(words[2]))
        return cls(words[0], words[1], words[2])

    @property
    def timeframe_ms(self) -> int:
        """Milliseconds from bar to bar; UsageError for what has no grid."""
        if self.kind is not Kind.BARS:
            raise UsageError(f"{self}: only bars lie on a grid")
        return parse_timeframe(self.timeframe)

    @property
    def folder(self) -> str:
        """Where the series' files lie, relative to the lake."""
        symbol = self.symbol.replace("/", "-").replace(":", "_")
        return f"{self.exchange}/{symbol}/{self.timeframe or self.kind.value}"


def month_of(ts_ms: int) -> str:
    """The UTC month of a time.

    >>> month_of(1_735_689_600_000)
    '2025-01'
    """
    return f"{datetime.fromtimestamp(ts_ms // 1000, UTC):%Y-%m}"


def month_span(month: str) -> tuple[int, int]:
    """First millisecond of a month and of the next one; of a day where "2025-01-31" is given.

    >>> month_span("2025-01")
    (1735689600000, 1738368000000)
    """
    parts = [int(part) for part in month.split("-")]
    if len(parts) == 3:
        first = datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]
        since_ms = int(first.timestamp()) * 1000
        return since_ms, since_ms + DAY_MS
    year, number = parts
    until = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
    return int(datetime(year, number, 1, tzinfo=UTC).timestamp()) * 1000, int(until.timestamp()) * 1000


def months(since_ms: int, until_ms: int) -> Iterator[str]:
    """Every month that [since_ms, until_ms) touches.

    >>> list(months(1_735_689_599_999, 1_735_689_600_001))
    ['2024-12', '2025-01']
    """
    while since_ms < until_ms:
        month = month_of(since_ms)
        yield month
        since_ms = month_span(month)[1]
