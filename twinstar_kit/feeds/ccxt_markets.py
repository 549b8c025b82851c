"""Instruments and turnover from ccxt's markets and tickers."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from twinstar_kit.kernel.errors import InstrumentError, OrderError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.money import to_decimal

FINEST = Decimal("1e-8")
DOLLARS = ("USDT", "USD", "USDC", "FDUSD", "BUSD", "TUSD", "USDP", "DAI")


def instruments_of(exchange: Any, markets: Mapping[str, Any]) -> dict[str, Instrument]:
    """The spot and swap markets that the kernel's integers can hold, by symbol."""
    found = {}
    for symbol, market in markets.items():
        if market.get("type") not in ("spot", "swap"):
            continue
        try:
            found[symbol] = instrument_of(exchange, market)
        except (InstrumentError, OrderError):  # options in all but name, dated pairs, sizes beyond 62 bits
            continue
    return found


def instrument_of(exchange: Any, market: Mapping[str, Any]) -> Instrument:
    """One market's rules; prices are counted in 1e-8 or finer, amounts in 1e-8, or 1e-4 where the lot is 1 or more.

    A tick that changed over the years therefore needs no new units.
    """
    precision, limits = market.get("precision") or {}, market.get("limits") or {}
    tick = _size(exchange, precision.get("price"))
    lot = _size(exchange, precision.get("amount"))
    amounts, cost = limits.get("amount") or {}, limits.get("cost") or {}
    price_scale, amount_scale = max(8, _decimals(tick)), max(8 if lot < 1 else 4, _decimals(lot))
    rules: dict[str, Any] = {}
    if _number(amounts.get("min")) > 0:
        rules["min_amount"] = amounts["min"]
    if 0 < _number(amounts.get("max")) < Decimal(2**61).scaleb(-amount_scale):
        rules["max_amount"] = amounts["max"]
    if _number(cost.get("min")) > 0:
        rules["min_notional"] = cost["min"]
    return Instrument.from_sizes(
        market["symbol"],
        tick,
        lot,
        exchange=exchange.id,
        price_scale=price_scale,
        amount_scale=amount_scale,
        **rules,
    )


def _size(exchange: Any, precision: Any) -> Decimal:
    """The step that ccxt states as a size, or as a number of decimals; unknown steps are as fine as the units."""
    import ccxt

    if precision is None:
        return FINEST
    if exchange.precisionMode == ccxt.TICK_SIZE:
        return to_decimal(precision) if to_decimal(precision) > 0 else FINEST
    if exchange.precisionMode == ccxt.DECIMAL_PLACES:
        return Decimal(10) ** -int(to_decimal(precision))
    return FINEST  # significant digits: the step moves with the price


def _number(value: Any) -> Decimal:
    return Decimal(0) if value is None else to_decimal(value)


def _decimals(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def turnover(tickers: Mapping[str, Any]) -> dict[str, Decimal]:
    """The 24-hour turnover of spot symbols in dollars; what has no price in dollars is left out.

    >>> rows = {"BTC/USDT": {"quoteVolume": "1000", "last": "50000"}, "ETH/BTC": {"quoteVolume": "2", "last": "0.05"}}
    >>> {symbol: int(value) for symbol, value in turnover(rows).items()}
    {'BTC/USDT': 1000, 'ETH/BTC': 100000}
    """
    found = {}
    for symbol, ticker in tickers.items():
        if ":" in symbol:
            continue
        volume = _number(ticker.get("quoteVolume"))
        if not volume:
            volume = _number(ticker.get("baseVolume")) * _number(ticker.get("last"))
        rate = _dollars(symbol.partition("/")[2], tickers)
        if rate is not None:
            found[symbol] = volume * rate
    return found


def _dollars(quote: str, tickers: Mapping[str, Any]) -> Decimal | None:
    """What one unit of `quote` is worth."""
    if quote in DOLLARS:
        return Decimal(1)
    for dollar in DOLLARS:
        last = _number(tickers.get(f"{quote}/{dollar}", {}).get("last"))
        if last:
            return last
        turned = _number(tickers.get(f"{dollar}/{quote}", {}).get("last"))
        if turned:
            return 1 / turned
    return None
