"""`twinstar data import` and `export`: files of other programs and exchanges, into the lake and out of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twinstar_kit.cli import options
from twinstar_kit.cli.output import print_json, print_table, progress, say
from twinstar_kit.kernel.errors import UsageError

if TYPE_CHECKING:
    from twinstar_kit.lake.imports import Imported

_LAYOUTS = "freqtrade, binance, okx, bybit, jesse or tables"


def import_(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A file, or a folder of them.", show_default=False)
    ],
    exchange: options.Exchange = None,
    symbol: options.Symbol = None,
    timeframe: Annotated[
        str | None, typer.Option(metavar="1m", help="Length of a bar, where the file's name does not say it.")
    ] = None,
    market: Annotated[
        str | None, typer.Option(metavar="spot|swap", help="Which market names such as BTCUSDT mean.")
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option("--format", metavar="NAME", help=f"{_LAYOUTS}; else names and first lines tell."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="tick= and lot= of a series that is new to the lake."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and check everything, write nothing.")
    ] = False,
    keep_good: Annotated[
        bool,
        typer.Option("--keep-good", help="Leave bad rows out, into the log, rather than refuse their file."),
    ] = False,
    lake: options.Lake = None,
    home: options.Home = None,
    json: options.Json = False,
) -> None:
    """Bring files into the lake.

    Parquet, CSV and Feather with the columns timestamp, open, high, low, close, volume (or those of trades, funding
    rates or book changes: see docs/lake.md); freqtrade's and jesse's data; public files of Binance, OKX and Bybit. A bad row refuses its file; importing twice changes nothing.
    Exit 1 when a file of a folder was refused.

    \b
    Examples:
      twinstar data import btc.csv --exchange binance --symbol BTC/USDT --timeframe 1m
      twinstar data import user_data/data --dry-run
      twinstar data import downloads/ --market spot --json
    """
    from twinstar_kit.cli.assignments import split_pairs
    from twinstar_kit.lake import Lake
    from twinstar_kit.lake.imports import import_bars

    sizes = split_pairs(settings or [])
    unknown = set(sizes) - {"tick", "lot"}
    if unknown:
        raise UsageError(f"--set takes tick and lot here, not {', '.join(sorted(unknown))}")
    with Lake() as opened, progress("import") as advance:
        report = import_bars(
            opened, path, exchange=exchange, symbol=symbol, timeframe=timeframe, market=market, layout=layout,
            tick=sizes.get("tick"), lot=sizes.get("lot"), dry_run=dry_run, keep_good=keep_good, progress=advance,
        )  # fmt: skip
    if json:
        print_json(report.to_dict())
    else:
        _show(report, dry_run)
    if not report.ok:
        raise typer.Exit(1)


def _show(report: Imported, dry_run: bool) -> None:
    """One line a file."""
    columns = ("file", "series", "rows", "new", "same", "revised", "bad", "")
    print_table(columns, [
        (Path(file.path).name, ", ".join(file.series) or "-", file.rows, file.added, file.same, file.revised,
         len(file.bad), file.error.removeprefix(f"{file.path}: ") or file.skipped)
        for file in report.files
    ], "no files")  # fmt: skip
    if dry_run:
        say("nothing was written (--dry-run)")


def export(
    to: Annotated[Path, typer.Option("--to", metavar="PATH", help="The file, or the folder of several.")],
    exchange: options.Exchange = None,
    symbol: Annotated[
        list[str] | None,
        typer.Option("--symbol", metavar="SYMBOL", help="May be repeated; else all of the exchange."),
    ] = None,
    timeframe: Annotated[
        str | None, typer.Option(metavar="1m", help="Bars of this length alone, else all that is stored.")
    ] = None,
    kind: Annotated[str, typer.Option(metavar="bars|trades|funding|depth", help="What rows are.")] = "bars",
    format_: Annotated[
        str, typer.Option("--format", metavar="NAME", help="parquet, csv, feather, freqtrade or jesse.")
    ] = "parquet",
    since: Annotated[str | None, typer.Option(metavar="2025-01-01", help="First time, UTC.")] = None,
    until: Annotated[str | None, typer.Option(metavar="2025-02-01", help="Time after the last.")] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="SNAPSHOT", help="As a snapshot has it.")
    ] = None,
    provenance: Annotated[
        bool, typer.Option("--provenance", help="Add a column that says where each row is from.")
    ] = False,
    lake: options.Lake = None,
    home: options.Home = None,
    json: options.Json = False,
) -> None:
    """Write series to files.

    Parquet, CSV and Feather, or the layouts of freqtrade and jesse; a file appears whole or not at all.

    \b
    Examples:
      twinstar data export --exchange binance --symbol BTC/USDT --timeframe 1m --format csv --to btc.csv
      twinstar data export --exchange binance --format freqtrade --to user_data/data
      twinstar data export --exchange binance --timeframe 1m --format jesse --to candles/
    """
    from twinstar_kit.feeds import normalise_symbol
    from twinstar_kit.lake import Kind, Lake
    from twinstar_kit.lake.exports import export as write

    if kind not in Kind.__members__.values():
        raise UsageError(f"kind {kind!r}: say {', '.join(Kind)}")
    wanted = {normalise_symbol(one) for one in symbol or []}
    with Lake() as opened, progress("export") as advance:
        found = [
            info.series
            for info in opened.series()
            if info.series.kind == kind
            and exchange in (None, info.series.exchange)
            and (not wanted or info.series.symbol in wanted)
            and timeframe in (None, info.series.timeframe or None)
        ]
        missing = wanted - {series.symbol for series in found}
        if missing or not found:
            what = ", ".join(sorted(missing)) or "series"
            raise UsageError(f"the lake holds no such {what}; twinstar data status lists what it holds")
        files = write(
            opened, found, to, format=format_, since=since, until=until, as_of=as_of, provenance=provenance,
            progress=advance,
        )  # fmt: skip
    if json:
        print_json({"files": [file.to_dict() for file in files], "rows": sum(file.rows for file in files)})
    else:
        print_table(("file", "series", "rows", "bytes"),
                    [(file.path, file.series, file.rows, file.bytes) for file in files], "no files")  # fmt: skip
