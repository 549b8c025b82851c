"""What backfill and heal may ask of a venue: anything with these methods will do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.lake.rows import Rows


class Source(Protocol):
    """A venue that answers questions about its past; `feeds.ccxt_source.CcxtSource` is one.

    Rows are int64 in the units of the venue's own instruments. Each call is one question, repeated inside until it
    is answered or the source gives up with a TwinStarError. It may come from several threads at once; the source keeps
    the venue's pace.
    """

    @property
    def name(self) -> str:
        """The venue's name, the `exchange` of its series."""

    @property
    def requests(self) -> int:
        """How many requests have left so far."""

    def instruments(self) -> Mapping[str, Instrument]:
        """Everything that is listed, by symbol."""

    def limit(self, timeframe: str) -> int:
        """Bars that one request may bring; UsageError for a timeframe that the venue does not have."""

    def bars(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> Rows:
        """At most `limit` complete bars that open at or after `since_ms`, as rows (n, 6)."""

    def trades(self, symbol: str, since_ms: int, until_ms: int) -> Rows:
        """All trades of [since_ms, until_ms) as rows (n, 5): timestamp, price, amount, side, id."""
