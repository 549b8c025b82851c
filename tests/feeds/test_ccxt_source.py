"""A venue's history over the real ccxt class: exact rows, patience with what fails, refusal of what cannot be true."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import Any

import ccxt.async_support
import numpy as np
import pandas as pd
import pytest
from testing.venue_data import HOUR, MINUTE, START, some_bars, some_trades

from twinstar_kit.feeds import ManualClock, SimulatedMarket
from twinstar_kit.feeds.ccxt_source import CcxtSource
from twinstar_kit.feeds.source import GaveUp, Source, SourceError
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.testing.local_venue import LocalVenue, faults, local_binance, point_at

SYMBOL = "BTC/USDT"
BARS, TRADES = some_bars(), some_trades()
PRICE_UNIT = 10**6  # the venue counts cents, the source 1e-8


class Naps:
    """Sleeping that moves the venue's clock on, and remembers."""

    def __init__(self, venue: LocalVenue) -> None:
        self.venue, self.taken = venue, []

    def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        self.venue.clock.advance(int(-(-seconds * 1_000 // 1)))


def source_of(venue: LocalVenue, **options: Any) -> tuple[CcxtSource, Naps]:
    naps = Naps(venue)
    exchange = local_binance(venue, timeout=options.pop("timeout", 10_000))
    options.setdefault("chance", random.Random(7))
    return CcxtSource(exchange, clock=venue.clock, sleep=naps, **options), naps


@pytest.fixture
def venue():
    with LocalVenue(BARS, trades={SYMBOL: TRADES}) as venue:
        yield venue


def expected(bars: Bars, first: int = 0, until: int | None = None) -> np.ndarray:
    rows = bars.rows[first:until].copy()
    rows[:, 1:5] *= PRICE_UNIT
    return rows


# --- bars ---


def test_bars_are_those_of_the_venue_to_the_last_unit(venue: LocalVenue):
    source, _ = source_of(venue)
    assert isinstance(source, Source)
    rows = source.bars(SYMBOL, "1m", START, 1_000)
    assert np.array_equal(rows, expected(BARS))
    assert rows.dtype == np.int64


def test_one_call_is_one_request_once_the_markets_and_the_time_are_known(venue: LocalVenue):
    source, _ = source_of(venue)
    source.bars(SYMBOL, "1m", START, 10)
    venue.log.clear()
    before = source.requests
    rows = source.bars(SYMBOL, "1m", START + 50 * MINUTE, 20)
    assert np.array_equal(rows, expected(BARS, 50, 70))
    assert source.requests - before == venue.log.count("request") == 1


def test_a_bar_that_is_not_closed_is_left_out():
    with LocalVenue(BARS, clock=ManualClock(START + 10 * MINUTE + 30_000)) as venue:
        source, _ = source_of(venue)
        assert len(venue_rows(venue)) == 11
        assert np.array_equal(source.bars(SYMBOL, "1m", START, 100), expected(BARS, 0, 10))
        venue.advance(30_000)
        assert np.array_equal(source.bars(SYMBOL, "1m", START, 100), expected(BARS, 0, 11))


def venue_rows(venue: LocalVenue) -> list[Any]:
    return local_binance(venue).publicGetKlines({"symbol": "BTCUSDT", "interval": "1m"})


def test_a_bar_that_closes_while_it_is_asked_for_is_not_taken_for_complete():
    """The time is asked first: what forms at that moment counts as unfinished, whatever comes after."""
    with (
        LocalVenue(BARS, clock=ManualClock(START + 10 * MINUTE + 59_000)) as venue,
        ThreadPoolExecutor(1) as pool,
    ):
        source, _ = source_of(venue)
        source.instruments()
        venue.plant(faults.Slow(endpoint="klines", ms=500))
        answer = pool.submit(source.bars, SYMBOL, "1m", START, 100)
        venue.log.wait("Slow")
        venue.advance(2_000)
        assert len(answer.result(30)) == 10


def test_missing_bars_stay_missing_and_an_empty_answer_is_empty():
    keep = np.r_[0:50, 200:300]
    bars = Bars(BARS.instrument, MINUTE, np.ascontiguousarray(BARS.rows[keep]))
    with LocalVenue(bars) as venue:
        source, _ = source_of(venue)
        rows = source.bars(SYMBOL, "1m", START + 40 * MINUTE, 170)
        assert rows[:, 0].tolist() == BARS.timestamp[np.r_[40:50, 200:210]].tolist()
        assert source.bars(SYMBOL, "1m", START + 60 * MINUTE, 100).shape == (0, 6)


def test_off_grid_bars_pass_because_only_the_lake_knows_the_grid(venue: LocalVenue):
    source, _ = source_of(venue)
    venue.plant(faults.OffGrid(at_ms=START + MINUTE, by_ms=77))
    rows = source.bars(SYMBOL, "1m", START, 10)
    assert rows[1, 0] == START + MINUTE + 77


def test_longer_timeframes(venue: LocalVenue):
    source, _ = source_of(venue)
    hours = source.bars(SYMBOL, "1h", START, 5)
    assert hours[:, 5].tolist() == BARS.rows[:, 5].reshape(5, 60).sum(axis=1).tolist()


@pytest.mark.real_data
def test_real_bars_come_through_unchanged(real_data: Any):
    from twinstar_kit.feeds import load_bars

    path = real_data / "ohlcv" / "binance_BTCUSDT_spot_1m_20210326.parquet"
    bars = load_bars(path, exchange="binance", symbol=SYMBOL, tick="0.01", lot="0.000001")
    with LocalVenue(bars) as venue:
        source, _ = source_of(venue)
        instrument = source.instruments()[SYMBOL]
        rows = source.bars(SYMBOL, "1m", int(bars.timestamp[3_000]), 1_000)
        want = bars.between(int(rows[0, 0]), int(rows[-1, 0]) + 1).rows
        assert np.array_equal(rows[:, 0], want[:, 0])
        price = 10 ** (instrument.price_scale - bars.instrument.price_scale)
        amount = 10 ** (instrument.amount_scale - bars.instrument.amount_scale)
        assert np.array_equal(rows[:, 1:5], want[:, 1:5] * price)
        assert np.array_equal(rows[:, 5], want[:, 5] * amount)


# --- what may pass ---

PASSING = [
    faults.ServerError(status=500),
    faults.ServerError(status=502),
    faults.ServerError(status=503),
    faults.Cut(),
    faults.Cut(share=0.0),
    faults.NoAnswer(),
    faults.Html(),
    faults.WrongJson(),
    faults.WrongShape(),
    faults.Duplicate(),
    faults.Swapped(),
    faults.Elsewhere(),
    faults.Elsewhere(by=5_000),
    faults.TooManyRequests(retry_after_s=33),
    faults.Banned(retry_after_s=600),
]


def name(fault: Any) -> str:
    return type(fault).__name__


@pytest.mark.parametrize("fault", PASSING, ids=name)
def test_what_fails_twice_is_asked_three_times(venue: LocalVenue, fault: faults.Fault):
    source, naps = source_of(venue, timeout=300)
    source.bars(SYMBOL, "1m", START, 10)
    fault.endpoint, fault.times, fault.struck = "klines", 2, 0
    venue.plant(fault)
    naps.taken.clear()
    rows = source.bars(SYMBOL, "1m", START, 300)
    assert np.array_equal(rows, expected(BARS))
    assert fault.struck == venue.log.count(name(fault), endpoint="klines") == source.retries == 2
    assert venue.log.count("too early") == 0
    assert len([nap for nap in naps.taken if nap > 0.1]) >= 2


@pytest.mark.parametrize("fault", PASSING, ids=name)
def test_what_goes_on_failing_is_given_up_with_one_line(venue: LocalVenue, fault: faults.Fault):
    source, _ = source_of(venue, timeout=200, attempts=3)
    source.bars(SYMBOL, "1m", START, 10)
    fault.endpoint, fault.times, fault.struck = "klines", None, 0
    venue.plant(fault)
    with pytest.raises(
        GaveUp, match=r"binance: BTC/USDT 1m bars from 2025-01-01.*gave up after 3 attempts"
    ) as caught:
        source.bars(SYMBOL, "1m", START, 300)
    assert "\n" not in str(caught.value)
    assert fault.struck == 3
    assert venue.log.count("too early") == 0


def test_a_storm_of_429_is_waited_out_never_faster_than_told(venue: LocalVenue):
    source, naps = source_of(venue)
    source.instruments()
    venue.plant(*[faults.TooManyRequests(retry_after_s=seconds) for seconds in (5, 60, 1, 17)])
    naps.taken.clear()
    waited = source.waited_s
    assert len(source.bars(SYMBOL, "1m", START, 300)) == 300
    assert venue.log.count("request", status=429) == 4
    assert venue.log.count("too early") == 0
    assert [told for told in naps.taken if told >= 1][:4] == pytest.approx([5, 60, 1, 17], abs=0.6)
    assert sum(naps.taken) == pytest.approx(source.waited_s - waited)


def test_retry_after_of_a_503_is_honoured_too(venue: LocalVenue):
    source, naps = source_of(venue)
    source.instruments()
    venue.plant(faults.ServerError(status=503, retry_after_s=44))
    source.bars(SYMBOL, "1m", START, 10)
    assert max(naps.taken) >= 44


def test_retry_after_may_be_a_date(venue: LocalVenue):
    source, naps = source_of(venue)
    source.instruments()
    moment = formatdate((venue.milliseconds() + 50_000) / 1_000, usegmt=True)
    venue.plant(faults.ServerError(status=503, retry_after_s=moment))
    naps.taken.clear()
    source.bars(SYMBOL, "1m", START, 10)
    assert max(naps.taken) == pytest.approx(50, abs=1.6)


def test_a_long_ban_is_an_error_at_once_and_nobody_asks_during_it(venue: LocalVenue):
    source, naps = source_of(venue)
    source.bars(SYMBOL, "1m", START, 10)
    venue.plant(faults.Banned(retry_after_s=86_400))
    naps.taken.clear()
    with pytest.raises(GaveUp, match="left alone for another 86400 s"):
        source.bars(SYMBOL, "1m", START, 10)
    asked = venue.log.count("request")
    with pytest.raises(GaveUp, match="not asked"):
        source.bars(SYMBOL, "1m", START, 10)
    assert venue.log.count("request") == asked
    assert sum(naps.taken) < 1
    venue.advance(86_400_000)
    assert len(source.bars(SYMBOL, "1m", START, 10)) == 10


def test_other_threads_hold_back_when_one_is_told_to(venue: LocalVenue):
    source, _ = source_of(venue)
    source.bars(SYMBOL, "1m", START, 10)
    venue.plant(faults.TooManyRequests(retry_after_s=30, after=5))
    with ThreadPoolExecutor(4) as pool:
        starts = [START + MINUTE * 10 * number for number in range(30)]
        found = list(pool.map(lambda start: source.bars(SYMBOL, "1m", start, 10), starts))
    assert np.array_equal(np.vstack(found), expected(BARS))
    # up to three others were under way when the first was told
    assert venue.log.count("too early") <= 3


def test_pauses_grow_and_their_jitter_is_that_of_the_given_chance():
    def pauses(seed: int) -> list[float]:
        with LocalVenue(BARS) as venue:
            source, naps = source_of(venue, chance=random.Random(seed), attempts=6)
            source.bars(SYMBOL, "1m", START, 10)
            venue.plant(faults.ServerError(times=None))
            naps.taken.clear()
            with pytest.raises(GaveUp):
                source.bars(SYMBOL, "1m", START, 10)
            return [nap for nap in naps.taken if nap >= 0.2]

    first = pauses(1)
    assert first == pauses(1)
    assert first != pauses(2)
    for at, pause in enumerate(first):
        assert 0.25 * 2**at <= pause <= 0.5 * 2**at


def test_requests_keep_the_pace_that_ccxt_states(venue: LocalVenue):
    source, _ = source_of(venue)
    source.bars(SYMBOL, "1m", START, 10)
    started = venue.milliseconds()
    for _ in range(50):
        source.bars(SYMBOL, "1m", START, 10)
    cost = ccxt.binance().describe()["api"]["public"]["get"]["klines"]["cost"] * ccxt.binance().rateLimit
    assert venue.milliseconds() - started == pytest.approx(50 * cost, rel=0.1)


# --- what will not pass ---


def test_what_the_venue_refuses_is_not_asked_again(venue: LocalVenue):
    source, _ = source_of(venue)
    source.instruments()
    for symbol, hint in (("BTC/USD", "did you mean BTC/USDT"), ("XYZ/ABC", "it lists 1 symbols")):
        with pytest.raises(SourceError, match=f"binance does not list {symbol}; {hint}"):
            source.bars(symbol, "1m", START, 10)
    with pytest.raises(SourceError, match="has no bars of 7m; it has 1s, 1m"):
        source.bars(SYMBOL, "7m", START, 10)
    with pytest.raises(UsageError, match="at least one bar"):
        source.bars(SYMBOL, "1m", START, 0)
    with pytest.raises(SourceError, match="Invalid interval"):
        source.bars(SYMBOL, "1s", START, 10)
    assert source.retries == 0


def test_a_symbol_that_was_delisted_meanwhile_is_an_error_at_once(venue: LocalVenue):
    source, _ = source_of(venue)
    source.instruments()
    source._exchange.markets[SYMBOL]["id"] = "GONEUSDT"
    with pytest.raises(SourceError, match="Invalid symbol"):
        source.bars(SYMBOL, "1m", START, 10)
    assert source.retries == 0


@pytest.mark.parametrize(
    ("status", "words"), [(451, "does not serve this country"), (404, "refused with 404")]
)
def test_a_status_that_will_not_change_is_an_error_at_once(venue: LocalVenue, status: int, words: str):
    source, _ = source_of(venue)
    source.instruments()
    venue.plant(faults.ServerError(status=status, times=None))
    with pytest.raises(SourceError, match=words) as caught:
        source.bars(SYMBOL, "1m", START, 10)
    assert not isinstance(caught.value, GaveUp)
    assert source.retries == 0


def test_names_that_ccxt_does_not_know_are_one_line():
    with pytest.raises(UsageError, match="knows no exchange 'binanse'; did you mean binance"):
        CcxtSource("binanse")
    with pytest.raises(UsageError, match="takes ccxt's synchronous class"):
        CcxtSource(ccxt.async_support.binance())


@pytest.mark.parametrize("exchange", ["binance", "okx", "kraken", "upbit", "bitfinex"])
def test_a_name_makes_a_source_without_asking_anyone(exchange: str):
    source = CcxtSource(exchange)
    assert (source.name, source.requests) == (exchange, 0)
    assert source.limit("1m") == getattr(ccxt, exchange)().features["spot"]["fetchOHLCV"]["limit"]


class Forgetful(ccxt.binance):
    """A venue that knows no end and keeps only its newest 50 bars, as kraken keeps 720."""

    def fetch_ohlcv(self, symbol, timeframe="1m", since=None, limit=None, params=None):
        """Whatever it is asked for."""
        return super().fetch_ohlcv(symbol, timeframe, None, 50)


def test_what_a_forgetful_venue_has_not_got_does_not_count_as_empty():
    with LocalVenue(BARS) as venue:
        exchange = point_at(venue, Forgetful())
        exchange.features["spot"]["fetchOHLCV"]["limit"] = 50
        source = CcxtSource(exchange, clock=venue.clock, sleep=Naps(venue))
        for first in (
            0,
            200,
            240,
            249,
        ):  # the last two answers hold some of what is asked for, and not its beginning
            with pytest.raises(
                SourceError, match=r"may have no bars as old as .* another venue or from files"
            ):
                source.bars(SYMBOL, "1m", START + first * MINUTE, 50)
        assert np.array_equal(source.bars(SYMBOL, "1m", START + 251 * MINUTE, 20), expected(BARS, 251, 271))
        assert source.retries == 0


# --- trades and funding ---


@pytest.mark.parametrize("paging", ["id", "time"])
@pytest.mark.parametrize(
    ("since", "until"), [(0, 40 * MINUTE), (61_000, 1_500_500), (0, 500), (30 * MINUTE, 25 * HOUR)]
)
def test_trades_are_complete_whatever_the_pages(venue: LocalVenue, paging: str, since: int, until: int):
    source, _ = source_of(venue, trade_paging=paging)
    rows = source.trades(SYMBOL, START + since, START + until)
    want = TRADES[(TRADES[:, 0] >= START + since) & (TRADES[:, 0] < START + until)].copy()
    want[:, 1] *= PRICE_UNIT
    assert np.array_equal(rows, want)


@pytest.mark.real_data
def test_real_trades_come_through_unchanged_and_make_the_real_bars(real_data: Any):
    """The venue serves XRP/ETH of October 2019: its bars exist only where somebody traded."""
    from twinstar_kit.feeds import load_bars

    rules = {"exchange": "binance", "symbol": "XRP/ETH", "tick": "0.00000001", "lot": "1"}
    bars = load_bars(real_data / "ohlcv" / "binance_XRP_ETH_spot_1m_ft.parquet", **rules)
    table = pd.read_parquet(real_data / "trades" / "binance_XRP_ETH_trades_201910.parquet")
    side = table["side"].eq("buy") * 2 - 1
    columns = [table["timestamp"], table["price"] * 1e8, table["amount"], side, table["id"].astype(np.int64)]
    tape = np.column_stack([np.rint(column.to_numpy()).astype(np.int64) for column in columns])
    tape = tape[np.lexsort((tape[:, 4], tape[:, 0]))]
    first, until = int(tape[0, 0]), int(tape[-1, 0]) + 1
    clock = ManualClock(int(bars.timestamp[-1]) + HOUR)
    with LocalVenue(bars, trades={"XRP/ETH": tape}, clock=clock) as venue:
        source, _ = source_of(venue, instruments={"XRP/ETH": bars.instrument})
        found = source.trades("XRP/ETH", first, until)
        assert np.array_equal(found, tape)
        start = int(bars.timestamp[0])
        pages = [source.bars("XRP/ETH", "1m", start + at * MINUTE, 1_000) for at in range(0, 4_000, 1_000)]
        assert np.array_equal(np.vstack(pages), bars.rows)
    tape_frame = pd.DataFrame(found, columns=["ts", "price", "amount", "side", "id"])
    minutes = tape_frame.groupby(tape_frame["ts"] // MINUTE * MINUTE)
    built = minutes["price"].agg(["first", "max", "min", "last"]).join(minutes["amount"].sum())
    assert np.array_equal(built.reset_index().to_numpy(), bars.between(first // MINUTE * MINUTE, until).rows)


def test_trades_after_hours_of_silence_are_found():
    late = TRADES.copy()
    late[:, 0] += 7 * HOUR
    with LocalVenue(some_bars(1_000), trades={SYMBOL: late}) as venue:
        source, _ = source_of(venue)
        assert len(source.trades(SYMBOL, START, START + 9 * HOUR)) == len(late)
        assert source.trades(SYMBOL, START, START + 6 * HOUR).shape == (0, 5)


def test_trades_of_a_venue_that_gives_only_the_newest_are_refused():
    with LocalVenue(BARS) as venue:
        exchange = local_binance(venue)
        exchange.id = "somewhere"
        source = CcxtSource(exchange, clock=venue.clock, sleep=Naps(venue))
        with pytest.raises(SourceError, match="only its newest trades"):
            source.trades(SYMBOL, START, START + MINUTE)


def test_trades_that_cannot_be_true_are_asked_for_again(venue: LocalVenue):
    source, _ = source_of(venue)
    for fault in (faults.Html(endpoint="aggTrades"), faults.WrongShape(endpoint="aggTrades")):
        venue.plant(fault)
        assert len(source.trades(SYMBOL, START, START + MINUTE)) > 0
        assert fault.struck == 1
    assert source.retries == 2


SWAP = "BTC/USDT:USDT"


def test_funding_rates_come_in_pages_and_exactly():
    times = START + 8 * HOUR * np.arange(2_500) + 3
    rates = np.column_stack([times, np.random.default_rng(1).integers(-3 * 10**8, 3 * 10**8, 2_500) * 100])
    bars = some_bars(300, SWAP)
    clock = ManualClock(int(times[-1]) + HOUR)
    with LocalVenue([bars, BARS], funding={SWAP: rates}, clock=clock) as venue:
        source, _ = source_of(venue)
        found = source.funding(SWAP, int(times[100]), int(times[2_400]))
        assert np.array_equal(found, rates[100:2_400])
        assert np.array_equal(source.bars(SWAP, "1m", START, 300), expected(bars))
        with pytest.raises(SourceError, match="is spot and pays no funding"):
            source.funding(SYMBOL, START, START + HOUR)


# --- what there is ---


def test_instruments_hold_the_venues_rules_in_units_that_outlast_them():
    instrument = Instrument.from_sizes("PEPE/USDT", "0.00000001", "1", min_notional="5")
    rows = np.array([[START, 1_020, 1_030, 1_010, 1_025, 5 * 10**12]], np.int64)
    cheap = Bars(instrument, MINUTE, rows)
    with LocalVenue([BARS, cheap]) as venue:
        source, _ = source_of(venue)
        listed = source.instruments()
        assert (listed[SYMBOL].price(listed[SYMBOL].tick), listed[SYMBOL].amount(listed[SYMBOL].lot)) == (
            0.01,
            1e-5,
        )
        pepe = listed["PEPE/USDT"]
        assert (pepe.price_scale, pepe.amount_scale) == (8, 4)
        assert (pepe.tick, pepe.lot, pepe.money(pepe.min_notional), pepe.exchange) == (
            1,
            10_000,
            5.0,
            "binance",
        )
        row = source.bars("PEPE/USDT", "1m", START, 1)[0]
        assert row.tolist() == [START, 1_020, 1_030, 1_010, 1_025, 5 * 10**16]


def test_rows_can_be_counted_in_given_units(venue: LocalVenue):
    source, _ = source_of(venue, instruments={SYMBOL: BARS.instrument})
    assert np.array_equal(source.bars(SYMBOL, "1m", START, 1_000), BARS.rows)
    coarse = Instrument.from_sizes(SYMBOL, "0.1", "0.001")
    source, _ = source_of(venue, instruments={SYMBOL: coarse})
    with pytest.raises(
        SourceError, match=r"not a multiple of 0.1.*give the source an instrument with other units"
    ):
        source.bars(SYMBOL, "1m", START, 1_000)


def test_top_symbols_are_ranked_by_turnover_across_quotes():
    market = SimulatedMarket(3)
    day = market.tickers(START)
    with LocalVenue(market, clock=ManualClock(START)) as venue:
        source, _ = source_of(venue)
        listed = [(i.symbol, n) for n, i in enumerate(market.instruments) if not i.derivative]
        symbols = [symbol for symbol, _ in listed]
        turnover = {symbol: float(day["quote_volume"][n]) for symbol, n in listed}
        at = dict(listed)["USDT/KRW"]
        won = market.instruments[at].price(int(day["last"][at]))
        dollars = {s: value / won if s.endswith("/KRW") else value for s, value in turnover.items()}
        assert source.top_symbols(20) == sorted(symbols, key=lambda s: -dollars[s])[:20]
        korean = [s for s in symbols if s.endswith("/KRW")]
        assert source.top_symbols(5, "KRW") == sorted(korean, key=lambda s: -turnover[s])[:5]
        assert len(source.top_symbols(1_000)) == 98
        with pytest.raises(SourceError, match="no spot symbol quoted in EUR"):
            source.top_symbols(3, "EUR")
