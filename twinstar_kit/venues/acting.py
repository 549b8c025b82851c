"""Carries out commands on the kernel's engine, the same whether they are new or read back from a journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.ledger import Wallet
from twinstar_kit.kernel.orders import OrdType, Reason, Setting
from twinstar_kit.venues.market_data import Records
from twinstar_kit.venues.requests import OrderRequest, submit_all

AMENDABLE = ("qty", "price", "stop_px", "trail", "trail_rate")
MEETS = ("place", "amend")
"""Commands after which the orders of an instrument meet its book, which is the last thing in the batch's inputs."""


def act_on(engine: Engine, command: Mapping[str, Any], book: Records) -> tuple[int, ...]:
    """Carry out a command in its canonical form; returns the ids of the orders that it made or named.

    `book` is what the order of a place will meet; showing it is left to the caller. What is refused says so in the events.
    """
    kind, ts, terms = command["type"], int(command["ts"]), command.get("terms") or {}
    if kind == "place":
        return _place(engine, ts, OrderRequest.from_canonical(command["request"]), book)
    if kind in ("cancel", "amend"):
        ids = tuple(command["order_ids"])
        for order_id in ids:
            if kind == "cancel":
                engine.cancel(ts, order_id)
            else:
                engine.amend(ts, order_id, **{name: int(terms[name]) for name in AMENDABLE if name in terms})
        return ids
    if kind in ("open", "deposit", "withdraw"):
        for wallet in (Wallet.SPOT, Wallet.SWAP):
            amounts = command["balances"] if int(wallet) == terms.get("wallet", 0) else terms.get("swap", {})
            for asset, amount in sorted(amounts.items()):
                (engine.withdraw if kind == "withdraw" else engine.deposit)(ts, asset, amount, wallet)
            if "swap" not in terms and int(wallet) == terms.get("wallet", 0):
                break
    elif kind == "transfer":
        engine.transfer(ts, terms["asset"], terms["amount"], Wallet(terms["source"]), Wallet(terms["target"]))
    elif kind == "configure":
        j = engine.index_of(terms["symbol"]) if terms["symbol"] else 0
        engine.configure(ts, Setting(terms["setting"]), j, int(terms["value"]), int(terms.get("slot", 0)))
    return ()


def _place(engine: Engine, ts: int, request: OrderRequest, book: Records) -> tuple[int, ...]:
    """Send an order. The kernel checks and holds by the last price; a market order's is what it will pay in the book."""
    j = engine.index_of(request.symbol)
    last = int(engine.inst["last"][j])
    if request.ord_type is OrdType.MARKET:
        engine.inst["last"][j] = average_price(book, request.side, request.order_qty) or last
    ids = submit_all(engine, ts, request)
    engine.inst["last"][j] = last
    return ids


def average_price(book: Records, side: int, qty: int) -> int:
    """What a market order of `qty` pays (or gets) on average in the other side of a book, in price units, rounded against it."""
    left, worth, taken = qty, 0, 0
    for level_side, price, amount in book["v"][:, :3].tolist():
        if level_side == -side and left > 0:
            part = min(left, amount)
            worth, taken, left = worth + price * part, taken + part, left - part
    if not taken:
        return 0
    return -(-worth // taken) if side > 0 else worth // taken


def reasons(events: Records, rejected: int) -> list[Reason]:
    """Why commands were refused that were not about one order, in order."""
    return [
        Reason(int(e["reason"])) for e in events[(events["kind"] == rejected) & (events["order_id"] == 0)]
    ]
