"""The local venue as the real ccxt class sees it: REST answers, limits, and each fault that can be planted."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import ccxt.pro
import numpy as np
import pandas as pd
import pytest
from testing.venue_data import MINUTE, START, decimals, some_bars, some_trades

from twinstar_kit.feeds import ManualClock, ReplayClock, SimulatedMarket, SystemClock
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.testing.local_venue import LocalVenue, faults, local_binance


@pytest.fixture(scope="module")
def bars() -> Bars:
    return some_bars()


@pytest.fixture
def venue(bars: Bars):
    with LocalVenue(bars) as venue:
        yield venue


def leaves(value: object) -> list[str]:
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in leaves(inner)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in leaves(inner)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("asynchronous", [False, True])
def test_no_family_of_urls_is_left_that_leads_elsewhere(venue: LocalVenue, asynchronous: bool):
    untouched = (ccxt.pro.binance if asynchronous else ccxt.binance)()
    exchange = local_binance(venue, asynchronous)
    assert len(leaves(exchange.urls)) == len(leaves(untouched.urls)) > 30
    for url in leaves(exchange.urls):
        assert url.startswith((venue.url + "/", venue.ws_url + "/")), url
    for url in leaves(exchange.urls["api"]["ws"] if asynchronous else {}):
        assert url.startswith(venue.ws_url + "/"), url


def test_test_nets_lead_to_the_venue_too(venue: LocalVenue):
    exchange = local_binance(venue)
    exchange.set_sandbox_mode(True)
    assert all(url.startswith(venue.url + "/") for url in leaves(exchange.urls))


def test_ccxt_reads_the_bars_that_were_given_to_the_last_digit(venue: LocalVenue, bars: Bars):
    exchange = local_binance(venue, number=Decimal)
    assert exchange.fetch_ohlcv("BTC/USDT", "1m", START, 1000) == decimals(bars)


def test_ccxt_reads_the_rules_that_were_given(venue: LocalVenue, bars: Bars):
    market = local_binance(venue, number=Decimal).load_markets()["BTC/USDT"]
    assert market["precision"]["price"] == Decimal("0.01")
    assert market["precision"]["amount"] == Decimal("0.00001")
    assert (market["base"], market["quote"], market["spot"]) == ("BTC", "USDT", True)


def ask(venue: LocalVenue, **params: object) -> list[list]:
    """Raw klines."""
    exchange = local_binance(venue)
    return exchange.publicGetKlines({"symbol": "BTCUSDT", "interval": "1m", **params})


@pytest.mark.parametrize(
    ("params", "first", "count"),
    [
        ({}, -500, 300),  # everything, because there is less than the usual limit
        ({"limit": 10}, 290, 10),  # without a start: the last ones
        ({"startTime": START, "limit": 10}, 0, 10),  # with a start: the first ones
        ({"startTime": START + 1, "limit": 10}, 1, 10),
        ({"startTime": START, "endTime": START + 5 * MINUTE}, 0, 6),  # the end is inclusive
        ({"endTime": START + 5 * MINUTE, "limit": 3}, 3, 3),
        ({"startTime": START + 300 * MINUTE}, 0, 0),
        ({"limit": 5_000}, 0, 300),
    ],
)
def test_start_end_and_limit_mean_what_they_mean_on_binance(
    venue: LocalVenue, bars: Bars, params: dict, first: int, count: int
):
    rows = ask(venue, **params)
    assert [int(row[0]) for row in rows] == bars.timestamp[max(0, first) :][:count].tolist()


def test_missing_bars_do_not_shorten_an_answer():
    whole = some_bars(300)
    keep = np.r_[0:50, 200:300]
    with LocalVenue(Bars(whole.instrument, MINUTE, np.ascontiguousarray(whole.rows[keep]))) as venue:
        rows = ask(venue, startTime=START + 40 * MINUTE, limit=30)
        assert [int(row[0]) for row in rows] == whole.timestamp[np.r_[40:50, 200:220]].tolist()
        rows = ask(venue, endTime=START + 209 * MINUTE, limit=30)
        assert [int(row[0]) for row in rows] == whole.timestamp[np.r_[30:50, 200:210]].tolist()


def test_nothing_later_than_the_clock_is_shown(bars: Bars):
    with LocalVenue(bars, clock=ManualClock(START + 10 * MINUTE + 30_000)) as venue:
        rows = ask(venue)
        assert [int(row[0]) for row in rows] == bars.timestamp[:11].tolist()
        forming, whole = rows[-1], bars.rows[10]
        assert Decimal(forming[5]) < int(whole[5]) * Decimal("1e-8")
        last = local_binance(venue).fetch_trades("BTC/USDT")[-1]
        assert last["timestamp"] <= venue.milliseconds()
        venue.advance(30_000)
        assert Decimal(ask(venue)[10][5]) == int(whole[5]) * Decimal("1e-8")


def test_the_open_bar_is_made_of_the_trades_that_were_given():
    trades = some_trades()
    with LocalVenue(some_bars(), trades={"BTC/USDT": trades}, clock=ManualClock(START + 90_000)) as venue:
        forming = ask(venue)[-1]
    part = trades[(trades[:, 0] >= START + MINUTE) & (trades[:, 0] <= START + 90_000)]
    cents, smallest = Decimal("0.01"), Decimal("1e-8")
    expected = [part[0, 1], part[:, 1].max(), part[:, 1].min(), part[-1, 1]]
    assert [Decimal(value) for value in forming[1:5]] == [int(value) * cents for value in expected]
    assert Decimal(forming[5]) == int(part[:, 2].sum()) * smallest


def test_longer_bars_are_joined_from_the_given_ones(venue: LocalVenue, bars: Bars):
    frame = pd.DataFrame(bars.rows, columns=["ts", "open", "high", "low", "close", "volume"])
    rules = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    hours = frame.groupby(frame["ts"] // 3_600_000).agg(rules)
    rows = local_binance(venue, number=Decimal).fetch_ohlcv("BTC/USDT", "1h", START)
    assert [[int(value * 100) for value in row[1:5]] for row in rows] == hours.iloc[:, :4].to_numpy().tolist()


def test_an_interval_that_cannot_be_served_is_refused_in_binances_words(venue: LocalVenue):
    with pytest.raises(ccxt.BadRequest, match="-1120"):
        ask(venue, interval="1s")
    with pytest.raises(ccxt.BadRequest, match="-1120"):
        ask(venue, interval="7m")
    with pytest.raises(ccxt.BadSymbol, match="-1121"):
        ask(venue, symbol="ETHUSDT")


def test_trades_can_be_had_by_time_and_by_id():
    trades = some_trades()
    with LocalVenue(some_bars(), trades={"BTC/USDT": trades}) as venue:
        exchange = local_binance(venue, apiKey="any")  # ccxt wants one for historicalTrades
        raw = exchange.publicGetAggTrades({"symbol": "BTCUSDT", "startTime": START + 60_000, "limit": 7})
        after = trades[trades[:, 0] >= START + 60_000]
        assert [int(one["a"]) for one in raw] == after[:7, 4].tolist()
        for first in (trades[0, 4], trades[1_234, 4], trades[-3, 4]):
            raw = exchange.publicGetAggTrades({"symbol": "BTCUSDT", "fromId": int(first), "limit": 5})
            assert [int(one["a"]) for one in raw] == trades[trades[:, 4] >= first][:5, 4].tolist()
            raw = exchange.publicGetHistoricalTrades({"symbol": "BTCUSDT", "fromId": int(first), "limit": 5})
            assert [int(one["id"]) for one in raw] == trades[trades[:, 4] >= first][:5, 4].tolist()
        last = exchange.fetch_trades("BTC/USDT", limit=4, params={"fetchTradesMethod": "publicGetTrades"})
        assert [int(one["id"]) for one in last] == trades[-4:, 4].tolist()


def test_trades_without_given_ones_are_made_up_and_add_up_to_the_bars(venue: LocalVenue, bars: Bars):
    found = local_binance(venue, number=Decimal).fetch_trades("BTC/USDT", START, 40)
    assert len(found) == 40
    assert sum(one["amount"] for one in found) == int(bars.rows[:10, 5].sum()) * Decimal("1e-8")


def test_a_feed_of_98_symbols_is_a_whole_venue():
    market = SimulatedMarket(2)
    with LocalVenue(market, clock=ManualClock(START)) as venue:
        exchange = local_binance(venue)
        tickers = exchange.fetch_tickers()
        spot = [one for one in market.instruments if not one.derivative]
        assert len(tickers) == len(spot) == 98
        assert len(exchange.load_markets()) == len(market.instruments)
        best = exchange.fetch_bids_asks()
        prices = exchange.fetch_last_prices()
        for instrument in spot[::17]:
            symbol = instrument.symbol
            last = instrument.price(market.last(symbol, START))
            assert tickers[symbol]["last"] == prices[symbol]["price"] == last
            bids, asks = market.book(symbol, START, 5)
            assert best[symbol]["bid"] == instrument.price(bids[0, 0])
            book = exchange.fetch_order_book(symbol, 5)
            assert book["asks"] == [[instrument.price(p), instrument.amount(a)] for p, a in asks]


def test_what_is_not_served_is_a_404_that_says_so(venue: LocalVenue):
    with pytest.raises(ccxt.BaseError, match="local venue does not serve"):
        local_binance(venue, apiKey="key", secret="secret").fetch_balance()


# --- limits ---


def test_weight_is_counted_by_the_minute_and_told_in_headers(venue: LocalVenue):
    exchange = local_binance(venue)
    exchange.load_markets()
    before = int(exchange.last_response_headers["X-MBX-USED-WEIGHT"])
    exchange.publicGetKlines({"symbol": "BTCUSDT", "interval": "1m"})
    exchange.publicGetTicker24hr()
    assert int(exchange.last_response_headers["X-MBX-USED-WEIGHT-1M"]) == before + 2 + 80
    venue.advance(MINUTE)
    exchange.publicGetTime()
    assert exchange.last_response_headers["X-MBX-USED-WEIGHT"] == "1"


def test_too_much_weight_is_429_until_the_minute_is_over(bars: Bars):
    with LocalVenue(bars, weight_limit=3, clock=ManualClock(START + 10_000)) as venue:
        exchange = local_binance(venue)
        for _ in range(3):
            exchange.publicGetTime()
        with pytest.raises(ccxt.DDoSProtection, match="429"):
            exchange.publicGetTime()
        assert exchange.last_response_headers["Retry-After"] == "50"
        venue.advance(50_000)
        exchange.publicGetTime()
        assert venue.log.count("too early") == 0


def test_who_does_not_wait_is_banned(bars: Bars):
    with LocalVenue(bars, faults=[faults.TooManyRequests(retry_after_s=60)]) as venue:
        exchange = local_binance(venue)
        said = []
        for _ in range(8):
            with pytest.raises(ccxt.DDoSProtection):
                exchange.publicGetTime()
            said.append(exchange.last_response_headers["Retry-After"])
        assert said[0] == "60"
        assert said[-1] == "120"
        assert venue.log.count("request", status=418) == 2
        assert venue.log.count("too early") == 7


# --- faults ---

AT = START + 100 * MINUTE


def stamps(rows: list[list]) -> list[int]:
    return [int(row[0]) for row in rows]


def test_a_hole_stays_or_heals_after_so_many_answers(bars: Bars):
    hole = faults.Hole(since_ms=AT, until_ms=AT + 3 * MINUTE, times=2)
    with LocalVenue(bars, faults=[hole]) as venue:
        missing = np.delete(bars.timestamp, [100, 101, 102]).tolist()
        assert stamps(ask(venue)) == stamps(ask(venue)) == missing
        assert stamps(ask(venue)) == bars.timestamp.tolist()
        assert hole.struck == venue.log.count("Hole", symbol="BTC/USDT") == 2


def test_faults_in_rows_change_what_they_say_and_nothing_else(bars: Bars):
    with LocalVenue(bars) as venue:
        true = ask(venue)

        def with_fault(fault: faults.Fault) -> list[list]:
            venue.plant(fault)
            rows = ask(venue)
            assert fault.struck == 1
            assert ask(venue) == true
            return rows

        assert with_fault(faults.Duplicate(at_ms=AT)) == [*true[:101], *true[100:]]
        assert with_fault(faults.Swapped(at_ms=AT)) == [*true[:100], true[101], true[100], *true[102:]]
        off_grid = with_fault(faults.OffGrid(at_ms=AT, by_ms=77))
        assert stamps(off_grid) == [stamp + (77 if stamp == AT else 0) for stamp in stamps(true)]
        revised = with_fault(faults.Revised(at_ms=AT, by=3))[100]
        assert Decimal(revised[4]) - Decimal(true[100][4]) == Decimal("0.03")
        assert Decimal(revised[3]) <= Decimal(revised[4]) <= Decimal(revised[2])
        unfinished = with_fault(faults.Unfinished(at_ms=AT))[100]
        assert unfinished[4] == true[100][1]
        assert Decimal(unfinished[5]) == int(bars.rows[100, 5]) // 2 * Decimal("1e-8")
        assert stamps(with_fault(faults.Elsewhere(by=-10))) == [stamp - 10 * MINUTE for stamp in stamps(true)]
        assert with_fault(faults.Empty()) == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.ServerError(status=500), ccxt.ExchangeNotAvailable),
        (faults.ServerError(status=502), ccxt.ExchangeNotAvailable),
        (faults.ServerError(status=503, retry_after_s=9), ccxt.ExchangeNotAvailable),
        (faults.Cut(), ccxt.NetworkError),
        (faults.Cut(share=0.0), ccxt.NetworkError),
        (faults.NoAnswer(), ccxt.RequestTimeout),
        (faults.TooManyRequests(), ccxt.DDoSProtection),
        (faults.Banned(), ccxt.DDoSProtection),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, faults.Fault) else "",
)
def test_faults_of_the_connection_are_ccxts_errors(bars: Bars, fault: faults.Fault, error: type[Exception]):
    with LocalVenue(bars) as venue:
        exchange = local_binance(venue, timeout=300)
        exchange.load_markets()
        fault.struck = 0
        venue.plant(fault)
        with pytest.raises(error):
            exchange.fetch_ohlcv("BTC/USDT", "1m", START)
        assert fault.struck == venue.log.count(type(fault).__name__, endpoint="klines") == 1
        venue.advance(200_000)
        assert len(exchange.fetch_ohlcv("BTC/USDT", "1m", START)) == 300


@pytest.mark.parametrize("fault", [faults.Html(), faults.WrongJson()], ids=lambda fault: type(fault).__name__)
def test_what_is_not_json_is_an_empty_answer_for_ccxt(bars: Bars, fault: faults.Fault):
    """The reason why a source must look at answers before ccxt parses them."""
    with LocalVenue(bars) as venue:
        exchange = local_binance(venue)
        exchange.load_markets()
        venue.plant(fault)
        assert exchange.fetch_ohlcv("BTC/USDT", "1m", START) == []
        assert fault.struck == 1


def test_a_slow_answer_comes_when_the_venues_clock_has_moved_on(bars: Bars):
    slow = faults.Slow(ms=5_000)
    with LocalVenue(bars) as venue, ThreadPoolExecutor(1) as pool:
        exchange = local_binance(venue)
        exchange.load_markets()
        venue.plant(slow)
        answer = pool.submit(exchange.fetch_ohlcv, "BTC/USDT", "1m", START)
        venue.log.wait("Slow")
        venue.advance(4_999)
        assert not answer.done()
        venue.advance(1)
        assert len(answer.result(10)) == 300


def test_faults_at_random_are_the_same_for_the_same_seed(bars: Bars):
    def struck(seed: int) -> list[int]:
        fault = faults.Empty(chance=0.4, times=None, seed=seed)
        with LocalVenue(bars, faults=[fault]) as venue:
            exchange = local_binance(venue)
            rows = [exchange.publicGetKlines({"symbol": "BTCUSDT", "interval": "1m"}) for _ in range(20)]
        return [number for number, answer in enumerate(rows) if not answer]

    assert struck(1) == struck(1)
    assert struck(1) != struck(2)


# --- running ---


def test_it_runs_beside_an_event_loop_and_ends_cleanly(bars: Bars):
    async def inside() -> int:
        with LocalVenue(bars) as venue:
            exchange = local_binance(venue, asynchronous=True)
            try:
                return len(await exchange.fetch_ohlcv("BTC/USDT", "1m", START))
            finally:
                await exchange.close()

    threads = threading.active_count()
    assert asyncio.run(inside()) == 300
    assert "local-venue" not in [thread.name for thread in threading.enumerate()]
    assert threading.active_count() <= threads + 1


def test_a_venue_can_be_stopped_and_started_again_on_its_port(bars: Bars):
    venue = LocalVenue(bars).start()
    port = venue.port
    exchange = local_binance(venue)
    exchange.load_markets()
    venue.stop()
    venue.stop()
    with pytest.raises(ccxt.NetworkError):
        exchange.publicGetTime()
    with venue:
        assert venue.port == port
        exchange.publicGetTime()


def test_misuse_is_one_line(bars: Bars):
    with LocalVenue(bars) as venue:
        with pytest.raises(UsageError, match="runs already"):
            venue.start()
        with pytest.raises(UsageError, match=f"cannot start on port {venue.port}"):
            LocalVenue(bars, port=venue.port).start()
    with pytest.raises(UsageError, match="is not running"):
        venue.advance(1)
    with LocalVenue(bars, clock=SystemClock()) as venue, pytest.raises(UsageError, match="runs by itself"):
        venue.advance(1)
    with pytest.raises(UsageError, match="no bars of"):
        LocalVenue(bars, trades={"ETH/USDT": some_trades()})
    with pytest.raises(UsageError, match="must ascend"):
        LocalVenue(bars, trades={"BTC/USDT": some_trades()[::-1]})


def test_a_clock_that_runs_by_itself_needs_no_advancing():
    wall = SystemClock()
    clock = ReplayClock(START, speed=3_600.0, wall=wall)
    with LocalVenue(SimulatedMarket(4), clock=clock) as venue:

        async def first() -> list:
            exchange = local_binance(venue, asynchronous=True)
            try:
                return await asyncio.wait_for(exchange.watch_trades("BTC/USDT"), 30)
            finally:
                await exchange.close()

        assert asyncio.run(first())


def test_a_book_that_nobody_follows_is_that_of_now():
    market = SimulatedMarket(4)
    with LocalVenue(market, clock=ManualClock(START)) as venue:
        exchange = local_binance(venue)
        for minutes in (0, 3, 4):
            venue.advance(minutes * MINUTE)
            bids, asks = market.book("BTC/USDT", venue.clock.milliseconds(), 1)
            book = exchange.fetch_order_book("BTC/USDT", 5)
            assert (book["bids"][0][0], book["asks"][0][0]) == (bids[0, 0] / 100, asks[0, 0] / 100)
