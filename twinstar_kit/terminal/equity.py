"""The equity pane: one Bokeh figure a page, fed from the hub's curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twinstar_kit.report import theme

if TYPE_CHECKING:
    from twinstar_kit.terminal.backend import AccountView
    from twinstar_kit.terminal.hub import Hub

LEAST_SPAN_MS = 15 * 60_000
REFRESH_MS = 5_000  # the last point moves at most so often
COLOURS = (theme.LINE, theme.ACCENT, theme.UP, theme.MUTED)


class EquityFigure:
    """Equity of each account of the session over time: its change since the beginning, its worth under the cursor."""

    def __init__(self, hub: Hub) -> None:
        import panel as pn
        from bokeh.models import HoverTool, NumeralTickFormatter, Range1d

        self.hub = hub
        self.sources: dict[str, Any] = {}
        self.told: dict[str, tuple[int, int]] = {}
        self.span = Range1d()
        figure = self.figure = theme.new_figure(
            "", 190, x_axis_type="datetime", x_range=self.span, tools="xpan"
        )
        figure.sizing_mode = "stretch_both"
        figure.toolbar_location = None
        figure.min_border_top = figure.min_border_bottom = 4
        tips = [
            ("", "$name"),
            ("time", "@time{%F %T}"),
            ("equity", f"@equity{{0,0.00}} {hub.rates.money}"),
            ("since opening", "@change{+0.00%}"),
        ]
        self.hover = HoverTool(tooltips=tips, formatters={"@time": "datetime"}, mode="vline", renderers=[])
        figure.add_tools(self.hover)
        for view in hub.backend.accounts():
            self._add(view)
        theme.style_legend(figure)
        figure.axis.major_label_text_font_size = "10px"
        figure.yaxis.formatter = NumeralTickFormatter(format="+0.00%")
        figure.yaxis.ticker.desired_num_ticks = 4
        figure.y_range.range_padding = 0.08
        figure.y_range.only_visible = True
        self.pane: Any = pn.pane.Bokeh(  # type: ignore[no-untyped-call]
            figure, sizing_mode="stretch_both", margin=0
        )

    def _add(self, view: AccountView) -> None:
        """A line for an account; strategies may begin while the page is open."""
        from bokeh.models import ColumnDataSource

        colour = COLOURS[len(self.sources) % len(COLOURS)]
        source = self.sources[view.name] = ColumnDataSource({"time": [], "equity": [], "change": []})
        name = view.owner or view.name
        line = self.figure.line(
            "time", "change", source=source, color=colour, width=1.5, legend_label=name, name=name
        )
        self.hover.renderers = [*self.hover.renderers, line]

    def update(self) -> None:
        """Bring the figure up to date; call it with the document's lock, as Panel's callbacks do."""
        for view in self.hub.backend.accounts():
            if view.name not in self.sources:
                self._add(view)
        first, last = [], []
        curves = self.hub.curves()
        for name, source in self.sources.items():
            points = list(curves[name].points) if name in curves else []
            if not points:
                continue
            state = (len(points), points[-1][0] // REFRESH_MS)
            if state == self.told.get(name):
                continue
            self.told[name] = state
            times, values = zip(*points, strict=True)
            change = [value / values[0] - 1.0 if values[0] else 0.0 for value in values]
            source.data = {"time": list(times), "equity": list(values), "change": change}
            first.append(times[0])
            last.append(times[-1])
        if last:
            self.span.start = min(*first, max(last) - LEAST_SPAN_MS)
            self.span.end = max(last)
