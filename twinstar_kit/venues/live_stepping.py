"""Leads a market that is heard of as it happens past an account: each trade once, when it is heard.

A trade comes to our ears after it was made. Orders that came to the venue in between must not meet it, and orders that were there must,
however late it is. So a record says both: `ts` is when it counts here, `made` when it was made.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import structlog

from twinstar_kit.feeds.resample import floor_time
from twinstar_kit.feeds.source import SourceError
from twinstar_kit.journal.inputs import InputKind, record
from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.stream import MADE
from twinstar_kit.venues.market_data import (
    MINUTE_MS,
    MarketData,
    Records,
    bar_records,
    in_order,
    quote_record,
    records_of,
)
from twinstar_kit.venues.stepping import Commit, Stepper

log = structlog.get_logger(__name__)
TRADES_MISSED_MS = 3_600_000
"""So much is caught up on by trades, more by bars."""


class LiveMarketData(MarketData, Protocol):
    """What the venue asks of a feed that has no past of its own."""

    def heard(self, symbol: str, cursor: int) -> tuple[Records, int]: ...


class LiveStepper(Stepper):
    """Steps an account through what a live feed has heard since it was last asked."""

    feed: LiveMarketData

    def __init__(self, engine: Engine, feed: LiveMarketData, timeframe_ms: int) -> None:
        super().__init__(engine, feed, timeframe_ms)
        self._cursors: dict[int, int] = {}
        self._seams: dict[int, tuple[int, int]] = {}

    def step(self, since: int, until: int, commit: Commit) -> None:
        """Let what was heard up to now count at its time, or at `since` when that has passed."""
        parts = []
        concerned = self.concerned()
        for j, instrument in enumerate(self.engine.instruments):
            awake = j in self._cursors
            trades, self._cursors[j] = self.feed.heard(instrument.symbol, self._cursors.get(j, 0))
            if not concerned[j]:
                continue
            trades = self._new(j, trades)
            if not awake:
                trades = trades[trades["ts"] >= since]
                first = min(since, self._seams.get(j, (since, 0))[0])
                parts += self._missed(j, first, int(trades["ts"][0]) if len(trades) else until, since)
            parts.append(self._records(j, trades, since, until))
            if self._watches_quotes(j):
                parts.append(quote_record(self.feed, j, until - 1))
        wakes = np.unique(self._orders()["wake_ts"])
        wakes = wakes[(wakes >= since) & (wakes < until)]
        parts += [record(InputKind.TIME, 0, ts, ()) for ts in wakes.tolist()]
        if any(map(len, parts)):
            parts += self.fee_prices(since)
            self.meet(in_order(parts), commit)

    def _records(self, j: int, trades: Records, since: int, until: int) -> Records:
        """Trades as inputs that say when they were made, and count now if they were heard of late: time never goes back."""
        inputs = records_of(j, trades)
        inputs["v"][:, MADE] = trades["ts"]
        inputs["ts"] = np.clip(trades["ts"], since, until - 1)
        return inputs

    def _new(self, j: int, trades: Records) -> Records:
        """Those beyond what was told before the stream began, which tells each once but may begin earlier."""
        ts, number = self._seams.get(j, (0, 0))
        new: Records = trades[(trades["ts"] > ts) | ((trades["ts"] == ts) & (trades["id"] > number))]
        return new

    def remember(self, inputs: Records) -> None:
        """Note from recorded data which trades were met."""
        trades = inputs[inputs["kind"] == InputKind.TRADE]
        for j in np.unique(trades["instrument"]).tolist():
            latest = trades["v"][trades["instrument"] == j][-1]
            self._seams[j] = int(latest[MADE]), int(latest[MADE - 1])

    def _missed(self, j: int, since: int, until: int, now: int) -> list[Records]:
        """What was traded in [since, until), while nobody listened, as the venue tells it: trades, after a longer time bars."""
        symbol, parts, seam = self.engine.instruments[j].symbol, [], since
        try:
            if until - since > TRADES_MISSED_MS:
                seam = floor_time(until, MINUTE_MS)
                parts.append(bar_records(self.feed, j, now, seam, MINUTE_MS))
            trades = self._new(j, self.feed.trades(symbol, seam, until))
            if len(trades):
                self._seams[j] = int(trades["ts"][-1]), int(trades["id"][-1])
            parts.append(self._records(j, trades, now, until))
        except SourceError as error:
            log.warning("open orders did not meet what was traded meanwhile", symbol=symbol, why=str(error))
        return parts
