"""`twinstar data verify`, `certificate`, `status` and `snapshot`: what the lake holds, and what it is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twinstar_kit.cli import options
from twinstar_kit.cli.output import print_json, print_pairs, print_table, progress, say, shown
from twinstar_kit.kernel.errors import UsageError

if TYPE_CHECKING:
    from twinstar_kit.lake import Lake
    from twinstar_kit.lake.certificate import Certificate
    from twinstar_kit.lake.store import SeriesInfo
    from twinstar_kit.lake.verdicts import Verification

Timeframe = Annotated[str | None, typer.Option(metavar="1m", help="Bars of this length alone.")]
Since = Annotated[str | None, typer.Option(metavar="2025-01-01", help="From this time on, UTC.")]
Until = Annotated[str | None, typer.Option(metavar="2025-02-01", help="Up to this time, which is left out.")]


def verify(
    exchange: options.Exchange = None,
    symbol: options.Symbol = None,
    timeframe: Timeframe = None,
    since: Since = None,
    until: Until = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="EXCHANGE", help="The second venue to compare with (else any in the lake)."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="PATH", help="Check this Parquet, CSV or Feather file, not the lake."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Gaps, duplicates, order, OHLC and signs alone; no certificates.")
    ] = False,
    lake: options.Lake = None,
    home: options.Home = None,
    json: options.Json = False,
) -> None:
    """Check that market data is complete.

    Every month goes through every check that can be made: on its own, against longer bars, trades and a second venue.
    Whole months get a certificate. Exit 1 unless all is proven: every bar there, or its absence explained, and no rule
    violated.

    \b
    Examples:
      twinstar data verify
      twinstar data verify --exchange binance --symbol BTC/USDT --timeframe 1m --against kraken
      twinstar data verify --data bars.parquet --json
    """
    from twinstar_kit.feeds.clock import to_milliseconds

    since_ms, until_ms = (None if when is None else to_milliseconds(when) for when in (since, until))
    made: list[Certificate] = []
    if data is not None:
        if against or quick:
            raise UsageError("--data checks one file by itself: leave out --against and --quick")
        from twinstar_kit.lake.filecheck import verify_file

        found = verify_file(data, symbol, exchange, timeframe, since_ms, until_ms)
    else:
        from twinstar_kit.lake import Lake

        with Lake() as opened, progress("verify") as advance:
            chosen = [info.series for info in _chosen(opened, exchange, symbol, timeframe)]
            found = opened.verify(chosen, since_ms, until_ms, against=against, quick=quick, advance=advance)
            made = [] if quick else opened.certify(found)
            if not chosen:
                say(f"the lake at {opened.url} is empty: there is nothing to verify")
    if json:
        print_json({**found.to_dict(), "certificates": len(made)})
    else:
        _show_verification(found, len(made))
    if not found.holds:
        raise typer.Exit(1)


def _chosen(lake: Lake, exchange: str | None, symbol: str | None, timeframe: str | None) -> list[SeriesInfo]:
    """The series that the options name; UsageError when they name none."""
    from twinstar_kit.feeds import normalise_symbol

    wanted = None if symbol is None else normalise_symbol(symbol)
    held = [info for info in lake.series() if info.rows]
    chosen = [
        info
        for info in held
        if exchange in (None, info.series.exchange)
        and wanted in (None, info.series.symbol)
        and timeframe in (None, info.series.timeframe)
    ]
    if not chosen and (exchange or symbol or timeframe):
        what = " ".join(word for word in (exchange, wanted, timeframe) if word)
        near = ", ".join(str(info.series) for info in held[:5]) or "nothing"
        raise UsageError(f"the lake at {lake.url} holds no {what}; it holds {near}")
    return chosen


def _show_verification(found: Verification, certificates: int) -> None:
    columns = ("exchange", "symbol", "timeframe", "first", "last", "rows", "gaps", "missing", "proven_absent",
               "duplicates", "violations", "verdict")  # fmt: skip
    lines = [
        {**line, "timeframe": one.series.timeframe or one.series.kind.value, "first": _day(line["first"]),
         "last": _day(line["last"])}
        for line, one in zip(found.table(), found.series, strict=True)
    ]  # fmt: skip
    heads = [column.replace("_", " ") for column in columns]
    print_table(heads, [[line[c] for c in columns] for line in lines], "no series")
    if len(found.series) == 1:
        print()
        print_table(
            ("check", "result", "count", "first", ""),
            [
                (check.name, check.status.value, check.count or None, _instant(check.first), check.detail)
                for check in found.series[0].checks
            ],
            "no checks",
        )
    else:
        _show_findings(found)
    words = Counter(one.verdict.value for one in found.series)
    told = ", ".join(f"{count} {word}" for word, count in words.items()) or "nothing"
    print(f"\n{len(found.series)} series, {found.rows:,} rows in {found.seconds:.1f} s: {told}")
    if certificates:
        print(f"{certificates} new certificates; `twinstar data certificate` prints them")


def _show_findings(found: Verification) -> None:
    """Of many series: what was found or could not run, by check."""
    tally: Counter[tuple[str, str]] = Counter()
    counts: Counter[tuple[str, str]] = Counter()
    for one in found.series:
        for check in one.checks:
            if check.status.value != "passed":
                tally[check.name, check.status.value] += 1
                counts[check.name, check.status.value] += check.count
    if tally:
        print()
        print_table(
            ("check", "result", "series", "count"),
            [(name, status, tally[name, status], counts[name, status] or None) for name, status in tally],
            "",
        )


def certificate(
    exchange: options.Exchange = None,
    symbol: options.Symbol = None,
    timeframe: Timeframe = None,
    month: Annotated[str | None, typer.Option(metavar="2025-01", help="This month alone, in full.")] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Recompute every hash and link, and read the files they name."),
    ] = False,
    lake: options.Lake = None,
    home: options.Home = None,
    json: options.Json = False,
) -> None:
    """Print the certificates of months.

    What was checked, by which program, with which result; hashed and chained. With --check exit 1 when a certificate,
    the chain or a file that it names was changed.

    \b
    Examples:
      twinstar data certificate
      twinstar data certificate --exchange binance --symbol BTC/USDT --month 2025-01
      twinstar data certificate --check --json
    """
    from twinstar_kit.lake import Lake

    with Lake() as opened:
        chosen = [info.series for info in _chosen(opened, exchange, symbol, timeframe)]
        if check:
            _check(opened, chosen, json)
            return
        from twinstar_kit.lake.certificate import latest

        held = [
            one
            for series in chosen
            for one in latest(opened.certificates(series)).values()
            if month in (None, one.month)
        ]
    if not held:
        what = f"certificate of {month}" if month else "certificate"
        raise UsageError(f"there is no {what} yet; `twinstar data verify` makes them for whole months")
    if json:
        print_json({"certificates": [one.to_dict() for one in held]})
    elif month or len(held) == 1:
        print("\n\n".join(repr(one) for one in held))
    else:
        print_table(
            ("series", "month", "verdict", "rows", "missing", "proven absent", "number", "hash"),
            [
                (one.body["series"], one.month, one.verdict.value, one.body["rows"], one.body["missing"],
                 one.body["proven_absent"], one.number, one.hash[:16])
                for one in held
            ],
            "",
        )  # fmt: skip


def _check(lake: Lake, chosen: Iterable[Any], json: bool) -> None:
    faults, count = [], 0
    with progress("check") as advance:
        wanted = list(chosen)
        for done, series in enumerate(wanted, 1):
            count += len(lake.certificates(series))
            faults += lake.check_certificates(series)
            advance(done, len(wanted), str(series))
    if not count and not faults:
        raise UsageError("there is no certificate to check yet; `twinstar data verify` makes them")
    if json:
        report = {"ok": not faults, "certificates": count, "faults": [fault.to_dict() for fault in faults]}
        print_json(report)
    else:
        print_table(
            ("series", "certificate", "fault"),
            [(str(fault.series), fault.number, fault.what) for fault in faults],
            f"{count} certificates hold: bodies, links, the log, and every file that they name",
        )
    if faults:
        raise typer.Exit(1)


def status(
    exchange: options.Exchange = None,
    symbol: options.Symbol = None,
    timeframe: Timeframe = None,
    lake: options.Lake = None,
    home: options.Home = None,
    json: options.Json = False,
) -> None:
    """Show what the lake holds.

    Series with their ends, sizes, coverage and open gaps, how long ago the last row was, and what is certified.

    \b
    Examples:
      twinstar data status
      twinstar data status --exchange binance --json
    """
    from twinstar_kit.feeds.clock import SystemClock
    from twinstar_kit.lake import Lake
    from twinstar_kit.lake.status import series_status

    now_ms = SystemClock().milliseconds()
    with Lake() as opened:
        lines = [series_status(opened, info, now_ms) for info in _chosen(opened, exchange, symbol, timeframe)]
        rows, size = sum(line["rows"] for line in lines), sum(line["bytes"] for line in lines)
        report = {
            "lake": opened.url, "series": lines, "rows": rows, "bytes": size,
            "bytes_per_row": round(size / rows, 2) if rows else None,
            "snapshots": len(opened.snapshots()), "log_entries": len(opened.log()),
        }  # fmt: skip
    if json:
        print_json(report)
        return
    columns = ("exchange", "symbol", "what", "first", "last", "rows", "bytes", "coverage", "gaps", "missing",
               "certified", "verdict")  # fmt: skip
    cells = [
        [
            line["exchange"], line["symbol"], _what(line), _day(line["first"]),
            _day(line["last"]), line["rows"], line["bytes"],
            None if line["coverage"] is None else f"{line['coverage']:.2%}", line["gaps"], line["missing"],
            f"{line['months_certified']} of {line['months']} months", line["verdict"],
        ]
        for line in lines
    ]  # fmt: skip
    print_table(columns, cells, f"the lake at {report['lake']} is empty; `twinstar data import` fills it")
    if lines:
        print()
        print_pairs({key: report[key] for key in ("lake", "rows", "bytes", "bytes_per_row", "snapshots")})


def snapshot(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="What to call it; the time when not given.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the snapshots instead.")] = False,
    lake: options.Lake = None,
    home: options.Home = None,
    json: options.Json = False,
) -> None:
    """Freeze the lake's present state.

    It stays readable by its name: lake.read(..., as_of=NAME), or twinstar data export --as-of NAME.

    \b
    Examples:
      twinstar data snapshot before-repair
      twinstar data snapshot --list
    """
    from twinstar_kit.lake import Lake

    if name and list_:
        raise UsageError("name a snapshot to make, or --list them; not both")
    with Lake() as opened:
        held = opened.snapshots() if list_ else [opened.snapshot(name)]
    if json:
        rows = [{"id": one.id, "name": one.name, "ts": one.ts, "digest": one.digest} for one in held]
        print_json({"snapshots": rows} if list_ else rows[0])
        return
    print_table(
        ("id", "name", "taken", "digest"),
        [(one.id, one.name, _instant((one.ts,)), one.digest[:16]) for one in held],
        "no snapshots yet; `twinstar data snapshot NAME` makes one",
    )


def _what(line: dict[str, Any]) -> str:
    """Timeframe or kind; what was made up says so."""
    what = str(line["timeframe"] or line["kind"])
    return f"{what} SIMULATED" if line["simulated"] else what


def _day(ts_ms: int | None) -> str:
    return shown(None) if ts_ms is None else f"{datetime.fromtimestamp(ts_ms / 1000, UTC):%Y-%m-%d %H:%M}"


def _instant(stamps: tuple[int, ...]) -> str:
    return f"{datetime.fromtimestamp(stamps[0] / 1000, UTC):%Y-%m-%d %H:%M:%S}" if stamps else ""
