"""When to ask a venue again: at its pace, never earlier than it said, and not for ever."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import tenacity

from twinstar_kit.feeds.clock import Clock, SystemClock
from twinstar_kit.feeds.source import GaveUp

T = TypeVar("T")
Sleep = Callable[[float], None]


class TryAgain(Exception):
    """A failure that may pass; `retry_after_s` is how long the venue wants to be left alone, if it said so."""

    def __init__(self, words: str, retry_after_s: float | None = None) -> None:
        super().__init__(words)
        self.retry_after_s = retry_after_s


class Pace:
    """Spaces requests out, for all threads that ask one venue.

    >>> from twinstar_kit.feeds.clock import ManualClock
    >>> clock = ManualClock()
    >>> pace = Pace(clock, lambda seconds: clock.advance(round(seconds * 1000)) and None)
    >>> pace.turn(50); pace.turn(50); pace.hold(2.0); pace.turn(50)
    >>> clock.milliseconds(), pace.waited_s
    (2050, 2.05)
    """

    def __init__(self, clock: Clock | None = None, sleep: Sleep = time.sleep) -> None:
        self._clock, self._sleep = clock or SystemClock(), sleep
        self._lock = threading.Lock()
        self._next_ms = 0.0
        self._held_until_ms = 0.0
        self.waited_s = 0.0

    def turn(self, gap_ms: float) -> None:
        """Wait for a turn; the next one comes `gap_ms` later."""
        with self._lock:
            now_ms = self._clock.milliseconds()
            starts_ms = max(float(now_ms), self._next_ms)
            self._next_ms = starts_ms + gap_ms
        self.wait((starts_ms - now_ms) / 1_000)
        while (held_s := self.held_s()) > 0:  # perhaps told so to another thread meanwhile
            self.wait(held_s)

    def hold(self, seconds: float) -> None:
        """Nobody has a turn within `seconds` from now."""
        with self._lock:
            self._held_until_ms = max(self._held_until_ms, self._clock.milliseconds() + seconds * 1_000)

    def held_s(self) -> float:
        """For how long nobody has a turn."""
        with self._lock:
            return max(0.0, (self._held_until_ms - self._clock.milliseconds()) / 1_000)

    def wait(self, seconds: float) -> None:
        """Sleep, and count it."""
        if seconds > 0:
            with self._lock:
                self.waited_s += seconds
            self._sleep(seconds)


class Retrier:
    """Repeats what fails with `TryAgain`: pauses double from `first_s` to `longest_s`, less a random part.

    Where the venue named a time, nobody who shares `pace` asks before it, and the pause is that long or longer. GaveUp
    after `attempts`, or at once when the venue wants to be left alone for more than `patience_s`.
    """

    def __init__(
        self,
        pace: Pace,
        *,
        chance: random.Random | None = None,
        attempts: int = 8,
        first_s: float = 0.5,
        longest_s: float = 60.0,
        patience_s: float = 900.0,
    ) -> None:
        self._pace, self._chance = pace, chance or random.Random()
        self.attempts, self.first_s, self.longest_s, self.patience_s = (
            attempts,
            first_s,
            longest_s,
            patience_s,
        )
        self.retries = 0
        self._lock = threading.Lock()

    def call(self, work: Callable[[], T], what: str) -> T:
        """The result of `work`; `what` names it in the error."""
        trying = tenacity.Retrying(
            stop=self._is_enough,
            wait=self._pause_s,
            sleep=self._pace.wait,
            retry=tenacity.retry_if_exception_type(TryAgain),
            before_sleep=self._count,
        )
        try:
            result: T = trying(self._once, work, what)
            return result
        except tenacity.RetryError as error:
            cause, tries = error.last_attempt.exception(), error.last_attempt.attempt_number
            if self._pace.held_s() > self.patience_s:
                raise GaveUp(f"{what}: {cause}; {self._come_back()}") from cause
            raise GaveUp(f"{what}: gave up after {tries} attempts: {cause}; try again later") from cause

    def _once(self, work: Callable[[], T], what: str) -> T:
        if self._pace.held_s() > self.patience_s:
            raise GaveUp(f"{what}: not asked; {self._come_back()}")
        try:
            return work()
        except TryAgain as error:
            if error.retry_after_s is not None:
                self._pace.hold(error.retry_after_s)
            raise

    def _come_back(self) -> str:
        return f"the venue wants to be left alone for another {self._pace.held_s():.0f} s, come back then"

    def _is_enough(self, state: tenacity.RetryCallState) -> bool:
        return state.attempt_number >= self.attempts or self._pace.held_s() > self.patience_s

    def _pause_s(self, state: tenacity.RetryCallState) -> float:
        backoff = min(self.longest_s, self.first_s * 2 ** (state.attempt_number - 1))
        with self._lock:
            share = self._chance.random()
        told = _told_s(state)
        return backoff * (1.0 - share / 2) if told is None else told + self.first_s * share

    def _count(self, state: tenacity.RetryCallState) -> None:
        with self._lock:
            self.retries += 1


def _told_s(state: tenacity.RetryCallState) -> float | None:
    error = state.outcome.exception() if state.outcome else None
    return error.retry_after_s if isinstance(error, TryAgain) else None
