"""A venue's feed for whoever trades on it: every bar and trade is in the lake before it is acted on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

from twinstar_kit.feeds.base import Rows
from twinstar_kit.feeds.ccxt_feed import CcxtFeed, ends_of
from twinstar_kit.feeds.ccxt_universe import followed
from twinstar_kit.kernel.bars import format_timeframe
from twinstar_kit.lake.collect import LakeSink, known_units
from twinstar_kit.lake.series import Series
from twinstar_kit.lake.store import Lake

if TYPE_CHECKING:
    from twinstar_kit.feeds.source import Source


class RecordedFeed(CcxtFeed):
    """A `CcxtFeed` that writes what it hands on to a lake first; the lake is its own and closes with it."""

    def __init__(
        self, lake: Lake, source: Source, stream: Callable[[], Any], symbols: Sequence[str], **options: Any
    ) -> None:
        self.lake = lake
        sink = LakeSink(lake, source.name, "1m", clock=options.get("clock"))
        super().__init__(source, stream, symbols, sink=sink, **options)
        sink.register(symbols, source.instruments())

    @classmethod
    def record(cls, place: str, symbols: Iterable[str] = (), lake: Lake | None = None) -> Self:
        """The feed of a venue (see `CcxtFeed.open`) with a lake (default: that of the settings)."""
        lake = lake or Lake()
        try:
            source, stream = ends_of(place, known_units(lake, place.partition("@")[0]))
            return cls(lake, source, stream, followed(source, symbols=symbols), spec=f"ccxt:{place}")
        except BaseException:
            lake.close()
            raise

    def _fetched(self, symbol: str, since_ms: int, until_ms: int, timeframe_ms: int) -> Rows:
        """Bars of before the streams; they are stored too."""
        rows = super()._fetched(symbol, since_ms, until_ms, timeframe_ms)
        if len(rows):
            series = Series(self.source.name, symbol, format_timeframe(timeframe_ms))
            self.lake.register(series, self._instrument(symbol))
            self.lake.write(series, rows, source=f"rest:{self.source.name}")
        return rows

    def close(self) -> None:
        """End the streams, and let go of the lake when what they brought is in it."""
        super().close()
        self.lake.close()
