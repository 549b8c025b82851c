"""`twinstar data collect`: a venue's market into the lake as it happens."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twinstar_kit.cli import options
from twinstar_kit.cli.data.venue import Endpoint, open_source, open_streams
from twinstar_kit.cli.output import print_json, print_pairs, say
from twinstar_kit.kernel.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from twinstar_kit.feeds.ccxt_live import Health

LOGGED_EVERY = 60
"""Seconds between two lines where standard error is no terminal."""


def collect(
    exchange: Annotated[str, typer.Option(metavar="NAME", help="A venue that ccxt has streams of.")],
    symbol: Annotated[
        list[str] | None, typer.Option("--symbol", metavar="SYMBOL", help="Follow this one; may be repeated.")
    ] = None,
    top: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Follow the N most traded ones.")
    ] = None,
    quote: Annotated[str | None, typer.Option(metavar="USDT", help="Of those with this quote.")] = None,
    timeframe: Annotated[str, typer.Option(metavar="1m", help="Length of the bars that are stored.")] = "1m",
    trades: Annotated[
        bool, typer.Option("--trades/--no-trades", help="Store every trade, or bars alone.")
    ] = True,
    lasting: Annotated[
        str | None, typer.Option("--for", metavar="8h", help="Stop after this much time; else at Ctrl-C.")
    ] = None,
    endpoint: Endpoint = None,
    lake: options.Lake = None,
    home: options.Home = None,
    json: options.Json = False,
) -> None:
    """Store a market as it happens.

    Bars and trades go into the lake as they come; what a stream loses is asked of the venue again before anything
    later counts. It goes on where the lake ends, and Ctrl-C ends it with nothing lost. Without --symbol or --top the
    universe is that of the settings: a file, or the most traded symbols.

    \b
    Examples:
      twinstar data collect --exchange binance --top 98 --quote USDT
      twinstar data collect --exchange okx --symbol BTC/USDT --symbol ETH/USDT --for 8h
      twinstar data collect --exchange upbit --no-trades --json
    """
    from twinstar_kit.cli.assignments import parse_duration
    from twinstar_kit.feeds.ccxt_universe import followed
    from twinstar_kit.lake import Lake
    from twinstar_kit.lake.collect import collect as run
    from twinstar_kit.lake.collect import known_units

    if symbol and (top or quote):
        raise UsageError("--symbol names what to follow; leave --top and --quote out")
    duration_ms = parse_duration(lasting) if lasting else None
    with Lake() as opened:
        source = open_source(exchange, endpoint, known_units(opened, exchange))
        try:
            symbols = followed(source, symbols=symbol or (), top=top, quote=quote)
            say(f"following {len(symbols)} symbols of {exchange}; Ctrl-C ends it")
            with _status(exchange, len(symbols)) as told:
                report = run(
                    opened, exchange, symbols, source=source, stream=open_streams(exchange, endpoint),
                    timeframe=timeframe, trades=trades, duration_ms=duration_ms, told=told,
                )  # fmt: skip
        finally:
            source.close()
    if json:
        print_json(report.to_dict())
    else:
        print_pairs({**report.to_dict(), "symbols": len(report.symbols)})


@contextmanager
def _status(exchange: str, symbols: int) -> Iterator[Callable[[Health], None]]:
    """One line that stays in place on a terminal; elsewhere a line a minute."""
    line = _Line(exchange, symbols)
    if not sys.stderr.isatty():
        yield line.log
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(Text("connecting"), console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        yield lambda health: live.update(Text(line.written(health), no_wrap=True), refresh=True)


class _Line:
    """The figures of a tail in one line; rates are those since the line before."""

    def __init__(self, exchange: str, symbols: int) -> None:
        self.head = f"{exchange} {symbols}"
        self._before: dict[str, Any] = {}
        self._calls = 0

    def written(self, health: Health) -> str:
        """The line; called about once a second."""
        now = health.to_dict()
        rate = now["messages"] - self._before.get("messages", 0)
        self._before = now
        parts = [
            self.head, f"{rate:,} messages/s", f"{health.bars:,} bars", f"{health.trades:,} trades",
            f"lag {health.lag_ms / 1000:.1f} s", f"healed {health.healed_bars:,} bars, {health.healed_trades:,} trades",
        ]  # fmt: skip
        parts += [f"{now[name]:,} {name}" for name in ("reconnects", "stalls") if now[name]]
        return " | ".join([*parts, health.trouble] if health.trouble else parts)

    def log(self, health: Health) -> None:
        """The line on standard error, once a minute."""
        written = self.written(health)
        self._calls += 1
        if self._calls % LOGGED_EVERY == 1:
            say(written)
