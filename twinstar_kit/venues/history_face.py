"""What became of positions of contracts, and what was moved into them and out of them, in ccxt's words."""

from __future__ import annotations

from typing import Any

import ccxt

from twinstar_kit.journal.positions import MarginChange
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.orders import Setting
from twinstar_kit.venues.blotter import VenueFill
from twinstar_kit.venues.episodes import Episode, episodes
from twinstar_kit.venues.port import Venue
from twinstar_kit.venues.refusals import spoken

SLOTS = {"LONG": 0, "BOTH": 0, "SHORT": 1}


class HistoryFace:
    """Closed positions, liquidations and collateral; a mixin for classes of ccxt beside `ContractsFace`."""

    venue: Venue

    # -- positions that are over --------------------------------------------------------------------------

    def fetch_positions_history(
        self: Any, symbols: list[str] | None = None, since: int | None = None, limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Positions that were closed, ascending by when they were opened, which `since` and `until` go by too.

        `contracts` is all that was opened, `entryPrice` and `lastPrice` the averages of opening and closing; `realizedPnl` counts
        the prices alone: fees and funding are in the ledger. An order that turns a position ends it and begins the next.
        """
        self.supported("fetchPositionsHistory", params or {}, "until")
        wanted = {m.symbol for m in self.contracts_among(symbols, "fetchPositionsHistory")}
        self.venue.catch_up()
        closed = [e for e in episodes(self.venue.blotter.fills) if e.instrument.symbol in wanted]
        return [self.parse_episode(e) for e in self._within(closed, None, since, limit, params or {})]

    def fetch_position_history(
        self: Any, symbol: str, since: int | None = None, limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Positions of one market that were closed, see `fetch_positions_history`."""
        return HistoryFace.fetch_positions_history(self, [symbol], since, limit, params)

    def parse_episode(self: Any, e: Episode) -> Any:
        """A position structure of a position that is closed."""
        m = e.instrument
        return self.safe_position(
            {
                "id": f"{m.symbol}/{e.ts}",
                "symbol": m.symbol,
                "timestamp": e.ts,
                "datetime": self.iso8601(e.ts),
                "lastUpdateTimestamp": e.closed,
                "side": "long" if e.qty > 0 else "short",
                "contracts": m.amount(abs(e.qty)),
                "contractSize": float(m.contract_size),
                "entryPrice": e.price_of(e.bought_in),
                "lastPrice": e.price_of(e.sold_out),
                "notional": float(e.bought_in),
                "realizedPnl": float(e.profit),
                "info": {"fills": e.fills, "liquidated": e.liquidated, "closed": e.closed, "paper": True},
            }
        )

    def fetch_my_liquidations(
        self: Any, symbol: str | None = None, since: int | None = None, limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Positions of this account that were liquidated, ascending."""
        self.supported("fetchMyLiquidations", params or {}, "until")
        self.venue.catch_up()
        market = None if symbol is None else self.market(symbol)
        fills = [fill for fill in self.venue.blotter.fills if fill.liquidation]
        return [self.parse_liquidation(f) for f in self._within(fills, market, since, limit, params or {})]

    def parse_liquidation(self: Any, liquidation: VenueFill, market: Any = None) -> Any:
        """A liquidation structure from the fill that ended the position."""
        m = liquidation.instrument
        worth = float(liquidation.value)
        coins = m.amount(liquidation.last_qty) * m.contract_size
        return self.safe_liquidation(
            {
                "info": {"fill_id": liquidation.fill_id, "order_id": liquidation.order_id, "paper": True},
                "symbol": m.symbol,
                "contracts": m.amount(liquidation.last_qty),
                "contractSize": float(m.contract_size),
                "price": m.price(liquidation.last_px),
                "side": "buy" if liquidation.side > 0 else "sell",
                "baseValue": worth if m.settle == m.base else coins,
                "quoteValue": coins if m.settle == m.base else worth,
                "timestamp": liquidation.ts,
                "datetime": self.iso8601(liquidation.ts),
            },
            self.market(m.symbol),
        )

    # -- collateral ---------------------------------------------------------------------------------------

    def add_margin(self: Any, symbol: str, amount: float, params: dict[str, Any] | None = None) -> Any:
        """Move free balance into an isolated position; `positionSide` in `params` chooses one in hedge mode."""
        return self._change_margin("add", symbol, amount, params)

    def reduce_margin(self: Any, symbol: str, amount: float, params: dict[str, Any] | None = None) -> Any:
        """Take collateral out of an isolated position, as far as it stays covered."""
        return self._change_margin("reduce", symbol, amount, params)

    def set_margin(self: Any, symbol: str, amount: float, params: dict[str, Any] | None = None) -> Any:
        """Add or take out so much that the collateral of an isolated position is `amount`."""
        return self._change_margin("set", symbol, amount, params)

    def _change_margin(self: Any, kind: str, symbol: str, amount: Any, params: Any) -> Any:
        params = params or {}
        self.supported(f"{kind}Margin", params, "positionSide")
        m = self.contract(symbol, f"{kind}Margin")
        number, side = self._number(amount, "amount"), params.get("positionSide", "LONG")
        if number <= 0 or not isinstance(side, str) or side.upper() not in SLOTS:
            raise ccxt.InvalidOrder(
                f"{self.id} {kind}Margin() wants an amount above zero, and LONG or SHORT as positionSide"
            )
        slot = SLOTS[side.upper()]
        with spoken():
            wanted = m.money_units(number)
        self.venue.catch_up()
        has = self._collateral(m, slot, f"{kind}Margin")
        units = {"add": wanted, "reduce": -wanted, "set": wanted - has}[kind]
        changed = MarginChange(0, self.venue.now(), m, slot, 0, has)
        if units:
            with spoken():
                self.venue.configure(Setting.ADD_MARGIN, m.symbol, units, slot)
            changed = self.venue.blotter.contracts.margin_changes[-1]
        return {**self.parse_margin_modification(changed), "type": kind, "amount": float(number)}

    def _collateral(self: Any, m: Instrument, slot: int, method: str) -> int:
        """What an isolated position has as collateral, in money units; InvalidOrder when there is none such."""
        held = [p for p in self.venue.positions() if p.instrument is m and p.slot == slot]
        if not held:
            raise ccxt.InvalidOrder(f"{self.id} {method}(): there is no such position of {m.symbol}")
        contracts = self.venue.blotter.contracts
        if not contracts.isolated[contracts.numbers[m.symbol]]:
            raise ccxt.InvalidOrder(
                f"{self.id} {method}(): {m.symbol} is on cross margin, where the whole wallet is the collateral; "
                "set_margin_mode('isolated', ...) changes it"
            )
        return held[0].margin  # type: ignore[no-any-return]

    def parse_margin_modification(self: Any, data: MarginChange, market: Any = None) -> Any:
        """A margin structure from a change of collateral."""
        m = data.instrument
        return {
            "info": {"seq": data.seq, "amount": data.amount, "slot": data.slot, "paper": True},
            "symbol": m.symbol,
            "type": "add" if data.amount >= 0 else "reduce",
            "marginMode": "isolated",
            "amount": m.money(abs(data.amount)),
            "total": m.money(data.total),
            "code": m.settle,
            "status": "ok",
            "timestamp": data.ts,
            "datetime": self.iso8601(data.ts),
        }

    def fetch_margin_adjustment_history(
        self: Any, symbol: str | None = None, type: str | None = None, since: int | None = None, limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """What was moved into isolated positions (`type` add) and out of them (reduce), ascending."""
        self.supported("fetchMarginAdjustmentHistory", params or {}, "until")
        if type not in (None, "add", "reduce"):
            raise ccxt.BadRequest(
                f"{self.id} fetchMarginAdjustmentHistory(): type {type!r} must be add or reduce"
            )
        market = (
            None
            if symbol is None
            else self.market(self.contract(symbol, "fetchMarginAdjustmentHistory").symbol)
        )
        self.ready()
        self.venue.catch_up()
        changes = [
            change
            for change in self.venue.blotter.contracts.margin_changes
            if type in (None, "add" if change.amount > 0 else "reduce")
        ]
        found = self._within(changes, market, since, limit, params or {})
        return [self.parse_margin_modification(change) for change in found]
