"""Incremental indicators: each sees one bar at a time, so neither look-ahead nor warm-up drift can be expressed.

Every indicator has `ready`; until then its values are NaN. Running sums are added up afresh each time their window has
gone round, so they do not drift however long the series. Conventions are TA-Lib's, and are checked against it.
"""

from __future__ import annotations

import math

from twinstar_kit.strategy.component import Array, Indicator
from twinstar_kit.strategy.params import Param

__all__ = [
    "ATR",
    "EMA",
    "RSI",
    "SMA",
    "VWAP",
    "Bollinger",
    "Donchian",
    "RollingMax",
    "RollingMin",
    "RollingVWAP",
]

DAY_MS = 86_400_000


class SMA(Indicator):
    """Simple moving average of the last `n` values; `ready` with the n-th.

    >>> average = SMA(2)
    >>> for close in (1.0, 2.0, 4.0): average.update(close)
    >>> average.value
    3.0
    """

    n: int = Param(20, 1, help="values in the average")
    value: float = math.nan
    ready: bool = False
    total: float = 0.0
    at: int = 0
    window = Array(n)

    def update(self, x: float) -> None:
        """Take the next value."""
        self.total += x - self.window[self.at]
        self.window[self.at] = x
        self.at += 1
        if self.at == self.n:
            self.at = 0
            self.ready = True
            total = 0.0
            for seen in self.window:
                total += seen
            self.total = total
        if self.ready:
            self.value = self.total / self.n


class EMA(Indicator):
    """Exponential moving average with alpha 2 / (n + 1); `ready` with the n-th value.

    As in TA-Lib it starts from the simple average of the first `n` values. With `seed_first=True` it starts from
    the first value instead, and has a `value` from then on.

    >>> average = EMA(3, seed_first=True)
    >>> for close in (1.0, 2.0): average.update(close)
    >>> average.value, average.ready
    (1.5, False)
    """

    n: int = Param(20, 1, help="span: alpha is 2 / (n + 1)")
    seed_first: bool = Param(False, help="start from the first value, not from the average of the first n")
    value: float = math.nan
    ready: bool = False
    total: float = 0.0
    count: int = 0

    def update(self, x: float) -> None:
        """Take the next value."""
        self.count += 1
        if self.count >= self.n:
            self.ready = True
        if self.count == 1 and self.seed_first:
            self.value = x
        elif self.count > self.n or self.seed_first:
            self.value += (x - self.value) * (2.0 / (self.n + 1.0))
        else:
            self.total += x
            if self.ready:
                self.value = self.total / self.n


class RollingMax(Indicator):
    """Highest of the last `n` values, this one included; by custom of the highs.

    Constant work per bar, by blocks (van Herk 1992, Gil and Werman 1993): a window of n values is the end of one
    block of n and the beginning of the next, so its maximum is that of two numbers.

    >>> highest = RollingMax(2)
    >>> for high in (3.0, 1.0, 2.0): highest.update(high)
    >>> highest.value
    2.0
    """

    inputs = ("high",)
    n: int = Param(20, 1, help="values in the window")
    value: float = math.nan
    ready: bool = False
    at: int = 0
    beginning: float = -math.inf
    # up to `at` the values of this block; beyond it, for each place of the last block, the highest from there on
    block = Array(n)

    def update(self, x: float) -> None:
        """Take the next value."""
        at = self.at
        self.beginning = max(self.beginning, x)
        self.block[at] = x
        at += 1
        if at < self.n:
            if self.ready:
                self.value = max(self.beginning, self.block[at])
        else:
            self.ready = True
            self.value = self.beginning
            self.turn()
            at = 0
        self.at = at

    def turn(self) -> None:
        """End a block: each of its places gets the highest value from there to its end."""
        highest = -math.inf
        for back in range(1, self.n + 1):
            highest = max(highest, self.block[self.n - back])
            self.block[self.n - back] = highest
        self.beginning = -math.inf


class RollingMin(Indicator):
    """Lowest of the last `n` values, this one included; by custom of the lows."""

    inputs = ("low",)
    n: int = Param(20, 1, help="values in the window")
    value: float = math.nan
    ready: bool = False
    mirrored = RollingMax(n)

    def update(self, x: float) -> None:
        """Take the next value."""
        self.mirrored.update(-x)
        self.value = -self.mirrored.value
        self.ready = self.mirrored.ready


class Donchian(Indicator):
    """The channel of the `n` bars *before* this one: `upper` is their highest high, `lower` their lowest low.

    This bar is left out, so `close > channel.upper` is a breakout. TA-Lib's MAX and MIN, one bar later.
    """

    inputs = ("high", "low")
    n: int = Param(20, 1, help="bars in the channel")
    upper: float = math.nan
    lower: float = math.nan
    ready: bool = False
    highest = RollingMax(n)
    lowest = RollingMin(n)

    def update(self, high: float, low: float) -> None:
        """Take the next bar."""
        self.upper = self.highest.value
        self.lower = self.lowest.value
        self.ready = self.highest.ready
        self.highest.update(high)
        self.lowest.update(low)


class ATR(Indicator):
    """Average true range of J. Welles Wilder (1978), in quote; `ready` with bar n + 1.

    As in TA-Lib the first bar has no true range, the first value is the simple average of `n` true ranges, and
    from then on each weighs 1 / n.
    """

    inputs = ("high", "low", "close")
    n: int = Param(14, 1, help="bars in the average")
    value: float = math.nan
    ready: bool = False
    total: float = 0.0
    count: int = 0
    last: float = math.nan

    def update(self, high: float, low: float, close: float) -> None:
        """Take the next bar."""
        if self.count > 0:
            true_range = max(high - low, abs(high - self.last), abs(low - self.last))
            if self.count > self.n:
                self.value = (self.value * (self.n - 1) + true_range) / self.n
            else:
                self.total += true_range
                if self.count == self.n:
                    self.ready = True
                    self.value = self.total / self.n
        self.last = close
        self.count += 1


class RSI(Indicator):
    """Relative strength index of J. Welles Wilder (1978), 0 to 100; `ready` with value n + 1.

    As in TA-Lib gains and losses start from the simple average of the first `n` changes, and the index is 0 while
    nothing moves at all.
    """

    n: int = Param(14, 2, help="changes in the average")
    value: float = math.nan
    ready: bool = False
    gain: float = 0.0
    loss: float = 0.0
    count: int = 0
    last: float = math.nan

    def update(self, x: float) -> None:
        """Take the next value."""
        if self.count > 0:
            up = max(x - self.last, 0.0)
            down = max(self.last - x, 0.0)
            if self.count > self.n:
                self.gain = (self.gain * (self.n - 1) + up) / self.n
                self.loss = (self.loss * (self.n - 1) + down) / self.n
            else:
                self.gain += up
                self.loss += down
                if self.count == self.n:
                    self.ready = True
                    self.gain /= self.n
                    self.loss /= self.n
            if self.ready:
                moved = self.gain + self.loss
                self.value = 100.0 * (self.gain / moved) if moved >= 1e-14 else 0.0
        self.last = x
        self.count += 1


class VWAP(Indicator):
    """Volume-weighted average price since the session began, of typical prices (high + low + close) / 3.

    A session is a day of UTC unless `session_ms` says otherwise; a bar belongs to the session it lies in. While
    nothing has traded in the session the value is NaN and `ready` is false.
    """

    inputs = ("high", "low", "close", "volume", "ts")
    session_ms: int = Param(DAY_MS, 60_000, help="length of a session in ms, counted from 1970-01-01 UTC")
    value: float = math.nan
    ready: bool = False
    session: int = -1
    paid: float = 0.0
    traded: float = 0.0

    def update(self, high: float, low: float, close: float, volume: float, ts: int) -> None:
        """Take the next bar."""
        session = (ts - 1) // self.session_ms
        if session != self.session:
            self.session = session
            self.paid = 0.0
            self.traded = 0.0
            self.value = math.nan
            self.ready = False
        self.paid += (high + low + close) / 3.0 * volume
        self.traded += volume
        if self.traded > 0.0:
            self.value = self.paid / self.traded
            self.ready = True


class RollingVWAP(Indicator):
    """Volume-weighted average of the typical prices (high + low + close) / 3 of the last `n` bars.

    NaN, and not `ready`, before the n-th bar and while none of the last `n` bars traded.
    """

    inputs = ("high", "low", "close", "volume")
    n: int = Param(60, 1, help="bars in the window")
    value: float = math.nan
    ready: bool = False
    full: bool = False
    at: int = 0
    busy: int = 0
    paid: float = 0.0
    traded: float = 0.0
    payments = Array(n)
    volumes = Array(n)

    def update(self, high: float, low: float, close: float, volume: float) -> None:
        """Take the next bar."""
        at = self.at
        if self.volumes[at] > 0.0:
            self.busy -= 1
        if volume > 0.0:
            self.busy += 1
        payment = (high + low + close) / 3.0 * volume
        self.paid += payment - self.payments[at]
        self.traded += volume - self.volumes[at]
        self.payments[at] = payment
        self.volumes[at] = volume
        self.at = at + 1
        if self.at == self.n:
            self.at = 0
            self.full = True
            self.add_up()
        self.ready = self.full and self.busy > 0
        self.value = self.paid / self.traded if self.ready else math.nan

    def add_up(self) -> None:
        """Sum the window afresh, so that rounding does not pile up."""
        paid = 0.0
        traded = 0.0
        for i in range(self.n):
            paid += self.payments[i]
            traded += self.volumes[i]
        self.paid = paid
        self.traded = traded


class Bollinger(Indicator):
    """Bands of John Bollinger: `middle` is the simple average of `n` values, `upper` and `lower` lie `width` deviations off.

    The deviation is that of the population, as in TA-Lib's BBANDS.
    """

    n: int = Param(20, 2, help="values in the window")
    width: float = Param(2.0, 0.0, help="standard deviations between the middle and a band")
    middle: float = math.nan
    upper: float = math.nan
    lower: float = math.nan
    ready: bool = False
    at: int = 0
    # sums of distances from `origin`, a recent price, and of their squares: small numbers lose no digits
    origin: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    window = Array(n)

    def update(self, x: float) -> None:
        """Take the next value."""
        new = x - self.origin
        if self.ready:
            old = self.window[self.at] - self.origin
            self.total -= old
            self.squares -= old * old
        self.window[self.at] = x
        self.total += new
        self.squares += new * new
        self.at += 1
        if self.at == self.n:
            self.at = 0
            self.ready = True
            self.add_up(x)
        if self.ready:
            mean = self.total / self.n
            spread = self.width * math.sqrt(max(self.squares / self.n - mean * mean, 0.0))
            self.middle = self.origin + mean
            self.upper = self.middle + spread
            self.lower = self.middle - spread

    def add_up(self, origin: float) -> None:
        """Sum the window afresh around a new origin, so that rounding does not pile up."""
        total = 0.0
        squares = 0.0
        for seen in self.window:
            distance = seen - origin
            total += distance
            squares += distance * distance
        self.origin = origin
        self.total = total
        self.squares = squares
