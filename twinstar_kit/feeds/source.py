"""What a venue's history can be asked for: the `Source` protocol, and the errors of those who ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from twinstar_kit.feeds.base import Rows
from twinstar_kit.kernel.errors import TwinStarError
from twinstar_kit.kernel.instruments import Instrument

FUNDING_SCALE = 12
"""Funding rates count 1e-12."""


class SourceError(TwinStarError):
    """A venue that does not give what it was asked for; asking again would change nothing."""


class BadAnswer(SourceError):
    """An answer that cannot be true: not JSON, out of order, twice the same time, or of another time."""


class GaveUp(SourceError):
    """A venue that failed or gave wrong answers as often as one was ready to ask."""


@runtime_checkable
class Source(Protocol):
    """A venue's history, one request at a time; rows are int64 in the units of `instruments()`.

    `requests` counts what was sent, retries among them; `waited_s` is the time spent holding back.
    """

    @property
    def name(self) -> str: ...
    @property
    def requests(self) -> int: ...
    @property
    def waited_s(self) -> float: ...

    def instruments(self) -> Mapping[str, Instrument]:
        """What the venue lists, by symbol."""

    def limit(self, timeframe: str) -> int:
        """How many bars one request may bring."""

    def bars(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> Rows:
        """Complete bars that open in the `limit` timeframes from `since_ms` on: (n, 6) as `Bars.rows`."""

    def trades(self, symbol: str, since_ms: int, until_ms: int) -> Rows:
        """All trades of [since_ms, until_ms): (n, 5) of timestamp, price, amount, side (1 or -1) and id."""

    def funding(self, symbol: str, since_ms: int, until_ms: int) -> Rows:
        """Funding rates of [since_ms, until_ms): (n, 2) of timestamp and rate in 1e-12."""

    def top_symbols(self, n: int, quote: str | None = None) -> list[str]:
        """The `n` spot symbols with the largest turnover in 24 hours."""
