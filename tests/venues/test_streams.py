"""What the asynchronous exchange streams: all that happened, once, in order, and nothing that has not happened yet."""

from __future__ import annotations

import asyncio
from typing import Any

import ccxt
import pytest
from venues.builders import FEED, MINUTE, START, begun, exchange, run, streaming, turns

from twinstar_kit.feeds.clock import to_milliseconds

SYMBOL, OTHER = "BTC/USDT", "ETH/USDT"
T0 = to_milliseconds(START)


def ids(symbol: str, since: int, until: int) -> list[str]:
    """The ids of all trades of the feed in (since, until]."""
    return [str(id_) for id_ in FEED.trades(symbol, since + 1, until + 1)["id"].tolist()]


@pytest.mark.parametrize("step", [250, 1_000, 7_000, 60_000, 1_200_000])
def test_every_trade_comes_once_however_far_time_jumps(step):
    async def scenario() -> tuple[list[str], int]:
        ex, got = streaming(), []
        watching = await begun(ex.watch_trades(SYMBOL))
        for _ in range(40):
            ex.advance(step)
            await turns()
            if watching.done():
                got += [trade["id"] for trade in watching.result()]
                watching = await begun(ex.watch_trades(SYMBOL))
        watching.cancel()
        await ex.close()
        return got, ex.milliseconds()

    got, now = run(scenario())
    expected = ids(SYMBOL, T0, now)
    if step < 600_000:  # a jump over more than the cache holds keeps the latest
        assert got == expected
    assert set(got) <= set(expected)
    assert got == sorted(got, key=int)


def test_a_slow_listener_gets_what_happened_while_it_was_busy():
    async def scenario() -> None:
        ex = streaming()
        watching = await begun(ex.watch_trades(SYMBOL))
        for _ in range(30):
            ex.advance(1_000)
        first = [trade["id"] for trade in await watching]
        for _ in range(30):
            ex.advance(1_000)
        second = [trade["id"] for trade in await ex.watch_trades(SYMBOL)]
        assert first + second == ids(SYMBOL, T0, ex.milliseconds())
        await ex.close()

    run(scenario())


def test_two_listeners_hear_the_same_and_one_that_gives_up_takes_nothing_with_it():
    async def scenario() -> None:
        ex = streaming()
        one, two = await begun(ex.watch_trades(SYMBOL)), await begun(ex.watch_trades(SYMBOL))
        ex.advance(10_000)
        assert await one == await two
        before = ex.milliseconds()
        impatient = await begun(ex.watch_trades(SYMBOL))
        ex.advance(10_000)
        impatient.cancel()  # its news were there already
        await turns()
        assert [t["id"] for t in await ex.watch_trades(SYMBOL)] == ids(SYMBOL, before, ex.milliseconds())
        await ex.close()

    run(scenario())


def test_several_markets_take_turns():
    async def scenario() -> None:
        ex, seen = streaming(), []
        for _ in range(12):
            watching = await begun(ex.watch_trades_for_symbols([OTHER, SYMBOL]))
            while not watching.done():
                ex.advance(5_000)
                await turns()
            seen.append({trade["symbol"] for trade in watching.result()})
        assert all(len(symbols) == 1 for symbols in seen)
        assert {SYMBOL} in seen
        assert {OTHER} in seen
        await ex.close()

    run(scenario())


def test_a_ticker_comes_at_once_and_then_when_it_differs():
    async def scenario() -> None:
        ex = streaming()
        assert await ex.watch_ticker(SYMBOL) == await ex.fetch_ticker(SYMBOL)
        for _ in range(20):
            before = (await ex.fetch_ticker(SYMBOL))["info"]
            watching = await begun(ex.watch_ticker(SYMBOL))
            assert not watching.done()
            while not watching.done():
                ex.advance(100)
                await turns()
            assert watching.result() == await ex.fetch_ticker(SYMBOL) == ex.tickers[SYMBOL]
            assert watching.result()["info"] != before
        await ex.close()

    run(scenario())


def test_all_tickers_first_then_those_that_changed():
    async def scenario() -> None:
        ex = streaming()
        assert len(await ex.watch_tickers()) == 120
        quotes = await ex.watch_bids_asks([SYMBOL, OTHER])
        assert sorted(quotes) == [SYMBOL, OTHER]
        watching = await begun(ex.watch_tickers())
        ex.advance(200)
        changed = await watching
        assert 0 < len(changed) < 120
        now = await ex.fetch_tickers()
        assert changed == {symbol: now[symbol] for symbol in changed}
        await ex.close()

    run(scenario())


def test_a_book_is_one_of_ccxts_and_follows_the_market():
    async def scenario() -> None:
        ex = streaming()
        book = await ex.watch_order_book(SYMBOL, 5)
        for _ in range(20):
            fetched = await ex.fetch_order_book(SYMBOL, 5)
            for side in ("bids", "asks"):
                assert [list(level) for level in book[side]] == fetched[side]
            assert book["timestamp"] == ex.milliseconds()
            assert ex.orderbooks[SYMBOL] is book
            watching = await begun(ex.watch_order_book(SYMBOL, 5))
            assert not watching.done()
            while not watching.done():
                ex.advance(50)
                await turns()
            assert watching.result() is book
        assert len((await ex.watch_order_book_for_symbols([SYMBOL, OTHER], 20))["bids"]) == 20
        await ex.close()

    run(scenario())


@pytest.mark.parametrize(
    ("timeframe", "step"), [("1m", 1_000), ("1m", 200_000), ("5m", 30_000), ("1h", 5_400_000)]
)
def test_bars_add_up_to_those_that_are_fetched(timeframe, step):
    async def scenario() -> None:
        ex = streaming()
        bars = {bar[0]: list(bar) for bar in await ex.watch_ohlcv(SYMBOL, timeframe)}
        for _ in range(90):
            watching = await begun(ex.watch_ohlcv(SYMBOL, timeframe))
            while not watching.done():
                ex.advance(step)
                await turns()
            for bar in watching.result():
                bars[bar[0]] = list(bar)
        fetched = await ex.fetch_ohlcv(SYMBOL, timeframe, min(bars), 10_000)
        assert list(bars.values()) == fetched
        assert len(bars) > 1
        await ex.close()

    run(scenario())


def test_bars_of_several_markets():
    async def scenario() -> None:
        ex = streaming()
        both = [await ex.watch_ohlcv_for_symbols([[SYMBOL, "1m"], [OTHER, "5m"]]) for _ in range(2)]
        assert [list(bars) for bars in both] == [[SYMBOL], [OTHER]]
        assert both[1][OTHER]["5m"][-1] == (await ex.fetch_ohlcv(OTHER, "5m"))[-1]
        await ex.close()

    run(scenario())


def test_an_order_is_seen_from_its_acceptance_to_its_fill():
    async def scenario() -> None:
        ex = streaming()
        last = (await ex.fetch_ticker(SYMBOL))["last"]
        orders, fills = await begun(ex.watch_orders()), await begun(ex.watch_my_trades(SYMBOL))
        balance = await ex.watch_balance()
        assert balance["USDT"]["free"] == 100_000
        placed = await ex.create_order(SYMBOL, "limit", "buy", 0.01, last * 0.9995)
        assert await orders == [placed]
        assert (await ex.watch_balance())["USDT"]["used"] > 0
        assert not fills.done()

        orders, watching = await begun(ex.watch_orders()), await begun(ex.watch_balance())
        while not orders.done():
            ex.advance(MINUTE)
            await turns()
        (filled,) = orders.result()
        assert (filled["id"], filled["status"]) == (placed["id"], "closed")
        assert filled == await ex.fetch_order(placed["id"])
        assert await fills == filled["trades"] == await ex.fetch_my_trades()
        assert (await watching)["BTC"]["total"] == 0.01

        elsewhere = await begun(ex.watch_orders(OTHER))
        stop = await ex.create_order(SYMBOL, "market", "sell", 0.01, None, {"stopLossPrice": last * 0.5})
        await ex.cancel_order(stop["id"])
        assert [o["status"] for o in await ex.watch_orders()] == ["canceled"]
        await turns()
        assert not elsewhere.done()
        elsewhere.cancel()
        await ex.close()

    run(scenario())


def test_without_new_updates_lists_hold_all_that_is_cached():
    async def scenario() -> None:
        ex = streaming()
        ex.newUpdates = False
        watching = await begun(ex.watch_trades(SYMBOL))
        ex.advance(MINUTE)
        await watching
        ex.advance(MINUTE)
        every = await ex.watch_trades(SYMBOL)
        assert (
            [t["id"] for t in every]
            == ids(SYMBOL, T0, ex.milliseconds())
            == [t["id"] for t in ex.trades[SYMBOL]]
        )
        ex.advance(MINUTE)
        assert len(await ex.watch_trades(SYMBOL, None, 3)) == 3
        ex.advance(MINUTE)
        since = ex.milliseconds() - 30_000
        assert all(t["timestamp"] >= since for t in await ex.watch_trades(SYMBOL, since))
        await ex.close()

    run(scenario())


def test_a_running_clock_wakes_by_itself_and_only_when_there_is_something():
    async def scenario() -> tuple[int, int]:
        ex = streaming(clock=None, start=START, speed=60)
        looks, look = 0, ex.streams.publish

        def counted() -> None:
            nonlocal looks
            looks += 1
            look()

        ex.streams.publish = counted
        for _ in range(15):
            assert await ex.watch_trades(SYMBOL)
        order = await ex.create_order(
            SYMBOL, "limit", "buy", 0.01, (await ex.fetch_ticker(SYMBOL))["last"] * 0.9999
        )
        while (await ex.fetch_order(order["id"]))["status"] == "open":
            await ex.watch_orders()
        await ex.close()
        return looks, ex.milliseconds()

    looks, now = run(scenario())
    assert looks < 3 * len(ids(SYMBOL, T0, now)) + 30


def test_time_moved_by_another_thread_wakes_too():
    async def scenario() -> None:
        ex = streaming()
        watching = await begun(ex.watch_trades(SYMBOL))
        await asyncio.to_thread(ex.advance, MINUTE)
        assert await watching
        await ex.close()

    run(scenario())


ENDS = [
    ("ticker", (SYMBOL,)), ("tickers", ([SYMBOL],)), ("bids_asks", ([SYMBOL],)), ("order_book", (SYMBOL,)),
    ("order_book_for_symbols", ([SYMBOL],)), ("trades", (SYMBOL,)), ("trades_for_symbols", ([SYMBOL],)),
    ("ohlcv", (SYMBOL, "5m")), ("ohlcv_for_symbols", ([[SYMBOL, "5m"]],)), ("orders", ()), ("my_trades", (SYMBOL,)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), ENDS)
def test_who_watches_is_told_of_the_end(name, arguments):
    async def scenario() -> None:
        ex = streaming()
        watch, un_watch = getattr(ex, f"watch_{name}"), getattr(ex, f"un_watch_{name}")
        assert not await un_watch(*arguments)
        if "trades" not in name and name != "orders":
            await watch(*arguments)
        watching = await begun(watch(*arguments))
        assert await un_watch(*arguments)
        with pytest.raises(ccxt.UnsubscribeError, match="not watched"):
            await watching
        if "trades" not in name and name != "orders":
            await watch(*arguments)
        watching = await begun(watch(*arguments))
        await ex.close()
        with pytest.raises(ccxt.ExchangeClosedByUser, match="closed"):
            await watching

    run(scenario())


BAD: list[tuple[str, tuple[Any, ...], type[Exception], str]] = [
    ("watch_ticker", ("NO/SUCH",), ccxt.BadSymbol, "NO/SUCH"),
    ("watch_tickers", ([],), ccxt.ArgumentsRequired, "at least one"),
    ("watch_tickers", (SYMBOL,), ccxt.BadRequest, "list of symbols"),
    ("watch_trades", (None,), ccxt.ArgumentsRequired, "symbol"),
    ("watch_trades", (SYMBOL, "yesterday"), ccxt.BadRequest, "milliseconds"),
    ("watch_order_book", (SYMBOL, -1), ccxt.BadRequest, "limit"),
    ("watch_ohlcv", (SYMBOL, "7m"), ccxt.BadRequest, "1m, 3m"),
    ("watch_ohlcv_for_symbols", ([SYMBOL],), ccxt.ArgumentsRequired, "pairs"),
    ("watch_ohlcv_for_symbols", ([],), ccxt.ArgumentsRequired, "at least one"),
    ("watch_orders", (None, None, None, {"stop": True}), ccxt.NotSupported, "stop"),
    ("watch_balance", ({"type": "margin"},), ccxt.BadRequest, "must be one of spot, swap"),
    ("watch_balance", ({"code": "USDT"},), ccxt.NotSupported, "'code'; it knows type"),
    ("un_watch_trades", (SYMBOL, {"x": 1}), ccxt.NotSupported, "x"),
    ("watch_positions", ([SYMBOL],), ccxt.NotSupported, "watchPositions"),
]


@pytest.mark.parametrize(("name", "arguments", "error", "words"), BAD)
def test_what_cannot_be_watched_is_refused(name, arguments, error, words):
    async def scenario() -> None:
        ex = streaming()
        with pytest.raises(error, match=words):
            await getattr(ex, name)(*arguments)
        await ex.close()

    run(scenario())


def test_an_account_whose_journal_failed_tells_who_watches(tmp_path, monkeypatch):
    async def scenario() -> None:
        ex = streaming(journal=tmp_path / "account.db")
        watching = await begun(ex.watch_orders())

        def full(batch: Any) -> None:
            raise OSError("the disk is full")

        monkeypatch.setattr(ex.venue.journal, "commit", full)
        with pytest.raises(ccxt.ExchangeNotAvailable, match="disk is full"):
            await ex.create_order(SYMBOL, "market", "buy", 0.01)
        with pytest.raises(ccxt.ExchangeNotAvailable, match="disk is full"):
            await watching
        await ex.close()

    run(scenario())


def test_both_faces_make_the_same_journal():
    async def scenario() -> tuple[str, Any, Any]:
        ex = streaming()
        last = (await ex.fetch_ticker(SYMBOL))["last"]
        await ex.create_order(SYMBOL, "market", "buy", 0.02)
        await asyncio.gather(
            *(ex.create_order(SYMBOL, "limit", "buy", 0.01, last * (1 - k / 999)) for k in range(4))
        )
        await ex.create_trailing_percent_order(SYMBOL, "market", "sell", 0.01, None, 0.2)
        ex.advance(20 * MINUTE)
        await ex.cancel_all_orders()
        out = ex.venue.journal_digest(), await ex.fetch_orders(), await ex.fetch_balance()
        await ex.close()
        return out

    ex = exchange()
    last = ex.fetch_ticker(SYMBOL)["last"]
    ex.create_order(SYMBOL, "market", "buy", 0.02)
    for k in range(4):
        ex.create_order(SYMBOL, "limit", "buy", 0.01, last * (1 - k / 999))
    ex.create_trailing_percent_order(SYMBOL, "market", "sell", 0.01, None, 0.2)
    ex.advance(20 * MINUTE)
    ex.cancel_all_orders()
    assert run(scenario()) == (ex.venue.journal_digest(), ex.fetch_orders(), ex.fetch_balance())


def test_the_rate_limiter_and_sleep_move_a_standing_clock_and_wake():
    async def scenario() -> None:
        ex = streaming()
        ex.rateLimit = 30_000
        watching = await begun(ex.watch_trades(SYMBOL))
        await ex.throttle()
        await ex.throttle(2)
        assert await watching
        before = ex.milliseconds()
        await ex.throttle()
        assert ex.milliseconds() - before == 30_000
        with pytest.raises(ccxt.NotSupported, match="no network"):
            await ex.fetch("https://example.com")
        await ex.close()

    run(scenario())
