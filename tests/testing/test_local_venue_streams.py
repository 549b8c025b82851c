"""The local venue's streams as the real ccxt.pro class reads them, and what planted faults do to them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import numpy as np
import pytest
from testing.venue_data import HOUR, MINUTE, START, some_bars, some_trades

from twinstar_kit.feeds import ManualClock, SimulatedMarket
from twinstar_kit.testing.local_venue import LocalVenue, local_binance, stream_faults
from twinstar_kit.testing.local_venue.faults import ServerError

BARS, TRADES = some_bars(), some_trades()
MARKET = SimulatedMarket(5)
SYMBOL = "BTC/USDT"


def a_venue(**options: Any) -> LocalVenue:
    return LocalVenue(BARS, trades={SYMBOL: TRADES}, clock=ManualClock(START), **options)


def run(venue: LocalVenue, story: Callable[[Any], Awaitable[None]]) -> None:
    """The story of one ccxt.pro client, inside an event loop of its own."""

    async def tell() -> None:
        exchange = local_binance(venue, asynchronous=True)
        try:
            await exchange.load_markets()
            await asyncio.wait_for(story(exchange), 30)
        finally:
            await exchange.close()

    with venue:
        asyncio.run(tell())


async def watched(venue: LocalVenue, watch: Awaitable[Any], ms: int, stream: str) -> Any:
    """What `watch` brings when the venue moves on by `ms` after it was subscribed."""
    task = asyncio.ensure_future(watch)
    await asyncio.to_thread(venue.log.wait, "subscribed", stream=stream)
    await asyncio.to_thread(venue.advance, ms)
    return await task


@pytest.mark.parametrize(("name", "ids"), [("trade", "t"), ("aggTrade", "a")])
def test_the_trades_that_happened_meanwhile_arrive_in_order(name: str, ids: str):
    venue = a_venue()

    async def story(exchange: Any) -> None:
        exchange.options["watchTrades"]["name"] = name
        passed = TRADES[(TRADES[:, 0] > START) & (TRADES[:, 0] <= START + MINUTE)]

        async def collected() -> list[Any]:
            trades: list[Any] = []
            while len(trades) < len(passed):
                trades += await exchange.watch_trades(SYMBOL)
            return trades

        seen = await watched(venue, collected(), MINUTE, f"btcusdt@{name}")
        assert [int(trade["info"][ids]) for trade in seen] == passed[:, 4].tolist()
        assert [trade["price"] for trade in seen] == [price / 100 for price in passed[:, 1]]
        assert [trade["side"] for trade in seen] == ["buy" if side > 0 else "sell" for side in passed[:, 3]]

    run(venue, story)


def test_a_bar_arrives_as_it_forms_and_when_it_closes():
    venue = LocalVenue(BARS, clock=ManualClock(START))

    async def story(exchange: Any) -> None:
        whole, price = BARS.rows[0], 100
        first = await watched(venue, exchange.watch_ohlcv(SYMBOL, "1m"), MINUTE // 2, "btcusdt@kline_1m")
        ts, opened, high, low, _close, volume = first[-1]
        assert (ts, opened) == (START, whole[1] / price)
        assert low >= whole[3] / price
        assert high <= whole[2] / price
        assert volume < whole[5] / 1e8
        task = asyncio.ensure_future(exchange.watch_ohlcv(SYMBOL, "1m"))
        await asyncio.to_thread(venue.advance, MINUTE // 2)
        closed = await task
        assert closed[-1][:5] == [START, *(value / price for value in whole[1:5])]
        assert closed[-1][5] == whole[5] / 1e8

    run(venue, story)


def messages_of(
    venue: LocalVenue, streams: list[str], moves: list[int], path: str = "/stream/ws/0"
) -> list[Any]:
    """Every message that a plain WebSocket client gets while the clock makes `moves`."""

    async def listen() -> list[Any]:
        async with aiohttp.ClientSession() as session, session.ws_connect(venue.ws_url + path) as socket:
            await socket.send_json({"method": "SUBSCRIBE", "params": streams, "id": 1})
            assert await socket.receive_json() == {"result": None, "id": 1}
            for ms in moves:
                await asyncio.to_thread(venue.advance, ms)
            with contextlib.suppress(ConnectionError):  # where the venue has cut it
                await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 2})
            found: list[Any] = []
            async for message in socket:
                found.append(message.json())
                if found[-1] == {"result": streams, "id": 2}:
                    return found[:-1]
            return found

    return asyncio.run(listen())


def test_messages_of_several_streams_come_in_the_order_of_time():
    with a_venue() as venue:
        streams = ["btcusdt@trade", "btcusdt@kline_1m", "btcusdt@miniTicker", "btcusdt@depth@100ms"]
        found = messages_of(venue, streams, [5 * MINUTE])
    times = [message["E"] for message in found]
    assert times == sorted(times)
    closed = [message["k"]["t"] for message in found if message["e"] == "kline" and message["k"]["x"]]
    assert closed == [START + MINUTE * number for number in range(5)]
    assert {message["e"] for message in found} == {"trade", "kline", "24hrMiniTicker", "depthUpdate"}


def test_moving_in_small_steps_or_in_a_large_one_brings_the_same_trades():
    with a_venue() as venue:
        large = messages_of(venue, ["btcusdt@trade"], [5 * MINUTE])
    with a_venue() as venue:
        small = messages_of(venue, ["btcusdt@trade"], [777] * (5 * MINUTE // 777 + 1))
    assert small[: len(large)] == large


def test_the_combined_address_wraps_messages_in_the_name_of_their_stream():
    with a_venue() as venue:
        found = messages_of(venue, ["btcusdt@trade"], [2_000], path="/stream")
    assert {message["stream"] for message in found} == {"btcusdt@trade"}
    assert all(message["data"]["e"] == "trade" for message in found)


def test_an_order_book_of_deltas_equals_the_feeds_own():
    venue = LocalVenue(MARKET, clock=ManualClock(START + HOUR))

    async def story(exchange: Any) -> None:
        await watched(venue, exchange.watch_order_book(SYMBOL), 100, "btcusdt@depth@100ms")
        for _ in range(20):
            task = asyncio.ensure_future(exchange.watch_order_book(SYMBOL))
            await asyncio.to_thread(venue.advance, 500)
            book = await task
        # the last watch may have returned before the last delta of its half second
        while book["timestamp"] < venue.milliseconds():
            book = await exchange.watch_order_book(SYMBOL)
        bids, asks = MARKET.book(SYMBOL, venue.milliseconds(), 100)
        scale = np.array([100.0, 1e8])
        assert np.array_equal(np.array(book["bids"]), bids / scale)
        assert np.array_equal(np.array(book["asks"]), asks / scale)

    run(venue, story)


def test_tickers_and_best_prices_are_those_of_the_feed():
    venue = LocalVenue(MARKET, clock=ManualClock(START + HOUR))

    async def story(exchange: Any) -> None:
        mini = await watched(venue, exchange.watch_ticker(SYMBOL), 1_000, "btcusdt@miniTicker")
        assert mini["last"] == MARKET.last(SYMBOL, venue.milliseconds()) / 100
        whole = exchange.watch_tickers([SYMBOL], {"name": "ticker"})
        ticker = (await watched(venue, whole, 1_000, "btcusdt@ticker"))[SYMBOL]
        day = MARKET.tickers(venue.milliseconds())[0]
        assert [ticker[name] for name in ("last", "open", "high", "low", "bid", "ask")] == [
            day[name] / 100 for name in ("last", "open24h", "high", "low", "bid", "ask")
        ]
        best = await watched(venue, exchange.watch_bids_asks([SYMBOL]), 1_000, "btcusdt@bookTicker")
        bids, asks = MARKET.book(SYMBOL, venue.milliseconds(), 1)
        assert (best[SYMBOL]["bid"], best[SYMBOL]["ask"]) == (bids[0, 0] / 100, asks[0, 0] / 100)
        everything = await watched(venue, exchange.watch_tickers(), 1_000, "!miniTicker@arr")
        assert len(everything) == sum(not one.derivative for one in MARKET.instruments)

    run(venue, story)


def test_swaps_have_streams_of_their_own():
    swap = some_bars(60, "BTC/USDT:USDT", seed=8)
    venue = LocalVenue([BARS, swap], clock=ManualClock(START))

    async def story(exchange: Any) -> None:
        spot = await watched(venue, exchange.watch_ohlcv(SYMBOL, "1m"), MINUTE, "btcusdt@kline_1m")
        assert spot[-1][1] == BARS.rows[0, 1] / 100
        task = asyncio.ensure_future(exchange.watch_ohlcv("BTC/USDT:USDT", "1m"))
        await asyncio.to_thread(venue.log.wait, "subscribed", 2)
        await asyncio.to_thread(venue.advance, MINUTE)
        assert (await task)[-1][1] in (swap.rows[1, 1] / 100, swap.rows[2, 1] / 100)
        book = asyncio.ensure_future(exchange.watch_order_book("BTC/USDT:USDT"))
        await asyncio.to_thread(venue.log.wait, "subscribed", 3)
        await asyncio.to_thread(venue.advance, MINUTE)
        assert (await book)["bids"]

    run(venue, story)


def test_unsubscribing_ends_a_stream():
    venue = a_venue()

    async def story(exchange: Any) -> None:
        await watched(venue, exchange.watch_trades(SYMBOL), 2_000, "btcusdt@trade")
        await exchange.un_watch_trades(SYMBOL)
        sent = venue.log.count("message")
        await asyncio.to_thread(venue.advance, MINUTE)
        assert venue.log.count("message") == sent

    run(venue, story)


# --- faults ---


def trade_ids(messages: list[Any]) -> list[int]:
    return [message["t"] for message in messages if message.get("e") == "trade"]


PASSED = [int(row[4]) for row in TRADES if START < row[0] <= START + 10_000]


def test_a_lost_message_is_a_gap_in_the_ids():
    with a_venue(faults=[stream_faults.Lost(stream="@trade", after=3)]) as venue:
        assert trade_ids(messages_of(venue, ["btcusdt@trade"], [10_000])) == PASSED[:3] + PASSED[4:]
        assert venue.log.count("Lost") == 1


def test_ccxt_notices_a_lost_change_of_the_book():
    from ccxt import ChecksumError

    venue = LocalVenue(MARKET, clock=ManualClock(START))

    async def story(exchange: Any) -> None:
        await watched(venue, exchange.watch_order_book(SYMBOL), 100, "btcusdt@depth@100ms")
        venue.plant(stream_faults.Lost(stream="@depth"))

        async def go_on() -> None:
            for _ in range(10):  # ccxt notices when the next change arrives
                task = asyncio.ensure_future(exchange.watch_order_book(SYMBOL))
                await asyncio.to_thread(venue.advance, 1_000)
                await task

        with pytest.raises(ChecksumError):
            await go_on()
        assert venue.log.count("Lost") == 1

    run(venue, story)


def test_a_repeated_message_comes_twice():
    with a_venue(faults=[stream_faults.Repeated(after=1)]) as venue:
        ids = trade_ids(messages_of(venue, ["btcusdt@trade"], [10_000]))
    assert ids == [*PASSED[:2], PASSED[1], *PASSED[2:]]


def test_a_reordered_message_comes_after_the_next():
    with a_venue(faults=[stream_faults.Reordered(after=1)]) as venue:
        ids = trade_ids(messages_of(venue, ["btcusdt@trade"], [10_000]))
    assert ids == [PASSED[0], PASSED[2], PASSED[1], *PASSED[3:]]


def test_a_dropped_connection_ends_in_the_middle():
    with a_venue(faults=[stream_faults.Dropped(after=2)]) as venue:
        assert trade_ids(messages_of(venue, ["btcusdt@trade"], [10_000])) == PASSED[:2]
        assert venue.log.count("Dropped") == 1


def test_a_stalled_connection_stays_open_and_answers_pings_but_brings_nothing():
    with a_venue(faults=[stream_faults.Stalled(after=2)]) as venue:

        async def listen() -> None:
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(venue.ws_url + "/ws/btcusdt@trade") as ws,
            ):
                await asyncio.to_thread(venue.log.wait, "subscribed")
                await asyncio.to_thread(venue.advance, 10_000)
                assert [(await ws.receive_json())["t"] for _ in range(2)] == PASSED[:2]
                await ws.ping()
                with pytest.raises(asyncio.TimeoutError):
                    await ws.receive(timeout=0.2)
                assert not ws.closed
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(venue.ws_url + "/ws/btcusdt@trade") as ws,
            ):
                await asyncio.to_thread(venue.log.wait, "subscribed", 2)
                await asyncio.to_thread(venue.advance, 10_000)
                assert (await ws.receive_json())["t"] == PASSED[-1] + 1

        asyncio.run(listen())


def test_a_refused_connection_is_an_error_for_ccxt():
    from ccxt import NetworkError

    venue = a_venue(faults=[ServerError(endpoint="ws")])

    async def story(exchange: Any) -> None:
        with pytest.raises(NetworkError):
            await exchange.watch_trades(SYMBOL)
        await watched(venue, exchange.watch_trades(SYMBOL), 2_000, "btcusdt@trade")

    run(venue, story)


def test_ccxt_sees_a_dropped_connection_and_can_subscribe_again():
    from ccxt import NetworkError

    venue = a_venue()

    async def story(exchange: Any) -> None:
        await watched(venue, exchange.watch_trades(SYMBOL), 2_000, "btcusdt@trade")
        task = asyncio.ensure_future(exchange.watch_trades(SYMBOL))
        assert await asyncio.to_thread(venue.disconnect) == 1
        with pytest.raises(NetworkError):
            await task
        task = asyncio.ensure_future(exchange.watch_trades(SYMBOL))
        await asyncio.to_thread(venue.log.wait, "subscribed", 2)
        await asyncio.to_thread(venue.advance, 2_000)
        assert await task

    run(venue, story)


def test_random_faults_strike_the_same_messages_every_time():
    found = []
    for _ in range(2):
        with a_venue(faults=[stream_faults.Lost(chance=0.3, seed=9, times=None)]) as venue:
            found.append(trade_ids(messages_of(venue, ["btcusdt@trade"], [60_000])))
    assert found[0] == found[1]
    assert 0 < len(found[0]) < sum(START < row[0] <= START + 60_000 for row in TRADES)
