"""`backtest`, `paper` and `parity`: one strategy over stored bars, over a feed, and the proof that both agree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from twinstar_kit.cli import options
from twinstar_kit.cli.assignments import parse_duration, prepare, rules
from twinstar_kit.cli.output import print_json, print_pairs, progress, say
from twinstar_kit.kernel.errors import UsageError

Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="[SYMBOL=]PATH",
        help="A Parquet, CSV or Feather file with the columns timestamp, open, high, low, close, volume.",
    ),
]
Feed = Annotated[
    str | None,
    typer.Option(
        metavar="FEED",
        help="simulated, simulated:SEED, replay:PATH or depth:PATH,trades:PATH; --set since= and until= bound it.",
    ),
]


def _source(
    data: list[str] | None, feed: str | None, symbol: str | None, said: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """What to run over, and what was said of it: a file, a stretch of a feed, or bars of the lake."""
    files = data or []
    if not files and not feed and symbol and "exchange" in said:
        return _stored(symbol, said)
    if bool(files) == bool(feed):
        raise UsageError(
            "say what to run over: --data PATH (Parquet, CSV or Feather bars), --feed FEED, or --exchange NAME --symbol"
            " SYMBOL from the lake, one of them"
        )
    if feed:
        return _stretch(feed, symbol, said)
    if len(files) > 1:
        raise UsageError(f"--data is given {len(files)} times: a run takes one symbol, so give one file")
    path = files[0]
    before, equals, after = path.partition("=")
    if equals and not Path(path).exists():
        if symbol and symbol != before:
            raise UsageError(f"--symbol {symbol} and --data {before}=... name two symbols; keep one")
        path, symbol = after, before
    return path, {"symbol": symbol, **said} if symbol else said


def _stored(symbol: str, said: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Bars that the lake holds."""
    from twinstar_kit.feeds import normalise_symbol
    from twinstar_kit.lake import Lake

    left = dict(said)
    exchange, since, until = left.pop("exchange"), left.pop("since", None), left.pop("until", None)
    with Lake() as lake:
        reading = lake.read(
            exchange, normalise_symbol(symbol), left.pop("timeframe", None) or "1m", since, until
        )
        if not len(reading):
            raise UsageError(
                f"the lake has no complete bars of {exchange} {symbol} there; see twinstar data status"
            )
        return reading.bars(), left


def _stretch(feed: str, symbol: str | None, said: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """(feed, symbol, since, until, timeframe) as `session.backtest` takes it."""
    from twinstar_kit.feeds import normalise_symbol, open_feed

    left = dict(said)
    # files may not say what they are of; a market does
    named: dict[str, Any] = {}
    if _of_files(feed):
        named = {n: left.pop(n) for n in ("exchange", "tick", "lot") if n in left}
    symbol = None if symbol is None else normalise_symbol(symbol)
    if symbol and _of_files(feed):
        named["symbol"] = symbol
    opened = open_feed(feed, **named)
    symbol = symbol or opened.instruments[0].symbol
    since, until = left.pop("since", None), left.pop("until", None)
    if opened.spec.startswith("simulated") and (since is None or until is None):
        raise UsageError(
            "the simulated market has no first or last bar: say --set since=2025-01-01 --set until=2025-02-01"
        )
    first, last = opened.span()
    window = (first if since is None else since, last if until is None else until)
    return (opened, symbol, *window, left.pop("timeframe", "1m")), left


def _of_files(feed: str) -> bool:
    """Whether a feed reads files: a replay, or a recorded book."""
    return feed.partition(":")[0] in ("replay", "depth")


def backtest(
    strategy: options.StrategyName,
    data: Data = None,
    feed: Feed = None,
    exchange: options.Exchange = None,
    symbol: options.Symbol = None,
    timeframe: options.Timeframe = None,
    settings: options.Settings = None,
    lake: options.Lake = None,
    json: options.Json = False,
) -> None:
    """Run a strategy over stored bars.

    \b
    Examples:
      twinstar backtest breakout --data btc_1m.parquet
      twinstar backtest sma_cross --data BTC/USDT=btc_1m.csv --timeframe 15m --json
      twinstar backtest breakout --data btc_1m.parquet --set lookback=40 --set fee_taker=0.0005
      twinstar backtest my_ideas.py:Reversal --data btc_1m.parquet --set since=2025-01-15
      twinstar backtest breakout --exchange binance --symbol BTC/USDT --timeframe 15m --set since=2025-01-01
      twinstar backtest breakout --feed simulated --set since=2025-01-01 --set until=2025-02-01
    """
    from twinstar_kit.session.history import backtest as run

    prepared, assigned = prepare(strategy, settings)
    said = rules(assigned, exchange=exchange, timeframe=timeframe)
    source, said = _source(data, feed, symbol, said)
    with progress(f"backtest {strategy}") as advance:
        result = run(prepared, source, progress=advance, **said, **assigned.broker)
    _report(result.to_dict(), json)


def paper(
    strategy: options.StrategyName,
    feed: Annotated[
        str,
        typer.Option(
            metavar="FEED", help="simulated, simulated:SEED, replay:PATH, depth:PATH or ccxt:EXCHANGE."
        ),
    ] = "simulated",
    speed: Annotated[
        str | None,
        typer.Option(metavar="max|real|60", help="How fast the feed's clock runs.", show_default="real"),
    ] = None,
    lasting: Annotated[
        str | None, typer.Option("--for", metavar="8h", help="Stop after this much time of the feed.")
    ] = None,
    account: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The account that trades; it is kept and goes on next time."),
    ] = None,
    exchange: options.Exchange = None,
    symbol: options.Symbol = None,
    timeframe: options.Timeframe = None,
    settings: options.Settings = None,
    lake: options.Lake = None,
    home: options.Home = None,
    json: options.Json = False,
) -> None:
    """Trade a strategy on the virtual exchange.

    Every event is journalled before anything leaves; an account goes on where it ended. The bars and trades of a venue
    (ccxt:EXCHANGE) are in the lake before the strategy sees them; no order ever leaves this machine.

    \b
    Examples:
      twinstar paper breakout --feed simulated --symbol BTC/USDT --for 8h --speed max
      twinstar paper breakout --feed replay:btc_1m.parquet --speed max --json
      twinstar paper sma_cross --account crossing --set fast=10
      twinstar paper sma_cross --feed ccxt:binance --symbol BTC/USDT --for 8h
    """
    from twinstar_kit.session.trading import paper as run

    prepared, assigned = prepare(strategy, settings)
    said = rules(
        assigned, exchange=exchange, symbol=symbol, timeframe=timeframe, speed=speed, account=account
    )
    if lasting:
        said["duration_ms"] = parse_duration(lasting)
    with progress(f"paper {strategy}") as advance:
        result = run(prepared, feed, progress=advance, **said, **assigned.broker)
    _report(result.to_dict(), json)


def parity(
    strategy: options.MaybeStrategy = None,
    data: Data = None,
    feed: Feed = None,
    journal: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A stored journal whose recorded inputs are replayed.")
    ] = None,
    exchange: options.Exchange = None,
    symbol: options.Symbol = None,
    timeframe: options.Timeframe = None,
    settings: options.Settings = None,
    lake: options.Lake = None,
    json: options.Json = False,
) -> None:
    """Compare the history loop with the live loop.

    Both run the same strategy; every event must agree. Exit 1 when one differs.

    \b
    Examples:
      twinstar parity breakout --data btc_1m.parquet
      twinstar parity breakout --exchange binance --symbol BTC/USDT
      twinstar parity --journal account.db --json
    """
    from twinstar_kit.session.proof import parity as run

    with progress("parity") as advance:
        if journal:
            if data or feed or settings:
                raise UsageError(
                    "--journal FILE brings its own bars, parameters and broker: leave --data and --set out"
                )
            result = run(strategy, journal=journal, progress=advance)
        else:
            if strategy is None:
                raise UsageError("parity over --data or --feed needs a STRATEGY, such as breakout")
            prepared, assigned = prepare(strategy, settings)
            said = rules(assigned, exchange=exchange, timeframe=timeframe)
            source, said = _source(data, feed, symbol, said)
            result = run(prepared, source, progress=advance, **said, **assigned.broker)
    if json:
        print_json(result.to_dict())
    else:
        print(result)
    if not result.ok:
        raise typer.Exit(1)


def _report(report: dict[str, Any], json: bool) -> None:
    """The run as JSON, or as the lines that a person looks at first."""
    if json:
        print_json(report)
        return
    from twinstar_kit.report.words import written

    params = ", ".join(f"{name}={value}" for name, value in report["params"].items())
    plain = {name: value for name, value in report.items() if not isinstance(value, (dict, list))}
    print_pairs({**plain, "params": params})
    print()
    print_pairs({name: written(name, value) for name, value in report["metrics"].items()})
    for note in report["notes"]:
        say(note)
