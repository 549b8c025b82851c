"""`twinstar session`: the processes that own accounts, seen and steered from outside."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from twinstar_kit.cli import options
from twinstar_kit.cli.output import print_json, print_pairs, print_table
from twinstar_kit.kernel.errors import UsageError

Name = Annotated[str | None, typer.Argument(metavar="NAME", help="The session; `default` when not given.")]


def list_(home: options.Home = None, json: options.Json = False) -> None:
    """List the running sessions.

    \b
    Examples:
      twinstar session list
      twinstar session list --json
    """
    from twinstar_kit.session import list_sessions

    rows = list_sessions()
    if json:
        print_json({"sessions": rows})
        return
    columns = ["name", "pid", "feed", "speed", "accounts", "since"]
    cells = [[str(row[column]) for column in columns] for row in rows]
    print_table(
        columns, cells, empty="no session is running; `twinstar terminal` or `twinstar paper` starts one"
    )


def status(name: Name = None, home: options.Home = None, json: options.Json = False) -> None:
    """Show what a session holds.

    Its clock, its accounts with their balances and positions, and their open orders.

    \b
    Examples:
      twinstar session status
      twinstar session status default --json
    """
    from twinstar_kit.session import session_status

    report = session_status(name)
    if json:
        print_json(report)
        return
    accounts = report.pop("accounts")
    print_pairs({name: str(value) for name, value in report.items()})
    print()
    rows = [
        (
            account["name"],
            account["strategy"],
            account["status"],
            _balances(account),
            ", ".join(f"{symbol} {amount}" for symbol, amount in account["positions"].items()),
            account["open_orders"],
            account["fills"],
        )
        for account in accounts
    ]
    columns = ["account", "strategy", "status", "balances", "positions", "open orders", "fills"]
    print_table(columns, rows, empty="no accounts")


def start(
    name: Name = None,
    feed: Annotated[
        str | None,
        typer.Option(
            metavar="FEED",
            help="simulated, simulated:SEED, replay:PATH, depth:PATH or ccxt:EXCHANGE.",
            show_default="simulated",
        ),
    ] = None,
    speed: Annotated[
        str | None,
        typer.Option(metavar="real|60", help="How fast the feed's clock runs.", show_default="real"),
    ] = None,
    begin: Annotated[
        str | None,
        typer.Option(
            "--start", metavar="2025-01-31", help="Where a replay begins, UTC (else at its first bar)."
        ),
    ] = None,
    symbols: Annotated[
        list[str] | None,
        typer.Option(
            "--symbol",
            metavar="SYMBOL",
            help="Of a venue: follow this one, may be repeated. Of a file: what it is of.",
        ),
    ] = None,
    lake: options.Lake = None,
    home: options.Home = None,
) -> None:
    """Start a session in the background.

    It owns the account `manual` and the accounts of the strategies that run in it. The terminal, notebooks and
    commands attach to it.

    \b
    Examples:
      twinstar session start
      twinstar session start replayed --feed replay:btc_1m.parquet --speed 60
      twinstar session start live --feed ccxt:binance --symbol BTC/USDT --symbol ETH/USDT --lake market_data
    """
    from twinstar_kit.session import start_session

    rules = _rules(feed, symbols or [])
    with start_session(name, feed=feed, speed=speed, start=begin, rules=rules) as session:
        print(f"session {session.name} runs as process {session.pid}; `twinstar session stop` ends it")


def _rules(feed: str | None, symbols: list[str]) -> dict[str, Any]:
    """What `--symbol` says of the feed."""
    from twinstar_kit.feeds import normalise_symbol
    from twinstar_kit.settings import load_settings

    if not symbols:
        return {}
    named = [normalise_symbol(symbol) for symbol in symbols]
    kind = (feed or load_settings().feed).partition(":")[0]
    if kind == "ccxt":
        return {"symbols": named}
    if kind == "simulated":
        raise UsageError("--symbol: the simulated market has all its symbols; leave it out")
    if len(named) > 1:
        raise UsageError(
            f"--symbol is given {len(named)} times: name files as {kind}:SYMBOL=PATH,SYMBOL=PATH"
        )
    return {"symbol": named[0]}


def run(
    strategy: options.StrategyName,
    name: Annotated[
        str | None, typer.Option("--session", metavar="NAME", help="The session.", show_default="default")
    ] = None,
    account: Annotated[
        str | None, typer.Option(metavar="NAME", help="The strategy's account (else named after it).")
    ] = None,
    lasting: Annotated[
        str | None, typer.Option("--for", metavar="8h", help="End after this much time of the feed.")
    ] = None,
    symbol: options.Symbol = None,
    timeframe: options.Timeframe = None,
    settings: options.Settings = None,
    home: options.Home = None,
) -> None:
    """Let a strategy trade in a session.

    It has an account of its own; the terminal draws its entries, exits and stops as they happen.

    \b
    Examples:
      twinstar session run breakout --symbol ETH/USDT
      twinstar session run sma_cross --account crossing --set fast=10 --for 8h
    """
    from twinstar_kit.cli.assignments import parse_duration, prepare, rules
    from twinstar_kit.session import attach

    prepared, assigned = prepare(strategy, settings)
    asked = rules(assigned, symbol=symbol, timeframe=timeframe)
    with attach(name) as session:
        client = session.run(
            prepared,
            account=account,
            duration_ms=parse_duration(lasting) if lasting else None,
            **asked,
            **assigned.broker,
        )
        print(f"{strategy} trades on account {client.account} of session {session.name}")


def stop(name: Name = None, home: options.Home = None) -> None:
    """Stop a session.

    It ends after its current batch; open orders stay and go on with the next start.

    \b
    Examples:
      twinstar session stop
    """
    from twinstar_kit.session import stop_session

    print(stop_session(name))


def flatten(name: Name = None, home: options.Home = None) -> None:
    """Cancel orders and close positions.

    The session itself goes on.

    \b
    Examples:
      twinstar session flatten
    """
    from twinstar_kit.session import flatten_session

    print(flatten_session(name))


def kill(name: Name = None, home: options.Home = None) -> None:
    """End a session at once.

    Nothing more is decided; what was acknowledged is in the journal.

    \b
    Examples:
      twinstar session kill
    """
    from twinstar_kit.session import kill_session

    print(kill_session(name))


def _balances(account: dict[str, Any]) -> str:
    """Both wallets in one cell."""
    cells = [_balance(asset, **sums) for asset, sums in account["balances"].items()]
    cells += [f"{_balance(asset, **sums)} (swap)" for asset, sums in account["swap_balances"].items()]
    return ", ".join(cells)


def _balance(asset: str, free: str, held: str) -> str:
    """A balance without the zeros behind it; what orders hold only where they hold something."""
    from decimal import Decimal

    own, bound = (f"{Decimal(amount).normalize():f}" for amount in (free, held))
    return f"{own} {asset}" + (f" ({bound} held)" if bound != "0" else "")
