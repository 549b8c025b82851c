"""From the options of a ccxt constructor to a venue: which feed, which clock, whose account."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twinstar_kit.feeds.base import open_feed as feed_of
from twinstar_kit.feeds.clock import Clock, ManualClock, ReplayClock, SystemClock, to_milliseconds
from twinstar_kit.kernel.errors import OrderError, UsageError
from twinstar_kit.kernel.loading import assets_of
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.money import to_decimal
from twinstar_kit.venues.core import VirtualVenue
from twinstar_kit.venues.port import Venue

BROKER = {
    "fee_maker": "a rate: 0.001 is 0.1 %",
    "fee_taker": "a rate: 0.001 is 0.1 %",
    "fee_tiers": "rows of (volume of 30 days, maker, taker)",
    "fee_tier_asset": "the asset that volumes of fee tiers are counted in",
    "fee_asset": "a third asset that fees are paid in, as long as there is enough of it",
    "slippage_model": "bps, ticks, volume_share or square_root",
    "slippage_bps": "how far a taker's price is moved against it, in basis points",
    "slippage": "the constant of the other slippage models",
    "protection_bps": "how far from where it began a market order may fill",
    "liquidity": "bounded (default): no more fills than rests or trades; unlimited: orders of any size fill whole",
    "path": "which extreme of a bar comes first: adverse_first (default), open_high_low_close or open_low_high_close",
    "volume_share": "the share of a bar's volume that can be had",
    "queue": "none, risk_averse, probability_log or probability_power",
    "queue_power": "the power of the last of them",
    "latency": "none, fixed or normal",
    "latency_order_ms": "how long an order takes to the venue",
    "latency_spread_ms": "how much that varies",
    "seed": "of what is drawn",
    "leverage": "what contracts begin with; where a market offers less, its most",
}
"""Options that go to `kernel.models.Broker`."""
OPTIONS = {
    "feed": "simulated (default), simulated:SEED, replay:FILE, depth:FILE,trades:FILE, ccxt:EXCHANGE, or a feed object",
    "symbols": "of a venue: the symbols to follow; without it the universe of the settings",
    "balances": "opening balances of the spot wallet, such as {'USDT': 10_000}",
    "swap_balances": "opening balances of the swap wallet, which contracts are traded from",
    "journal": "a file; the account is kept there and found again next time",
    "account": "a name; the account is kept under home and found again by it",
    "session": "the name of a running session, such as default, to attach to",
    "home": "the folder that accounts and sessions live under",
    "clock": "system, manual, or an object with milliseconds()",
    "start": "the venue's time at the beginning: UTC milliseconds or an ISO 8601 text",
    "speed": "how fast the venue's time runs; 1 is real time",
    **BROKER,
}
"""The options of this exchange. Options of other exchanges are left alone, so that their configurations load."""


def check_options(options: Mapping[str, Any]) -> None:
    """UsageError when an option looks like one of ours and is not, or contradicts another."""
    for name in options:
        near = difflib.get_close_matches(name, OPTIONS, 1, cutoff=0.8)
        if name not in OPTIONS and near:
            raise UsageError(f"unknown option {name!r}; did you mean {near[0]!r} ({OPTIONS[near[0]]})?")
    if options.get("defaultType", "spot") not in ("spot", "swap"):
        raise UsageError(
            f"defaultType {options['defaultType']!r}: this exchange has spot and swap markets only"
        )
    if options.get("account") is not None and options.get("journal") is not None:
        raise UsageError("an account has a journal of its own; leave out the option 'journal'")
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
    if options.get("symbols") is not None and not str(feed).startswith("ccxt:"):
        raise UsageError(
            "symbols are chosen of a real venue (feed='ccxt:EXCHANGE'); leave out the option 'symbols'"
        )
    if feed is None or isinstance(feed, str):
        rules = {"symbols": options["symbols"]} if options.get("symbols") is not None else {}
        return feed_of(feed or "simulated", **rules)
    return feed


def open_clock(options: Mapping[str, Any], feed: Any) -> Clock:
    """The venue's clock. A simulated market runs in real time from now; a replay waits to be advanced."""
    clock, speed = options.get("clock"), options.get("speed")
    if getattr(feed, "live", False):
        if any(options.get(name) is not None for name in ("clock", "start", "speed")):
            raise UsageError(f"{feed.spec} is now, in real time: leave out clock, start and speed")
        return feed.clock  # type: ignore[no-any-return]
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
    """Fees and models as the options say, else the defaults; liquidity is bounded by what rests and trades."""
    chosen = {name: options[name] for name in BROKER if options.get(name) is not None}
    return Broker(**{"liquidity": "bounded", **chosen})


def account_names(options: Mapping[str, Any]) -> list[str]:
    """The names of the accounts that these options can open; the first is the one that they do open."""
    name = options.get("account")
    if name is None:
        return ["main"]
    from twinstar_kit.journal.folder import accounts

    return [name, *(folder.name for folder in accounts(home_of(options)) if folder.name != name)]


def home_of(options: Mapping[str, Any]) -> Path:
    """The folder that accounts live under."""
    from twinstar_kit.settings import load_settings

    return Path(load_settings(home=options.get("home")).home)


def open_venue(options: Mapping[str, Any]) -> Venue:
    """The venue that the options describe: in memory, kept in a journal, or the account of a running session."""
    check_options(options)
    if options.get("session") is not None:
        from twinstar_kit.venues.attached import AttachedVenue

        return AttachedVenue(options["session"], options.get("home"))
    feed = open_feed(options)
    if not getattr(feed, "live", False):
        return _open_account(options, feed)
    try:
        venue = _open_account(options, feed)
    except BaseException:
        if feed is not options.get("feed"):
            feed.close()
        raise
    # a feed that was opened here closes with the account
    venue.owns_feed = feed is not options.get("feed")
    feed.start()
    return venue


def _open_account(options: Mapping[str, Any], feed: Any) -> VirtualVenue:
    funds: dict[str, Any] = {name: options.get(name) for name in ("balances", "swap_balances")}
    for name, amounts in funds.items():
        _check_funds(name, amounts)
    broker, clock = open_broker(options), open_clock(options, feed)
    known = assets_of(feed.instruments)
    for name, asset in (("fee_asset", broker.fee_asset), ("fee_tier_asset", broker.fee_tier_asset)):
        if options.get(name) is not None and asset not in known:
            raise UsageError(
                f"{name} {asset!r} is not traded on {feed.spec}; choose one of its assets, such as {next(iter(known))}"
            )
    if options.get("account") is not None:
        from twinstar_kit.venues.durable import open_named

        return open_named(home_of(options), options["account"], feed, clock, broker, **funds)
    if options.get("journal") is None:
        return VirtualVenue(feed, clock, broker, **funds)
    from twinstar_kit.venues.durable import open_durable

    return open_durable(options["journal"], feed, clock, broker, **funds)


def _check_funds(name: str, amounts: Any) -> None:
    """UsageError when the option `name` holds no opening balances."""
    if amounts is None:
        return
    if not isinstance(amounts, Mapping):
        raise UsageError(f"{name} {amounts!r} must map assets to amounts, such as {{'USDT': 10_000}}")
    for asset, amount in amounts.items():
        try:
            to_decimal(amount)
        except (OrderError, TypeError):
            raise UsageError(f"{name}: {amount!r} {asset} is not an amount") from None


def renewed(venue: Any, options: Mapping[str, Any]) -> tuple[VirtualVenue, Path | None]:
    """A new account in the place of one that is put away, and where the old journal stays."""
    owned, venue.owns_feed = venue.owns_feed, False
    made, kept = _anew(venue, options)
    made.owns_feed = owned
    return made, kept


def _anew(venue: Any, options: Mapping[str, Any]) -> tuple[VirtualVenue, Path | None]:
    funds: dict[str, Any] = {name: options.get(name) for name in ("balances", "swap_balances")}
    kept = None
    if options.get("account") is not None or options.get("journal") is not None:
        from twinstar_kit.venues.durable import put_away

        kept = put_away(venue, named=options.get("account") is not None)
    else:
        venue.close()
    clock = venue.clock_now()
    if options.get("account") is not None:
        from twinstar_kit.venues.durable import open_named

        return open_named(
            home_of(options), options["account"], venue.feed, clock, venue.broker, anew=True, **funds
        ), kept
    if options.get("journal") is not None:
        from twinstar_kit.venues.durable import open_durable

        return open_durable(options["journal"], venue.feed, clock, venue.broker, **funds), kept
    return VirtualVenue(venue.feed, clock, venue.broker, **funds), kept


def _first_close(feed: Any) -> int:
    first, _ = feed.span()
    return int(first) + int(getattr(feed, "timeframe_ms", 60_000))
