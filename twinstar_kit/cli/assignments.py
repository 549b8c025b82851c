"""Sorts what `--set key=value` says into parameters, broker, window and instrument, and names what does not exist."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from twinstar_kit.kernel.errors import UsageError

if TYPE_CHECKING:
    from twinstar_kit.strategy import Strategy

WINDOW = ("since", "until")
INSTRUMENT = ("tick", "lot")
WHOLE = ("seed", "leverage")
WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Assignments:
    """The settings of one run, each in the room it belongs to; parameters stay text, their class knows the type."""

    parameters: dict[str, str] = field(default_factory=dict)
    broker: dict[str, Any] = field(default_factory=dict)
    window: dict[str, int] = field(default_factory=dict)
    instrument: dict[str, str] = field(default_factory=dict)


def split_pairs(pairs: Sequence[str], option: str = "--set") -> dict[str, str]:
    """`key=value` strings as a dict; UsageError where there is no `=` or a key stands twice.

    >>> split_pairs(["lookback=20", "fill=close"])
    {'lookback': '20', 'fill': 'close'}
    """
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UsageError(f"{option} {pair}: write it as key=value, as in {option} lookback=20")
        if key in found:
            raise UsageError(f"{option} {key} is given twice; keep one")
        found[key] = value.strip()
    return found


def assign(pairs: Sequence[str], parameters: Iterable[str], strategy: str = "the strategy") -> Assignments:
    """Sort `pairs` for a strategy with these parameter names.

    >>> assign(["lookback=20", "fee_taker=0.001", "since=2025-01-01"], ["lookback"])
    Assignments(parameters={'lookback': '20'}, broker={'fee_taker': '0.001'}, window={'since': 1735689600000}, instrument={})
    """
    from twinstar_kit.kernel.models import Broker

    own, broker = tuple(parameters), Broker.names()
    sorted_ = Assignments()
    for key, value in split_pairs(pairs).items():
        if key in own:
            sorted_.parameters[key] = value
        elif key in broker:
            sorted_.broker[key] = _setting(key, value)
        elif key in WINDOW:
            sorted_.window[key] = _instant(key, value)
        elif key in INSTRUMENT:
            sorted_.instrument[key] = value
        else:
            raise UsageError(_unknown(key, own, broker, strategy))
    since, until = (sorted_.window.get(key) for key in WINDOW)
    if since is not None and until is not None and since >= until:
        raise UsageError("the window is empty: since must be before until")
    return sorted_


def prepare(name: str, settings: Sequence[str] | None) -> tuple[Strategy, Assignments]:
    """The strategy called `name` with its `--set` parameters, and what `--set` said besides."""
    from twinstar_kit.strategy import load

    cls = load(name)
    assigned = assign(settings or [], cls.specs(), cls.__name__)
    return cls.from_text(assigned.parameters), assigned


def rules(assigned: Assignments, **given: Any) -> dict[str, Any]:
    """What is known of the data and the run; what was not said is left to defaults."""
    said = {name: value for name, value in given.items() if value is not None}
    return {**said, **assigned.window, **assigned.instrument}


def parse_duration(text: str, name: str = "--for") -> int:
    """Milliseconds from `90s`, `30m`, `8h`, `2d`.

    >>> parse_duration("8h")
    28800000
    """
    units = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
    try:
        amount = float(text[:-1]) * units[text[-1:]]
    except (KeyError, ValueError):
        amount = 0.0
    if not 0 < amount < 1e15:
        raise UsageError(f"{name} {text}: write a length of time such as 90s, 30m, 8h or 2d")
    return round(amount)


def _instant(key: str, value: str) -> int:
    from twinstar_kit.feeds.clock import to_milliseconds

    try:
        return to_milliseconds(value)
    except UsageError as error:
        raise UsageError(f"{key}: {error}") from None


def _setting(key: str, value: str) -> Any:
    """A broker's setting in its type; numbers that have decimals stay text, which is exact."""
    if key == "close_at_end":
        return _flag(key, value)
    if key == "fee_tiers":
        raise UsageError("fee_tiers is a table: --set cannot write it; give it to Broker in Python")
    if key in WHOLE:
        # what is no whole number is refused by the broker, with its rule
        return int(value) if value.isdecimal() else value
    return value


def _flag(key: str, value: str) -> bool:
    if value.lower() not in WORDS:
        raise UsageError(f"{key} = {value!r} must be true or false")
    return WORDS[value.lower()]


def _unknown(key: str, own: Sequence[str], broker: Sequence[str], strategy: str) -> str:
    rest = [*broker, *WINDOW, *INSTRUMENT]
    close = get_close_matches(key, [*own, *rest], 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    mine = ", ".join(own) or "none"
    return f"{strategy} has no parameter {key!r}{hint} (it has {mine}; --set also takes {', '.join(rest)})"
