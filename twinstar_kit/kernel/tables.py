"""The engine's arrays: its state, its instruments as numbers, and the reports that it writes about orders."""

from __future__ import annotations

from enum import IntFlag
from typing import Any

import numpy as np

from twinstar_kit.jit import inlined, outlined

FEE_TIERS, FEE_DAYS = 8, 30
MARGIN_TIERS = 12
LADDER = 24

state_t = np.dtype(
    [
        ("seq", "<i8"),
        ("now", "<i8"),
        ("next_order_id", "<i8"),
        ("n_orders", "<i8"),
        ("n_out", "<i8"),
        ("timeframe_ms", "<i8"),
        ("fill_on_close", "<i8"),
        ("path", "<i8"),
        ("fixed_amount", "<i8"),
        ("slippage_model", "<i8"),
        ("slippage", "<i8"),
        ("protection", "<i8"),
        ("volume_share", "<i8"),
        ("bounded", "<i8"),
        ("live_book", "<i8"),
        ("queue_model", "<i8"),
        ("queue_power", "<f8"),
        ("latency_model", "<i8"),
        ("latency_mean", "<i8", (3,)),
        ("latency_spread", "<i8", (3,)),
        ("seed", "<i8"),
        ("draws", "<i8"),
        ("trades", "<i8"),
        ("day", "<i8"),
        ("n_assets", "<i8"),
        ("hedge", "<i8"),
        ("n_fee_tiers", "<i8"),
        ("fee_tier_row", "<i8"),
        ("fee_volume", "<i8", (FEE_TIERS,)),
        ("fee_maker", "<i8", (FEE_TIERS,)),
        ("fee_taker", "<i8", (FEE_TIERS,)),
        ("volume_day", "<i8"),
        ("volume", "<i8", (FEE_DAYS,)),
    ],
    align=True,
)
"""`seq` numbers events, `trades` counts trades that were met, `now` is the instant being processed, `n_orders` and `n_out` are fill levels of the order table and the event
buffer. `fixed_amount` is in amount units (0: the default size); rates (`slippage`, `protection`, `volume_share`) are in
hundred-millionths. `bounded` says whether fills are limited by what trades, `live_book` whether `depth` follows
every change of the book rather than show it as it was when an order came. Latencies (order entry, response, feed) and `day` are in
the unit of the times. `volume` holds what was traded on each of the last thirty days, in units of ledger row `fee_tier_row`."""

instrument_t = np.dtype(
    [
        ("kind", "<i8"),
        ("base", "<i8"),
        ("quote", "<i8"),
        ("settle", "<i8"),
        ("divisor", "<i8"),
        ("tick", "<i8"),
        ("n_ladder", "<i8"),
        ("ladder_from", "<i8", (LADDER,)),
        ("ladder_tick", "<i8", (LADDER,)),
        ("lot", "<i8"),
        ("market_lot", "<i8"),
        ("min_amount", "<i8"),
        ("max_amount", "<i8"),
        ("market_max_amount", "<i8"),
        ("min_notional", "<i8"),
        ("percent_up", "<i8"),
        ("percent_down", "<i8"),
        ("max_orders", "<i8"),
        ("max_position", "<i8"),
        ("fee_maker", "<i8"),
        ("fee_taker", "<i8"),
        ("fee_instrument", "<i8"),
        ("last", "<i8"),
        ("bid", "<i8"),
        ("ask", "<i8"),
        ("mark", "<i8"),
        ("volume", "<i8"),
        ("left", "<i8"),
        ("position", "<i8", (2,)),
        ("cost", "<i8", (2,)),
        ("margin", "<i8", (2,)),
        ("leverage", "<i8"),
        ("isolated", "<i8"),
        ("n_tiers", "<i8"),
        ("tier_cap", "<i8", (MARGIN_TIERS,)),
        ("tier_rate", "<i8", (MARGIN_TIERS,)),
        ("tier_amount", "<i8", (MARGIN_TIERS,)),
        ("tier_leverage", "<i8", (MARGIN_TIERS,)),
        ("n_levels", "<i8", (2,)),
        ("near", "<i8", (2,)),
        ("price_one", "<f8"),
        ("amount_one", "<f8"),
        ("money_one", "<f8"),
    ],
    align=True,
)
"""`kind` is 0 spot, 1 linear, 2 inverse. `base`, `quote` and `settle` are ledger rows. Price units * amount units / `divisor` = money units;
for an inverse contract amount units * `divisor` / price units. The tick at a price is `tick`, or that of the last `ladder_from` at or
below it. `last`, `bid`, `ask` and `mark` are the latest prices (0: unknown), `volume` what traded in the present bar and `left` what of
it may still be filled. `position` is signed, in amount units, `cost` what it cost without fees and `margin` its collateral, in units of
`settle`: of the long or only position, and of the short one in hedge mode (a spot position is the base balance, its cost stands here).
A maintenance tier holds up to `tier_cap` of notional: rate in hundred-millionths, less `tier_amount`. `n_levels` counts the
levels of bids and asks in `depth`, `near` is the place of the one that changed last. The `_one` fields are units per one price, amount and money."""

level_t = np.dtype([("price", "<i8"), ("qty", "<i8"), ("taken", "<i8")])
"""A level of a book: what rests there, and how much of it this account has taken since the book last spoke of it."""


class FillFlag(IntFlag):
    """What a FILLED record says beside price and amount."""

    NONE = 0
    MAKER = 1
    FEE_ASSET = 2
    FEE_FELL_BACK = 4
    LIQUIDATION = 8
    CLOSES = 16


@outlined
def report(
    d: Any, k: int, kind: int, reason: int, last_px: int, last_qty: int, amount: int, flags: int, asset: int, ref_px: int, ref_qty: int
) -> None:  # fmt: skip
    """Write an event about the order in row `k` of the table."""
    s = d.state[0]
    o = d.orders[k]
    r = d.out[s.n_out]
    # the last record of a full buffer is written over, which `Engine.drain` refuses; memory beyond it is never touched
    s.n_out += 1 if s.n_out < d.out.shape[0] - 1 else 0
    s.seq += 1
    r.seq = s.seq
    r.ts_event = s.now
    r.kind = kind
    r.reason = reason
    r.instrument = o.instrument
    r.side = o.side
    r.ord_type = o.ord_type
    r.flags = flags
    r.asset = asset
    r.debit = 0
    r.credit = 0
    r.order_id = o.order_id
    r.link_id = o.link_id
    r.price = o.price
    r.stop_px = o.stop_px
    r.order_qty = o.order_qty
    r.last_px = last_px
    r.last_qty = last_qty
    r.cum_qty = o.cum_qty
    r.leaves_qty = o.order_qty - o.cum_qty
    r.amount = amount
    r.ref_px = ref_px
    r.ref_qty = ref_qty


@outlined
def note(
    d: Any, kind: int, reason: int, j: int, side: int, ord_type: int, flags: int, order_id: int, link_id: int, price: int, stop_px: int,
    qty: int, asset: int, amount: int,
) -> None:  # fmt: skip
    """Write an event that is not about an order in the table: a command, a proposal, a refusal."""
    s = d.state[0]
    r = d.out[s.n_out]
    # the last record of a full buffer is written over, which `Engine.drain` refuses; memory beyond it is never touched
    s.n_out += 1 if s.n_out < d.out.shape[0] - 1 else 0
    s.seq += 1
    r.seq = s.seq
    r.ts_event = s.now
    r.kind = kind
    r.reason = reason
    r.instrument = j
    r.side = side
    r.ord_type = ord_type
    r.flags = flags
    r.asset = asset
    r.debit = 0
    r.credit = 0
    r.order_id = order_id
    r.link_id = link_id
    r.price = price
    r.stop_px = stop_px
    r.order_qty = qty
    r.last_px = 0
    r.last_qty = 0
    r.cum_qty = 0
    r.leaves_qty = 0
    r.amount = amount
    r.ref_px = 0
    r.ref_qty = 0


@inlined
def latest(d: Any) -> Any:
    """The record that was written last."""
    return d.out[d.state[0].n_out - 1]
