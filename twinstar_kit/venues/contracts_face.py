"""Perpetual contracts in ccxt's words: positions, leverage, margin, and closing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import ccxt

from twinstar_kit.journal.positions import Contracts, value
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.ledger import Wallet
from twinstar_kit.kernel.money import RATE_SCALE, from_units
from twinstar_kit.kernel.orders import Setting
from twinstar_kit.venues.port import Venue
from twinstar_kit.venues.refusals import spoken

MOST_LEVERAGE = 1_000
"""The highest leverage where a market has no margin tiers."""


class ContractsFace:
    """Positions and how the account is set up; a mixin for classes of ccxt beside `AccountFace`."""

    venue: Venue

    def contract(self: Any, symbol: Any, method: str) -> Instrument:
        """The instrument of a market of contracts; NotSupported for a spot market."""
        m = self.instrument(symbol)
        if not m.derivative:
            raise ccxt.NotSupported(
                f"{self.id} {method}(): {m.symbol} is a spot market; this is for contracts such as BTC/USDT:USDT"
            )
        return m  # type: ignore[no-any-return]

    def contracts_among(self: Any, symbols: Any, method: str) -> list[Instrument]:
        """The instruments of several markets of contracts, or of all of them."""
        if symbols is None:
            self.ready()
            return [m for m in self.venue.instruments.values() if m.derivative]
        return [self.contract(symbol, method) for symbol in self._chosen(symbols)[1]]

    # -- positions ----------------------------------------------------------------------------------------

    def fetch_positions(
        self: Any, symbols: list[str] | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """The open positions of contracts; a flat one has no row."""
        self.supported("fetchPositions", params or {})
        wanted = {m.symbol for m in self.contracts_among(symbols, "fetchPositions")}
        self.venue.catch_up()
        return [self.parse_position(p) for p in self.venue.positions() if p.instrument.symbol in wanted]

    def fetch_positions_for_symbol(self: Any, symbol: str, params: dict[str, Any] | None = None) -> Any:
        """The open positions of one market: two of them in hedge mode."""
        self.supported("fetchPositionsForSymbol", params or {})
        return ContractsFace.fetch_positions(self, [symbol])

    def fetch_position(self: Any, symbol: str, params: dict[str, Any] | None = None) -> Any:
        """The position of one market (in hedge mode the long one, if there is one); None while it is flat."""
        self.supported("fetchPosition", params or {})
        return next(iter(ContractsFace.fetch_positions(self, [symbol])), None)

    def parse_position(self: Any, position: Contracts, market: Any = None) -> Any:
        """A position structure, valued at the mark price of now."""
        m, contracts = position.instrument, self.venue.blotter.contracts
        now, mark, own = self.venue.now(), self.venue.mark(m), self.venue.blotter.own(Wallet.SWAP)
        isolated = contracts.isolated[contracts.numbers[m.symbol]]
        profit, maintenance = position.profit(mark), position.maintenance(mark)
        worth = value(m, mark, abs(position.qty), up=False)
        collateral = profit + (position.margin if isolated else own[m.settle])
        liquidation = contracts.liquidation_px(position, self.venue.mark, own)

        def money(units: int) -> float:
            return float(from_units(units, m.quote_scale))

        return self.safe_position(
            {
                "id": f"{m.symbol}/{'short' if position.slot else 'long' if contracts.hedge else 'net'}",
                "symbol": m.symbol,
                "timestamp": now,
                "datetime": self.iso8601(now),
                "lastUpdateTimestamp": position.updated,
                "isolated": isolated,
                "hedged": contracts.hedge,
                "side": "long" if position.qty > 0 else "short",
                "contracts": m.amount(abs(position.qty)),
                "contractSize": float(m.contract_size),
                "entryPrice": position.entry,
                "markPrice": m.price(mark),
                "lastPrice": m.price(self.venue.feed.last(m.symbol, now)),
                "notional": money(worth),
                "leverage": contracts.leverages[contracts.numbers[m.symbol]],
                "collateral": money(collateral),
                "initialMargin": money(position.margin),
                "initialMarginPercentage": position.margin / position.cost,
                "maintenanceMargin": money(maintenance),
                "maintenanceMarginPercentage": maintenance / worth,
                "unrealizedPnl": money(profit),
                "realizedPnl": None,
                "liquidationPrice": m.price(liquidation) or None,
                "marginMode": "isolated" if isolated else "cross",
                "marginRatio": maintenance / collateral if collateral > 0 else None,
                "percentage": 100.0 * profit / position.margin if position.margin else None,
                "stopLossPrice": None,
                "takeProfitPrice": None,
                "info": {
                    "qty": position.qty, "cost": position.cost, "margin": position.margin, "since": position.since, "paper": True,
                    "simulated": self.venue.feed.simulated,
                },
            }
        )  # fmt: skip

    def close_position(
        self: Any, symbol: str, side: str | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """Close the whole position of a market with a market order; `side` (long or short) chooses one in hedge mode."""
        self.supported("closePosition", params or {}, "clientOrderId")
        m = self.contract(symbol, "closePosition")
        self.venue.catch_up()
        if side not in (None, "long", "short", "buy", "sell"):
            raise ccxt.BadRequest(f"{self.id} closePosition(): side {side!r} must be long or short")
        held = [p for p in self.venue.positions() if p.instrument is m]
        if side is not None:
            held = [p for p in held if (p.qty > 0) == (side in ("long", "buy"))]
        if len(held) != 1:
            raise ccxt.InvalidOrder(
                f"{self.id} {m.symbol}: there {'are two positions; choose a side' if held else 'is no such position to close'}"
            )
        return self._close(held[0], params or {})

    def close_all_positions(self: Any, params: dict[str, Any] | None = None) -> Any:
        """Close every position with market orders."""
        self.supported("closeAllPositions", params or {})
        self.venue.catch_up()
        return [self._close(p, {}) for p in self.venue.positions()]

    def _close(self: Any, position: Contracts, params: dict[str, Any]) -> Any:
        m = position.instrument
        terms = {"reduceOnly": True, **params}
        if self.venue.blotter.contracts.hedge:
            terms["positionSide"] = "LONG" if position.qty > 0 else "SHORT"
        side = "sell" if position.qty > 0 else "buy"
        amount = from_units(abs(position.qty), m.amount_scale)
        return self.carry_out(self.prepared(m.symbol, "market", side, amount, None, terms))

    # -- how the account is set up ------------------------------------------------------------------------

    def set_leverage(
        self: Any, leverage: int, symbol: str | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """Change the leverage of a market of contracts; the collateral of its positions follows."""
        self.supported("setLeverage", params or {}, "marginMode")
        m = self.contract(symbol, "setLeverage")
        most = m.margin_tiers[0].leverage if m.margin_tiers else MOST_LEVERAGE
        whole = not isinstance(leverage, bool) and isinstance(leverage, int | float) and leverage % 1 == 0
        if not whole or not 1 <= leverage <= most:
            raise ccxt.BadRequest(
                f"{self.id} setLeverage(): the leverage of {m.symbol} is a whole number from 1 to {most}, not {leverage!r}"
            )
        with spoken():
            self.venue.configure(Setting.LEVERAGE, m.symbol, int(leverage))
        return ContractsFace.fetch_leverage(self, m.symbol)

    def fetch_leverage(self: Any, symbol: str, params: dict[str, Any] | None = None) -> Any:
        """The leverage of a market of contracts."""
        self.supported("fetchLeverage", params or {})
        m = self.contract(symbol, "fetchLeverage")
        self.venue.catch_up()
        contracts = self.venue.blotter.contracts
        j = contracts.numbers[m.symbol]
        return {
            "info": {"paper": True},
            "symbol": m.symbol,
            "marginMode": "isolated" if contracts.isolated[j] else "cross",
            "longLeverage": contracts.leverages[j],
            "shortLeverage": contracts.leverages[j],
        }

    def fetch_leverages(
        self: Any, symbols: list[str] | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """The leverage of several markets of contracts, by symbol."""
        self.supported("fetchLeverages", params or {})
        found = self.contracts_among(symbols, "fetchLeverages")
        return {m.symbol: ContractsFace.fetch_leverage(self, m.symbol) for m in found}

    def set_margin_mode(
        self: Any, marginMode: str, symbol: str | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """Choose cross or isolated margin for a market; its positions take their collateral along, if that carries them."""
        self.supported("setMarginMode", params or {}, "leverage")
        m = self.contract(symbol, "setMarginMode")
        if marginMode not in ("cross", "isolated"):
            raise ccxt.BadRequest(f"{self.id} setMarginMode(): {marginMode!r} must be cross or isolated")
        if (params or {}).get("leverage") is not None:
            ContractsFace.set_leverage(self, params["leverage"], m.symbol)  # type: ignore[index]
        with spoken():
            self.venue.configure(Setting.ISOLATED, m.symbol, int(marginMode == "isolated"))
        return ContractsFace.fetch_margin_mode(self, m.symbol)

    def fetch_margin_mode(self: Any, symbol: str, params: dict[str, Any] | None = None) -> Any:
        """Cross or isolated margin, of one market."""
        self.supported("fetchMarginMode", params or {})
        m = self.contract(symbol, "fetchMarginMode")
        self.venue.catch_up()
        contracts = self.venue.blotter.contracts
        mode = "isolated" if contracts.isolated[contracts.numbers[m.symbol]] else "cross"
        return {"info": {"paper": True}, "symbol": m.symbol, "marginMode": mode}

    def set_position_mode(
        self: Any, hedged: bool, symbol: str | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """Choose hedge mode (a long and a short position side by side) or one-way mode for the whole account."""
        self.supported("setPositionMode", params or {})
        if not isinstance(hedged, bool):
            raise ccxt.BadRequest(
                f"{self.id} setPositionMode(): hedged must be True or False, not {hedged!r}"
            )
        if symbol is not None:
            self.contract(symbol, "setPositionMode")
        self.wallet("swap")
        with spoken():
            self.venue.configure(Setting.HEDGE, "", int(hedged))
        return {"info": {"paper": True}, "hedged": hedged}

    def fetch_position_mode(
        self: Any, symbol: str | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """Whether the account is in hedge mode."""
        self.supported("fetchPositionMode", params or {})
        self.venue.catch_up()
        return {"info": {"paper": True}, "hedged": self.venue.blotter.contracts.hedge}

    # -- tiers --------------------------------------------------------------------------------------------

    def fetch_market_leverage_tiers(self: Any, symbol: str, params: dict[str, Any] | None = None) -> Any:
        """The margin tiers of one market of contracts."""
        self.supported("fetchMarketLeverageTiers", params or {})
        return self._tiers(self.contract(symbol, "fetchMarketLeverageTiers"))

    def _tiers(self: Any, m: Instrument) -> list[dict[str, Any]]:
        rows, floor = [], 0.0
        for number, tier in enumerate(m.margin_tiers, start=1):
            cap = m.money(tier.cap)
            rows.append(
                {
                    "tier": number,
                    "symbol": m.symbol,
                    "currency": m.settle,
                    "minNotional": floor,
                    "maxNotional": cap,
                    "maintenanceMarginRate": float(Decimal(tier.rate) / RATE_SCALE),
                    "maxLeverage": tier.leverage,
                    "info": {"cap": tier.cap, "rate": tier.rate, "amount": tier.amount},
                }
            )
            floor = cap
        return rows
