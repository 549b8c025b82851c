"""`twinstar data backfill`, `heal` and `maintain`: what the lake misses, from the venue, and from others where it must."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twinstar_kit.cli import options
from twinstar_kit.cli.data.venue import Endpoint, open_source
from twinstar_kit.cli.output import print_json, print_pairs, print_table, progress, say
from twinstar_kit.kernel.errors import UsageError

if TYPE_CHECKING:
    from twinstar_kit.feeds.ccxt_source import CcxtSource
    from twinstar_kit.lake import Lake
    from twinstar_kit.lake.maintain import Maintained

Exchange = Annotated[
    str, typer.Option(metavar="NAME", help="The venue, by its ccxt name: binance, kraken, upbit.")
]
Symbols = Annotated[
    list[str] | None,
    typer.Option("--symbol", metavar="SYMBOL", help="As ccxt writes it: BTC/USDT. May be repeated."),
]
Top = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="The N symbols with the largest turnover, instead of --symbol."),
]
Quote = Annotated[
    str | None, typer.Option(metavar="ASSET", help="With --top: only symbols quoted in this asset.")
]
Timeframe = Annotated[str, typer.Option(metavar="1m", help="Length of a bar.")]
Since = Annotated[
    str | None,
    typer.Option(metavar="2024-01-01", help="From this time on, UTC (else from the first bar held)."),
]
Until = Annotated[
    str | None,
    typer.Option(metavar="2025-01-01", help="Up to this time, which is left out (else up to now)."),
]
Second = Annotated[
    str | None, typer.Option(metavar="EXCHANGE", help="Where to look for bars that the venue has lost.")
]
Recheck = Annotated[
    int,
    typer.Option(
        metavar="BARS",
        min=0,
        help="Ask for so many stored bars of each series again, half the newest, half drawn.",
    ),
]
Workers = Annotated[int, typer.Option(metavar="N", min=1, max=32, help="Requests under way at once.")]
NOT_WHOLE = 1


def backfill(
    exchange: Exchange,
    symbol: Symbols = None,
    top: Top = None,
    quote: Quote = None,
    timeframe: Timeframe = "1m",
    since: Since = None,
    until: Until = None,
    recheck: Recheck = 0,
    workers: Workers = 4,
    endpoint: Endpoint = None,
    lake: options.Lake = None,
    home: options.Home = None,
    json: options.Json = False,
) -> None:
    """Fetch what the lake misses.

    Only bars that are neither held nor known to be absent are asked for, as few requests as the venue's limit allows,
    at the venue's pace. Every answer is kept at once: run it again after a break, and it goes on where it was. Without
    symbols it brings those up to date that the lake holds. Exit 1 when the venue did not answer everything.

    \b
    Examples:
      twinstar data backfill --exchange binance --symbol BTC/USDT --since 2024-01-01
      twinstar data backfill --exchange binance --top 98 --quote USDT --since 2025-01-01
      twinstar data backfill --exchange binance --recheck 1440 --json
    """
    from twinstar_kit.lake import Lake

    with Lake() as opened, progress("backfill") as advance:
        source = open_source(exchange, endpoint)
        chosen = _symbols(opened, source, timeframe, symbol, top, quote)
        report = opened.backfill(
            source, chosen, timeframe, since, until, recheck=recheck, workers=workers, progress=advance
        )
    columns = ("series", "requests", "added", "revised", "empty", "left")
    _tell(report.to_dict(), columns, json)


def heal(
    exchange: Exchange,
    symbol: Symbols = None,
    timeframe: Timeframe = "1m",
    since: Since = None,
    until: Until = None,
    second_venue: Second = None,
    workers: Workers = 4,
    endpoint: Endpoint = None,
    lake: options.Lake = None,
    home: options.Home = None,
    json: options.Json = False,
) -> None:
    """Fill or explain every missing bar.

    In this order: the venue is asked again; its trades, where they cover a hole without a break; the second venue, when
    its prices beside the hole agree. What nobody has is proven absent when the whole venue was silent, or no venue saw a
    trade. Every repair is marked on its bars and stands in the log. Exit 1 when bars are still missing.

    \b
    Examples:
      twinstar data heal --exchange binance
      twinstar data heal --exchange binance --symbol BTC/USDT --second-venue kraken --json
    """
    from twinstar_kit.lake import Lake

    with Lake() as opened, progress("heal") as advance:
        source = open_source(exchange, endpoint)
        chosen = _written(symbol)
        report = opened.heal(
            source, chosen, timeframe, since=since, until=until, second=_second(second_venue, endpoint),
            workers=workers, progress=advance,
        )  # fmt: skip
    columns = (
        "series",
        "fetched",
        "holes",
        "again",
        "from_trades",
        "healed",
        "disputed",
        "no_trade",
        "outage",
        "missing",
    )
    _tell(report.to_dict(), columns, json)


def maintain(
    exchange: Exchange,
    symbol: Symbols = None,
    top: Top = None,
    quote: Quote = None,
    timeframe: Timeframe = "1m",
    since: Since = None,
    until: Until = None,
    second_venue: Second = None,
    recheck: Recheck = 0,
    workers: Workers = 4,
    endpoint: Endpoint = None,
    lake: options.Lake = None,
    home: options.Home = None,
    json: options.Json = False,
) -> None:
    """Bring the lake up to date and to a proof.

    Made for a schedule: sets damaged files aside, fetches what is missing, heals, verifies, certifies what changed, tidies up and takes a
    snapshot. A second run right after asks nothing and writes nothing. Exit 1 unless every bar is there or explained.

    \b
    Examples:
      twinstar data maintain --exchange binance
      twinstar data maintain --exchange binance --top 98 --quote USDT --since 2025-01-01 --second-venue kraken
    """
    from twinstar_kit.lake import Lake

    with Lake() as opened, progress("maintain") as advance:
        source = open_source(exchange, endpoint)
        named = _symbols(opened, source, timeframe, symbol, top, quote) if symbol or top else None
        done: Maintained = opened.maintain(
            source, named, timeframe, since=since, until=until, second=_second(second_venue, endpoint), recheck=recheck,
            workers=workers, progress=advance,
        )  # fmt: skip
    if json:
        print_json(done.to_dict())
    else:
        print_pairs(done.steps())
    if not done.ok:
        raise typer.Exit(NOT_WHOLE)


def _written(symbols: Sequence[str] | None) -> list[str] | None:
    """Symbols in ccxt's form."""
    from twinstar_kit.feeds.files import normalise_symbol

    return [one if "/" in one else normalise_symbol(one) for one in symbols] if symbols else None


def _symbols(
    lake: Lake,
    source: CcxtSource,
    timeframe: str,
    symbols: Sequence[str] | None,
    top: int | None,
    quote: str | None,
) -> list[str]:
    """The named symbols, the venue's largest, or all that the lake holds."""
    if symbols and top:
        raise UsageError("give --symbol or --top, not both")
    if quote and not top:
        raise UsageError("--quote narrows down --top; add --top N")
    if top:
        return source.top_symbols(top, quote)
    held = [
        info.series.symbol
        for info in lake.series()
        if (info.series.exchange, info.series.timeframe) == (source.name, timeframe)
    ]
    chosen = _written(symbols) or held
    if not chosen:
        raise UsageError(
            f"the lake holds no {timeframe} bars of {source.name} yet; name some with --symbol or --top"
        )
    return chosen


def _second(exchange: str | None, endpoint: str | None) -> CcxtSource | None:
    return None if exchange is None else open_source(exchange, endpoint)


def _tell(report: Mapping[str, Any], columns: Sequence[str], json: bool) -> None:
    """The report, what went wrong on standard error, and the exit code."""
    if json:
        print_json(report)
    else:
        rows = [[part[name] for name in columns] for part in report["series"]]
        print_table([name.replace("_", " ") for name in columns], rows, empty="nothing to do")
    for part in report["series"]:
        for words in (part["error"], *part.get("notes", ())):
            if words:
                say(f"{part['series']}: {words}")
    if not report["ok"]:
        raise typer.Exit(NOT_WHOLE)
