"""What the virtual exchange can do, in the tables that ccxt reads: `has`, timeframes, features."""

from __future__ import annotations

from typing import Any

TIMEFRAMES = {
    name: name
    for name in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w")
}

SUPPORTED = (
    "cancelAllOrders", "cancelOrder", "cancelOrderWithClientOrderId", "cancelOrders", "createLimitBuyOrder",
    "createLimitOrder", "createLimitSellOrder", "createMarketBuyOrder", "createMarketOrder",
    "createMarketSellOrder", "createOrder", "createOrders", "createPostOnlyOrder", "createReduceOnlyOrder",
    "createStopLossOrder", "createStopMarketOrder", "createStopOrder", "createTrailingAmountOrder",
    "createTrailingPercentOrder", "createTriggerOrder", "deposit", "fetchBalance", "fetchBidsAsks",
    "fetchCanceledAndClosedOrders", "fetchCanceledOrders", "fetchClosedOrders", "fetchCurrencies",
    "fetchL2OrderBook", "fetchLastPrices", "fetchLedger", "fetchMarkets", "fetchMyTrades",
    "fetchOHLCV", "fetchOpenOrders", "fetchOrder", "fetchOrderBook", "fetchOrderBooks", "fetchOrderTrades",
    "fetchOrderWithClientOrderId", "fetchOrders", "fetchStatus", "fetchTicker", "fetchTickers", "fetchTime",
    "fetchTrades", "fetchTradingFee", "fetchTradingFees",
)  # fmt: skip
"""Methods that work, those included that ccxt derives from ours."""

STREAMS = (
    "watchBalance", "watchBidsAsks", "watchMyTrades", "watchOHLCV", "watchOHLCVForSymbols", "watchOrderBook",
    "watchOrderBookForSymbols", "watchOrders", "watchTicker", "watchTickers", "watchTrades", "watchTradesForSymbols",
    "unWatchBidsAsks", "unWatchMyTrades", "unWatchOHLCV", "unWatchOHLCVForSymbols", "unWatchOrderBook",
    "unWatchOrderBookForSymbols", "unWatchOrders", "unWatchTicker", "unWatchTickers", "unWatchTrades",
    "unWatchTradesForSymbols",
)  # fmt: skip
"""Methods that work on the asynchronous exchange only."""

UNSUPPORTED = (
    "margin", "swap", "future", "option", "createOrderWithTakeProfitAndStopLoss",
    "createStopLimitOrder", "createTakeProfitOrder", "editOrders", "fetchDeposits",
    "fetchPosition", "fetchPositions", "fetchWithdrawals", "setLeverage", "setMarginMode", "transfer", "withdraw",
)  # fmt: skip

_READ = {"marginMode": False, "symbolRequired": False}
_LIST = {**_READ, "limit": None, "daysBack": None, "untilDays": None}
_ORDERS = {**_LIST, "trigger": False, "trailing": False}

FEATURES: dict[str, Any] = {
    "spot": {
        "sandbox": True,
        "createOrder": {
            "marginMode": False,
            "triggerPrice": True,
            "triggerPriceType": {"last": True, "mark": False, "index": False},
            "triggerDirection": False,
            "stopLossPrice": True,
            "takeProfitPrice": False,
            "attachedStopLossTakeProfit": None,
            "timeInForce": {"GTC": True, "IOC": True, "FOK": True, "PO": True, "GTD": False},
            "hedged": False,
            "leverage": False,
            "trailing": True,
            "marketBuyByCost": False,
            "marketBuyRequiresPrice": False,
            "selfTradePrevention": False,
            "iceberg": False,
        },
        "createOrders": {"max": 256},
        "fetchMyTrades": _LIST,
        "fetchOrder": {**_READ, "trigger": False, "trailing": False},
        "fetchOpenOrders": {**_READ, "limit": None, "trigger": False, "trailing": False},
        "fetchOrders": _ORDERS,
        "fetchClosedOrders": {**_ORDERS, "daysBackCanceled": None},
        "fetchOHLCV": {"limit": None},
    }
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
            "sandbox": True,
            **dict.fromkeys(SUPPORTED, True),
            **dict.fromkeys(STREAMS, streaming),
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
