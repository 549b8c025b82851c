"""Refusals in ccxt's words: which error class a broken rule raises, and a sentence that names the way out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import ccxt

from twinstar_kit.journal.errors import AccountLocked, CommandError, JournalError
from twinstar_kit.kernel.errors import DataError, InstrumentError, OrderError, TwinStarError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.money import from_units
from twinstar_kit.kernel.orders import OrdType, Reason
from twinstar_kit.venues.core import VenueStopped
from twinstar_kit.venues.entry import OrderRefused, WouldFillAtOnce

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


def refusal(
    refused: OrderRefused, instrument: Instrument, free: Decimal, asset: str, cost: Decimal
) -> ccxt.ExchangeError:
    """The ccxt error for an order that the venue rejected.

    `free` is the balance of `asset` that was needed, `cost` what the order needs of it, fee included.
    """
    if isinstance(refused, WouldFillAtOnce):
        return ccxt.OrderImmediatelyFillable(f"virtual {refused}")
    error = CLASSES.get(refused.reason, ccxt.InvalidOrder)
    return error(f"virtual {instrument.symbol}: {_sentence(refused, instrument, free, asset, cost)}")


def _sentence(refused: OrderRefused, m: Instrument, free: Decimal, asset: str, cost: Decimal) -> str:
    request = refused.request
    if request is None:
        return refused.reason.text
    if refused.reason is Reason.INSUFFICIENT_BALANCE:
        return (
            f"the order needs {plain(cost)} {asset} with its fee, and {plain(free)} {asset} is free; "
            f"order less, or cancel orders that hold it{', or transfer() some from the spot wallet' if m.derivative else ''}"
        )
    if refused.reason is Reason.BELOW_MIN_AMOUNT:
        return f"amount {_amount(m, request.order_qty)} is below the minimum of {_amount(m, m.min_amount)} {m.base}"
    if refused.reason is Reason.ABOVE_MAX_AMOUNT:
        return f"amount {_amount(m, request.order_qty)} is above the maximum of {_amount(m, m.max_amount)} {m.base}"
    if refused.reason is Reason.BELOW_MIN_NOTIONAL:
        least = plain(from_units(m.min_notional, m.quote_scale))
        return f"amount times price is below the minimum of {least} {m.settle}; order more"
    if refused.reason is Reason.NO_POSITION:
        if m.derivative:
            return "there is no position that this order would reduce; drop reduceOnly to open one"
        return f"there is no {m.base} to reduce, and a spot account cannot be short; drop reduceOnly to buy"
    if refused.reason is Reason.INVALID_PRICE and request.ord_type is OrdType.TRAILING_STOP:
        return "the trailing distance must be above zero"
    message = str(refused)
    return message.removeprefix(f"{m.symbol}: ")


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
