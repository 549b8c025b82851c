"""Binance's words for bars, trades, tickers and books: decimals as text, times in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twinstar_kit.feeds.base import Rows
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.testing.local_venue.market import SWAP, market_id

DECIMALS = 8


def text(units: int, scale: int) -> str:
    """A count of 10**-scale as binance writes it, with eight decimals or more.

    >>> text(6165979, 2), text(-5, 9), text(7, 0)
    ('61659.79000000', '-0.000000005', '7.00000000')
    """
    units = int(units)
    sign = "-" if units < 0 else ""
    if scale < DECIMALS:
        units, scale = units * 10 ** (DECIMALS - scale), DECIMALS
    whole, part = divmod(abs(units), 10**scale)
    return f"{sign}{whole}.{part:0{scale}d}"


def price(instrument: Instrument, units: int) -> str:
    """Price units as text."""
    return text(units, instrument.price_scale)


def amount(instrument: Instrument, units: int) -> str:
    """Amount units as text."""
    return text(units, instrument.amount_scale)


def notional(instrument: Instrument, price_units: int, amount_units: int) -> str:
    """Their product in the quote, cut to eight decimals."""
    scale = instrument.price_scale + instrument.amount_scale
    product = int(price_units) * int(amount_units)
    return text(product // 10 ** max(0, scale - DECIMALS), min(scale, DECIMALS))


def kline(instrument: Instrument, row: Sequence[int], interval_ms: int) -> list[Any]:
    """One row of `klines`.

    The quote volume (volume times close), the number of trades (0) and the takers' shares ("0") are made up: bars
    do not tell them.
    """
    ts, opened, high, low, close, volume = row
    scale = instrument.price_scale
    return [
        ts, text(opened, scale), text(high, scale), text(low, scale), text(close, scale),
        amount(instrument, volume), ts + interval_ms - 1, notional(instrument, close, volume), 0, "0", "0", "0",
    ]  # fmt: skip


def kline_event(
    instrument: Instrument, row: Sequence[int], interval: str, interval_ms: int, now_ms: int
) -> dict[str, Any]:
    """One message of a kline stream; `x` says whether the bar is closed at `now_ms`."""
    ts, opened, high, low, close, volume, close_ms, quote, count, _, _, _ = kline(
        instrument, row, interval_ms
    )
    name = market_id(instrument.symbol)
    return {
        "e": "kline", "E": now_ms, "s": name,
        "k": {
            "t": ts, "T": close_ms, "s": name, "i": interval, "f": -1, "L": -1, "o": opened, "c": close, "h": high,
            "l": low, "v": volume, "n": count, "x": now_ms > close_ms, "q": quote, "V": "0", "Q": "0", "B": "0",
        },
    }  # fmt: skip


def trade(instrument: Instrument, row: Any) -> dict[str, Any]:
    """One entry of `trades` and `historicalTrades`."""
    return {
        "id": int(row["id"]),
        "price": price(instrument, row["price"]),
        "qty": amount(instrument, row["amount"]),
        "quoteQty": notional(instrument, row["price"], row["amount"]),
        "time": int(row["ts"]),
        "isBuyerMaker": bool(row["side"] < 0),
        "isBestMatch": True,
    }


def agg_trade(instrument: Instrument, row: Any) -> dict[str, Any]:
    """One entry of `aggTrades`; every trade here is its own aggregate, with the same id."""
    number = int(row["id"])
    return {
        "a": number,
        "p": price(instrument, row["price"]),
        "q": amount(instrument, row["amount"]),
        "f": number,
        "l": number,
        "T": int(row["ts"]),
        "m": bool(row["side"] < 0),
        "M": True,
    }


def trade_event(instrument: Instrument, row: Any, aggregate: bool) -> dict[str, Any]:
    """One message of a trade or an aggTrade stream."""
    head = {"E": int(row["ts"]), "s": market_id(instrument.symbol)}
    if aggregate:
        return {"e": "aggTrade", **head, **agg_trade(instrument, row)}
    both = agg_trade(instrument, row)
    return {"e": "trade", **head, "t": both["a"], **{key: both[key] for key in ("p", "q", "T", "m", "M")}}


def ticker(instrument: Instrument, day: Any, now_ms: int) -> dict[str, Any]:
    """The entry of an instrument in `ticker/24hr`, from a record of dtype `ticker_t`."""
    volume, quote_volume = float(day["volume"]), float(day["quote_volume"])
    words = {
        "symbol": market_id(instrument.symbol),
        "priceChange": price(instrument, day["change"]),
        "priceChangePercent": f"{float(day['percentage']):.3f}",
        "weightedAvgPrice": f"{quote_volume / volume if volume else 0.0:.8f}",
        "prevClosePrice": price(instrument, day["open24h"]),
        "lastPrice": price(instrument, day["last"]),
        "lastQty": amount(instrument, 0),
        "bidPrice": price(instrument, day["bid"]),
        "bidQty": amount(instrument, day["bid_amount"]),
        "askPrice": price(instrument, day["ask"]),
        "askQty": amount(instrument, day["ask_amount"]),
        "openPrice": price(instrument, day["open24h"]),
        "highPrice": price(instrument, day["high"]),
        "lowPrice": price(instrument, day["low"]),
        "volume": f"{volume:.8f}",
        "quoteVolume": f"{quote_volume:.8f}",
        "openTime": now_ms - 86_400_000,
        "closeTime": now_ms,
        "firstId": -1,
        "lastId": -1,
        "count": 0,
    }
    if ":" in instrument.symbol:  # a futures ticker that names its bid is read as one of spot
        for name in ("bidPrice", "bidQty", "askPrice", "askQty", "prevClosePrice"):
            del words[name]
    return words


def ticker_event(words: dict[str, Any], now_ms: int, mini: bool) -> dict[str, Any]:
    """One message of a ticker or a miniTicker stream, from the words of `ticker`."""
    event = {
        "e": "24hrMiniTicker" if mini else "24hrTicker", "E": now_ms, "s": words["symbol"], "c": words["lastPrice"],
        "o": words["openPrice"], "h": words["highPrice"], "l": words["lowPrice"], "v": words["volume"],
        "q": words["quoteVolume"],
    }  # fmt: skip
    if not mini:
        event |= {
            "p": words["priceChange"], "P": words["priceChangePercent"], "w": words["weightedAvgPrice"],
            "Q": words["lastQty"], "O": words["openTime"], "C": words["closeTime"], "F": -1, "L": -1, "n": 0,
        }  # fmt: skip
        for short, name in (("x", "prevClosePrice"), ("b", "bidPrice"), ("B", "bidQty"), ("a", "askPrice")):
            event[short] = words.get(name, "0")
        event["A"] = words.get("askQty", "0")
    return event


def best(instrument: Instrument, bids: Rows, asks: Rows) -> dict[str, Any]:
    """The entry of an instrument in `ticker/bookTicker`."""
    none = (0, 0)
    bid, ask = (bids[0] if len(bids) else none), (asks[0] if len(asks) else none)
    return {
        "symbol": market_id(instrument.symbol),
        "bidPrice": price(instrument, bid[0]),
        "bidQty": amount(instrument, bid[1]),
        "askPrice": price(instrument, ask[0]),
        "askQty": amount(instrument, ask[1]),
    }


def levels(instrument: Instrument, side: Any) -> list[list[str]]:
    """Price and amount of each level of a book's side."""
    return [[price(instrument, level), amount(instrument, size)] for level, size in side]


def listing(instrument: Instrument, family: str) -> dict[str, Any]:
    """The entry of an instrument in `exchangeInfo`."""
    tick, lot = price(instrument, instrument.tick), amount(instrument, instrument.lot)
    most = min(instrument.max_amount, 9 * 10 ** (6 + instrument.amount_scale))
    size = {"minQty": amount(instrument, instrument.min_amount), "maxQty": amount(instrument, most)}
    least = text(instrument.min_notional, instrument.quote_scale)
    filters: list[dict[str, Any]] = [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000000.00000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", **size, "stepSize": lot},
    ]
    entry = {
        "symbol": market_id(instrument.symbol),
        "status": "TRADING",
        "baseAsset": instrument.base,
        "quoteAsset": instrument.quote,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "filters": filters,
    }
    if family == SWAP:
        entry |= {
            "pair": entry["symbol"], "contractType": "PERPETUAL", "marginAsset": instrument.quote,
            "deliveryDate": 4133404800000, "onboardDate": 0, "contractSize": "1",
            "pricePrecision": instrument.price_scale, "quantityPrecision": instrument.amount_scale,
        }  # fmt: skip
        filters.append({"filterType": "MIN_NOTIONAL", "notional": least})
    else:
        entry |= {"isSpotTradingAllowed": True, "isMarginTradingAllowed": False, "permissions": ["SPOT"]}
        filters.append({"filterType": "NOTIONAL", "minNotional": least, "applyMinToMarket": True})
    return entry
