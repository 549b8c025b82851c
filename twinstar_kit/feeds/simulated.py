"""The simulated market as a feed: 98 spot markets and 22 perpetuals that need no network, the same for all with the same seed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.base import MINUTE_MS, NextFunding, Rows, find_instrument, ticker_t, trade_t
from twinstar_kit.feeds.minutes import EPOCH_MS, MOST_TRADES, minute_rows
from twinstar_kit.feeds.perpetuals import FUNDING_MINUTES, FUNDING_MS, funding_rate, mark_and_index
from twinstar_kit.feeds.resample import aggregate, ceil_time, floor_time
from twinstar_kit.feeds.tape import book_rows, forming_row, last_trade, live_rows, summary_rows, trade_rows
from twinstar_kit.feeds.universe import universe
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.errors import DataError, UsageError
from twinstar_kit.kernel.instruments import Kind

END_MS = 4_102_444_800_000  # 2100-01-01
HOUR_MINUTES, DAY_MINUTES = 60, 1_440
CACHED_HOURS = 128
MOST_LEVELS = 1_000


class SimulatedMarket:
    """A made-up exchange with minute bars, trades and order books from 2018 to 2100; a `Feed`.

    Every answer is a pure function of the seed, the symbol and the time: it does not depend on what was asked
    before, nor on the process. Nothing here is a real price, and everything made from it says so.

    >>> market = SimulatedMarket(seed=7)
    >>> bars = market.bars("BTC/USDT", 1_735_689_600_000, 1_735_689_720_000)
    >>> len(bars), bars.simulated, bars.source
    (2, True, 'simulated:7')
    >>> market.last("BTC/USDT", 1_735_689_719_999) == int(bars.rows[-1, 4])
    True
    """

    simulated = True
    granularity = "trades"
    synthetic: frozenset[str] = frozenset()

    def __init__(self, seed: int = 0) -> None:
        if seed < 0:
            raise UsageError(f"the seed of a simulated market must not be negative, it is {seed}")
        self.seed = int(seed)
        self.spec = f"simulated:{self.seed}"
        self.instruments, self._market = universe(self.seed)
        self._numbers = {instrument.symbol: n for n, instrument in enumerate(self.instruments)}
        self._price_sizes = np.array([10.0**-i.price_scale for i in self.instruments])
        self._amount_sizes = np.array([10.0**-i.amount_scale for i in self.instruments])
        self._contracts = np.array(
            [i.contract_size * 10**i.price_scale * (i.kind is Kind.INVERSE) for i in self.instruments]
        )
        self._spots = {
            n: self._numbers[f"{i.base}/USDT"] for n, i in enumerate(self.instruments) if i.derivative
        }
        self._hours: dict[int, npt.NDArray[np.float64]] = {}

    def __repr__(self) -> str:
        return f"SimulatedMarket(seed={self.seed})"

    def span(self) -> tuple[int, int]:
        """2018-01-01 and 2100-01-01, in milliseconds."""
        return EPOCH_MS, END_MS

    def bars(self, symbol: str, since_ms: int, until_ms: int, timeframe_ms: int = MINUTE_MS) -> Bars:
        """Complete bars that open in [since_ms, until_ms); times outside `span` have none."""
        number = self._number(symbol)
        if timeframe_ms < MINUTE_MS or timeframe_ms % MINUTE_MS:
            raise DataError("the simulated market has bars of one minute and its multiples")
        first = ceil_time(max(since_ms, EPOCH_MS), timeframe_ms)
        end = ceil_time(min(until_ms, END_MS - timeframe_ms), timeframe_ms)
        minutes = max(0, (end - first) // MINUTE_MS)
        rows = minute_rows(self._market, number, (first - EPOCH_MS) // MINUTE_MS, minutes)
        if timeframe_ms != MINUTE_MS:
            rows = aggregate(rows, timeframe_ms)
        return Bars(self.instruments[number], timeframe_ms, rows, source=self.spec, simulated=True)

    def forming_bar(self, symbol: str, now_ms: int, timeframe_ms: int = MINUTE_MS) -> Rows | None:
        """The open bar as far as its trades have happened; None before the first of them."""
        number = self._number(symbol)
        if timeframe_ms < MINUTE_MS or timeframe_ms % MINUTE_MS:
            raise DataError("the simulated market has bars of one minute and its multiples")
        opened = max(floor_time(self._time(now_ms), timeframe_ms), EPOCH_MS)
        row: Rows = forming_row(self._market, number, opened, now_ms)
        return row if row[5] else None

    def trades(self, symbol: str, since_ms: int, until_ms: int) -> npt.NDArray[np.void]:
        """Trades with time in [since_ms, until_ms). Ids ascend; they are not consecutive across minutes."""
        number = self._number(symbol)
        rows = trade_rows(self._market, number, max(since_ms, EPOCH_MS), min(until_ms, END_MS))
        trades: npt.NDArray[np.void] = rows.view(trade_t)[:, 0]
        return trades

    def book(self, symbol: str, now_ms: int, depth: int = 10) -> tuple[Rows, Rows]:
        """Bids and asks at `now_ms`: the last trade's price is the best bid or the best ask."""
        if not 1 <= depth <= MOST_LEVELS:
            raise UsageError(f"a book has 1 to {MOST_LEVELS} levels, not {depth}")
        bids, asks = book_rows(self._market, self._number(symbol), self._time(now_ms), depth)
        return bids, asks

    def last(self, symbol: str, now_ms: int) -> int:
        """Price units of the last trade at `now_ms`."""
        return int(last_trade(self._market, self._number(symbol), self._time(now_ms))[0, 1])

    def tickers(self, now_ms: int) -> npt.NDArray[np.void]:
        """The last 24 hours of all symbols, from the minute 1,440 minutes before the current one."""
        minute = (self._time(now_ms) - EPOCH_MS) // MINUTE_MS
        spans = self._day(max(0, minute - DAY_MINUTES), minute)
        live = live_rows(self._market, now_ms)
        traded = live[:, 4] > 0
        day = np.zeros(len(self.instruments), ticker_t)
        day["last"] = live[:, 0]
        day["bid"], day["bid_amount"], day["ask"], day["ask_amount"] = live[:, 5:9].T
        day["open24h"] = spans[0, :, 0] if len(spans) else live[:, 0]
        high = np.where(traded, live[:, 2], live[:, 0])
        low = np.where(traded, live[:, 3], live[:, 0])
        day["high"] = np.maximum(high, spans[:, :, 1].max(axis=0, initial=0))
        day["low"] = np.minimum(low, spans[:, :, 2].min(axis=0, initial=2.0**62))
        day["volume"] = (spans[:, :, 4].sum(axis=0) + live[:, 4]) * self._amount_sizes
        worth = np.where(self._contracts > 0, self._contracts, live[:, 0]).astype(np.float64)
        turnover = spans[:, :, 5].sum(axis=0) + live[:, 4] * worth
        day["quote_volume"] = turnover * self._amount_sizes * self._price_sizes
        day["change"] = day["last"] - day["open24h"]
        day["percentage"] = 100.0 * day["change"] / day["open24h"]
        return day

    def mark(self, symbol: str, now_ms: int) -> int:
        """The mark price of a perpetual: its coin's last spot trade and the mean premium of five minutes; 0 for spot.

        >>> market = SimulatedMarket(seed=7)
        >>> market.mark("BTC/USDT", 1_735_689_600_000)
        0
        >>> abs(market.mark("BTC/USDT:USDT", 1_735_689_600_000) / 10 / (market.last("BTC/USDT", 1_735_689_600_000) / 100) - 1) < 0.01
        True
        """
        number = self._number(symbol)
        return self._mark(number, self._time(now_ms))[0] if number in self._spots else 0

    def funding(self, symbol: str, since_ms: int, until_ms: int) -> Rows:
        """Fundings of a perpetual, every eight hours from the second period on; none for spot."""
        number = self._number(symbol)
        first = max(-(-since_ms // FUNDING_MS), EPOCH_MS // FUNDING_MS + 1)
        end = -(-min(until_ms, END_MS) // FUNDING_MS)
        times = range(first * FUNDING_MS, end * FUNDING_MS, FUNDING_MS) if number in self._spots else range(0)
        rows = [
            (ts, self._rate(number, ts - FUNDING_MS, FUNDING_MINUTES), self._mark(number, ts)[0])
            for ts in times
        ]
        return np.array(rows, np.int64).reshape(-1, 3)

    def next_funding(self, symbol: str, now_ms: int) -> NextFunding | None:
        """The funding after `now_ms` of a perpetual, its rate as the premium has been so far; None for spot."""
        number = self._number(symbol)
        if number not in self._spots:
            return None
        began = self._time(now_ms) // FUNDING_MS * FUNDING_MS
        rate = self._rate(number, began, (now_ms - began) // MINUTE_MS + 1)
        return NextFunding(began + FUNDING_MS, rate, *self._mark(number, now_ms))

    def _rate(self, number: int, since_ms: int, minutes: int) -> int:
        return int(funding_rate(self._market, number, (since_ms - EPOCH_MS) // MINUTE_MS, minutes))

    def _mark(self, number: int, now_ms: int) -> tuple[int, int]:
        """Mark and index price."""
        spot, tape = self._spots[number], np.empty((MOST_TRADES + 1, 5), np.int64)
        units = 10.0 ** self.instruments[number].price_scale / 10.0 ** self.instruments[spot].price_scale
        mark, index = mark_and_index(self._market, number, spot, now_ms, units, tape)
        return int(mark), int(index)

    def _day(self, start: int, minute: int) -> npt.NDArray[np.float64]:
        """What happened from minute `start` to `minute`: whole hours, which are kept, and the minutes around them."""
        first, end = -(-start // HOUR_MINUTES), minute // HOUR_MINUTES
        if end < first:
            return np.asarray(summary_rows(self._market, start, 1, minute - start))
        parts = []
        if start < first * HOUR_MINUTES:
            parts.append(summary_rows(self._market, start, 1, first * HOUR_MINUTES - start))
        parts.append(self._whole_hours(first, end))
        if end * HOUR_MINUTES < minute:
            parts.append(summary_rows(self._market, end * HOUR_MINUTES, 1, minute - end * HOUR_MINUTES))
        return np.concatenate(parts)

    def _whole_hours(self, first: int, end: int) -> npt.NDArray[np.float64]:
        known = self._hours
        missing = [hour for hour in range(first, end) if hour not in known]
        if missing:
            start, count = missing[0], missing[-1] + 1 - missing[0]
            known = {} if len(known) > CACHED_HOURS else dict(known)
            known.update(zip(range(start, start + count), self._hour_rows(start, count), strict=True))
            known.update((h, self._hour_rows(h, 1)[0]) for h in range(first, end) if h not in known)
            self._hours = known
        rows = np.array([known[hour] for hour in range(first, end)])
        return rows.reshape(end - first, len(self.instruments), 6)

    def _hour_rows(self, hour: int, count: int) -> npt.NDArray[np.float64]:
        return np.asarray(summary_rows(self._market, hour * HOUR_MINUTES, count, HOUR_MINUTES))

    def _number(self, symbol: str) -> int:
        number = self._numbers.get(symbol)
        return find_instrument(self.instruments, symbol) if number is None else number

    def _time(self, now_ms: int) -> int:
        if not EPOCH_MS <= now_ms < END_MS:
            raise DataError(
                f"the simulated market runs from 2018 to 2100; {now_ms} (milliseconds) is outside"
            )
        return now_ms


def warm_up() -> None:
    """Compile everything that the simulated market runs (once; about ten seconds), for later processes."""
    market, now_ms = SimulatedMarket(), EPOCH_MS + 3 * MINUTE_MS
    symbol = market.instruments[0].symbol
    market.bars(symbol, EPOCH_MS, now_ms)
    market.trades(symbol, EPOCH_MS, now_ms)
    market.forming_bar(symbol, now_ms)
    market.book(symbol, now_ms)
    market.last(symbol, now_ms)
    market.tickers(now_ms)
    market.next_funding("BTC/USDT:USDT", now_ms)
