"""The positions pane: what an account holds of each market, and what moves with prices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twinstar_kit.journal.positions import Contracts, value
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.ledger import Account, Wallet
from twinstar_kit.kernel.money import from_units
from twinstar_kit.terminal.backend import AccountView
from twinstar_kit.terminal.portfolio import Marks, Position

Spot = Mapping[str, Position]
WALLET_WORDS = {Wallet.SPOT: "spot", Wallet.SWAP: "swap"}


def rows(view: AccountView, spot: Spot) -> list[dict[str, Any]]:
    """The positions of an account: those of spot markets, then contracts (`amount` below zero: short)."""
    by_symbol = {m.symbol: m for m in view.blotter.instruments}
    found = [_spot_row(view, by_symbol[symbol], position) for symbol, position in spot.items()]
    return found + [_contracts_row(view, position) for position in view.blotter.contracts.held()]


def moving(
    view: AccountView, spot: Spot, last: Callable[[str], float], marks: Marks
) -> dict[str, dict[str, float | None]]:
    """What moves with prices, by the keys of `rows`: mark, value, profit, profit relative to cost or margin, liquidation."""
    found: dict[str, dict[str, float | None]] = {}
    by_symbol = {m.symbol: m for m in view.blotter.instruments}
    for symbol, position in spot.items():
        m = by_symbol[symbol]
        amount, average, price = m.amount(position.amount), position.average(m), last(symbol)
        found[_key(view, m)] = {
            "mark": price,
            "value": amount * price,
            "profit": (price - average) * amount,
            "ratio": price / average - 1.0 if average else None,
            "liquidation": None,
        }
    own = view.blotter.own(Wallet.SWAP) if view.blotter.contracts.held() else {}
    for held in view.blotter.contracts.held():
        m, mark = held.instrument, marks(held.instrument)
        profit = held.profit(mark)
        liquidation = view.blotter.contracts.liquidation_px(held, marks, own)
        found[_key(view, m, held.slot)] = {
            "mark": m.price(mark),
            "value": m.money(value(m, mark, abs(held.qty), up=False)),
            "profit": m.money(profit),
            "ratio": profit / held.margin if held.margin else None,
            "liquidation": m.price(liquidation) or None,
        }
    return found


def _key(view: AccountView, m: Instrument, slot: int = 0) -> str:
    return f"{view.name}:{m.symbol}:{slot}"


def _spot_row(view: AccountView, m: Instrument, position: Position) -> dict[str, Any]:
    free = view.blotter.ledger[m.base][Account.FREE]
    sellable = min(free, position.amount) // m.lot * m.lot
    return {
        "key": _key(view, m),
        "account": view.name,
        "owner": view.owner,
        "symbol": m.symbol,
        "amount": m.amount(position.amount),
        "average": position.average(m),
        "close_text": str(from_units(sellable, m.amount_scale)),
    }


def _contracts_row(view: AccountView, held: Contracts) -> dict[str, Any]:
    m, book = held.instrument, view.blotter.contracts
    number = book.numbers[m.symbol]
    return {
        "key": _key(view, m, held.slot),
        "account": view.name,
        "owner": view.owner,
        "symbol": m.symbol,
        "amount": m.amount(held.qty),
        "average": held.entry,
        "close_text": str(from_units(abs(held.qty), m.amount_scale)),
        "position_side": (1 if held.qty > 0 else -1) if book.hedge else 0,
        "leverage": book.leverages[number],
        "isolated": book.isolated[number],
        "margin": m.money(held.margin),
    }
