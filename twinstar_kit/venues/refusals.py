"""Refusals in ccxt's words: which error class a broken rule raises, and a sentence that names the way out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

import ccxt

from twinstar_kit.journal.errors import AccountLocked, CommandError, JournalError
from twinstar_kit.kernel.errors import DataError, InstrumentError, OrderError, TwinStarError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.money import RATE_SCALE, from_units
from twinstar_kit.kernel.orders import OrdType, Reason
from twinstar_kit.venues.core import VenueStopped
from twinstar_kit.venues.entry import OrderRefused, WouldFillAtOnce
from twinstar_kit.venues.requests import OrderRequest

CLASSES: dict[Reason, type[ccxt.ExchangeError]] = {
    Reason.UNKNOWN_INSTRUMENT: ccxt.BadSymbol,
    Reason.INSUFFICIENT_BALANCE: ccxt.InsufficientFunds,
    Reason.NO_MARKET: ccxt.MarketClosed,
    Reason.UNKNOWN_ORDER: ccxt.OrderNotFound,
    Reason.TOO_MANY_ORDERS: ccxt.OperationRejected,
    Reason.POSITION_OPEN: ccxt.OperationRejected,
    Reason.INVALID_LEVERAGE: ccxt.BadRequest,
    Reason.NOT_SPOT: ccxt.NotSupported,
}
"""Every other reason is an InvalidOrder."""


def plain(number: Decimal) -> str:
    """A Decimal without an exponent or trailing zeros.

    >>> plain(Decimal("1.500")), plain(Decimal("1E+3"))
    ('1.5', '1000')
    """
    return f"{number.normalize():f}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a sentence about a refusal needs to know: `free` is the balance of `asset`, `cost` what the order needs of it, fee included.

    `last` is the last price in price units, `leverage` that of the market, `most_orders` how many orders may be open.
    """

    free: Decimal
    asset: str
    cost: Decimal
    last: int
    leverage: int
    most_orders: int


def refusal(refused: OrderRefused, instrument: Instrument, facts: Facts) -> ccxt.ExchangeError:
    """The ccxt error for an order that the venue rejected."""
    if isinstance(refused, WouldFillAtOnce):
        return ccxt.OrderImmediatelyFillable(f"virtual {refused}")
    error = CLASSES.get(refused.reason, ccxt.InvalidOrder)
    return error(f"virtual {instrument.symbol}: {_sentence(refused, instrument, facts)}")


def _sentence(refused: OrderRefused, m: Instrument, facts: Facts) -> str:
    request, reason = refused.request, refused.reason
    if request is None:
        return reason.text
    if reason is Reason.INSUFFICIENT_BALANCE:
        return (
            f"the order needs {plain(facts.cost)} {facts.asset} with its fee, and {plain(facts.free)} {facts.asset} is free; "
            f"order less, or cancel orders that hold it{', or transfer() some from the spot wallet' if m.derivative else ''}"
        )
    if reason in (
        Reason.BELOW_MIN_AMOUNT,
        Reason.ABOVE_MAX_AMOUNT,
        Reason.OFF_LOT,
        Reason.ABOVE_MAX_POSITION,
    ):
        return _about_amount(reason, request, m)
    if reason in (Reason.PRICE_TOO_FAR, Reason.OFF_TICK, Reason.INVALID_PRICE):
        return _about_price(refused, request, m, facts.last)
    if reason is Reason.BELOW_MIN_NOTIONAL:
        least = plain(from_units(m.min_notional, m.quote_scale))
        return f"amount times price is below the minimum of {least} {m.settle}; order more"
    if reason is Reason.NO_POSITION:
        if m.derivative:
            return "there is no position that this order would reduce; drop reduceOnly to open one"
        return f"there is no {m.base} to reduce, and a spot account cannot be short; drop reduceOnly to buy"
    if reason is Reason.TOO_MANY_ORDERS:
        return f"too many open orders: there may be {facts.most_orders}; cancel some first"
    if reason is Reason.ABOVE_TIER:
        caps = [tier.cap for tier in m.margin_tiers if tier.leverage >= facts.leverage]
        most = f"{plain(from_units(max(caps), m.quote_scale))} {m.settle}" if caps else "nothing"
        return (
            f"the position would be worth more than {most}, the most at a leverage of {facts.leverage}; "
            "order less, or lower it with set_leverage()"
        )
    return str(refused).removeprefix(f"{m.symbol}: ")


def _about_amount(reason: Reason, request: OrderRequest, m: Instrument) -> str:
    amount, market = _amount(m, request.order_qty), request.ord_type is OrdType.MARKET
    if reason is Reason.BELOW_MIN_AMOUNT:
        return f"amount {amount} is below the minimum of {_amount(m, m.min_amount)} {m.base}"
    if reason is Reason.OFF_LOT:
        lot, kind = (m.market_lot, "market orders") if market and m.market_lot else (m.lot, "orders")
        return f"amount {amount} is not a multiple of {_amount(m, lot)}, the lot of {kind}"
    if reason is Reason.ABOVE_MAX_POSITION:
        return (
            f"with the open orders on this side the position would be above the maximum of {_amount(m, m.max_position)} {m.base}; "
            "order less, or cancel some"
        )
    most = m.market_max_amount if market and m.market_max_amount else m.max_amount
    return f"amount {amount} is above the maximum of {_amount(m, most)} {m.base}{' for market orders' if most != m.max_amount else ''}"


def _about_price(refused: OrderRefused, request: OrderRequest, m: Instrument, last: int) -> str:
    if refused.reason is Reason.PRICE_TOO_FAR:
        high, low = (last * (RATE_SCALE + way) // RATE_SCALE for way in (m.percent_up, -m.percent_down))
        bounds = [f"at least {m.price(low)}"] if m.percent_down else []
        bounds += [f"at most {m.price(high)}"] if m.percent_up else []
        return f"price {m.price(request.price)} is too far from the last price {m.price(last)}; choose {' and '.join(bounds)}"
    if refused.reason is Reason.OFF_TICK:
        prices = (request.price, request.stop_px, request.activation_px)
        off = next((px for px in prices if px > 0 and px % m.tick_at(px)), 0)
        if off:
            tick = m.tick_at(off)
            below = off // tick * tick
            return f"price {m.price(off)} is not a multiple of {m.price(tick)}, the tick there; {m.price(below)} is"
    if request.ord_type in (OrdType.TRAILING_STOP, OrdType.TRAILING_STOP_LIMIT):
        return "the trailing distance must be above zero"
    return str(refused).removeprefix(f"{m.symbol}: ")


def _amount(m: Instrument, units: int) -> str:
    return plain(from_units(units, m.amount_scale))


@contextmanager
def spoken(*, what: type[ccxt.ExchangeError] = ccxt.BadRequest) -> Iterator[None]:
    """Let errors of TwinStar leave as errors of ccxt with the same message."""
    try:
        yield
    except WouldFillAtOnce as error:
        raise ccxt.OrderImmediatelyFillable(f"virtual {error}") from None
    except OrderRefused as error:
        raise CLASSES.get(error.reason, ccxt.InvalidOrder)(f"virtual {error}") from None
    except InstrumentError as error:
        raise ccxt.BadSymbol(f"virtual {error}") from None
    except OrderError as error:
        raise ccxt.InvalidOrder(f"virtual {error}") from None
    except (VenueStopped, CommandError) as error:
        raise ccxt.ExchangeNotAvailable(f"virtual {error}") from error
    except AccountLocked as error:
        raise ccxt.AccountNotEnabled(f"virtual {error}") from error
    except JournalError as error:
        raise ccxt.ExchangeError(f"virtual {error}") from error
    except DataError as error:
        raise ccxt.BadRequest(f"virtual {error}") from None
    except TwinStarError as error:
        raise what(f"virtual {error}") from None
