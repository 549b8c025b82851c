"""`python -m benchmarks [--json] [--rounds N] [NAME ...]`: runs the benchmarks and prints one table."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec

from benchmarks.measure import Row


def suites(rounds: int) -> dict[str, Callable[[], list[Row]]]:
    """Every benchmark by name; imported when it runs."""

    def history(name: str) -> Callable[[], list[Row]]:
        def run() -> list[Row]:
            from benchmarks import history

            return getattr(history, name)(*() if name == "memory" else (rounds,))  # type: ignore[no-any-return]

        return run

    def startup(name: str, *arguments: int) -> Callable[[], list[Row]]:
        def run() -> list[Row]:
            from benchmarks import startup

            return getattr(startup, name)(*arguments)  # type: ignore[no-any-return]

        return run

    def live(name: str) -> Callable[[], list[Row]]:
        def run() -> list[Row]:
            from benchmarks import live

            return getattr(live, name)()  # type: ignore[no-any-return]

        return run

    def depth() -> list[Row]:
        from benchmarks.depth import quoting

        return quoting(rounds)

    def orders() -> list[Row]:
        from benchmarks.orders import callbacks

        return callbacks(rounds)

    def report() -> list[Row]:
        from benchmarks.figures import report

        return report(rounds)

    def verify() -> list[Row]:
        from benchmarks.lake_verify import lake_verify

        return lake_verify(rounds)

    def store() -> list[Row]:
        from benchmarks.lake_store import store

        return store(rounds)

    def backfill() -> list[Row]:
        from benchmarks.lake_backfill import lake_backfill

        return lake_backfill()

    found = {
        "sma_cross": history("sma_cross"),
        "breakout": history("breakout"),
        "memory": history("memory"),
        "depth": depth,
        "report": report,
        "startup": startup("startup", rounds),
        "warm": startup("warm_backtest", min(rounds, 3)),
        "cold": startup("cold_compile"),
        "paper": live("paper_loop"),
        "orders": orders,
        "ccxt": live("ccxt_orders"),
        "lake_store": store,
        "lake_verify": verify,
        "lake_backfill": backfill,
    }
    if find_spec("benchmarks.terminal"):
        found["terminal"] = _terminal
    return found


def _terminal() -> list[Row]:
    from importlib import import_module

    return list(import_module("benchmarks.terminal").run())


def main() -> int:
    """Exit 1 when a target is missed or answers differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these (default: all)")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds of each work (default 7)")
    chosen = parser.parse_args()
    known = suites(chosen.rounds)
    unknown = [name for name in chosen.names if name not in known]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(known)}")
    rows: list[Row] = []
    for name in chosen.names or known:
        print(f"... {name}", file=sys.stderr, flush=True)
        rows += known[name]()
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
