"""`python -m benchmarks [--json] [--rounds N] [NAME ...]`: runs the benchmarks and prints one table."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from importlib import import_module
from importlib.metadata import version
from inspect import signature

from benchmarks.measure import Row

SUITES = {
    "sma_cross": "history.sma_cross",
    "breakout": "history.breakout",
    "memory": "history.memory",
    "depth": "depth.quoting",
    "report": "figures.report",
    "startup": "startup.startup",
    "warm": "startup.warm_backtest",
    "cold": "startup.cold_compile",
    "paper": "live.paper_loop",
    "orders": "orders.callbacks",
    "ccxt": "live.ccxt_orders",
    "lake_store": "lake_store.store",
    "lake_verify": "lake_verify.lake_verify",
    "lake_backfill": "lake_backfill.lake_backfill",
    "terminal": "terminal.run",
}
"""Every benchmark by name; it is imported when it runs."""


def measured(name: str, rounds: int) -> list[Row]:
    """The rows of one benchmark."""
    module, function = SUITES[name].split(".")
    work = getattr(import_module(f"benchmarks.{module}"), function)
    takes = "rounds" in signature(work).parameters
    return work(rounds) if takes else work()  # type: ignore[no-any-return]


def main() -> int:
    """Exit 1 when a target is missed or answers differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these (default: all)")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds of each work (default 7)")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.names if name not in SUITES]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(SUITES)}")
    rows: list[Row] = []
    for name in chosen.names or SUITES:
        print(f"... {name}", file=sys.stderr, flush=True)
        rows += measured(name, chosen.rounds)
    if chosen.json:
        print(json.dumps({"machine": machine(), "rows": [row.to_dict() for row in rows]}, indent=2))
    else:
        show(rows)
    return 1 if any(row.holds is False for row in rows) else 0


def machine() -> dict[str, str]:
    """What the figures were made on."""
    names = ("numba", "numpy", "vectorbt", "vectorbt-rust", "ccxt", "bokeh", "hftbacktest")
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        **{n: version(n) for n in names},
    }


def show(rows: list[Row]) -> None:
    """The table, and under it what the answers were and which features were on."""
    from benchmarks.history import FEATURES

    head = ("what", "ours", "", "peer", "named", "ratio", "target", "")
    cells = [head]
    for r in rows:
        peer = "" if r.peer is None else f"{r.peer:,.3g}"
        ratio = "" if r.ratio is None else f"{r.ratio:.2f}x"
        verdict = {True: "holds", False: "MISSED", None: ""}[r.holds]
        cells.append((r.name, f"{r.ours:,.3g}", r.unit, peer, r.peer_name, ratio, r.target, verdict))
    widths = [max(len(row[k]) for row in cells) for k in range(len(head))]
    print()
    for k, row in enumerate(cells):
        print("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())
        if k == 0:
            print("  ".join("-" * width for width in widths))
    answers = dict.fromkeys(f"{r.name}: {r.answers}" for r in rows if r.answers)
    print("\nanswers, compared before the rates:", *answers, sep="\n  ")
    print("\nfeatures:", *FEATURES, *dict.fromkeys(n for r in rows for n in r.notes), sep="\n  ")
    print("\nrates are per second of CPU time, medians; startup is wall time of new processes")


if __name__ == "__main__":
    sys.exit(main())
