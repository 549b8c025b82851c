"""From what a person typed to what the session is asked, and the answer in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twinstar_kit.kernel.errors import OrderError, TwinStarError, UsageError
from twinstar_kit.kernel.instruments import Instrument, Kind
from twinstar_kit.kernel.ledger import Wallet
from twinstar_kit.kernel.money import to_decimal
from twinstar_kit.kernel.orders import OrdType, Side
from twinstar_kit.terminal.backend import Answer, Backend
from twinstar_kit.venues.requests import OrderRequest

SIDES = {"buy": Side.BUY, "sell": Side.SELL}
KINDS = ("place", "cancel", "transfer", "leverage")
WALLETS = {"spot": Wallet.SPOT, "swap": Wallet.SWAP}
TYPES = {"market": OrdType.MARKET, "limit": OrdType.LIMIT, "stop": OrdType.STOP}


def order_request(message: Mapping[str, Any], instrument: Instrument) -> OrderRequest:
    """The order that a ticket describes; OrderError or UsageError name what does not fit the instrument's rules.

    >>> btc = Instrument.from_sizes("BTC/USDT")
    >>> order_request({"side": "buy", "order_type": "limit", "amount": "0.5", "price": "61,659.79"}, btc).price
    6165979
    """
    try:
        side, kind = SIDES[message["side"]], TYPES[message["order_type"]]
    except KeyError as error:
        raise UsageError(f"the ticket knows no {error.args[0]!r}") from None
    amount = _number(
        message.get("amount"),
        f"{instrument.symbol} amount",
        f"enter how {'many contracts' if instrument.kind is Kind.INVERSE else 'much ' + instrument.base}",
    )
    qty = instrument.amount_units(amount)
    if kind is OrdType.MARKET:
        # what closes a position may not open another one, however late it comes
        return OrderRequest(
            instrument.symbol, side, kind, qty, reduce_only=bool(message.get("reduce_only")),
            position_side=int(message.get("position_side") or 0),
        )  # fmt: skip
    price = instrument.price_units(
        _number(message.get("price"), f"{instrument.symbol} price", "enter a price, or choose Market")
    )
    if kind is OrdType.STOP:
        return OrderRequest(instrument.symbol, side, kind, qty, stop_px=price)
    return OrderRequest(instrument.symbol, side, kind, qty, price=price)


def _number(text: Any, what: str, cure: str) -> str:
    cleaned = str(text or "").strip().replace(",", "").replace(" ", "")
    if not cleaned:
        raise OrderError(f"{what} is missing; {cure}")
    return cleaned


def carry_out(backend: Backend, message: Mapping[str, Any]) -> dict[str, Any]:
    """Place, cancel, transfer or set the leverage; blocks until the session has answered. A refusal is an answer, never an exception."""
    command_id = str(message.get("command_id", ""))
    reply: dict[str, Any] = {"type": "answer", "command_id": command_id}
    try:
        answer = _ask(backend, message, command_id)
    except TwinStarError as error:
        answer = Answer(False, str(error))
    return reply | {"ok": answer.ok, "text": answer.text, "order_id": answer.order_id}


def _ask(backend: Backend, message: Mapping[str, Any], command_id: str) -> Answer:
    kind = message.get("type")
    if kind == "cancel":
        return backend.cancel(str(message["account"]), int(message["order_id"]), command_id)
    if kind == "transfer":
        source, target = (WALLETS[message[end]] for end in ("source", "target"))
        asset = str(message["asset"])
        amount = to_decimal(_number(message.get("amount"), f"{asset} amount", "enter how much to move"))
        return backend.transfer(asset, amount, source, target, command_id)
    instrument = _instrument(backend, str(message.get("symbol", "")))
    if kind == "leverage":
        return backend.set_leverage(instrument.symbol, int(message["leverage"]), command_id)
    return backend.place(order_request(message, instrument), command_id)


def _instrument(backend: Backend, symbol: str) -> Instrument:
    for instrument in backend.feed.instruments:
        if instrument.symbol == symbol:
            return instrument
    raise UsageError(f"{symbol or 'this symbol'} is not traded in this session")
