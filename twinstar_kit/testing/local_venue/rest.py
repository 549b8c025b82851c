"""The REST half of the local venue: binance's public endpoints for spot, and what funding needs of USD-M swaps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from aiohttp import web

from twinstar_kit.feeds.base import Rows
from twinstar_kit.feeds.clock import Clock
from twinstar_kit.kernel.errors import DataError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.testing.local_venue import faults as planted
from twinstar_kit.testing.local_venue import wire
from twinstar_kit.testing.local_venue.faults import Call, Fault, Instead
from twinstar_kit.testing.local_venue.limits import Limiter, weight
from twinstar_kit.testing.local_venue.log import VenueLog
from twinstar_kit.testing.local_venue.market import INTERVALS, SPOT, SWAP, Market, Refusal, market_id

HOUR_MS = 3_600_000
Snapshot = Callable[[Instrument, int], tuple[int, Rows, Rows]]


class Rest:
    """Answers requests; `snapshot` gives a book that fits the depth streams, `funding` rates by swap symbol."""

    def __init__(
        self, market: Market, clock: Clock, limiter: Limiter, faults: list[Fault], log: VenueLog,
        snapshot: Snapshot, funding: Mapping[str, Rows],
    ) -> None:  # fmt: skip
        self.market, self.clock, self.limiter, self.faults, self.log = market, clock, limiter, faults, log
        self._snapshot, self._funding = snapshot, funding
        self._endpoints: dict[str, Callable[[str, Call], Any]] = {
            "ping": lambda family, call: {},
            "time": lambda family, call: {"serverTime": call.now_ms},
            "exchangeInfo": self._exchange_info,
            "klines": self._klines,
            "trades": self._trades,
            "historicalTrades": self._historical_trades,
            "aggTrades": self._agg_trades,
            "depth": self._depth,
            "ticker/24hr": self._ticker,
            "ticker/price": self._price,
            "ticker/bookTicker": self._book_ticker,
        }

    def routes(self) -> list[web.RouteDef]:
        """What the server hangs in; every other path is a 404 in binance's words."""
        return [
            web.get("/api/v3/{endpoint:.+}", partial(self._serve, SPOT)),
            web.get("/fapi/v1/{endpoint:.+}", partial(self._serve, SWAP)),
            # ccxt asks the coin-margined family for its markets too; it has none here
            web.get("/dapi/v1/{endpoint:exchangeInfo}", partial(self._serve, "inverse")),
            web.route("*", "/{anything:.*}", self._nothing_here),
        ]

    async def _nothing_here(self, request: web.Request) -> web.Response:
        self.log.add(self.clock.milliseconds(), "request", endpoint=request.path, status=404)
        return _json({"code": -1000, "msg": f"The local venue does not serve {request.path}."}, 404)

    async def _serve(self, family: str, request: web.Request) -> web.StreamResponse:
        """One request: limits first, then what is planted, then the answer."""
        now_ms, endpoint = self.clock.milliseconds(), request.match_info["endpoint"]
        params = dict(request.query)
        early = now_ms < self.limiter.blocked_until_ms
        refused = self.limiter.admit(now_ms, weight(endpoint, params))
        if refused:
            if early:
                self.log.add(now_ms, "too early", endpoint=endpoint)
            return self._refuse(endpoint, *refused)
        call = Call(
            endpoint,
            params,
            self._symbol(family, params),
            now_ms,
            INTERVALS.get(params.get("interval", ""), 0),
        )
        answer = await self._instead(call)
        if isinstance(answer, Instead):
            return self._send(call, answer)
        try:
            body = self._answer(family, call)
        except Refusal as refusal:
            words = json.dumps({"code": refusal.code, "msg": refusal.words})
            return self._send(call, Instead(refusal.status, words))
        words = json.dumps(body, separators=(",", ":"))
        garbled = self._strike(planted.Garbled, call)
        if garbled:
            return self._send(call, garbled.body(words))
        cut = self._strike(planted.Cut, call)
        if cut:
            return await self._cut(request, call, words, cut.share)
        return self._send(call, Instead(200, words))

    def _symbol(self, family: str, params: Mapping[str, str]) -> str | None:
        try:
            return self.market.instrument(family, params["symbol"]).symbol if "symbol" in params else None
        except Refusal:
            return None

    def _strike(self, kind: type[Fault], call: Call) -> Any:
        fault = planted.first_of(self.faults, kind, call)
        if fault:
            self.log.add(call.now_ms, type(fault).__name__, endpoint=call.endpoint, symbol=call.symbol)
        return fault

    async def _instead(self, call: Call) -> Instead | None:
        limited = self._strike(planted.TooManyRequests, call)
        if limited:
            self.limiter.block(limited.status, limited.retry_after_s, call.now_ms)
            return Instead(
                limited.status,
                json.dumps(self.limiter.refusal()),
                headers={"Retry-After": str(limited.retry_after_s)},
            )
        broken = self._strike(planted.ServerError, call)
        if broken:
            return broken.answer()  # type: ignore[no-any-return]
        if self._strike(planted.NoAnswer, call):
            await asyncio.Event().wait()
        slow = self._strike(planted.Slow, call)
        if slow:
            await slow.wait(self.clock.milliseconds)
        return None

    def _answer(self, family: str, call: Call) -> Any:
        if family == SWAP and call.endpoint == "fundingRate":
            return self._funding_rate(family, call)
        handler = self._endpoints.get(call.endpoint)
        if handler is None:
            raise Refusal(-1000, f"The local venue does not serve {call.endpoint}.", 404)
        return handler(family, call)

    def _send(self, call: Call, answer: Instead) -> web.Response:
        self.log.add(call.now_ms, "request", endpoint=call.endpoint, status=answer.status)
        headers = {**self._weights(), **answer.headers}
        return web.Response(
            status=answer.status, text=answer.body, content_type=answer.content_type, headers=headers
        )

    def _refuse(self, endpoint: str, status: int, retry_after_s: int) -> web.Response:
        self.log.add(self.clock.milliseconds(), "request", endpoint=endpoint, status=status)
        headers = {**self._weights(), "Retry-After": str(retry_after_s)}
        return _json(self.limiter.refusal(), status, headers)

    def _weights(self) -> dict[str, str]:
        used = str(self.limiter.used)
        return {"X-MBX-USED-WEIGHT": used, "X-MBX-USED-WEIGHT-1M": used}

    async def _cut(self, request: web.Request, call: Call, words: str, share: float) -> web.StreamResponse:
        self.log.add(call.now_ms, "request", endpoint=call.endpoint, status=200)
        whole = words.encode()
        response = web.StreamResponse(headers={"Content-Type": "application/json", **self._weights()})
        response.content_length = len(whole)
        await response.prepare(request)
        await response.write(whole[: int(len(whole) * share)])
        if request.transport is not None:
            request.transport.abort() if share == 0 else request.transport.close()
        return response

    # --- endpoints ---

    def _exchange_info(self, family: str, call: Call) -> Any:
        return {
            "timezone": "UTC",
            "serverTime": call.now_ms,
            "rateLimits": [
                {
                    "rateLimitType": "REQUEST_WEIGHT",
                    "interval": "MINUTE",
                    "intervalNum": 1,
                    "limit": self.limiter.limit,
                }
            ],
            "exchangeFilters": [],
            "symbols": [wire.listing(one, family) for one in self.market.instruments(family)],
        }

    def _klines(self, family: str, call: Call) -> Any:
        instrument = self._instrument(family, call)
        if not call.interval_ms:
            raise Refusal(-1120, "Invalid interval.")
        start_ms, end_ms = _integer(call, "startTime"), _integer(call, "endTime")
        limit = _limit(call, 1_000)
        try:
            rows = self.market.klines(
                instrument.symbol, call.interval_ms, call.now_ms, start_ms, end_ms, limit
            )
        except DataError:  # a timeframe that cannot be joined from what the venue was given
            raise Refusal(-1120, "Invalid interval.") from None
        for fault in self.faults:
            if isinstance(fault, planted.RowsFault) and fault.concerns(call):
                changed = fault.edit(rows, call)
                if changed is not None and fault.strikes():
                    self.log.add(
                        call.now_ms, type(fault).__name__, endpoint=call.endpoint, symbol=call.symbol
                    )
                    rows = changed
        return [wire.kline(instrument, row, call.interval_ms) for row in rows.tolist()]

    def _trades(self, family: str, call: Call) -> Any:
        instrument = self._instrument(family, call)
        found = self.market.last_trades(instrument.symbol, call.now_ms + 1, _limit(call, 1_000))
        return [wire.trade(instrument, row) for row in found]

    def _historical_trades(self, family: str, call: Call) -> Any:
        instrument, first = self._instrument(family, call), _integer(call, "fromId")
        if first is None:
            return self._trades(family, call)
        found = self.market.trades_from(instrument.symbol, first, call.now_ms + 1, _limit(call, 1_000))
        return [wire.trade(instrument, row) for row in found]

    def _agg_trades(self, family: str, call: Call) -> Any:
        instrument, limit = self._instrument(family, call), _limit(call, 1_000)
        first, start_ms, end_ms = (_integer(call, name) for name in ("fromId", "startTime", "endTime"))
        until_ms = min(call.now_ms, call.now_ms if end_ms is None else end_ms) + 1
        if first is not None:
            if start_ms is not None or end_ms is not None:
                raise Refusal(-1128, "Combination of optional parameters invalid.")
            found = self.market.trades_from(instrument.symbol, first, until_ms, limit)
        elif start_ms is not None:
            found = self.market.first_trades(instrument.symbol, start_ms, until_ms, limit)
        else:
            found = self.market.last_trades(instrument.symbol, until_ms, limit)
        return [wire.agg_trade(instrument, row) for row in found]

    def _depth(self, family: str, call: Call) -> Any:
        instrument, limit = self._instrument(family, call), _limit(call, 5_000, 100)
        update_id, bids, asks = self._snapshot(instrument, call.now_ms)
        return {
            "lastUpdateId": update_id,
            "bids": wire.levels(instrument, bids[:limit]),
            "asks": wire.levels(instrument, asks[:limit]),
        }

    def _ticker(self, family: str, call: Call) -> Any:
        days = self.market.feed.tickers(call.now_ms)
        places = {one.symbol: number for number, one in enumerate(self.market.feed.instruments)}
        return self._each(family, call, lambda one: wire.ticker(one, days[places[one.symbol]], call.now_ms))

    def _price(self, family: str, call: Call) -> Any:
        last = self.market.feed.last

        def words(one: Instrument) -> dict[str, Any]:
            return {
                "symbol": market_id(one.symbol),
                "price": wire.price(one, last(one.symbol, call.now_ms)),
            }

        return self._each(family, call, words)

    def _book_ticker(self, family: str, call: Call) -> Any:
        book = self.market.feed.book
        return self._each(family, call, lambda one: wire.best(one, *book(one.symbol, call.now_ms, 1)))

    def _funding_rate(self, family: str, call: Call) -> Any:
        instrument = self._instrument(family, call)
        rates = self._funding.get(instrument.symbol, np.empty((0, 2), np.int64))
        start_ms, end_ms = _integer(call, "startTime"), _integer(call, "endTime")
        until_ms = min(call.now_ms, call.now_ms if end_ms is None else end_ms)
        found = rates[(rates[:, 0] >= (start_ms or 0)) & (rates[:, 0] <= until_ms)]
        limit = _limit(call, 1_000, 100)
        found = found[:limit] if start_ms is not None else found[-limit:]
        name = market_id(instrument.symbol)
        return [
            {"symbol": name, "fundingTime": int(ts), "fundingRate": wire.text(rate, 12), "markPrice": ""}
            for ts, rate in found
        ]

    def _instrument(self, family: str, call: Call) -> Instrument:
        if "symbol" not in call.params:
            raise Refusal(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        return self.market.instrument(family, call.params["symbol"])

    def _each(self, family: str, call: Call, words: Callable[[Instrument], Any]) -> Any:
        if "symbol" in call.params:
            return words(self._instrument(family, call))
        chosen = self.market.instruments(family)
        if "symbols" in call.params:
            chosen = [self.market.instrument(family, name) for name in json.loads(call.params["symbols"])]
        return [words(one) for one in chosen]


def _integer(call: Call, name: str) -> int | None:
    value = call.params.get(name)
    if value is None:
        return None
    if not value.isdigit():
        raise Refusal(
            -1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
        )
    return int(value)


def _limit(call: Call, most: int, usual: int = 500) -> int:
    limit = _integer(call, "limit")
    return min(usual if limit is None else max(1, limit), most)


def _json(body: object, status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response(body, status=status, headers=headers)
