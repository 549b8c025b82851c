"""What the venue asks of a feed, and the records in which it keeps what an account met."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from twinstar_kit.journal.inputs import InputKind, input_t, record
from twinstar_kit.kernel.gate import Op
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.stream import COLUMNS, INSTRUMENT, OP, TS

MINUTE_MS = 60_000
LEVELS = 20
"""Levels a side of the book that an order meets; what lies behind them it cannot take."""

Integers = npt.NDArray[np.int64]
Records = npt.NDArray[np.void]
NO_RECORDS: Records = np.empty(0, input_t)
_BYTES = np.dtype((np.void, input_t.itemsize))


def market_word(feed: MarketData) -> str:
    """What kind of market a feed shows: SIMULATED, REPLAY, or REAL, which is that of now."""
    return "SIMULATED" if feed.simulated else "REAL" if getattr(feed, "live", False) else "REPLAY"


def joined(parts: Iterable[Records]) -> Records:
    """Records one after the other. As bytes: numpy compares the fields of records whenever it puts some together, for longer than an order takes."""
    filled = [part.view(_BYTES) for part in parts if len(part)]
    return np.concatenate(filled).view(input_t) if filled else NO_RECORDS


class MarketData(Protocol):
    """What the venue asks of a feed; see `feeds.base.Feed`."""

    @property
    def spec(self) -> str: ...
    @property
    def simulated(self) -> bool: ...
    @property
    def granularity(self) -> str: ...
    @property
    def instruments(self) -> tuple[Instrument, ...]: ...
    def span(self) -> tuple[int, int]: ...
    def bars(self, symbol: str, since_ms: int, until_ms: int, timeframe_ms: int = ...) -> Any: ...
    def trades(self, symbol: str, since_ms: int, until_ms: int) -> Records: ...
    def book(self, symbol: str, now_ms: int, depth: int = ...) -> tuple[Any, Any]: ...
    def last(self, symbol: str, now_ms: int) -> int: ...
    def tickers(self, now_ms: int) -> Records: ...
    def mark(self, symbol: str, now_ms: int) -> int: ...
    def funding(self, symbol: str, since_ms: int, until_ms: int) -> Integers: ...


_OPS = {
    InputKind.BAR: Op.BAR, InputKind.TRADE: Op.TRADE, InputKind.MARK: Op.MARK, InputKind.FUNDING: Op.FUNDING,
    InputKind.TIME: Op.CLOCK, InputKind.LAST: Op.LAST, InputKind.QUOTE: Op.QUOTE,
}  # fmt: skip
_RANKS = {
    InputKind.LAST: -1, InputKind.TIME: 0, InputKind.FUNDING: 1, InputKind.MARK: 2, InputKind.BAR: 3, InputKind.TRADE: 3,
    InputKind.QUOTE: 4,
}  # fmt: skip
"""What comes first at one instant: what has run out or arrives, funding, mark prices, then trades by instrument, then quotes."""


def _table(words: Mapping[InputKind, int]) -> Integers:
    table = np.full(max(InputKind) + 1, -9, np.int64)
    for kind, word in words.items():
        table[kind] = int(word)
    return table


_OP_OF, _RANK_OF = _table(_OPS), _table(_RANKS)


def stream_rows(inputs: Records) -> Integers:
    """Records as the kernel's loop takes them, see `kernel.stream.run`."""
    rows = np.zeros((len(inputs), COLUMNS), np.int64)
    rows[:, :OP] = inputs["v"]
    rows[:, OP], rows[:, INSTRUMENT], rows[:, TS] = _OP_OF[inputs["kind"]], inputs["instrument"], inputs["ts"]
    return rows


def keys_of(inputs: Records) -> tuple[Integers, ...]:
    """Time, rank, instrument and id of records: what orders them."""
    ids = np.where(inputs["kind"] == InputKind.TRADE, inputs["v"][:, 3], 0)
    return inputs["ts"], _RANK_OF[inputs["kind"]], inputs["instrument"].astype(np.int64), ids


def in_order(parts: list[Records]) -> Records:
    """Records of several kinds and instruments in the order in which they count."""
    inputs = joined(parts)
    ts, rank, instrument, ids = keys_of(inputs)
    ordered: Records = inputs[np.lexsort((ids, instrument, rank, ts))]
    return ordered


def after(inputs: Records, key: tuple[int, int, int, int]) -> Records:
    """Those of the records that come after `key`."""
    if not len(inputs) or inputs["ts"][0] > key[0]:
        return inputs
    later, same = np.zeros(len(inputs), bool), np.ones(len(inputs), bool)
    for column, value in zip(keys_of(inputs), key, strict=True):
        later |= same & (column > value)
        same &= column == value
    chosen: Records = inputs[later]
    return chosen


def last_key(inputs: Records) -> tuple[int, int, int, int] | None:
    """The key of the last record that has one: a book comes with what showed it."""
    keyed = inputs[_RANK_OF[inputs["kind"]] > -9]
    if not len(keyed):
        return None
    ts, rank, instrument, ids = (int(column[-1]) for column in keys_of(keyed))
    return ts, rank, instrument, ids


def trade_records(feed: MarketData, j: int, since: int, until: int) -> Records:
    """The trades of instrument `j` in [since, until)."""
    return records_of(j, feed.trades(feed.instruments[j].symbol, since, until))


def records_of(j: int, trades: Records) -> Records:
    """Trades of instrument `j` (`feeds.base.trade_t`) as records."""
    inputs = np.zeros(len(trades), input_t)
    inputs["kind"], inputs["instrument"], inputs["ts"] = InputKind.TRADE, j, trades["ts"]
    for column, name in enumerate(("price", "amount", "side", "id")):
        inputs["v"][:, column] = trades[name]
    return inputs


def bar_records(feed: MarketData, j: int, since: int, until: int, step_ms: int) -> Records:
    """The bars of instrument `j` that were completed in [since, until)."""
    rows = feed.bars(feed.instruments[j].symbol, since - step_ms, until - step_ms, step_ms).rows
    inputs = np.zeros(len(rows), input_t)
    inputs["kind"], inputs["instrument"], inputs["ts"] = InputKind.BAR, j, rows[:, 0] + step_ms
    inputs["v"][:, :6], inputs["v"][:, 6] = rows, step_ms
    return inputs


def funding_records(feed: MarketData, j: int, since: int, until: int) -> Records:
    """The fundings of instrument `j` in [since, until)."""
    rows = feed.funding(feed.instruments[j].symbol, since, until)
    inputs = np.zeros(len(rows), input_t)
    inputs["kind"], inputs["instrument"], inputs["ts"] = InputKind.FUNDING, j, rows[:, 0]
    inputs["v"][:, :2] = rows[:, 1:3]
    return inputs


def mark_record(feed: MarketData, j: int, ts: int) -> Records:
    """The mark price of instrument `j` at `ts`; nothing where none is known."""
    price = feed.mark(feed.instruments[j].symbol, ts) if feed.granularity == "trades" else 0
    return record(InputKind.MARK, j, ts, (price,)) if price else NO_RECORDS


def quote_record(feed: MarketData, j: int, ts: int) -> Records:
    """The best bid and ask of instrument `j` at `ts`."""
    bids, asks = feed.book(feed.instruments[j].symbol, ts, 1)
    return record(InputKind.QUOTE, j, ts, (int(bids[0][0]), int(asks[0][0])))


def book_records(feed: MarketData, j: int, ts: int) -> Records:
    """The book of instrument `j` at `ts`, the best of each side first."""
    bids, asks = feed.book(feed.instruments[j].symbol, ts, LEVELS)
    n = len(bids) + len(asks)
    inputs = np.zeros(n, input_t)
    inputs["kind"], inputs["instrument"], inputs["ts"] = InputKind.BOOK, j, ts
    v = inputs["v"]
    v[: len(bids), 0], v[len(bids) :, 0] = 1, -1
    v[: len(bids), 1:3], v[len(bids) :, 1:3] = bids, asks
    v[:, 3] = n
    return inputs


def prices_of(feed: MarketData, symbol: str, ts: int) -> dict[str, int]:
    """What is known of a market at `ts`, in price units: last, bid, ask and mark (0: none)."""
    bids, asks = feed.book(symbol, ts, 1)
    return {
        "last": feed.last(symbol, ts),
        "bid": int(bids[0][0]),
        "ask": int(asks[0][0]),
        "mark": feed.mark(symbol, ts),
    }
