"""A parameter explorer for notebooks: sliders with the strategy's own ranges, a back-test at every move."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from twinstar_kit.kernel.errors import TwinStarError
from twinstar_kit.report import theme
from twinstar_kit.report.spark import spark
from twinstar_kit.report.words import SIGNED, label, written

if TYPE_CHECKING:
    import pandas as pd

    from twinstar_kit.kernel.bars import Bars
    from twinstar_kit.session.results import RunResult
    from twinstar_kit.strategy import ParamSpec, Strategy

SHOWN = ("total_return", "sharpe", "max_drawdown", "trades", "win_rate", "profit_factor")


class Explorer:
    """Back-tests of one strategy over one series of bars, steered by widgets or by `set`.

    `broker` are settings as for `session.backtest`. `result` is the latest run, `trials` every combination that was
    looked at: a figure chosen among many is worth less, so the panel says among how many.

    >>> from twinstar_kit.feeds.simulated import SimulatedMarket
    >>> from twinstar_kit.strategy import load
    >>> bars = SimulatedMarket(1).bars("BTC/USDT", 1_735_689_600_000, 1_735_689_600_000 + 3_000 * 60_000)
    >>> explorer = Explorer(load("sma_cross"), bars, fee_taker=0)
    >>> _ = explorer.set(fast=10), explorer.set(fast=10), explorer.set(slow=80)
    >>> explorer.values, len(explorer.trials)
    ({'fast': 10, 'slow': 80}, 3)
    """

    def __init__(self, strategy: type[Strategy], bars: Bars, **broker: Any) -> None:
        import ipywidgets as widgets

        self._strategy, self._bars, self._broker = strategy, bars, broker
        self._seen: dict[tuple[Any, ...], RunResult] = {}
        self._specs = strategy.specs()
        self._moving = False
        self._controls = {name: _control(spec) for name, spec in self._specs.items()}
        self._panel = widgets.HTML()
        for control in self._controls.values():
            control.observe(self._moved, names="value")
        self.widget = widgets.VBox([*self._controls.values(), self._panel])
        self.result = self._run()

    @property
    def values(self) -> dict[str, Any]:
        """The parameters as the controls stand."""
        return {name: spec.type(self._controls[name].value) for name, spec in self._specs.items()}

    @property
    def trials(self) -> pd.DataFrame:
        """Every combination that was run, in the order of first looking, with the figures shown."""
        import pandas as pd

        rows = [run.params | {name: run.metrics[name] for name in SHOWN} for run in self._seen.values()]
        return pd.DataFrame(rows)

    def set(self, **parameters: Any) -> RunResult:
        """Move controls as a hand would and return the result; ParamError for what the strategy does not take."""
        made = self._strategy(**(self.values | parameters)).params()
        self._moving = True
        try:
            for name in parameters:
                control = self._controls[name]
                if hasattr(control, "max"):  # a slider would cut the value to its range without a word
                    control.max = max(control.max, made[name])
                control.value = made[name]
        finally:
            self._moving = False
        self.result = self._run()
        return self.result

    def _moved(self, _change: Any) -> None:
        if not self._moving:
            self.result = self._run()

    def _run(self) -> RunResult:
        from twinstar_kit.session import backtest

        values = self.values
        key = tuple(values.values())
        try:
            if key not in self._seen:
                self._seen[key] = backtest(self._strategy(**values), self._bars, **self._broker)
        except TwinStarError as error:
            self._panel.value = f'<p style="color:{theme.DOWN}">{escape(str(error))}</p>'
            return self.result
        self._panel.value = _drawn(self._seen[key], len(self._seen))
        return self._seen[key]

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options) | {"text/plain": repr(self)}

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value}" for name, value in self.values.items())
        return f"<Explorer of {self._strategy.__name__}({values}), {len(self._seen)} looked at>"


def _control(spec: ParamSpec) -> Any:
    """A slider over the range of a parameter that acts when it is let go; a check box for a flag."""
    import ipywidgets as widgets

    common = {
        "value": spec.default, "description": spec.name, "tooltip": spec.help, "continuous_update": False,
        "style": {"description_width": "110px"}, "layout": widgets.Layout(width="640px"),
    }  # fmt: skip
    if spec.type is bool:
        return widgets.Checkbox(value=spec.default, description=spec.name, tooltip=spec.help)
    low = float(spec.low if spec.low is not None else 0)
    # a range that reaches far beyond the default makes a slider that nobody can aim with
    near = 8 * abs(float(spec.default) or 1.0)
    high = near if spec.high is None or spec.high > 2.5 * near else float(spec.high)
    if spec.type is int:
        return widgets.IntSlider(min=int(low), max=int(high), step=int(spec.step or 1), **common)
    return widgets.FloatSlider(
        min=low, max=high, step=spec.step or (high - low) / 100, readout_format=".4g", **common
    )


def _drawn(run: RunResult, looked_at: int) -> str:
    """The result as a table, the equity as a line, and how many were looked at."""
    cells = "".join(_cell(name, run.metrics[name], run.instrument.settle) for name in SHOWN)
    line = spark(run.equity_units / 10.0**run.instrument.quote_scale, run.start_balance)
    words = [
        f"{looked_at} combination{'s' if looked_at > 1 else ''} looked at; the best of many is luck in part.",
        *run.notes,
    ]
    small = "".join(f'<div style="color:{theme.MUTED};font-size:12px">{escape(w)}</div>' for w in words)
    box = f"background:{theme.BACKGROUND};color:{theme.TEXT};padding:10px;border-radius:6px;max-width:660px;line-height:1.4"
    return f'<div style="{box}"><div style="display:flex;gap:22px;flex-wrap:wrap">{cells}</div>{line}{small}</div>'


def _cell(name: str, value: float | None, quote: str) -> str:
    tone = theme.TEXT
    if name in SIGNED and value:
        tone = theme.UP if value > 0 else theme.DOWN
    return (
        f'<div><div style="color:{theme.MUTED};font-size:12px">{escape(label(name))}</div>'
        f'<div style="color:{tone};font-size:17px">{escape(written(name, value, quote))}</div></div>'
    )
