"""Options and arguments that several commands share, with one wording."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def _use_home(home: Path | None) -> Path | None:
    """Put the choice where this process and those it starts look for it."""
    if home is not None:
        os.environ["TWINSTAR_HOME"] = str(home.expanduser().absolute())
    return home


def _use_lake(lake: str | None) -> str | None:
    """The same for the folder of market data."""
    if lake is not None:
        os.environ["TWINSTAR_LAKE"] = lake if "://" in lake else str(Path(lake).expanduser().absolute())
    return lake


_STRATEGY = "A name of the starter kit (breakout, sma_cross) or path/to/file.py:ClassName"
StrategyName = Annotated[str, typer.Argument(metavar="STRATEGY", help=f"{_STRATEGY}.", show_default=False)]
MaybeStrategy = Annotated[
    str | None,
    typer.Argument(
        metavar="STRATEGY", help=f"{_STRATEGY}; a journal usually knows its own.", show_default=False
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A strategy parameter; a broker setting (fee_maker, fee_taker, slippage_bps, fill, path, start_balance, "
        "amount, leverage, close_at_end and the others of docs/kernel.md); the window (since, until); or the instrument (tick, lot). May be repeated.",
    ),
]
Exchange = Annotated[str | None, typer.Option(metavar="NAME", help="The exchange that the bars come from.")]
Symbol = Annotated[
    str | None, typer.Option(metavar="SYMBOL", help="As ccxt writes it: BTC/USDT (BTCUSDT is accepted).")
]
Timeframe = Annotated[
    str | None, typer.Option(metavar="15m", help="Length of a bar; longer than the data's resamples it.")
]
Home = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Folder of accounts, sessions and runs (else TWINSTAR_HOME, else the platform's data folder).",
        callback=_use_home,
        is_eager=True,
    ),
]
Lake = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Folder or URL of the lake (else TWINSTAR_LAKE, else `lake` in the home).",
        callback=_use_lake,
        is_eager=True,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
