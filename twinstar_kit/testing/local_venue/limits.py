"""How much a client may ask of the venue: request weights, 429 with Retry-After, and bans, as binance keeps them."""

from __future__ import annotations

from collections.abc import Mapping

MINUTE_MS = 60_000
PATIENCE = 5  # requests during a block that are answered with 429 again; the next one is banned
BAN_S = 120

_DEPTH = ((100, 5), (500, 25), (1000, 50), (5000, 250))


def weight(endpoint: str, params: Mapping[str, str]) -> int:
    """What a request costs of the minute's allowance, after binance's documented table for spot.

    >>> weight("klines", {}), weight("ticker/24hr", {}), weight("depth", {"limit": "500"})
    (2, 80, 25)
    """
    if endpoint == "depth":
        limit = int(params["limit"]) if params.get("limit", "").isdigit() else 100
        return next((cost for most, cost in _DEPTH if limit <= most), 250)
    one, all_of_them = {
        "exchangeInfo": (20, 20),
        "klines": (2, 2),
        "trades": (25, 25),
        "historicalTrades": (25, 25),
        "aggTrades": (4, 4),
        "ticker/24hr": (2, 80),
        "ticker/price": (2, 4),
        "ticker/bookTicker": (2, 4),
    }.get(endpoint, (1, 1))
    return one if "symbol" in params else all_of_them


class Limiter:
    """Counts the weight of a minute of the venue's clock, and blocks who goes on asking.

    A block by 429 lasts as long as its Retry-After says. Asking during a block is counted by the venue as
    `too early` and, after a little patience, answered with a ban (418).

    >>> limiter = Limiter(limit=3)
    >>> [limiter.admit(0, 2), limiter.admit(1_000, 2), limiter.used]
    [None, (429, 59), 4]
    >>> limiter.admit(60_000, 2) is None, limiter.used
    (True, 2)
    """

    def __init__(self, limit: int = 6_000) -> None:
        self.limit = limit
        self.used = 0
        self.blocked_until_ms = 0
        self.status = 429
        self._minute = -1
        self._early = 0

    def admit(self, now_ms: int, cost: int) -> tuple[int, int] | None:
        """None, or the status and the seconds of Retry-After that a request at `now_ms` is refused with."""
        if now_ms < self.blocked_until_ms:
            self._early += 1
            if self.status == 429 and self._early > PATIENCE:
                return self.block(418, BAN_S, now_ms)
            return self.status, _seconds(self.blocked_until_ms - now_ms)
        self._early = 0
        minute = now_ms // MINUTE_MS
        if minute != self._minute:
            self._minute, self.used = minute, 0
        self.used += cost
        if self.used <= self.limit:
            return None
        return self.block(429, _seconds((minute + 1) * MINUTE_MS - now_ms), now_ms)

    def block(self, status: int, retry_after_s: int, now_ms: int) -> tuple[int, int]:
        """Refuse everything for `retry_after_s` seconds from `now_ms`."""
        self.status, self.blocked_until_ms = status, now_ms + retry_after_s * 1_000
        return status, retry_after_s

    def refusal(self) -> dict[str, object]:
        """The body that goes with a refusal, in binance's words."""
        if self.status == 418:
            words = f"Way too much request weight used; IP banned until {self.blocked_until_ms}."
        else:
            words = (
                f"Too much request weight used; current limit is {self.limit} request weight per 1 MINUTE."
            )
        return {"code": -1003, "msg": words}


def _seconds(ms: int) -> int:
    return max(1, -(-ms // 1_000))
