"""Rules of the venue and of the broker, written into the kernel's arrays as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from twinstar_kit.kernel.errors import InstrumentError, UsageError
from twinstar_kit.kernel.instruments import Instrument, Kind
from twinstar_kit.kernel.models import FILLS, LATENCIES, PATHS, QUEUES, SLIPPAGES, Broker, rate_units
from twinstar_kit.kernel.money import RATE_SCALE, to_units


def assets_of(instruments: Sequence[Instrument]) -> dict[str, int]:
    """Assets in their order, with the decimals that balances of each are kept in.

    InstrumentError when two instruments count one asset in different units.
    """
    scales: dict[str, int] = {}
    for m in instruments:
        counted = (
            [(m.settle, m.quote_scale)]
            if m.derivative
            else [(m.base, m.amount_scale), (m.quote, m.quote_scale)]
        )
        for asset, scale in counted:
            if scales.setdefault(asset, scale) != scale:
                raise InstrumentError(
                    f"{m.symbol} counts {asset} with {scale} decimals, another instrument with {scales[asset]}; "
                    "use one scale per asset"
                )
    return scales


def check_leverage(broker: Broker, instruments: Sequence[Instrument]) -> None:
    """UsageError for a leverage that no instrument offers; one that offers less begins with its most."""
    most = max((_most_leverage(m) for m in instruments if m.derivative), default=1)
    if broker.leverage > most:
        what = f"its most here is {most}" if most > 1 else "it is for contracts, and none is traded here"
        raise UsageError(f"leverage = {broker.leverage}: {what}")


def _most_leverage(m: Instrument) -> int:
    return m.margin_tiers[0].leverage if m.margin_tiers else 1000


def load_state(
    s: Any, broker: Broker, instruments: Sequence[Instrument], scales: dict[str, int], timeframe_ms: int
) -> None:
    """Write the broker's rules into the state record `s`."""
    s["next_order_id"] = 1
    s["timeframe_ms"], s["day"] = timeframe_ms, 86_400_000
    s["n_assets"] = len(scales)
    s["fill_on_close"] = FILLS.index(broker.fill)
    s["path"] = PATHS.index(broker.path)
    s["slippage_model"] = SLIPPAGES.index(broker.slippage_model)
    s["slippage"] = rate_units(
        broker.slippage_bps / 10_000 if broker.slippage_model == "bps" else broker.slippage
    )
    s["protection"] = rate_units(broker.protection_bps / 10_000)
    s["bounded"] = broker.liquidity == "bounded"
    s["volume_share"] = rate_units(broker.volume_share)
    s["queue_model"], s["queue_power"] = QUEUES.index(broker.queue), float(broker.queue_power)
    s["latency_model"] = LATENCIES.index(broker.latency)
    if broker.latency in ("fixed", "normal"):
        s["latency_mean"] = [
            int(broker.latency_order_ms),
            int(broker.latency_response_ms),
            int(broker.latency_feed_ms),
        ]
        s["latency_spread"] = int(broker.latency_spread_ms)
    s["seed"] = broker.seed
    if broker.amount is not None:
        s["fixed_amount"] = instruments[0].amount_units(broker.amount)
    if broker.fee_tiers:
        assets = list(scales)
        if broker.fee_tier_asset not in assets:
            raise UsageError(f"fee_tier_asset = {broker.fee_tier_asset!r} is not traded here")
        s["fee_tier_row"] = assets.index(broker.fee_tier_asset)
        s["n_fee_tiers"] = len(broker.fee_tiers)
        for i, (volume, maker, taker) in enumerate(broker.fee_tiers):
            s["fee_volume"][i] = to_units(volume, scales[broker.fee_tier_asset], what="volume of a fee tier")
            s["fee_maker"][i], s["fee_taker"][i] = rate_units(maker), rate_units(taker)


def load_instrument(
    r: Any, m: Instrument, broker: Broker, instruments: Sequence[Instrument], scales: dict[str, int]
) -> None:
    """Write one instrument's rules into its record `r`."""
    assets = list(scales)
    swap = len(assets) if m.derivative else 0
    r["kind"] = int(m.kind)
    r["settle"] = assets.index(m.settle) + swap
    r["base"] = assets.index(m.base) + swap if m.base in scales else r["settle"]
    r["quote"] = assets.index(m.quote) + swap if m.quote in scales else r["settle"]
    r["divisor"] = m.money_divisor
    for name in ("tick", "lot", "market_lot", "min_amount", "max_amount", "market_max_amount", "min_notional",
                 "percent_up", "percent_down", "max_orders", "max_position"):  # fmt: skip
        r[name] = getattr(m, name)
    r["n_ladder"] = len(m.ladder)
    for i, rung in enumerate(m.ladder):
        r["ladder_from"][i], r["ladder_tick"][i] = rung
    r["n_tiers"] = len(m.margin_tiers)
    for i, tier in enumerate(m.margin_tiers):
        r["tier_cap"][i], r["tier_rate"][i], r["tier_amount"][i], r["tier_leverage"][i] = tier
    r["fee_maker"] = rate_units(broker.fee_maker) if m.fee_maker < 0 else m.fee_maker
    r["fee_taker"] = rate_units(broker.fee_taker) if m.fee_taker < 0 else m.fee_taker
    r["fee_instrument"] = _fee_instrument(m, broker, instruments)
    r["leverage"] = min(broker.leverage, _most_leverage(m)) if m.derivative else 1
    r["price_one"], r["amount_one"], r["money_one"] = (
        10.0**m.price_scale,
        10.0**m.amount_scale,
        10.0**m.quote_scale,
    )


def _fee_instrument(m: Instrument, broker: Broker, instruments: Sequence[Instrument]) -> int:
    """The number of the instrument that prices the fee asset in what `m` settles in, or -1."""
    if not broker.fee_asset:
        return -1
    for number, other in enumerate(instruments):
        if other.kind is Kind.SPOT and other.base == broker.fee_asset and other.quote == m.settle:
            return number
    return -1


def rate_of(units: int) -> Decimal:
    """Hundred-millionths as a rate."""
    return Decimal(units) / RATE_SCALE
