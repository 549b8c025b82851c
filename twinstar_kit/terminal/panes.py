"""What the page is told: the session's state as plain values for JSON, one function a pane."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.ledger import Account
from twinstar_kit.kernel.money import RATE_SCALE
from twinstar_kit.kernel.orders import OrdType
from twinstar_kit.terminal import positions
from twinstar_kit.terminal.backend import AccountView, Backend, MarketData
from twinstar_kit.terminal.portfolio import Marks, Rates, equity, totals, wallets
from twinstar_kit.terminal.positions import WALLET_WORDS, Spot
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
        describe(m, feed, now)
        | {"fee_maker": _fee(m.fee_maker, maker), "fee_taker": _fee(m.fee_taker, taker)}
        for m in feed.instruments
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


def _fee(own: int, usual: float) -> float:
    """A fee as a fraction: the market's own, or that of the account's broker."""
    return own / RATE_SCALE if own >= 0 else usual


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
        "settle": instrument.settle,
        "kind": instrument.kind.name.lower(),
        "contract_size": instrument.contract_size,
        "most_leverage": instrument.margin_tiers[0].leverage if instrument.margin_tiers else 1,
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


def account(views: Sequence[AccountView], spot: Mapping[str, Spot], money: str) -> dict[str, Any]:
    """Balances, positions, open orders and the newest fills of every account of the session."""
    fills = [fill for view in views for fill in _fills(view)]
    fills.sort(key=lambda fill: (fill["ts"], fill["id"]), reverse=True)
    orders = [_order(view, order) for view in views for order in view.blotter.open.values()]
    manual = views[0].blotter
    return {
        "strategies": [_strategy(view) for view in views if view.owner],
        "balance": totals(manual).get(money, 0.0),
        "balances": [
            _owned(view) | {"wallet": WALLET_WORDS[wallet], "asset": asset, "free": free, "held": held}
            for view in views
            for wallet, asset, free, held in wallets(view.blotter)
        ],
        "leverages": {
            symbol: manual.contracts.leverages[j] for symbol, j in manual.contracts.numbers.items()
        },
        "positions": [row for view in views for row in positions.rows(view, spot[view.name])],
        "orders": sorted(orders, key=lambda order: -order["ts"]),
        "fills": fills[:FILLS],
        "fill_count": sum(len(view.blotter.fills) for view in views),
    }


def worth(
    views: Sequence[AccountView],
    spot: Mapping[str, Spot],
    rates: Rates,
    last: npt.NDArray[np.float64],
    marks: Marks,
) -> dict[str, Any]:
    """What moves with prices: equity of `manual`, every balance's worth by "account:wallet:asset", and the positions'."""
    values: dict[str, float | None] = {}
    moving: dict[str, Any] = {}
    for view in views:
        for wallet, asset, free, held in wallets(view.blotter):
            price = rates.rate(asset, last)
            key = f"{view.name}:{WALLET_WORDS[wallet]}:{asset}"
            values[key] = (free + held) * price if np.isfinite(price) else None
        moving |= positions.moving(view, spot[view.name], lambda symbol: rates.quoted(symbol, last), marks)
    return {"equity": equity(views[0].blotter, rates, last, marks), "values": values, "positions": moving}


def contract(instrument: Instrument, feed: MarketData, now_ms: int) -> dict[str, Any] | None:
    """Mark price and next funding of a perpetual, where the feed knows them; None for spot."""
    following = feed.next_funding(instrument.symbol, now_ms) if instrument.derivative else None
    mark = feed.mark(instrument.symbol, now_ms) if instrument.derivative else 0
    if not mark and following is None:
        return None
    return {
        "mark": instrument.price(mark) or None,
        "rate": following.rate / RATE_SCALE if following else None,
        "next": following.ts if following else None,
    }


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
        "reduce_only": order.reduce_only,
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
        "opens": not fill.closes if instrument.derivative else fill.side > 0,
        "liquidation": fill.liquidation,
    }
