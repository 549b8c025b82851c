"""Where a ccxt exchange is listened to and held back: its pace, its answers before they are parsed, its headers."""

from __future__ import annotations

import email.utils
import threading
import time
from typing import Any

from twinstar_kit.feeds.retrying import Pace
from twinstar_kit.feeds.source import BadAnswer


class Taps:
    """Replaces four methods of one ccxt object; what they note belongs to the thread that asks.

    ccxt sorts rows, parses whatever it is given, and keeps the headers of the last answer in a place that all threads
    share. Here an answer that is not JSON is refused, rows stay in the order in which they came, numbers stay text,
    and the pace is that of the source.
    """

    def __init__(self, exchange: Any, pace: Pace) -> None:
        self.requests = 0
        self.network_s = 0.0
        self._own = threading.local()
        self._lock = threading.Lock()
        self._exchange, self._pace = exchange, pace
        self._fetch, self._handle_errors = exchange.fetch, exchange.handle_errors
        exchange.enableRateLimit = True
        exchange.number = str
        exchange.throttle = self._throttle
        exchange.fetch = self._timed_fetch
        exchange.handle_errors = self._checked
        exchange.parse_ohlcvs = self._as_they_came

    def forget(self) -> None:
        """Before a request: what the last answer said no longer counts."""
        self._own.status, self._own.headers = None, {}

    @property
    def status(self) -> int | None:
        """The HTTP status of this thread's last answer; None when none came."""
        return getattr(self._own, "status", None)

    def retry_after_s(self, now_ms: int) -> float | None:
        """What the last answer said about when to ask again, in seconds from now."""
        headers = {str(name).lower(): value for name, value in getattr(self._own, "headers", {}).items()}
        said = str(headers.get("retry-after", "")).strip()
        if not said:
            return None
        if said.replace(".", "", 1).isdigit():
            return float(said)
        try:
            moment = email.utils.parsedate_to_datetime(said)
        except ValueError:
            return None
        return max(0.0, moment.timestamp() - now_ms / 1_000)

    def _throttle(self, cost: float | None = None) -> None:
        self._pace.turn(self._exchange.rateLimit * (1.0 if cost is None else float(cost)))

    def _timed_fetch(self, *arguments: Any, **named: Any) -> Any:
        started = time.perf_counter()
        try:
            return self._fetch(*arguments, **named)
        finally:
            with self._lock:
                self.requests += 1
                self.network_s += time.perf_counter() - started

    def _checked(
        self,
        code: int,
        reason: str,
        url: str,
        method: str,
        headers: Any,
        body: str,
        response: Any,
        *sent: Any,
    ) -> Any:
        self._own.status, self._own.headers = code, headers or {}
        if code < 400 and response is None:
            raise BadAnswer(f"not JSON but {body[:60]!r}")
        return self._handle_errors(code, reason, url, method, headers, body, response, *sent)

    def _as_they_came(
        self, ohlcvs: Any, market: Any = None, timeframe: str = "1m", since: Any = None, limit: Any = None,
        tail: bool = False,
    ) -> list[Any]:  # fmt: skip
        if not isinstance(ohlcvs, list):
            raise BadAnswer(f"bars should be a list, not {type(ohlcvs).__name__}")
        return [self._exchange.parse_ohlcv(row, market) for row in ohlcvs]
