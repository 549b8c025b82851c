"""Bokeh figures of a run, each from plain arrays: equity, price with trades, the trades' returns, the calendar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twinstar_kit.report import theme
from twinstar_kit.report.metrics import DAY_MS, daily_equity
from twinstar_kit.report.reduce import coarser, extremes

if TYPE_CHECKING:
    from twinstar_kit.kernel.bars import Bars
    from twinstar_kit.kernel.instruments import Instrument

POINTS = 2_000
CANDLES = 420
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def equity_figure(
    equity_ts: NDArray[np.int64],
    equity: NDArray[np.int64],
    instrument: Instrument,
    start_equity: int,
    *,
    bars: Bars | None = None,
    title: str = "Equity",
    height: int = 340,
) -> Any:
    """Equity over the drawdown from its peak, with a shared time axis; two stacked Bokeh figures.

    `equity_ts` bar closes (ms UTC), `equity` and `start_equity` money units of the quote. With `bars`, buying at
    the first open and holding is drawn beside it. Every peak and trough stays, however many bars there are.
    """
    from bokeh.layouts import column
    from bokeh.models import ColumnDataSource, HoverTool, NumeralTickFormatter
    from bokeh.models.annotations import Span

    if len(equity_ts) == 0:
        return _nothing(title, height, "no bars yet")
    unit = 10.0**-instrument.quote_scale
    level = np.asarray(equity, np.float64) * unit
    fall = level / np.maximum(np.maximum.accumulate(level), start_equity * unit) - 1.0
    keep = np.union1d(extremes(level, POINTS), extremes(fall, POINTS // 2))
    data = {"time": equity_ts[keep], "equity": level[keep], "fall": fall[keep]}
    if bars is not None and len(bars) == len(equity_ts):
        data["held"] = bars.close[keep] * (start_equity * unit / bars.open[0])
    source = ColumnDataSource(data)

    top = theme.new_figure(title, int(height * 0.68), x_axis_type="datetime")
    if "held" in data:
        top.line("time", "held", source=source, color=theme.MUTED, alpha=0.7, legend_label="buy and hold")
    top.line("time", "equity", source=source, color=theme.LINE, width=1.6, legend_label="equity")
    top.add_layout(
        Span(location=start_equity * unit, dimension="width", line_color=theme.BORDER, line_dash="dashed")
    )
    top.yaxis.formatter = NumeralTickFormatter(format=_money_format(level))
    top.xaxis.visible = False
    top.y_range.range_padding = 0.14
    top.x_range.range_padding = 0.01
    theme.style_legend(top)

    under = theme.new_figure("", int(height * 0.32), x_axis_type="datetime", x_range=top.x_range)
    under.varea("time", 0, "fall", source=source, color=theme.DOWN, alpha=0.28)
    edge = under.line("time", "fall", source=source, color=theme.DOWN, width=1.0)
    under.yaxis.formatter = NumeralTickFormatter(format="0.[0]%")
    under.yaxis.ticker.desired_num_ticks = 3
    under.y_range.end = 0
    for fig, glyph in ((top, top.renderers[-1]), (under, edge)):
        tips = [("time", "@time{%F %H:%M}"), ("equity", "@equity{0,0.00}"), ("drawdown", "@fall{0.00%}")]
        fig.add_tools(
            HoverTool(tooltips=tips, formatters={"@time": "datetime"}, mode="vline", renderers=[glyph])
        )
    under.toolbar_location = None
    _align_left(top, under)
    return column(
        top, under, sizing_mode="stretch_width", spacing=0, styles={"background-color": theme.BACKGROUND}
    )


def price_figure(
    bars: Bars,
    trades: NDArray[np.void] | None = None,
    *,
    title: str | None = None,
    height: int = 380,
    candles: int = CANDLES,
) -> Any:
    """Candles with each trade's entry, exit and the way between, green when it won and red when it lost.

    `bars` of any length are put together to about `candles` candles, which the title says. `trades` are `trade_t`
    rows of this instrument.
    """
    from bokeh.models import ColumnDataSource, HoverTool, NumeralTickFormatter

    rows, length = coarser(bars, candles)
    one = 10.0**bars.instrument.price_scale
    o, h, low, c = (rows[:, k] / one for k in (1, 2, 3, 4))
    rising = c >= o
    source = ColumnDataSource(
        {
            "time": rows[:, 0] + length // 2, "open": o, "high": h, "low": low, "close": c,
            "volume": rows[:, 5] / 10.0**bars.instrument.amount_scale,
            "color": np.where(rising, theme.UP, theme.DOWN),
        }
    )  # fmt: skip
    if title is not None and bars.simulated:
        title += " · SIMULATED"
    fig = theme.new_figure(title or _price_title(bars, length), height, x_axis_type="datetime")
    fig.segment("time", "high", "time", "low", source=source, color="color", line_width=1)
    bodies = fig.vbar("time", length * 0.72, "open", "close", source=source, color="color", line_width=1)
    tips = [("time", "@time{%F %H:%M}"), ("open", "@open{0,0.[00000000]}"), ("high", "@high{0,0.[00000000]}"),
            ("low", "@low{0,0.[00000000]}"), ("close", "@close{0,0.[00000000]}"), ("volume", "@volume{0,0.00}")]  # fmt: skip
    fig.add_tools(
        HoverTool(tooltips=tips, formatters={"@time": "datetime"}, mode="vline", renderers=[bodies])
    )
    if trades is not None and len(trades):
        _draw_trades(fig, trades, one)
    fig.yaxis.formatter = NumeralTickFormatter(format=_price_format(c))
    fig.y_range.only_visible = True
    fig.y_range.range_padding = 0.14
    _align_left(fig)
    fig.x_range.range_padding = 0.01
    return fig


def trades_figure(trades: NDArray[np.void], *, title: str = "Returns of trades", height: int = 260) -> Any:
    """A histogram of the closed trades' returns (profit after fees over cost), losses red and profits green."""
    from bokeh.models import ColumnDataSource, HoverTool, NumeralTickFormatter
    from bokeh.models.annotations import Span

    ret = trades["ret"][trades["open"] == 0] if len(trades) else np.empty(0)
    if len(ret) == 0:
        return _nothing(title, height, "no closed trades")
    edges = _edges_through_zero(ret)
    count, _ = np.histogram(ret, edges)
    source = ColumnDataSource(
        {
            "count": count, "left": edges[:-1], "right": edges[1:],
            "color": np.where(edges[:-1] >= 0, theme.UP, theme.DOWN),
        }
    )  # fmt: skip
    fig = theme.new_figure(title, height, tools="save")
    boxes = fig.quad(
        left="left", right="right", bottom=0, top="count", source=source,
        fill_color="color", fill_alpha=0.75, line_color=theme.BACKGROUND,
    )  # fmt: skip
    mean = float(ret.mean())
    fig.add_layout(Span(location=mean, dimension="height", line_color=theme.ACCENT, line_dash="dashed"))
    fig.title.text = f"{title} · {len(ret):,} trades, mean {mean:+.2%}"
    fig.xaxis.formatter = NumeralTickFormatter(format="+0.[00]%")
    fig.yaxis.formatter = NumeralTickFormatter(format="0,0")
    fig.y_range.start = 0
    _align_left(fig)
    fig.add_tools(
        HoverTool(
            tooltips=[("return", "@left{+0.00%} to @right{+0.00%}"), ("trades", "@count")], renderers=[boxes]
        )
    )
    return fig


def calendar_figure(
    equity_ts: NDArray[np.int64], equity: NDArray[np.int64], start_equity: int, *, height: int | None = None
) -> Any:
    """A heat map of returns: months by year, or days by week when the run is shorter than four months."""
    days, values = daily_equity(equity_ts, equity, start_equity)
    if len(days) == 0:
        return _nothing("Returns", height or 200, "no bars yet")
    stamps = days.astype("datetime64[ms]")
    months = stamps.astype("datetime64[M]")
    if len(np.unique(months)) >= 4:
        last = np.flatnonzero(np.append(months[1:] != months[:-1], True))
        level = np.concatenate((values[:1], values[1:][last])).astype(np.float64)
        years = months[last].astype("datetime64[Y]").astype(int) + 1970
        columns = [MONTHS[k] for k in months[last].astype(int) % 12]
        ends = np.flatnonzero(np.append(years[1:] != years[:-1], True))
        whole = _growth(np.concatenate((level[:1], level[1:][ends])))
        rows = [str(y) for y in (*years, *years[ends])]
        columns += ["Year"] * len(ends)
        returns = np.concatenate((_growth(level), whole))
        return _heat_map("Monthly returns", columns, rows, returns, (*MONTHS, "Year"), height)
    weekday = (days // DAY_MS + 3) % 7
    mondays = (stamps - weekday.astype("timedelta64[D]")).astype("datetime64[D]")
    columns = [WEEKDAYS[k] for k in weekday]
    rows = [str(m) for m in mondays]
    return _heat_map(
        "Daily returns by week (UTC)", columns, rows, _growth(values.astype(float)), WEEKDAYS, height
    )


def _growth(level: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(level[1:] / level[:-1] - 1.0)


def _heat_map(
    title: str, columns: list[str], rows: list[str], values: NDArray[np.float64],
    factors: tuple[str, ...], height: int | None,
) -> Any:  # fmt: skip
    from bokeh.core.properties import value
    from bokeh.models import ColumnDataSource

    largest = max(float(np.quantile(np.abs(values), 0.95)), 1e-9)
    share = np.sqrt(np.minimum(np.abs(values) / largest, 1.0))
    source = ColumnDataSource(
        {
            "column": columns, "row": rows, "text": [f"{v:+.1%}" if abs(v) >= 5e-4 else "0.0%" for v in values],
            "color": [_mix(theme.UP if v > 0 else theme.DOWN, 0.12 + 0.68 * s) if v else theme.PANEL
                      for v, s in zip(values, share, strict=True)],
            "ink": [theme.TEXT if s < 0.75 else "#ffffff" for s in share],
        }
    )  # fmt: skip
    labels = sorted(set(rows), reverse=True)
    fig = theme.new_figure(
        title,
        height or 64 + 26 * len(labels),
        x_range=list(factors),
        y_range=labels,
        tools="",
        x_axis_location="above",
    )
    fig.rect("column", "row", 0.96, 0.9, source=source, fill_color="color", line_color=None)
    fig.text(
        "column", "row", "text", source=source, text_color="ink", text_font=value(theme.FONT), text_font_size="11px",
        text_align="center", text_baseline="middle",
    )  # fmt: skip
    fig.grid.grid_line_color = None
    fig.axis.axis_line_color = None
    fig.axis.major_tick_line_color = None
    fig.toolbar_location = None
    return fig


def _mix(colour: str, share: float) -> str:
    """`share` of a colour laid over the background."""
    front, back = (tuple(int(x[k : k + 2], 16) for k in (1, 3, 5)) for x in (colour, theme.BACKGROUND))
    return "#" + "".join(
        f"{round(f * share + b * (1 - share)):02x}" for f, b in zip(front, back, strict=True)
    )


def _draw_trades(fig: Any, trades: NDArray[np.void], one: float) -> None:
    from bokeh.models import ColumnDataSource

    won = trades["pnl"] > 0
    source = ColumnDataSource(
        {
            "entry_ts": trades["entry_ts"], "exit_ts": trades["exit_ts"],
            "entry_px": trades["entry_px"] / one, "exit_px": trades["exit_px"] / one,
            "color": np.where(won, theme.UP, theme.DOWN),
        }
    )  # fmt: skip
    closed = ColumnDataSource({k: v[trades["open"] == 0] for k, v in source.data.items()})
    fade = 0.9 if len(trades) <= 150 else 0.5
    size = 9 if len(trades) <= 150 else 6
    fig.segment(
        "entry_ts", "entry_px", "exit_ts", "exit_px", source=source,
        line_color="color", line_alpha=fade, line_width=1.4, line_dash="dotted",
    )  # fmt: skip
    fig.scatter(
        "entry_ts", "entry_px", source=source, marker="triangle", size=size, fill_color=theme.LINE,
        line_color=theme.BACKGROUND, alpha=fade, legend_label="entry",
    )  # fmt: skip
    fig.scatter(
        "exit_ts", "exit_px", source=closed, marker="inverted_triangle", size=size, fill_color=theme.ACCENT,
        line_color=theme.BACKGROUND, alpha=fade, legend_label="exit",
    )  # fmt: skip
    theme.style_legend(fig)


def _edges_through_zero(ret: NDArray[np.float64]) -> NDArray[np.float64]:
    """Equal bins, one edge at zero, so that no bar mixes profit and loss; far outliers share the last bins."""
    low, high = np.quantile(ret, [0.005, 0.995]) if len(ret) > 200 else (ret.min(), ret.max())
    width = max((max(high, 0.0) - min(low, 0.0)) / min(40, max(8, int(2 * len(ret) ** 0.5))), 1e-6)
    left, right = int(np.floor(low / width)), int(np.ceil(high / width))
    edges: NDArray[np.float64] = np.arange(min(left, 0), max(right, left + 1, 0) + 1) * width
    edges[0], edges[-1] = min(edges[0], ret.min()), max(edges[-1], ret.max())
    return edges


def _nothing(title: str, height: int, words: str) -> Any:
    from bokeh.models.annotations import Label

    fig = theme.new_figure(title, height, tools="", x_range=(0, 1), y_range=(0, 1))
    fig.axis.visible = False
    fig.grid.visible = False
    fig.toolbar_location = None
    fig.add_layout(
        Label(x=0.5, y=0.5, text=words, text_align="center", text_color=theme.MUTED, text_font=theme.FONT)
    )
    return fig


def _align_left(*figures: Any) -> None:
    """The same room for labels on the left, so that stacked plots share their edge."""
    for fig in figures:
        fig.min_border_left = 70


def _money_format(level: NDArray[np.float64]) -> str:
    return "0,0" if float(np.ptp(level)) >= 20 or level.max() >= 1e6 else "0,0.00"


def _price_format(price: NDArray[np.float64]) -> str:
    spread = max(float(np.ptp(price)), float(price.max()) * 1e-4)
    decimals = int(np.clip(np.ceil(1 - np.log10(spread)), 0, 8))
    return "0,0" + ("." + "0" * decimals if decimals else "")


def _price_title(bars: Bars, length: int) -> str:
    from twinstar_kit.kernel.bars import format_timeframe

    shown = format_timeframe(length)
    made = "" if length == bars.timeframe_ms else f" from {bars.timeframe}"
    return f"{bars.instrument.symbol} · {shown} candles{made}" + (" · SIMULATED" if bars.simulated else "")
