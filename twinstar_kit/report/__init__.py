"""What a run amounted to: fills -> trades -> metrics -> figures -> one page. Floats are allowed here."""

from twinstar_kit.report.metrics import METRICS, daily_equity, metrics
from twinstar_kit.report.trades import fill_t, fills, trade_t, trades

__all__ = ["METRICS", "daily_equity", "fill_t", "fills", "metrics", "trade_t", "trades"]
