"""A call of each method that `has` claims; each comes back with something that is true."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from venues.builders import last

SYMBOL, SWAP = "BTC/USDT", "BTC/USDT:USDT"


def order(ex: Any, **params: Any) -> Any:
    """An order that rests."""
    return ex.create_order(SYMBOL, "limit", "buy", 0.001, last(ex) * 0.9, params)


def opened(ex: Any, mode: str = "cross") -> None:
    """A position of contracts, and no other."""
    ex.close_all_positions()
    ex.set_margin_mode(mode, SWAP)
    ex.create_order(SWAP, "market", "buy", 0.01)


def closed(ex: Any) -> None:
    """A position that is over."""
    opened(ex)
    ex.close_all_positions()


COMMANDS: dict[str, Callable[[Any], Any]] = {
    "deposit": lambda ex: ex.deposit("USDT", 100),
    "withdraw": lambda ex: ex.withdraw("USDT", 1, "nowhere"),
    "transfer": lambda ex: ex.transfer("USDT", 1, "spot", "swap"),
    "addMargin": lambda ex: (opened(ex, "isolated"), ex.add_margin(SWAP, 5))[1],
    "reduceMargin": lambda ex: (opened(ex, "isolated"), ex.add_margin(SWAP, 5), ex.reduce_margin(SWAP, 1))[2],
    "setMargin": lambda ex: (opened(ex, "isolated"), ex.set_margin(SWAP, 1_100))[1],
    "cancelOrdersWithClientOrderIds": lambda ex: (
        order(ex, clientOrderId="c4"),
        ex.cancel_orders_with_client_order_ids(["c4"]),
    )[1],
    "setLeverage": lambda ex: ex.set_leverage(5, SWAP),
    "setMarginMode": lambda ex: ex.set_margin_mode("cross", SWAP),
    "setPositionMode": lambda ex: ex.set_position_mode(False),
    "closePosition": lambda ex: (opened(ex), ex.close_position(SWAP))[1],
    "closeAllPositions": lambda ex: (opened(ex), ex.close_all_positions())[1],
    "cancelAllOrdersAfter": lambda ex: ex.cancel_all_orders_after(0),
    "cancelOrdersForSymbols": lambda ex: ex.cancel_orders_for_symbols(
        [{"id": order(ex)["id"], "symbol": SYMBOL}]
    ),
    "createMarketBuyOrderWithCost": lambda ex: ex.create_market_buy_order_with_cost(SYMBOL, 100),
    "createMarketOrderWithCost": lambda ex: ex.create_market_order_with_cost(SYMBOL, "buy", 100),
    "createMarketSellOrderWithCost": lambda ex: ex.create_market_sell_order_with_cost(SYMBOL, 100),
    "createOrderWithTakeProfitAndStopLoss": lambda ex: ex.create_order_with_take_profit_and_stop_loss(
        SYMBOL, "limit", "buy", 0.001, last(ex) * 0.9, last(ex), last(ex) * 0.8
    ),
    "createStopLimitOrder": lambda ex: ex.create_stop_limit_order(
        SYMBOL, "sell", 0.001, last(ex) * 0.9, last(ex) * 0.9
    ),
    "createTakeProfitOrder": lambda ex: ex.create_take_profit_order(
        SYMBOL, "market", "sell", 0.001, None, last(ex) * 1.1
    ),
    "editOrders": lambda ex: ex.edit_orders(
        [{"id": order(ex)["id"], "symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.002}]
    ),
    "editOrderWithClientOrderId": lambda ex: (
        order(ex, clientOrderId="c3"),
        ex.edit_order_with_client_order_id("c3", SYMBOL, "limit", "buy", 0.002),
    ),
    "cancelAllOrders": lambda ex: (order(ex), ex.cancel_all_orders())[1],
    "cancelOrder": lambda ex: ex.cancel_order(order(ex)["id"]),
    "cancelOrderWithClientOrderId": lambda ex: (
        order(ex, clientOrderId="c1"),
        ex.cancel_order_with_client_order_id("c1"),
    ),
    "cancelOrders": lambda ex: ex.cancel_orders([order(ex)["id"]]),
    "createLimitBuyOrder": lambda ex: ex.create_limit_buy_order(SYMBOL, 0.001, last(ex)),
    "createLimitOrder": lambda ex: ex.create_limit_order(SYMBOL, "buy", 0.001, last(ex)),
    "createLimitSellOrder": lambda ex: ex.create_limit_sell_order(SYMBOL, 0.001, last(ex) * 1.1),
    "createMarketBuyOrder": lambda ex: ex.create_market_buy_order(SYMBOL, 0.001),
    "createMarketOrder": lambda ex: ex.create_market_order(SYMBOL, "buy", 0.001),
    "createMarketSellOrder": lambda ex: ex.create_market_sell_order(SYMBOL, 0.001),
    "createOrder": lambda ex: order(ex),
    "createOrders": lambda ex: ex.create_orders(
        [{"symbol": SYMBOL, "type": "market", "side": "buy", "amount": 0.001}]
    ),
    "createPostOnlyOrder": lambda ex: ex.create_post_only_order(
        SYMBOL, "limit", "buy", 0.001, last(ex) * 0.9
    ),
    "createReduceOnlyOrder": lambda ex: ex.create_reduce_only_order(SYMBOL, "market", "sell", 0.001),
    "createStopLossOrder": lambda ex: ex.create_stop_loss_order(
        SYMBOL, "market", "sell", 0.001, None, last(ex) * 0.9
    ),
    "createStopMarketOrder": lambda ex: ex.create_stop_market_order(SYMBOL, "sell", 0.001, last(ex) * 0.9),
    "createStopOrder": lambda ex: ex.create_stop_order(SYMBOL, "market", "buy", 0.001, None, last(ex) * 1.1),
    "createTrailingAmountOrder": lambda ex: ex.create_trailing_amount_order(
        SYMBOL, "market", "sell", 0.001, None, 100
    ),
    "createTrailingPercentOrder": lambda ex: ex.create_trailing_percent_order(
        SYMBOL, "market", "sell", 0.001, None, 2
    ),
    "createTriggerOrder": lambda ex: ex.create_trigger_order(
        SYMBOL, "market", "sell", 0.001, None, last(ex) * 0.9
    ),
    "editOrder": lambda ex: ex.edit_order(order(ex)["id"], SYMBOL, "limit", "buy", 0.001, last(ex) * 0.8),
}

READS: dict[str, Callable[[Any], Any]] = {
    "fetchBalance": lambda ex: ex.fetch_balance(),
    "fetchBidsAsks": lambda ex: ex.fetch_bids_asks([SYMBOL]),
    "fetchCanceledAndClosedOrders": lambda ex: ex.fetch_canceled_and_closed_orders(),
    "fetchCanceledOrders": lambda ex: ex.fetch_canceled_orders(),
    "fetchClosedOrders": lambda ex: ex.fetch_closed_orders(),
    "fetchCurrencies": lambda ex: ex.fetch_currencies(),
    "fetchL2OrderBook": lambda ex: ex.fetch_l2_order_book(SYMBOL),
    "fetchLastPrices": lambda ex: ex.fetch_last_prices(),
    "fetchLedger": lambda ex: ex.fetch_ledger("USDT"),
    "fetchMarkets": lambda ex: ex.fetch_markets(),
    "fetchMyTrades": lambda ex: ex.fetch_my_trades(),
    "fetchOHLCV": lambda ex: ex.fetch_ohlcv(SYMBOL),
    "fetchOpenOrders": lambda ex: (order(ex), ex.fetch_open_orders())[1],
    "fetchOrder": lambda ex: ex.fetch_order(order(ex)["id"]),
    "fetchOrderBook": lambda ex: ex.fetch_order_book(SYMBOL),
    "fetchOrderBooks": lambda ex: ex.fetch_order_books([SYMBOL]),
    "fetchOrderTrades": lambda ex: ex.fetch_order_trades(ex.create_market_buy_order(SYMBOL, 0.001)["id"]),
    "fetchOrderWithClientOrderId": lambda ex: (
        order(ex, clientOrderId="c2"),
        ex.fetch_order_with_client_order_id("c2"),
    ),
    "fetchOrders": lambda ex: ex.fetch_orders(),
    "fetchAccounts": lambda ex: ex.fetch_accounts(),
    "fetchDeposits": lambda ex: ex.fetch_deposits(),
    "fetchDepositsWithdrawals": lambda ex: ex.fetch_deposits_withdrawals(),
    "fetchWithdrawals": lambda ex: (ex.withdraw("USDT", 1, "nowhere"), ex.fetch_withdrawals())[1],
    "fetchTransfers": lambda ex: ex.fetch_transfers(),
    "fetchPosition": lambda ex: (ex.create_order(SWAP, "market", "buy", 0.01), ex.fetch_position(SWAP))[1],
    "fetchPositions": lambda ex: (opened(ex), ex.fetch_positions())[1],
    "fetchPositionsForSymbol": lambda ex: (opened(ex), ex.fetch_positions_for_symbol(SWAP))[1],
    "fetchPositionMode": lambda ex: ex.fetch_position_mode(),
    "fetchLeverage": lambda ex: ex.fetch_leverage(SWAP),
    "fetchLeverages": lambda ex: ex.fetch_leverages(),
    "fetchMarginMode": lambda ex: ex.fetch_margin_mode(SWAP),
    "fetchMarketLeverageTiers": lambda ex: ex.fetch_market_leverage_tiers(SWAP),
    "fetchFundingRate": lambda ex: ex.fetch_funding_rate(SWAP),
    "fetchFundingRates": lambda ex: ex.fetch_funding_rates(),
    "fetchFundingInterval": lambda ex: ex.fetch_funding_interval(SWAP),
    "fetchFundingIntervals": lambda ex: ex.fetch_funding_intervals([SWAP]),
    "fetchFundingRateHistory": lambda ex: ex.fetch_funding_rate_history(SWAP),
    "fetchFundingHistory": lambda ex: ex.fetch_funding_history() == [],
    "fetchMyLiquidations": lambda ex: ex.fetch_my_liquidations() == [],
    "fetchMarkPrice": lambda ex: ex.fetch_mark_price(SWAP),
    "fetchMarkPrices": lambda ex: ex.fetch_mark_prices(),
    "fetchOpenOrder": lambda ex: ex.fetch_open_order(order(ex)["id"]),
    "fetchClosedOrder": lambda ex: ex.fetch_closed_order(ex.create_market_buy_order(SYMBOL, 0.001)["id"]),
    "fetchOrdersByStatus": lambda ex: (order(ex), ex.fetch_orders_by_status("open"))[1],
    "fetchOrderStatus": lambda ex: ex.fetch_order_status(order(ex)["id"]) == "open",
    "fetchDeposit": lambda ex: ex.fetch_deposit(ex.deposit("USDT", 1)["id"]),
    "fetchWithdrawal": lambda ex: ex.fetch_withdrawal(ex.withdraw("USDT", 1, "nowhere")["id"]),
    "fetchTransfer": lambda ex: ex.fetch_transfer(ex.transfer("USDT", 1, "spot", "swap")["id"]),
    "fetchTransactions": lambda ex: ex.fetch_transactions(),
    "fetchLedgerEntry": lambda ex: ex.fetch_ledger_entry(ex.fetch_ledger()[0]["id"]),
    "fetchPositionHistory": lambda ex: (closed(ex), ex.fetch_position_history(SWAP))[1],
    "fetchPositionsHistory": lambda ex: (closed(ex), ex.fetch_positions_history())[1],
    "fetchMarginAdjustmentHistory": lambda ex: (
        COMMANDS["addMargin"](ex),
        ex.fetch_margin_adjustment_history(SWAP),
    )[1],
    "fetchStatus": lambda ex: ex.fetch_status(),
    "fetchTicker": lambda ex: ex.fetch_ticker(SYMBOL),
    "fetchTickers": lambda ex: ex.fetch_tickers(),
    "fetchTime": lambda ex: ex.fetch_time(),
    "fetchTrades": lambda ex: ex.fetch_trades(SYMBOL),
    "fetchTradingFee": lambda ex: ex.fetch_trading_fee(SYMBOL),
    "fetchTradingFees": lambda ex: ex.fetch_trading_fees(),
}
