"""How figures of a run are written for people: percent, money, counts; one place for notebooks, pages and the CLI."""

from __future__ import annotations

PERCENT = {
    "total_return", "cagr", "volatility", "max_drawdown", "max_drawdown_intraday", "win_rate", "exposure",
    "avg_trade", "best_trade", "worst_trade", "var_95", "cvar_95",
}  # fmt: skip
SIGNED = {"total_return", "cagr", "avg_trade", "best_trade", "worst_trade", "var_95", "cvar_95"}
MONEY = {"expectancy", "fees"}
LABELS = {
    "cagr": "CAGR",
    "sqn": "SQN",
    "var_95": "VaR 95 %, a day",
    "cvar_95": "CVaR 95 %, a day",
    "volatility": "Volatility, a year",
    "sharpe": "Sharpe",
    "max_drawdown_days": "Longest drawdown",
    "max_drawdown_intraday": "Max drawdown, intraday",
    "avg_trade": "Average trade",
    "trades": "Trades",
}


def label(name: str) -> str:
    """The title of a metric.

    >>> label("profit_factor"), label("sqn")
    ('Profit factor', 'SQN')
    """
    return LABELS.get(name) or name.replace("_", " ").capitalize()


def written(name: str, value: float | None, quote: str = "") -> str:
    """A metric's value for people; a dash when it is not defined.

    >>> written("total_return", 0.0123), written("sharpe", 1.234), written("omega", None)
    ('+1.23 %', '1.23', '–')
    >>> written("max_drawdown_days", 3), written("expectancy", -1234.5, "USDT")
    ('3 days', '-1,234.50 USDT')
    """
    if value is None:
        return "–"
    if name in PERCENT:
        return f"{value:{'+' if name in SIGNED else ''}.2%}".replace("%", " %")
    if name in MONEY:
        return f"{value:,.2f} {quote}".rstrip()
    if name == "max_drawdown_days":
        return f"{value:,} day{'' if value == 1 else 's'}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"
