"""Stored bars as a feed: the past, seen as it happened.

Only the bars are real. The trades of a bar are four made-up ones, at its open, at its extremes and at its close,
each with a quarter of its volume, so that they add up to the bar; the book is one made-up level on each side of
the last of them. `Replay.synthetic` says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.base import DAY_MS, MINUTE_MS, NoFunding, Rows, find_instrument, ticker_t, trade_t
from twinstar_kit.feeds.files import load_bars
from twinstar_kit.feeds.resample import aggregate, floor_time, resample
from twinstar_kit.kernel.bars import CLOSE, HIGH, LOW, OPEN, TIMESTAMP, VOLUME, Bars
from twinstar_kit.kernel.errors import DataError, UsageError
from twinstar_kit.kernel.instruments import Instrument

POINTS = 4  # made-up trades of a bar


class Replay(NoFunding):
    """A `Feed` over stored bars, one series a symbol, and of perpetuals the `funding` of a symbol where it was stored.

    `timeframe_ms` is the shortest timeframe among them; `data_digest` covers them all. Nothing of a bar is known
    before its open, and its extremes and its close only at the times of the made-up trades.

    >>> from twinstar_kit.kernel.instruments import Instrument
    >>> bars = Bars.from_floats(Instrument.from_sizes("BTC/USDT"), 60_000, [0, 60_000],
    ...                         [1.0, 2.0], [2.0, 2.5], [1.0, 1.5], [2.0, 2.0], [3.0, 4.0])
    >>> feed = Replay([bars])
    >>> feed.span(), feed.last("BTC/USDT", 60_000), [int(t["price"]) for t in feed.trades("BTC/USDT", 0, 60_000)]
    ((0, 120000), 200, [100, 100, 200, 200])
    """

    granularity = "bars"
    synthetic = frozenset({"trades", "book"})

    def __init__(
        self, series: Sequence[Bars], spec: str = "replay", funding: Mapping[str, Sequence[tuple[int, int]]] | None = None
    ) -> None:  # fmt: skip
        if not series or not all(len(bars) for bars in series):
            raise DataError("a replay needs at least one bar of each series")
        symbols = [bars.instrument.symbol for bars in series]
        twice = next((symbol for symbol in symbols if symbols.count(symbol) > 1), None)
        if twice:
            raise UsageError(
                f"a replay holds {twice} twice; name the symbols apart: replay:SYMBOL=PATH,SYMBOL=PATH"
            )
        self.spec = spec
        self.series = tuple(series)
        self.instruments: tuple[Instrument, ...] = tuple(bars.instrument for bars in series)
        self.simulated = any(bars.simulated for bars in series)
        self.timeframe_ms = min(bars.timeframe_ms for bars in series)
        self._funding = {
            symbol: np.array(rows, np.int64).reshape(-1, 2) for symbol, rows in (funding or {}).items()
        }
        self._longer: dict[tuple[int, int], Bars] = {}

    def __repr__(self) -> str:
        return f"Replay({self.spec!r}, {', '.join(i.symbol for i in self.instruments)})"

    @classmethod
    def open(cls, paths: str, **rules: Any) -> Replay:
        """The feed over `PATH` or `SYMBOL=PATH`, or several with commas between; `rules` go to `load_bars`.

        `funding:PATH` behind a path is a Parquet file of that market's fundings: timestamp (ms) and funding_rate.
        """
        if Path(paths).exists():
            return cls([load_bars(paths, **rules)], f"replay:{paths}")
        series: list[Bars] = []
        funding: dict[str, list[tuple[int, int]]] = {}
        for part in paths.split(","):
            if part.startswith("funding:") and series:
                funding[series[-1].instrument.symbol] = _load_funding(Path(part[len("funding:") :]))
                continue
            symbol, equals, path = part.partition("=")
            named: Mapping[str, Any] = {**rules, "symbol": symbol} if equals else rules
            series.append(load_bars(path if equals else part, **named))
        return cls(series, f"replay:{paths}", funding)

    @property
    def data_digest(self) -> str:
        """The digest of the bars; of several series, SHA-256 over their digests in order."""
        digests = [bars.data_digest for bars in self.series]
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()

    def span(self) -> tuple[int, int]:
        """The open of the first bar and the close of the last, over all symbols."""
        first = min(int(bars.timestamp[0]) for bars in self.series)
        return first, max(int(bars.timestamp[-1]) + bars.timeframe_ms for bars in self.series)

    def bars(self, symbol: str, since_ms: int, until_ms: int, timeframe_ms: int = MINUTE_MS) -> Bars:
        """Complete bars that open in [since_ms, until_ms), joined from the stored ones where they are shorter."""
        return self._joined(self._number(symbol), timeframe_ms).between(since_ms, until_ms)

    def forming_bar(self, symbol: str, now_ms: int, timeframe_ms: int = MINUTE_MS) -> Rows | None:
        """What has elapsed of the open bar: its complete stored bars, and the made-up trades of the last one."""
        number = self._number(symbol)
        bars, opened = self.series[number], floor_time(now_ms, timeframe_ms)
        self._joined(number, timeframe_ms)  # refuses a timeframe that cannot be joined
        first = int(np.searchsorted(bars.timestamp, opened))
        last = int(np.searchsorted(bars.timestamp, now_ms, "right"))
        if first == last:
            return None
        rows = bars.rows[first:last].copy()
        trades = self._trades_of(number, last - 1, last)
        trades = trades[trades["ts"] <= now_ms]
        part = rows[-1]
        if len(trades) < POINTS:
            if not len(trades):
                rows = rows[:-1]
            else:
                part[HIGH], part[LOW] = trades["price"].max(), trades["price"].min()
                part[CLOSE], part[VOLUME] = trades["price"][-1], trades["amount"].sum()
        if not len(rows):
            return None
        row: Rows = aggregate(rows, timeframe_ms)[0]
        return row

    def trades(self, symbol: str, since_ms: int, until_ms: int) -> npt.NDArray[np.void]:
        """Made-up trades with time in [since_ms, until_ms): four a bar, with the bar's prices and volume."""
        number = self._number(symbol)
        bars = self.series[number]
        first = int(np.searchsorted(bars.timestamp, since_ms - bars.timeframe_ms, "right"))
        last = int(np.searchsorted(bars.timestamp, until_ms))
        trades = self._trades_of(number, first, max(first, last))
        return trades[(trades["ts"] >= since_ms) & (trades["ts"] < until_ms)]

    def book(self, symbol: str, now_ms: int, depth: int = 10) -> tuple[Rows, Rows]:
        """One made-up level a side: the last price bid, one tick more asked, each for the last bar's volume."""
        if depth < 1:
            raise UsageError(f"a book has at least one level, not {depth}")
        number = self._number(symbol)
        instrument, bars = self.instruments[number], self.series[number]
        last = self.last(symbol, now_ms)
        done = int(np.searchsorted(bars.timestamp, now_ms - bars.timeframe_ms, "right")) - 1
        volume = int(bars.rows[max(0, done), VOLUME]) // instrument.lot * instrument.lot
        amount = max(instrument.lot, volume)
        return np.array([[last, amount]], np.int64), np.array([[last + instrument.tick, amount]], np.int64)

    def last(self, symbol: str, now_ms: int) -> int:
        """Price units of the last made-up trade at `now_ms`; DataError before the first bar."""
        number = self._number(symbol)
        price = self._last(number, now_ms)
        if not price:
            raise DataError(
                f"{symbol}: no data before {int(self.series[number].timestamp[0])}; it is {now_ms}"
            )
        return price

    def tickers(self, now_ms: int) -> npt.NDArray[np.void]:
        """The last 24 hours of all symbols; zeros for a symbol whose bars begin later."""
        day = np.zeros(len(self.instruments), ticker_t)
        for number, bars in enumerate(self.series):
            row, instrument = day[number], self.instruments[number]
            last = self._last(number, now_ms)
            if not last:
                continue
            row["last"] = row["open24h"] = row["high"] = row["low"] = last
            done = bars.between(now_ms - DAY_MS, now_ms - bars.timeframe_ms + 1).rows
            forming = self.forming_bar(instrument.symbol, now_ms, bars.timeframe_ms)
            if forming is not None and (not len(done) or done[-1, TIMESTAMP] != forming[TIMESTAMP]):
                done = np.vstack([done, forming])
            if len(done):
                row["open24h"], row["high"], row["low"] = (
                    done[0, OPEN],
                    done[:, HIGH].max(),
                    done[:, LOW].min(),
                )
                volume = done[:, VOLUME] / 10.0**instrument.amount_scale
                middle = done[:, OPEN : CLOSE + 1].mean(axis=1) / 10.0**instrument.price_scale
                row["volume"], row["quote_volume"] = volume.sum(), (volume * middle).sum()
            row["change"] = last - row["open24h"]
            row["percentage"] = 100.0 * row["change"] / row["open24h"]
            bids, asks = self.book(instrument.symbol, now_ms, 1)
            row["bid"], row["bid_amount"] = bids[0]
            row["ask"], row["ask_amount"] = asks[0]
        return day

    def funding(self, symbol: str, since_ms: int, until_ms: int) -> Rows:
        """The stored fundings with time in [since_ms, until_ms); their mark is the last price, as no other was stored."""
        number = self._number(symbol)
        stored = self._funding.get(symbol, np.zeros((0, 2), np.int64))
        stored = stored[(stored[:, 0] >= since_ms) & (stored[:, 0] < until_ms)]
        rows = [(int(ts), int(rate), self._last(number, int(ts))) for ts, rate in stored]
        return np.array([row for row in rows if row[2]], np.int64).reshape(-1, 3)

    def _number(self, symbol: str) -> int:
        return find_instrument(self.instruments, symbol)

    def _joined(self, number: int, timeframe_ms: int) -> Bars:
        bars = self.series[number]
        if timeframe_ms == bars.timeframe_ms:
            return bars
        key = number, timeframe_ms
        if key not in self._longer:
            self._longer[key] = resample(bars, timeframe_ms)
        return self._longer[key]

    def _trades_of(self, number: int, first: int, last: int) -> npt.NDArray[np.void]:
        """The made-up trades of bars first..last-1: open, the extreme against the bar's direction, the other, close."""
        bars = self.series[number]
        rows = bars.rows[first:last]
        rising = rows[:, CLOSE] >= rows[:, OPEN]
        trades = np.zeros((len(rows), POINTS), trade_t)
        trades["ts"] = rows[:, TIMESTAMP, None] + moments(bars.timeframe_ms)
        trades["price"][:, 0], trades["price"][:, 3] = rows[:, OPEN], rows[:, CLOSE]
        trades["price"][:, 1] = np.where(rising, rows[:, LOW], rows[:, HIGH])
        trades["price"][:, 2] = np.where(rising, rows[:, HIGH], rows[:, LOW])
        trades["amount"] = (rows[:, VOLUME] // POINTS)[:, None]
        trades["amount"][:, 3] += rows[:, VOLUME] % POINTS
        trades["side"][:, [0, 3]] = np.where(rising, 1, -1)[:, None]
        trades["side"][:, 1], trades["side"][:, 2] = np.where(rising, -1, 1), np.where(rising, 1, -1)
        trades["id"] = np.arange(first * POINTS, last * POINTS).reshape(-1, POINTS) + 1
        return trades.reshape(-1)

    def _last(self, number: int, now_ms: int) -> int:
        bars = self.series[number]
        at = int(np.searchsorted(bars.timestamp, now_ms, "right"))
        if not at:
            return 0
        trades = self._trades_of(number, at - 1, at)
        return int(trades["price"][trades["ts"] <= now_ms][-1])


def _load_funding(file: Path) -> list[tuple[int, int]]:
    """Times and rates (hundred-millionths) of a file of fundings, ascending in time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not file.is_file():
        raise DataError(f"no file {file}")
    try:
        table = pq.read_table(file, columns=["timestamp", "funding_rate"])
        times, rates = (
            table["timestamp"].cast("int64").to_numpy(),
            table["funding_rate"].cast("float64").to_numpy(),
        )
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{file}: not a file of timestamp and funding_rate: {str(error).splitlines()[0]}"
        ) from None
    if len(times) and not (
        np.isfinite(rates).all() and np.abs(rates).max() < 1 and (np.diff(times) > 0).all()
    ):
        raise DataError(f"{file}: fundings must ascend in time, with rates between -1 and 1")
    return list(zip(times.tolist(), np.rint(rates * 1e8).astype(np.int64).tolist(), strict=True))


def moments(timeframe_ms: int) -> npt.NDArray[np.int64]:
    """When, after a bar's open, its four made-up trades happen: the last in the bar's last millisecond."""
    return np.array([0, timeframe_ms // 3, 2 * timeframe_ms // 3, timeframe_ms - 1], np.int64)
