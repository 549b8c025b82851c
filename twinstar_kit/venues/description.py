"""What the virtual exchange can do, in the tables that ccxt reads: `has`, timeframes, features."""

from __future__ import annotations

from typing import Any

TIMEFRAMES = {
    name: name
    for name in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w")
}

SUPPORTED = (
    "addMargin", "cancelAllOrders", "cancelAllOrdersAfter", "cancelOrder", "cancelOrderWithClientOrderId", "cancelOrders",
    "cancelOrdersForSymbols", "cancelOrdersWithClientOrderIds", "closeAllPositions", "closePosition", "createLimitBuyOrder",
    "createLimitOrder", "createLimitSellOrder", "createMarketBuyOrder", "createMarketBuyOrderWithCost", "createMarketOrder",
    "createMarketOrderWithCost", "createMarketSellOrder", "createMarketSellOrderWithCost", "createOrder",
    "createOrderWithTakeProfitAndStopLoss", "createOrders", "createPostOnlyOrder", "createReduceOnlyOrder",
    "createStopLimitOrder", "createStopLossOrder", "createStopMarketOrder", "createStopOrder", "createTakeProfitOrder",
    "createTrailingAmountOrder", "createTrailingPercentOrder", "createTriggerOrder", "deposit", "editOrder",
    "editOrderWithClientOrderId", "editOrders", "fetchAccounts", "fetchBalance", "fetchBidsAsks", "fetchCanceledAndClosedOrders",
    "fetchCanceledOrders", "fetchClosedOrder", "fetchClosedOrders", "fetchCurrencies", "fetchDeposit", "fetchDeposits",
    "fetchDepositsWithdrawals", "fetchFundingHistory", "fetchFundingInterval", "fetchFundingIntervals", "fetchFundingRate",
    "fetchFundingRateHistory", "fetchFundingRates", "fetchL2OrderBook", "fetchLastPrices", "fetchLedger", "fetchLedgerEntry",
    "fetchLeverage", "fetchLeverages", "fetchMarginAdjustmentHistory", "fetchMarginMode", "fetchMarkPrice", "fetchMarkPrices",
    "fetchMarketLeverageTiers", "fetchMarkets", "fetchMyLiquidations", "fetchMyTrades", "fetchOHLCV", "fetchOpenOrder",
    "fetchOpenOrders", "fetchOrder", "fetchOrderBook", "fetchOrderBooks", "fetchOrderStatus", "fetchOrderTrades",
    "fetchOrderWithClientOrderId", "fetchOrders", "fetchOrdersByStatus", "fetchPosition", "fetchPositionHistory",
    "fetchPositionMode", "fetchPositions", "fetchPositionsForSymbol", "fetchPositionsHistory", "fetchStatus", "fetchTicker",
    "fetchTickers", "fetchTime", "fetchTrades", "fetchTradingFee", "fetchTradingFees", "fetchTransactions", "fetchTransfer",
    "fetchTransfers", "fetchWithdrawal", "fetchWithdrawals", "reduceMargin", "setLeverage", "setMargin", "setMarginMode",
    "setPositionMode", "transfer", "withdraw",
)  # fmt: skip
"""Methods that work, those included that ccxt derives from ours."""

STREAMS = (
    "watchBalance", "watchBidsAsks", "watchFundingRate", "watchFundingRates", "watchMarkPrice", "watchMarkPrices",
    "watchMyLiquidations", "watchMyLiquidationsForSymbols", "watchMyTrades", "watchMyTradesForSymbols", "watchOHLCV",
    "watchOHLCVForSymbols", "watchOrderBook", "watchOrderBookForSymbols", "watchOrders", "watchOrdersForSymbols", "watchPosition",
    "watchPositions", "watchTicker", "watchTickers", "watchTrades", "watchTradesForSymbols",
    "unWatchBalance", "unWatchBidsAsks", "unWatchFundingRate", "unWatchFundingRates", "unWatchMarkPrice", "unWatchMarkPrices",
    "unWatchMyTrades", "unWatchOHLCV", "unWatchOHLCVForSymbols", "unWatchOrderBook", "unWatchOrderBookForSymbols",
    "unWatchOrders", "unWatchPositions", "unWatchTicker", "unWatchTickers", "unWatchTrades", "unWatchTradesForSymbols",
)  # fmt: skip
"""Methods that work on the asynchronous exchange only."""

SOCKETED = (
    "cancelAllOrders", "cancelOrder", "cancelOrders", "editOrder", "fetchBalance", "fetchClosedOrders", "fetchCurrencies", "fetchDeposits",
    "fetchMarkets", "fetchMyTrades", "fetchOHLCV", "fetchOpenOrders", "fetchOrder", "fetchOrderBook", "fetchOrders",
    "fetchOrdersByStatus", "fetchPosition", "fetchPositions", "fetchPositionsForSymbol", "fetchTicker", "fetchTickers", "fetchTrades",
    "fetchTradingFees", "fetchWithdrawals", "withdraw", *(name for name in SUPPORTED if name.startswith("create")),
)  # fmt: skip
"""Methods that ccxt also has with the ending Ws, for exchanges that take them over a socket; on the asynchronous exchange both are one call."""

UNSUPPORTED = (
    "margin", "future", "option", "borrowCrossMargin", "fetchBorrowInterest", "fetchDepositAddress", "fetchIndexOHLCV", "fetchMarkOHLCV",
    "fetchLeverageTiers", "fetchMarginModes", "fetchOpenInterest", "fetchOpenInterestHistory", "fetchLiquidations",
)  # fmt: skip
"""What is not there. No exchange can pass ccxt's own tests of fetchLeverageTiers and fetchMarginModes for Python, which want a dict
that is a list; fetchMarketLeverageTiers and fetchMarginMode say the same of one market."""

_READ = {"marginMode": False, "symbolRequired": False}
_LIST = {**_READ, "limit": None, "daysBack": None, "untilDays": None}
_ORDERS = {**_LIST, "trigger": False, "trailing": False}


def _features(derivative: bool) -> dict[str, Any]:
    """What ccxt's table of features says about a kind of market."""
    by = {"last": True, "mark": derivative, "index": False}
    leg = {"triggerPriceType": by, "price": True}
    return {
        "sandbox": True,
        "createOrder": {
            "marginMode": derivative,
            "triggerPrice": True,
            "triggerPriceType": by,
            "triggerDirection": True,
            "stopLossPrice": True,
            "takeProfitPrice": True,
            "attachedStopLossTakeProfit": leg,
            "timeInForce": {"GTC": True, "IOC": True, "FOK": True, "PO": True, "GTD": True},
            "hedged": derivative,
            "leverage": False,
            "trailing": True,
            "marketBuyByCost": not derivative,
            "marketBuyRequiresPrice": False,
            "selfTradePrevention": {
                "EXPIRE_TAKER": True,
                "EXPIRE_MAKER": True,
                "EXPIRE_BOTH": True,
                "NONE": True,
            },
            "iceberg": True,
        },
        "createOrders": {"max": 256},
        "fetchMyTrades": _LIST,
        "fetchOrder": {**_READ, "trigger": False, "trailing": False},
        "fetchOpenOrders": {**_READ, "limit": None, "trigger": False, "trailing": False},
        "fetchOrders": _ORDERS,
        "fetchClosedOrders": {**_ORDERS, "daysBackCanceled": None},
        "fetchOHLCV": {"limit": None},
    }


FEATURES: dict[str, Any] = {
    "spot": _features(False),
    "swap": {"linear": _features(True), "inverse": _features(True)},
}


def description(streaming: bool = False) -> dict[str, Any]:
    """What `describe` adds to ccxt's own description; `streaming` for the asynchronous exchange."""
    return {
        "id": "virtual",
        "name": "TwinStar Virtual (paper)",
        "countries": [],
        "version": "v1",
        "rateLimit": 1,
        "certified": False,
        "pro": streaming,
        "has": {
            "CORS": None,
            "spot": True,
            "swap": True,
            "sandbox": True,
            **dict.fromkeys(SUPPORTED, True),
            **dict.fromkeys(STREAMS, streaming),
            **dict.fromkeys((f"{name}Ws" for name in SOCKETED), streaming),
            **dict.fromkeys(UNSUPPORTED, False),
        },
        "timeframes": TIMEFRAMES,
        "urls": {
            "api": {"public": "memory:", "private": "memory:"},
            "test": {"public": "memory:", "private": "memory:"},
        },
        "requiredCredentials": {"apiKey": False, "secret": False},
        "fees": {
            "trading": {
                "feeSide": "quote",
                "tierBased": False,
                "percentage": True,
                "maker": 0.001,
                "taker": 0.001,
            }
        },
        "features": FEATURES,
        "precisionMode": 4,  # TICK_SIZE
        "options": {"defaultType": "spot"},
    }
