"""The WebSocket half of the local venue: streams that send what happens as its clock moves on."""

from __future__ import annotations

import numpy as np
from aiohttp import web

from twinstar_kit.feeds.base import Rows
from twinstar_kit.feeds.clock import Clock
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.testing.local_venue.faults import Fault
from twinstar_kit.testing.local_venue.log import VenueLog
from twinstar_kit.testing.local_venue.market import Market


class Streams:
    def __init__(self, market: Market, clock: Clock, faults: list[Fault], log: VenueLog) -> None:
        self.market, self.clock, self.faults, self.log = market, clock, faults, log

    def routes(self) -> list[web.RouteDef]:
        return []

    def snapshot(self, instrument: Instrument, now_ms: int) -> tuple[int, Rows, Rows]:
        bids, asks = self.market.feed.book(instrument.symbol, now_ms, 100)
        return 1, np.asarray(bids), np.asarray(asks)

    async def publish(self) -> None:
        return None

    async def cut_all(self) -> int:
        return 0
