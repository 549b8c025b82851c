"""One run on one page: a self-contained HTML file with the figures that matter first and every formula behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twinstar_kit.report import theme
from twinstar_kit.report.metrics import METRICS
from twinstar_kit.report.words import SIGNED, label, written

if TYPE_CHECKING:
    from twinstar_kit.kernel.bars import Bars

HEADLINES = ("total_return", "max_drawdown", "sharpe", "trades", "win_rate", "profit_factor")
GROUPS = {
    "Return": ("total_return", "cagr", "volatility", "sharpe", "sortino", "calmar", "omega"),
    "Risk": (
        "max_drawdown",
        "max_drawdown_intraday",
        "max_drawdown_days",
        "var_95",
        "cvar_95",
        "exposure",
        "days",
    ),
    "Trades": ("trades", "open_trades", "win_rate", "profit_factor", "sqn", "fees"),
    "One trade": ("expectancy", "avg_trade", "best_trade", "worst_trade"),
}
RECENT = 12


def tearsheet(
    *,
    title: str,
    bars: Bars,
    equity_ts: NDArray[np.int64],
    equity: NDArray[np.int64],
    start_equity: int,
    trades: NDArray[np.void],
    metrics: Mapping[str, float | int | None],
    facts: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> str:
    """The page as HTML text that needs no network: scripts and styles are inside.

    Arrays as in `report.metrics`; `facts` are what made the run (strategy, parameters, digests, ...), `notes`
    warnings that a reader must see. A simulated market and fills on the bar of the signal belong among them.
    """
    from bokeh.embed import components
    from bokeh.resources import Resources

    from twinstar_kit.report import figures

    instrument = bars.instrument
    parts = {
        "equity": figures.equity_figure(
            equity_ts, equity, instrument, start_equity, bars=bars, title="Equity and drawdown"
        ),
        "price": figures.price_figure(bars, trades),
        "calendar": figures.calendar_figure(equity_ts, equity, start_equity),
        "trades": figures.trades_figure(trades),
    }
    script, divs = components(parts)
    warnings = [*notes]
    if bars.simulated:
        warnings.insert(0, "SIMULATED market data: no exchange ever quoted these prices.")
    body = "\n".join(
        (
            _header(title, bars, warnings),
            _tiles(metrics, instrument.settle),
            f'<section class="card">{divs["equity"]}</section>',
            f'<section class="card">{divs["price"]}</section>',
            f'<section class="card">{divs["calendar"]}</section>',
            f'<section class="card">{divs["trades"]}</section>',
            _tables(metrics, instrument.settle),
            _recent(trades, bars),
            _facts(facts or {}),
            _formulas(),
        )
    )
    # `render()` would add the files of Panel's components where Panel has been imported
    raw = Resources(mode="inline", components=["bokeh"]).js_raw
    scripts = "".join(f"<script>\n{code}\n</script>" for code in raw)
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{CSS}</style>{scripts}'
    return (
        f'<!doctype html><html lang="en"><head>{head}</head><body><main>{body}</main>{script}</body></html>'
    )


def _header(title: str, bars: Bars, warnings: Sequence[str]) -> str:
    span = f"{_day(bars.timestamp[0])} to {_day(bars.timestamp[-1])}" if len(bars) else "no bars"
    line = f"{bars.instrument.symbol} on {bars.instrument.exchange} · {len(bars):,} bars of {bars.timeframe} · {span} UTC"
    flags = "".join(f'<p class="warning">{escape(w)}</p>' for w in warnings)
    return f"<header><h1>{escape(title)}</h1><p>{escape(line)}</p>{flags}</header>"


def _tone(name: str, value: float | None) -> str:
    if value is None or name not in SIGNED or value == 0:
        return ""
    return "up" if value > 0 else "down"


def _tiles(metrics: Mapping[str, Any], quote: str) -> str:
    tiles = (
        f'<div class="tile"><span>{escape(label(n))}</span>'
        f'<strong class="{_tone(n, metrics.get(n))}">{escape(written(n, metrics.get(n), quote))}</strong></div>'
        for n in HEADLINES
    )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _tables(metrics: Mapping[str, Any], quote: str) -> str:
    out = []
    for group, names in GROUPS.items():
        rows = "".join(
            f'<tr title="{escape(METRICS[n])}"><td>{escape(label(n))}</td>'
            f'<td class="number {_tone(n, metrics.get(n))}">{escape(written(n, metrics.get(n), quote))}</td></tr>'
            for n in names
        )
        out.append(f'<section class="card"><h2>{group}</h2><table>{rows}</table></section>')
    return f'<div class="four">{"".join(out)}</div>'


def _recent(trades: NDArray[np.void], bars: Bars) -> str:
    if len(trades) == 0:
        return ""
    instrument, rows = bars.instrument, []
    for t in trades[-RECENT:][::-1]:
        pnl = instrument.money(t["pnl"])
        tone = "up" if pnl > 0 else "down" if pnl < 0 else ""
        times = (_minute(t["entry_ts"]), "open" if t["open"] else _minute(t["exit_ts"]))
        cells = (
            f"{instrument.amount(t['amount']):g} {instrument.base}", _price(t["entry_px"], bars), _price(t["exit_px"], bars),
            f"{instrument.money(t['fees']):,.2f}",
        )  # fmt: skip
        plain = "".join(f'<td class="time">{c}</td>' for c in times)
        plain += "".join(f'<td class="number">{escape(c)}</td>' for c in cells)
        rows.append(
            f'<tr>{plain}<td class="number {tone}">{pnl:+,.2f}</td>'
            f'<td class="number {tone}">{float(t["ret"]):+.2%}</td></tr>'
        )
    names = ("Amount", "Entry price", "Exit price", "Fees", f"Profit, {instrument.settle}", "Return")
    head = "<th>Entry</th><th>Exit</th>" + "".join(f'<th class="number">{escape(n)}</th>' for n in names)
    title = f"Last {len(rows)} of {len(trades):,} trades" if len(trades) > len(rows) else "Trades"
    return f'<section class="card"><h2>{title}</h2><table><tr>{head}</tr>{"".join(rows)}</table></section>'


def _facts(facts: Mapping[str, Any]) -> str:
    if not facts:
        return ""
    rows = "".join(
        f"<tr><td>{escape(str(k))}</td><td><code>{escape(str(v))}</code></td></tr>" for k, v in facts.items()
    )
    return f'<section class="card"><h2>What made this run</h2><table class="facts">{rows}</table></section>'


def _formulas() -> str:
    rows = "".join(f"<tr><td>{escape(label(n))}</td><td>{escape(f)}</td></tr>" for n, f in METRICS.items())
    said = "r are daily returns of equity at 00:00 UTC; a year has 365 periods."
    return f'<details class="card"><summary>Formulas: {said}</summary><table class="facts">{rows}</table></details>'


def _day(ms: int) -> str:
    return str(np.datetime64(int(ms), "ms").astype("datetime64[D]"))


def _minute(ms: int) -> str:
    return str(np.datetime64(int(ms), "ms").astype("datetime64[m]")).replace("T", " ")


def _price(units: float, bars: Bars) -> str:
    price = units / 10**bars.instrument.price_scale
    decimals = 6 - int(np.floor(np.log10(price))) if price > 0 else 0
    return f"{price:,.{min(max(decimals, 0), bars.instrument.price_scale)}f}"


CSS = f"""
:root {{ color-scheme: dark; }}
body {{ margin: 0; background: #0a0d11; color: {theme.TEXT}; font: 13px/1.5 {theme.FONT}; }}
main {{ max-width: 1180px; margin: 0 auto; padding: 28px 20px 48px; display: grid; gap: 12px; }}
h1 {{ margin: 0; font-size: 22px; font-weight: 650; }}
h2 {{ margin: 0 0 6px; font-size: 12px; font-weight: 600; color: {theme.MUTED}; }}
header p {{ margin: 4px 0 0; color: {theme.MUTED}; }}
header .warning {{ display: inline-block; margin: 10px 8px 0 0; padding: 3px 10px; border-radius: 4px;
  color: {theme.ACCENT}; background: #2a2410; }}
.card, .tile {{ background: {theme.BACKGROUND}; border: 1px solid {theme.BORDER}; border-radius: 6px; padding: 12px;
  min-width: 0; overflow-x: auto; }}
.tiles {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px; margin-top: 8px; }}
.tile span {{ display: block; color: {theme.MUTED}; font-size: 12px; }}
.tile strong {{ font-size: 20px; font-weight: 600; font-variant-numeric: tabular-nums; }}
.four {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(240px, 1fr)); gap: 12px; }}
table {{ width: 100%; border-collapse: collapse; }}
td, th {{ padding: 4px 6px; border-bottom: 1px solid {theme.GRID}; text-align: left; font-weight: 400; }}
th {{ color: {theme.MUTED}; font-size: 12px; }}
tr:last-child td {{ border-bottom: 0; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
.time {{ font-variant-numeric: tabular-nums; white-space: nowrap; }}
.facts td:first-child {{ color: {theme.MUTED}; width: 200px; }}
code {{ font: 12px 'SF Mono', Consolas, 'Liberation Mono', monospace; overflow-wrap: anywhere; }}
summary {{ cursor: pointer; color: {theme.MUTED}; }}
.up {{ color: {theme.UP}; }} .down {{ color: {theme.DOWN}; }}
"""
