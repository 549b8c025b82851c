"""How commands speak: one JSON object or a short table on standard output, everything else on standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol


class Advance(Protocol):
    """Called with the work done so far and the whole of it, or None where nobody knows it."""

    def __call__(self, done: float, total: float | None = None, note: str = "") -> None: ...


def print_json(report: Mapping[str, Any]) -> None:
    """One JSON object on standard output; a figure that does not exist (NaN, infinity) is null."""
    sys.stdout.write(json.dumps(_plain(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)


def print_pairs(rows: Mapping[str, Any] | Sequence[tuple[str, Any]]) -> None:
    """Names and values in two columns."""
    pairs = list(rows.items()) if isinstance(rows, Mapping) else rows
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        print(f"{name:<{width}}  {shown(value)}")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
    """Rows under their column names; `empty` is said when there are none."""
    cells = [[shown(value) for value in row] for row in rows]
    if not cells:
        print(empty)
        return
    widths = [max(len(row[i]) for row in [list(columns), *cells]) for i in range(len(columns))]
    for row in [list(columns), *cells]:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def shown(value: Any) -> str:
    """A value as a person reads it.

    >>> shown(0.123456789), shown(None), shown(True), shown(1234567)
    ('0.123457', '-', 'yes', '1,234,567')
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}" if math.isfinite(value) else "-"
    return str(value)


def say(text: str) -> None:
    """A word to the user that is not part of the report."""
    print(text, file=sys.stderr)


@contextmanager
def progress(title: str) -> Iterator[Advance]:
    """A bar on standard error while the work lasts; silent where standard error is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total=None, note="": None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def advance(done: float, total: float | None = None, note: str = "") -> None:
            bar.update(task, completed=done, total=total, description=f"{title} {note}".rstrip())

        yield advance
