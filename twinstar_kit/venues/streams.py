"""Who waits for what on the asynchronous exchange, and when to look again: nothing runs while nobody waits.

A topic remembers what it delivered last. Its waiters are woken when the venue has something newer: because the
venue was advanced, because a command was carried out, or because a timer went off at the time of the next trade.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from twinstar_kit.venues.port import Venue
from twinstar_kit.venues.refusals import spoken

MOST_MS, LEAST_MS = 1_000, 5
"""Real time between two looks at the venue, at most and at least."""
PACE_MS = 100
"""Real time between two looks where nobody can say when the next change comes: a book, a clock of unknown speed."""
HORIZON_MS = 60_000
"""How far ahead the feed is asked for the next trade, in the venue's time."""


Key = tuple[Hashable, ...]
"""What a topic is about: its kind, its markets, and whatever else sets it apart."""


class Moment:
    """The venue at one time; what several topics need of it is computed once."""

    def __init__(self, venue: Venue, now: int) -> None:
        self.venue, self.now = venue, now
        self._tickers: npt.NDArray[np.void] | None = None

    @property
    def tickers(self) -> npt.NDArray[np.void]:
        """The feed's tickers of all symbols."""
        if self._tickers is None:
            self._tickers = self.venue.feed.tickers(self.now)
        return self._tickers


class Subject(Protocol):
    """Something that can be watched. `paced` when it changes at other times than those of trades."""

    paced: bool

    def poll(self, moment: Moment) -> Any:
        """What is new since the last delivery, or None."""

    def symbols(self) -> Iterable[str]:
        """Markets whose trades may bring news."""

    def forget(self) -> None:
        """Drop what the exchange shows of it."""


class Topic:
    """A subject, who waits for it, and news that nobody has taken yet."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.waiters: list[asyncio.Future[Any]] = []
        self.news: Any = None

    def look(self, moment: Moment) -> Any:
        """News, if there is any. What was not taken comes first: it may have missed a waiter that gave up."""
        if self.news is None:
            self.news = self.subject.poll(moment)
        return self.news


class Streams:
    """All topics of one exchange. Its methods belong to the thread of the event loop, except `stir`."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self._topics: dict[Key, Topic] = {}
        self._timer: tuple[asyncio.AbstractEventLoop, asyncio.TimerHandle] | None = None
        self._held = 0

    async def next(self, key: Key, subject: Callable[[], Subject]) -> Any:
        """The next news of the topic `key`, which `subject` makes when it is new. Whoever waits gets the same."""
        topic = self._topics.get(key)
        if topic is None:
            topic = self._topics[key] = Topic(subject())
        if not self._held:
            with spoken():
                topic.look(Moment(self.venue, self.venue.catch_up()))
        if topic.news is None:
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            topic.waiters.append(future)
            self._set_timer()
            try:
                news = await future
            finally:
                topic.waiters.remove(future)
        else:
            news = topic.news
            await asyncio.sleep(0)  # whoever never has to wait still lets others run
        if topic.news is news:
            topic.news = None
        return news

    def drop(self, begin: Key, error: Exception) -> bool:
        """End the topics whose keys begin so; their waiters get `error`. Returns whether there was one."""
        ended = [key for key in self._topics if key[: len(begin)] == begin]
        for key in ended:
            topic = self._topics.pop(key)
            _reject(topic, error)
            topic.subject.forget()
        return bool(ended)

    def close(self, error: Exception) -> None:
        """End all topics."""
        self.drop((), error)
        self._clear_timer()

    def hold(self) -> None:
        """Do not look at the venue until `release`: another thread is using it."""
        self._held += 1

    def release(self) -> None:
        """End a `hold`, and look."""
        self._held -= 1
        self.publish()

    def stir(self) -> None:
        """Something may have changed: look at once, or as soon as the waiters' loop runs. From any thread."""
        waiting = next((future for topic in list(self._topics.values()) for future in topic.waiters), None)
        if waiting is None:
            return
        loop = waiting.get_loop()
        if _runs_here(loop):
            self.publish()
        elif not loop.is_closed():
            loop.call_soon_threadsafe(self.publish)

    def publish(self) -> None:
        """Look at the venue and wake everybody for whom there is news."""
        waited = [topic for topic in self._topics.values() if topic.waiters]
        if self._held or not waited:
            return
        try:
            with spoken():
                moment = Moment(self.venue, self.venue.catch_up())
        except Exception as error:  # noqa: BLE001 - who waits must hear of it, whatever it is
            for topic in waited:
                _reject(topic, error)
            return
        for topic in waited:
            _deliver(topic, moment)
        self._set_timer()

    # -- when to look again -------------------------------------------------------------------------------

    def _set_timer(self) -> None:
        self._clear_timer()
        waited = [t.subject for t in self._topics.values() if any(not future.done() for future in t.waiters)]
        pause = self._pause_ms(waited) if waited and not self._held else None
        if pause is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop, loop.call_later(pause / 1000, self.publish)

    def _clear_timer(self) -> None:
        if self._timer is not None:
            loop, handle = self._timer
            if not loop.is_closed():
                handle.cancel()
        self._timer = None

    def _pause_ms(self, waited: list[Subject]) -> float | None:
        """Real milliseconds until something that is waited for may have changed; None when time stands still."""
        speed = self.venue.speed
        if speed == 0:
            return None
        if speed is None or any(subject.paced for subject in waited):
            return PACE_MS
        symbols = {symbol for subject in waited for symbol in subject.symbols()}
        pause = self._until_next_trade(symbols, speed) / speed
        return min(max(math.ceil(pause), LEAST_MS), MOST_MS)

    def _until_next_trade(self, symbols: Iterable[str], speed: float) -> int:
        """Milliseconds of the venue's time to the next trade of any of `symbols`, or the next close of a bar."""
        feed, now = self.venue.feed, self.venue.now()
        until = now + min(HORIZON_MS, math.ceil(MOST_MS * speed))
        if feed.granularity == "bars":
            until = min(until, now // feed.timeframe_ms * feed.timeframe_ms + feed.timeframe_ms)
        for symbol in symbols:
            trades = feed.trades(symbol, now + 1, until)
            if len(trades):
                until = int(trades["ts"][0])
        return until - now


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _deliver(topic: Topic, moment: Moment) -> None:
    try:
        with spoken():
            news = topic.look(moment)
    except Exception as error:  # noqa: BLE001 - the same
        _reject(topic, error)
        return
    if news is not None:
        for future in topic.waiters:
            if not future.done():
                future.set_result(news)


def _reject(topic: Topic, error: Exception) -> None:
    for future in topic.waiters:
        if not future.done():
            future.set_exception(error)
