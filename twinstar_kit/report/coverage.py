"""The coverage heat map: one row for each series, one column for each day, coloured by where the bars come from."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinstar_kit.report import theme

DAY_MS = 86_400_000
CELLS = 8_000
"""With more cells than this, days in a row that look alike are drawn as one."""
COLOURS = {
    "observed": "#2ebd85",
    "backfilled": "#3d7de0",
    "from_trades": "#28a3b3",
    "healed": "#f0b90b",
    "no_trade": "#6b7684",
    "outage": "#8e6bd1",
    "disputed": "#ff8a3d",
    "missing": "#f6465d",
}
ABSENT = ("no_trade", "outage")


def coverage_figure(
    names: Sequence[str], days: NDArray[np.int64], counts: NDArray[np.int32], expected: NDArray[np.int32],
    kinds: Sequence[str], *, title: str = "Coverage", height: int | None = None,
) -> Any:  # fmt: skip
    """A Bokeh heat map of bars that are there, proven absent, or missing.

    `days` (d,) are UTC midnights in ms, `counts` (n, d, k) bars by kind, in the order of `kinds` (keys of COLOURS),
    `expected` (n, d) how many there should be. A day without a hole has the colour of what it mostly holds, tinted by
    its most doubtful kind; a day with a hole is red, the stronger the larger the hole; a day outside is empty.
    """
    from bokeh.models import ColumnDataSource, HoverTool

    data = _cells(names, days, counts, expected, kinds)
    covered, wanted = int(counts.sum()), int(expected.sum())
    share = covered / wanted if wanted else 0.0
    told = f"{title} · {_percent(share)} of {wanted:,} bars are there or proven absent"
    fig = theme.new_figure(
        told, height or 124 + max(20, min(30, 640 // max(len(names), 1))) * len(names), x_axis_type="datetime",
        y_range=list(reversed(names)), tools="xpan,reset,save",
    )  # fmt: skip
    source = ColumnDataSource(data)
    cells = fig.rect(
        "middle", "name", "width", 0.82, source=source, fill_color="color", line_color=None, fill_alpha=1.0
    )
    tips = [("", "@name"), ("day", "@day"), ("there", "@there"), ("proven absent", "@proven{0,0}"),
            ("missing", "@missing{0,0}"), ("from", "@origin")]  # fmt: skip
    fig.add_tools(HoverTool(tooltips=tips, renderers=[cells]))
    _legend(fig, [*kinds, "missing"], [*counts.sum(axis=(0, 1)), wanted - covered], names)
    fig.x_range.range_padding = 0.005
    fig.x_range.start, fig.x_range.end = int(days[0]), int(days[-1]) + DAY_MS
    fig.ygrid.grid_line_color = None
    fig.yaxis.axis_line_color = None
    fig.yaxis.major_tick_line_color = None
    fig.yaxis.major_label_text_color = theme.TEXT
    fig.min_border_left = 70
    fig.min_border_bottom = 44
    return fig


def _cells(
    names: Sequence[str], days: NDArray[np.int64], counts: NDArray[np.int32], expected: NDArray[np.int32],
    kinds: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    """The columns of the cells: a day each, or a run of days that look alike where there are many."""
    absent = [kind in ABSENT for kind in kinds]
    stored = counts[:, :, ~np.array(absent)].sum(axis=2)
    proven = counts[:, :, np.array(absent)].sum(axis=2)
    missing = np.maximum(expected - stored - proven, 0)
    merge = expected.size > CELLS
    found: dict[str, list[Any]] = {
        key: [] for key in ("name", "middle", "width", "color", "day", "there", "proven", "missing", "origin")
    }
    for row, name in enumerate(names):
        colors = [_colour(counts[row, k], int(expected[row, k]), kinds) for k in range(len(days))]
        for first, end in _runs(colors, merge):
            if not expected[row, first:end].any() and not counts[row, first:end].any():
                continue
            sums = counts[row, first:end].sum(axis=0)
            there, wanted = int(stored[row, first:end].sum()), int(expected[row, first:end].sum())
            length = int(days[end - 1]) + DAY_MS - int(days[first])
            found["name"].append(name)
            found["middle"].append(int(days[first]) + length // 2)
            found["width"].append(length if merge else int(length * 0.9))
            found["color"].append(colors[first])
            found["day"].append(_days(int(days[first]), int(days[end - 1])))
            found["there"].append(f"{there:,} of {wanted:,}")
            found["proven"].append(int(proven[row, first:end].sum()))
            found["missing"].append(int(missing[row, first:end].sum()))
            found["origin"].append(", ".join(
                f"{kind.replace('_', ' ')} {int(count):,}" for kind, count in zip(kinds, sums, strict=True) if count
            ))  # fmt: skip
    return found


def _runs(colors: Sequence[str], merge: bool) -> list[tuple[int, int]]:
    if not merge:
        return [(k, k + 1) for k in range(len(colors))]
    edges = [0, *(k for k in range(1, len(colors)) if colors[k] != colors[k - 1]), len(colors)]
    return list(itertools.pairwise(edges))


def _colour(counts: NDArray[np.int32], expected: int, kinds: Sequence[str]) -> str:
    total = int(counts.sum())
    hole = 1 - total / expected if expected else 0.0
    if total == 0:
        return COLOURS["missing"] if expected else theme.BACKGROUND
    if hole > 0:
        return _mix(COLOURS["missing"], theme.PANEL, 0.6 + 0.4 * hole)
    main = int(counts.argmax())
    worst = int(np.flatnonzero(counts)[-1])
    if worst == main:
        return COLOURS[kinds[main]]
    return _mix(COLOURS[kinds[worst]], COLOURS[kinds[main]], 0.8 + 0.2 * float(counts[worst]) / total)


def _mix(front: str, back: str, share: float) -> str:
    parts = ((int(front[k : k + 2], 16), int(back[k : k + 2], 16)) for k in (1, 3, 5))
    return "#" + "".join(f"{round(f * share + b * (1 - share)):02x}" for f, b in parts)


def _legend(fig: Any, kinds: Sequence[str], totals: Sequence[int], names: Sequence[str]) -> None:
    """A swatch for each kind that occurs, above the map."""
    from bokeh.models.annotations import Legend, LegendItem

    items = []
    for kind, count in zip(kinds, totals, strict=True):
        if count:
            swatch = fig.scatter([float("nan")], [names[0]], marker="square", size=12, color=COLOURS[kind])
            items.append(LegendItem(label=f"{kind.replace('_', ' ')} {int(count):,}", renderers=[swatch]))
    fig.add_layout(Legend(items=items), "above")
    theme.style_legend(fig, "left")
    fig.legend.click_policy = "none"
    fig.legend.spacing = 14
    fig.legend.glyph_width = fig.legend.glyph_height = 16
    fig.legend.label_standoff = 2
    fig.legend.padding = 2


def _days(first_ms: int, last_ms: int) -> str:
    first, last = (str(np.datetime64(at, "ms").astype("datetime64[D]")) for at in (first_ms, last_ms))
    return first if first == last else f"{first} to {last}"


def _percent(share: float) -> str:
    """Never rounded up to a whole: 99.9999 % is not 100 %.

    >>> _percent(1.0), _percent(0.9999999), _percent(0.5)
    ('100 %', '99.99 %', '50.00 %')
    """
    return "100 %" if share >= 1 else f"{int(share * 10_000) / 100:.2f} %"
