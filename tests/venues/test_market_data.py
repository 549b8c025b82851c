"""Market data in ccxt's shapes: bars, trades, books and tickers that agree with each other and with the feed."""

from __future__ import annotations

import itertools

import ccxt
import numpy as np
import pytest
from venues.builders import FEED, exchange, last, replay

from twinstar_kit.feeds.clock import to_milliseconds
from twinstar_kit.kernel.bars import parse_timeframe

SYMBOL = "BTC/USDT"
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


@pytest.fixture(scope="module")
def ex():
    return exchange()


def test_there_are_98_spot_markets_and_22_contracts_with_rules_that_orders_obey(ex):
    markets = ex.load_markets()
    kinds = [market["type"] for market in markets.values()]
    assert (kinds.count("spot"), kinds.count("swap")) == (98, 22)
    assert {m["quote"] for m in markets.values() if m["spot"]} == {"USDT", "KRW"}
    for symbol, market in markets.items():
        m = ex.venue.instruments[symbol]
        assert market["precision"]["price"] == pytest.approx(m.tick / 10**m.price_scale)
        assert market["precision"]["amount"] == pytest.approx(m.lot / 10**m.amount_scale)
        assert market["limits"]["cost"]["min"] == pytest.approx(m.min_notional / 10**m.quote_scale)
        assert market["settle"] == (
            None if market["spot"] else "BTC" if symbol.endswith(":BTC") else symbol.split(":")[1]
        )
    assert (ex.market("BTC/USD:BTC")["inverse"], ex.market("BTC/USD:BTC")["contractSize"]) == (True, 100.0)
    assert ex.market("BTCUSDT")["symbol"] == SYMBOL
    assert ex.currencies["KRW"]["type"] == "fiat"


@pytest.mark.parametrize(
    "timeframe", ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w"]
)
def test_bars_of_every_timeframe_are_made_of_minutes(ex, timeframe):
    step, now = parse_timeframe(timeframe), ex.milliseconds()
    bars = ex.fetch_ohlcv(SYMBOL, timeframe, None, 4)
    stamps = [bar[0] for bar in bars]
    assert len(bars) == 4
    assert [b - a for a, b in itertools.pairwise(stamps)] == [step] * 3
    assert stamps[-1] <= now < stamps[-1] + step
    whole = bars[-2]
    minutes = FEED.bars(SYMBOL, whole[0], whole[0] + step)
    expected = [
        minutes.open[0],
        minutes.high.max(),
        minutes.low.min(),
        minutes.close[-1],
        minutes.volume.sum(),
    ]
    assert whole[1:] == pytest.approx(expected)
    assert bars[-1][4] == last(ex)


def test_weeks_begin_on_mondays(ex):
    monday = ex.fetch_ohlcv(SYMBOL, "1w", None, 1)[0][0]
    assert monday == to_milliseconds("2025-06-02")


def test_bars_are_chosen_by_since_limit_and_until(ex):
    now = ex.milliseconds()
    since = to_milliseconds("2025-06-01T00:00:30")
    bars = ex.fetch_ohlcv(SYMBOL, "1m", since, 3)
    assert [bar[0] for bar in bars] == [to_milliseconds("2025-06-01T00:01") + k * MINUTE for k in range(3)]
    until = to_milliseconds("2025-06-01T01:00")
    assert [bar[0] for bar in ex.fetch_ohlcv(SYMBOL, "1m", None, 2, {"until": until})] == [
        until - 2 * MINUTE,
        until - MINUTE,
    ]
    assert len(ex.fetch_ohlcv(SYMBOL)) == 500
    assert ex.fetch_ohlcv(SYMBOL, "1h", now - 3 * HOUR)[-1][0] <= now
    assert len(ex.fetch_ohlcv(SYMBOL, "1h", now - 3 * HOUR)) == 3
    assert ex.fetch_ohlcv(SYMBOL, "1d", 0, 2)[0][0] == FEED.span()[0]
    year = ex.fetch_ohlcv(SYMBOL, "1m", now - 365 * DAY, 600_000)
    assert len(year) == 365 * 1_440


def test_gaps_of_a_replay_are_not_filled():
    ex = replay([(100, 100, 100, 100)] * 5)
    ex.advance(60 * MINUTE)
    assert [bar[0] for bar in ex.fetch_ohlcv(SYMBOL, "1m", 0)] == [k * MINUTE for k in range(5)]


def test_trades_are_ascending_and_complete(ex):
    now = ex.milliseconds()
    trades = ex.fetch_trades(SYMBOL, now - HOUR, 100_000)
    raw = FEED.trades(SYMBOL, now - HOUR, now + 1)
    assert [t["timestamp"] for t in trades] == raw["ts"].tolist()
    assert [t["price"] for t in trades] == (raw["price"] / 100).tolist()
    assert [t["side"] for t in trades] == ["buy" if s > 0 else "sell" for s in raw["side"]]
    assert len({t["id"] for t in trades}) == len(trades)
    assert ex.fetch_trades(SYMBOL, None, 50) == trades[-50:]
    assert ex.fetch_trades(SYMBOL, now - HOUR, 50) == trades[:50]
    assert len(ex.fetch_trades(SYMBOL, None, 12_000)) == 12_000


def test_the_ticker_is_the_day_in_one_line(ex):
    now = ex.milliseconds()
    ticker = ex.fetch_ticker(SYMBOL)
    start = (now // MINUTE - 1_440) * MINUTE
    day = FEED.bars(SYMBOL, start, now // MINUTE * MINUTE)
    live = ex.fetch_trades(SYMBOL, now // MINUTE * MINUTE, 10_000)
    assert ticker["open"] == day.open[0]
    assert ticker["high"] == max(day.high.max(), *(t["price"] for t in live))
    assert ticker["low"] == min(day.low.min(), *(t["price"] for t in live))
    assert ticker["baseVolume"] == pytest.approx(day.volume.sum() + sum(t["amount"] for t in live))
    assert ticker["last"] == ticker["close"] == live[-1]["price"]
    assert ticker["change"] == pytest.approx(ticker["last"] - ticker["open"])
    book = ex.fetch_order_book(SYMBOL)
    assert (ticker["bid"], ticker["ask"]) == (book["bids"][0][0], book["asks"][0][0])
    assert ticker["info"]["simulated"] is True


def test_many_tickers_at_once(ex):
    tickers = ex.fetch_tickers()
    assert set(tickers) == set(ex.symbols)
    assert ex.fetch_tickers(["BTC/KRW", "ETHUSDT"]).keys() == {"BTC/KRW", "ETH/USDT"}
    assert tickers["BTC/KRW"] == ex.fetch_ticker("BTC/KRW")
    assert ex.fetch_last_prices([SYMBOL])[SYMBOL]["price"] == tickers[SYMBOL]["last"]
    assert ex.fetch_bids_asks([SYMBOL])[SYMBOL]["ask"] == tickers[SYMBOL]["ask"]


def test_books_have_the_levels_that_were_asked_for(ex):
    for symbol in (SYMBOL, "XRP/KRW"):
        book = ex.fetch_order_book(symbol, 25)
        bids, asks = np.array(book["bids"]), np.array(book["asks"])
        assert bids.shape == asks.shape == (25, 2)
        assert (np.diff(bids[:, 0]) < 0).all()
        assert (np.diff(asks[:, 0]) > 0).all()
        assert bids[0, 0] < asks[0, 0]
    assert len(ex.fetch_order_book(SYMBOL)["bids"]) == 10
    assert set(ex.fetch_order_books([SYMBOL, "ETH/USDT"])) == {SYMBOL, "ETH/USDT"}


def test_fees_are_those_of_the_account():
    ex = exchange(fee_maker="0.0002", fee_taker="0.0005")
    assert ex.fetch_trading_fee(SYMBOL)["maker"] == 0.0002
    assert ex.fetch_trading_fees()["BTC/KRW"]["taker"] == 0.0005
    assert ex.market(SYMBOL)["taker"] == 0.0005


def test_what_was_made_up_says_so():
    ex = replay([(100, 101, 99, 100)] * 3)
    assert ex.fetch_trades(SYMBOL)[0]["info"] == {"id": 1, "simulated": False, "synthetic": True}
    assert "REPLAY" in repr(ex)
    assert ex.fetch_status()["info"]["simulated"] is False


def test_a_replay_reads_a_file(tmp_path):
    path = tmp_path / "binance_BTCUSDT_spot_1m.csv"
    rows = [f"{k * MINUTE},100,101,99,{100 + k % 2},5" for k in range(10)]
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]))
    from twinstar_kit.venues.virtual import VirtualExchange

    ex = VirtualExchange({"options": {"feed": f"replay:{path}", "balances": {"USDT": 1_000}}})
    ex.advance_to(5 * MINUTE)
    assert [bar[4] for bar in ex.fetch_ohlcv(SYMBOL)] == [100, 101, 100, 101, 100, 100]
    order = ex.create_order(SYMBOL, "market", "buy", 1)
    assert order["status"] == "closed"
    with pytest.raises(ccxt.BadSymbol, match="did you mean BTC/USDT"):
        ex.fetch_ticker("ETH/USDT")
