"""What the page is told: the session's state as plain values for JSON, one function a pane."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.ledger import Account
from twinstar_kit.kernel.money import from_units
from twinstar_kit.kernel.orders import OrdType
from twinstar_kit.terminal.backend import AccountView, Backend, MarketData
from twinstar_kit.terminal.portfolio import Position, Rates, equity, totals
from twinstar_kit.terminal.wire import MINUTE_MS, base_step
from twinstar_kit.venues.blotter import VenueFill, VenueOrder

FILLS = 300
TRADES = 40
LEVELS = 18
TICKER_FIELDS = ("last", "open24h", "high", "low", "volume", "quote_volume")
SIDES = {1: "buy", -1: "sell"}
LOOSE_DECIMALS = 8
DIGITS = 7


def dumps(value: Any) -> str:
    """Compact JSON; NaN is not JSON and becomes an error here rather than on the page."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def boot(backend: Backend, money: str) -> dict[str, Any]:
    """What the page needs before it is connected: names, rules and addresses, no state."""
    feed = backend.feed
    maker, taker = backend.fees
    now = backend.now_ms()
    instruments = [
        describe(m, feed, now) | {"fee_maker": maker, "fee_taker": taker} for m in feed.instruments
    ]
    return {
        "session": backend.session,
        "mode": backend.mode,
        "feed": feed.spec,
        "simulated": feed.simulated,
        "synthetic": sorted(feed.synthetic),
        "money": money,
        "base_step": base_step(feed),
        "symbol": instruments[0]["symbol"],
        "now": now,
        "instruments": instruments,
    }


def describe(instrument: Instrument, feed: MarketData, now_ms: int) -> dict[str, Any]:
    """An instrument's rules as the page shows and applies them."""
    tick = instrument.price(instrument.tick)
    decimals = _decimals(instrument.tick, instrument.price_scale)
    if decimals >= LOOSE_DECIMALS and not feed.simulated:
        decimals = min(decimals, _readable_decimals(instrument, feed, now_ms))
    return {
        "symbol": instrument.symbol,
        "base": instrument.base,
        "quote": instrument.quote,
        "tick": max(tick, 10.0**-decimals),
        "lot": instrument.amount(instrument.lot),
        "price_decimals": decimals,
        "amount_decimals": _decimals(instrument.lot, instrument.amount_scale),
        "min_amount": instrument.amount(instrument.min_amount),
        "min_notional": instrument.money(instrument.min_notional),
    }


def _decimals(step: int, scale: int) -> int:
    """Decimals that a grid of `step` units needs.

    >>> _decimals(1000, 8), _decimals(1, 2), _decimals(500, 2)
    (5, 2, 0)
    """
    while scale > 0 and step % 10 == 0:
        step //= 10
        scale -= 1
    return scale


def _readable_decimals(instrument: Instrument, feed: MarketData, now_ms: int) -> int:
    """Data without a tick comes with eight decimals; people read seven digits."""
    bars = feed.bars(instrument.symbol, now_ms - 7 * 1_440 * MINUTE_MS, now_ms, base_step(feed) * MINUTE_MS)
    price = float(bars.close[-1]) if len(bars) else 1.0
    return int(np.clip(DIGITS - 1 - np.floor(np.log10(price)), 0, LOOSE_DECIMALS))


def ticker_rows(instruments: Sequence[Instrument], tickers: npt.NDArray[np.void]) -> npt.NDArray[np.float64]:
    """One row of TICKER_FIELDS an instrument; prices in the quote."""
    size = 10.0 ** np.array([instrument.price_scale for instrument in instruments])
    rows = np.empty((len(tickers), len(TICKER_FIELDS)))
    for at, name in enumerate(TICKER_FIELDS):
        rows[:, at] = tickers[name] / size if tickers.dtype[name].kind == "i" else np.round(tickers[name], 4)
    return np.nan_to_num(rows)


def book(instrument: Instrument, feed: MarketData, now_ms: int) -> dict[str, Any]:
    """Both sides of the order book, the best first, as [price, amount]."""
    bids, asks = feed.book(instrument.symbol, now_ms, LEVELS)
    return {
        side: [[instrument.price(price), instrument.amount(amount)] for price, amount in rows.tolist()]
        for side, rows in (("bids", bids), ("asks", asks))
    }


def trades(instrument: Instrument, feed: MarketData, now_ms: int) -> list[dict[str, Any]]:
    """The last trades, the newest first."""
    found: list[Any] = []
    for minutes in (1, 10, 120):
        found = feed.trades(instrument.symbol, now_ms - minutes * MINUTE_MS, now_ms + 1)[-TRADES:].tolist()
        if len(found) == TRADES:
            break
    return [
        {"t": ts, "price": instrument.price(price), "amount": instrument.amount(amount), "side": SIDES[side]}
        for ts, price, amount, side, *_ in reversed(found)
    ]


def live_bars(instrument: Instrument, feed: MarketData, since_ms: int, now_ms: int) -> list[list[float]]:
    """Bars that open from `since_ms` on, the forming one last: [minute, open, high, low, close, volume]."""
    step_ms = base_step(feed) * MINUTE_MS
    rows = feed.bars(instrument.symbol, since_ms, now_ms // step_ms * step_ms, step_ms).rows.tolist()
    forming = feed.forming_bar(instrument.symbol, now_ms, step_ms)
    if forming is not None:
        rows.append(np.asarray(forming).reshape(-1).tolist())
    one = 10**instrument.price_scale
    return [
        [ts // MINUTE_MS, o / one, h / one, low / one, c / one, instrument.amount(v)]
        for ts, o, h, low, c, v in (row[:6] for row in rows)
    ]


def account(
    views: Sequence[AccountView], positions: Mapping[str, Mapping[str, Position]], money: str
) -> dict[str, Any]:
    """Balances, positions, open orders and the newest fills of every account of the session."""
    fills = [fill for view in views for fill in _fills(view)]
    fills.sort(key=lambda fill: (fill["ts"], fill["id"]), reverse=True)
    orders = [_order(view, order) for view in views for order in view.blotter.open.values()]
    free, held = totals(views[0].blotter).get(money, (0.0, 0.0))
    return {
        "strategies": [_strategy(view) for view in views if view.owner],
        "balance": free + held,
        "balances": [
            _owned(view) | {"asset": asset, "free": free, "held": held}
            for view in views
            for asset, (free, held) in totals(view.blotter).items()
        ],
        "positions": [
            _position(view, symbol, position)
            for view in views
            for symbol, position in positions[view.name].items()
        ],
        "orders": sorted(orders, key=lambda order: -order["ts"]),
        "fills": fills[:FILLS],
        "fill_count": sum(len(view.blotter.fills) for view in views),
    }


def worth(views: Sequence[AccountView], rates: Rates, last: npt.NDArray[np.float64]) -> dict[str, Any]:
    """What moves with prices: equity of `manual`, and the worth of every balance by "account:asset"."""
    values: dict[str, float | None] = {}
    for view in views:
        for asset, (free, held) in totals(view.blotter).items():
            price = rates.rate(asset, last)
            values[f"{view.name}:{asset}"] = (free + held) * price if np.isfinite(price) else None
    return {"equity": equity(views[0].blotter, rates, last), "values": values}


def _strategy(view: AccountView) -> dict[str, Any]:
    params = ", ".join(f"{key}={value}" for key, value in view.params.items())
    return {"name": view.owner, "account": view.name, "params": params}


def _owned(view: AccountView) -> dict[str, Any]:
    return {"account": view.name, "owner": view.owner}


def _order(view: AccountView, order: VenueOrder) -> dict[str, Any]:
    instrument = order.instrument
    filled = order.cum_qty
    # an order for the whole position has no amount of its own
    amount = order.order_qty or _whole(view, instrument)
    return _owned(view) | {
        "id": order.order_id,
        "symbol": instrument.symbol,
        "side": SIDES[int(order.side)],
        "type": OrdType(order.ord_type).name.lower(),
        "price": instrument.price(order.price),
        "stop_price": instrument.price(view.stops.get(order.order_id) or order.stop_px),
        "amount": instrument.amount(amount),
        "filled": instrument.amount(filled),
        "remaining": instrument.amount(amount - filled),
        "ts": order.ts,
    }


def _whole(view: AccountView, instrument: Instrument) -> int:
    """The whole position of an instrument, in amount units."""
    if instrument.derivative:
        return sum(abs(held.qty) for held in view.blotter.contracts.held(instrument.symbol))
    row = view.blotter.ledger[instrument.base]
    return row[Account.FREE] + row[Account.HELD]


def _fills(view: AccountView) -> list[dict[str, Any]]:
    return [_fill(view, fill) for fill in view.blotter.fills[-FILLS:]]


def _fill(view: AccountView, fill: VenueFill) -> dict[str, Any]:
    instrument = fill.instrument
    order = view.blotter.orders[fill.order_id]
    return _owned(view) | {
        "id": fill.fill_id,
        "order": fill.order_id,
        "symbol": instrument.symbol,
        "side": SIDES[int(fill.side)],
        "type": OrdType(order.ord_type).name.lower(),
        "price": instrument.price(fill.last_px),
        "amount": instrument.amount(fill.last_qty),
        "fee": fill.fee / 10 ** view.blotter.scales[fill.fee_asset],
        "fee_asset": fill.fee_asset,
        "ts": fill.ts,
    }


def _position(view: AccountView, symbol: str, position: Position) -> dict[str, Any]:
    instrument = next(m for m in view.blotter.instruments if m.symbol == symbol)
    if instrument.derivative:
        return _owned(view) | {
            "symbol": symbol,
            "amount": instrument.amount(position.amount),
            "average": position.average(instrument),
            "free_text": str(from_units(abs(position.amount), instrument.amount_scale)),
        }
    free = view.blotter.ledger[instrument.base][Account.FREE]
    sellable = min(free, position.amount) // instrument.lot * instrument.lot
    return _owned(view) | {
        "symbol": symbol,
        "amount": instrument.amount(position.amount),
        "average": position.average(instrument),
        "free_text": str(from_units(sellable, instrument.amount_scale)),
    }
