"""`backtest`, `paper` and `parity`: one strategy over stored bars, over a feed, and the proof that both agree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twinstar_kit.cli import options
from twinstar_kit.cli.assignments import Assignments, assign, parse_duration
from twinstar_kit.cli.output import print_json, print_pairs, progress, say
from twinstar_kit.kernel.errors import UsageError

if TYPE_CHECKING:
    from twinstar_kit.strategy import Strategy

Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="[SYMBOL=]PATH",
        help="A Parquet or CSV file with the columns timestamp, open, high, low, close, volume.",
    ),
]


def _prepare(name: str, settings: list[str] | None) -> tuple[Strategy, Assignments]:
    from twinstar_kit.strategy import load

    cls = load(name)
    assigned = assign(settings or [], cls.specs(), cls.__name__)
    return cls.from_text(assigned.parameters), assigned


def _one_file(data: list[str] | None, symbol: str | None) -> tuple[str, str | None]:
    """The path, and the symbol that `--symbol` or `SYMBOL=PATH` gives it."""
    if not data:
        raise UsageError("there is nothing to run over: give --data PATH, a Parquet or CSV file of bars")
    if len(data) > 1:
        raise UsageError(f"--data is given {len(data)} times: a run takes one symbol, so give one file")
    before, equals, after = data[0].partition("=")
    if not equals or Path(data[0]).exists():
        return data[0], symbol
    if symbol and symbol != before:
        raise UsageError(f"--symbol {symbol} and --data {before}=... name two symbols; keep one")
    return after, before


def backtest(
    strategy: options.StrategyName,
    data: Data = None,
    exchange: options.Exchange = None,
    symbol: options.Symbol = None,
    timeframe: options.Timeframe = None,
    settings: options.Settings = None,
    json: options.Json = False,
) -> None:
    """Run a strategy over stored bars.

    \b
    Examples:
      twinstar backtest breakout --data btc_1m.parquet
      twinstar backtest sma_cross --data BTC/USDT=btc_1m.csv --timeframe 15m --json
      twinstar backtest breakout --data btc_1m.parquet --set lookback=40 --set fee_taker=0.0005
      twinstar backtest my_ideas.py:Reversal --data btc_1m.parquet --set since=2025-01-15
    """
    from twinstar_kit.feeds import load_bars
    from twinstar_kit.session import backtest as run

    prepared, assigned = _prepare(strategy, settings)
    path, symbol = _one_file(data, symbol)
    bars = load_bars(
        path, symbol=symbol, exchange=exchange, timeframe=timeframe, **assigned.window, **assigned.instrument
    )
    _report(run(prepared, bars, **assigned.broker).to_dict(), json)


def paper(
    strategy: options.StrategyName,
    feed: Annotated[
        str, typer.Option(metavar="FEED", help="simulated, simulated:SEED or replay:PATH.")
    ] = "simulated",
    speed: Annotated[
        str, typer.Option(metavar="max|real|FACTOR", help="How fast the feed's clock runs.")
    ] = "real",
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
    home: options.Home = None,
    json: options.Json = False,
) -> None:
    """Trade a strategy on the virtual exchange.

    Every event is journalled before anything leaves; an account goes on where it ended.

    \b
    Examples:
      twinstar paper breakout --feed simulated --symbol BTC/USDT --for 8h --speed max
      twinstar paper breakout --feed replay:btc_1m.parquet --speed max --json
      twinstar paper sma_cross --account crossing --set fast=10
    """
    from twinstar_kit.session import paper as run

    prepared, assigned = _prepare(strategy, settings)
    with progress(f"paper {strategy}") as advance:
        result = run(
            prepared,
            feed,
            speed=speed,
            duration_ms=parse_duration(lasting) if lasting else None,
            account=account,
            exchange=exchange,
            symbol=symbol,
            timeframe=timeframe,
            progress=advance,
            **assigned.window,
            **assigned.instrument,
            **assigned.broker,
        )
    _report(result.to_dict(), json)


def parity(
    strategy: options.StrategyName,
    data: Data = None,
    journal: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A stored journal whose recorded inputs are replayed.")
    ] = None,
    exchange: options.Exchange = None,
    symbol: options.Symbol = None,
    timeframe: options.Timeframe = None,
    settings: options.Settings = None,
    json: options.Json = False,
) -> None:
    """Compare the history loop with the live loop.

    Both run the same strategy; every event must agree. Exit 1 when one differs.

    \b
    Examples:
      twinstar parity breakout --data btc_1m.parquet
      twinstar parity breakout --journal account.db --json
    """
    from twinstar_kit.feeds import load_bars
    from twinstar_kit.session import parity as run

    if bool(data) == bool(journal):
        raise UsageError("parity compares over --data PATH or over --journal FILE: give one of them")
    prepared, assigned = _prepare(strategy, settings)
    if journal:
        result = run(prepared, journal=journal)
    else:
        path, symbol = _one_file(data, symbol)
        rules = {**assigned.window, **assigned.instrument}
        bars = load_bars(path, symbol=symbol, exchange=exchange, timeframe=timeframe, **rules)
        result = run(prepared, bars, **assigned.broker)
    report = result.to_dict()
    if json:
        print_json(report)
    else:
        print_pairs({key: report[key] for key in ("strategy", "bars", "orders", "fills", "differences")})
        for step in report["waterfall"]:
            print(step)
    if report["differences"]:
        raise typer.Exit(1)


def _report(report: dict[str, object], json: bool) -> None:
    """The run as JSON, or as the lines that a person looks at first."""
    if json:
        print_json(report)
        return
    metrics = report.pop("metrics")
    assert isinstance(metrics, dict)
    report["params"] = ", ".join(f"{k}={v}" for k, v in report.pop("params", {}).items())  # type: ignore[attr-defined]
    print_pairs({**report, **metrics})
    say("(one JSON object with --json; every figure explained in docs/metrics.md)")
