"""The look of every Bokeh figure: the terminal's dark palette, one type size, quiet grids."""

from __future__ import annotations

from typing import Any

BACKGROUND = "#0f1318"
PANEL = "#141a21"
BORDER = "#232a34"
GRID = "#1b222b"
TEXT = "#c9d1dc"
MUTED = "#8b95a3"
UP = "#2ebd85"
DOWN = "#f6465d"
ACCENT = "#f0b90b"
LINE = "#5b9cf6"
FONT = "Inter, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"

HOVER_STYLE = {
    "background-color": PANEL,
    "color": TEXT,
    "border": f"1px solid {BORDER}",
    "font-family": FONT,
    "font-size": "12px",
}


def new_figure(title: str, height: int, **more: Any) -> Any:
    """An empty figure in the palette, as wide as its container, with wheel zoom along x and no logo."""
    from bokeh.models import WheelZoomTool
    from bokeh.plotting import figure

    more.setdefault("tools", "xpan,reset,save")
    fig = figure(title=title, height=height, sizing_mode="stretch_width", toolbar_location="above", **more)
    if "xpan" in more["tools"]:
        wheel = WheelZoomTool(dimensions="width")
        fig.add_tools(wheel)
        fig.toolbar.active_scroll = wheel
    style(fig)
    return fig


def style(fig: Any) -> None:
    """Give a Bokeh figure the palette."""
    fig.toolbar.logo = None
    fig.toolbar.autohide = True
    fig.background_fill_color = BACKGROUND
    fig.border_fill_color = BACKGROUND
    fig.outline_line_color = BACKGROUND
    fig.min_border_left = 8
    fig.min_border_right = 16
    fig.title.text_color = TEXT
    fig.title.text_font = FONT
    fig.title.text_font_size = "13px"
    fig.title.text_font_style = "bold"
    fig.title.offset = 4
    for axis in fig.axis:
        axis.axis_line_color = BORDER
        axis.major_tick_line_color = BORDER
        axis.minor_tick_line_color = None
        axis.major_label_text_color = MUTED
        axis.major_label_text_font = FONT
        axis.major_label_text_font_size = "11px"
        axis.axis_label_text_color = MUTED
        axis.axis_label_text_font = FONT
        axis.axis_label_text_font_size = "11px"
        axis.axis_label_text_font_style = "normal"
    fig.grid.grid_line_color = GRID
    fig.xgrid.grid_line_color = None


def style_legend(fig: Any, location: str = "top_left") -> None:
    """A legend without a box, in one row."""
    fig.legend.location = location
    fig.legend.orientation = "horizontal"
    fig.legend.background_fill_alpha = 0.0
    fig.legend.border_line_color = None
    fig.legend.label_text_color = MUTED
    fig.legend.label_text_font = FONT
    fig.legend.label_text_font_size = "11px"
    fig.legend.padding = 4
    fig.legend.margin = 2
    fig.legend.glyph_height = 14
    fig.legend.click_policy = "hide"
