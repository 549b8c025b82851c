"""From the options of a ccxt constructor to a venue: which feed, which clock, whose account."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from twinstar_kit.feeds.base import open_feed as feed_of
from twinstar_kit.feeds.clock import Clock, ManualClock, ReplayClock, SystemClock, to_milliseconds
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.models import Broker
from twinstar_kit.venues.core import VirtualVenue
from twinstar_kit.venues.port import Venue

OPTIONS = {
    "feed": "simulated (default), simulated:SEED, replay:FILE, or a feed object",
    "balances": "opening balances, such as {'USDT': 10_000}",
    "journal": "a file; the account is kept there and found again next time",
    "session": "the name of a running session, such as default, to attach to",
    "home": "the folder that the session lives under",
    "clock": "system, manual, or an object with milliseconds()",
    "start": "the venue's time at the beginning: UTC milliseconds or an ISO 8601 text",
    "speed": "how fast the venue's time runs; 1 is real time",
    "fee_maker": "a rate: 0.001 is 0.1 %",
    "fee_taker": "a rate: 0.001 is 0.1 %",
    "slippage_bps": "how far a taker's price is moved against it, in basis points",
}
"""The options of this exchange. Options of other exchanges are left alone, so that their configurations load."""


def check_options(options: Mapping[str, Any]) -> None:
    """UsageError when an option looks like one of ours and is not, or contradicts another."""
    for name in options:
        near = difflib.get_close_matches(name, OPTIONS, 1, cutoff=0.8)
        if name not in OPTIONS and near:
            raise UsageError(f"unknown option {name!r}; did you mean {near[0]!r} ({OPTIONS[near[0]]})?")
    if options.get("defaultType", "spot") != "spot":
        raise UsageError(f"defaultType {options['defaultType']!r}: this exchange has spot markets only")
    if options.get("session") is not None:
        for name in OPTIONS:
            if name not in ("session", "home") and options.get(name) is not None:
                raise UsageError(
                    f"an attached account has the session's {name}; leave out the option {name!r}"
                )
    if options.get("clock") not in (None, "system") and options.get("speed") is not None:
        raise UsageError("a clock that you give runs as it does; leave out the option 'speed'")


def open_feed(options: Mapping[str, Any]) -> Any:
    """The feed that the options name, or the object that they hold."""
    feed = options.get("feed")
    if feed is None or isinstance(feed, str):
        return feed_of(feed or "simulated")
    return feed


def open_clock(options: Mapping[str, Any], feed: Any) -> Clock:
    """The venue's clock. A simulated market runs in real time from now; a replay waits to be advanced."""
    clock, speed = options.get("clock"), options.get("speed")
    if clock not in (None, "system", "manual"):
        if not callable(getattr(clock, "milliseconds", None)):
            raise UsageError(f"clock {clock!r} must be system, manual, or an object with milliseconds()")
        return clock  # type: ignore[no-any-return]
    start = options.get("start")
    if start is not None:
        start = to_milliseconds(start)
    if speed is not None and not (isinstance(speed, int | float) and speed > 0):
        raise UsageError(
            f"speed {speed!r} must be a number above zero; for time that stands still use clock='manual'"
        )
    if feed.simulated and clock != "manual" and start is None and speed in (None, 1):
        return SystemClock()
    if start is None:
        start = SystemClock().milliseconds() if feed.simulated else _first_close(feed)
    if clock == "manual" or (speed is None and clock is None):
        return ManualClock(start)
    return ReplayClock(start, float(speed or 1))


def open_broker(options: Mapping[str, Any]) -> Broker:
    """Fees and slippage as the options say, else the defaults."""
    names = ("fee_maker", "fee_taker", "slippage_bps")
    return Broker(**{name: options[name] for name in names if options.get(name) is not None})


def open_venue(options: Mapping[str, Any]) -> Venue:
    """The venue that the options describe: in memory, kept in a journal, or the account of a running session."""
    check_options(options)
    if options.get("session") is not None:
        from twinstar_kit.venues.attached import AttachedVenue

        return AttachedVenue(options["session"], options.get("home"))
    feed = open_feed(options)
    balances = options.get("balances")
    if balances is not None and not isinstance(balances, Mapping):
        raise UsageError(f"balances {balances!r} must map assets to amounts, such as {{'USDT': 10_000}}")
    broker, clock = open_broker(options), open_clock(options, feed)
    if options.get("journal") is None:
        return VirtualVenue(feed, clock, broker, balances)
    from twinstar_kit.venues.durable import open_durable

    return open_durable(options["journal"], feed, clock, broker, balances)


def _first_close(feed: Any) -> int:
    first, _ = feed.span()
    return int(first) + int(getattr(feed, "timeframe_ms", 60_000))
