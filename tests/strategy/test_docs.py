"""The page about strategies is run: its classes load and trade, and it names every indicator and every call."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from strategy.walks import as_bars, play, walk

from twinstar_kit.strategy import indicators, load, make_runner
from twinstar_kit.strategy.context import CALLS, READABLE

PAGE = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_strategy_of_the_page_trades(tmp_path: Path):
    path = tmp_path / "channel.py"
    path.write_text(BLOCKS[0])
    runner = make_runner(load(f"{path}:Channel")())
    assert runner.mode == "compiled"
    play(runner, as_bars(walk(5_000, step=2e-3)))
    assert runner.strategy.entries > 5  # type: ignore[attr-defined]


def test_the_indicator_of_the_page_is_talibs(tmp_path: Path):
    import talib
    from strategy.walks import feed

    path = tmp_path / "macd.py"
    path.write_text(
        BLOCKS[1]
        + "\nfrom twinstar_kit.strategy import Strategy\nclass S(Strategy):\n    macd = MACD()\n    def on_bar(self, ctx): pass\n"
    )
    columns = walk(3_000)
    (ours,) = feed(load(str(path))().macd, columns, "value")  # type: ignore[attr-defined]
    # TA-Lib starts the fast average later, beside the slow one; that has faded by then
    assert ours[500:] == pytest.approx(talib.MACD(columns.close)[0][500:], rel=1e-9, abs=1e-9)


def test_the_check_of_the_page_runs(capsys: pytest.CaptureFixture[str]):
    exec(BLOCKS[2], {})  # noqa: S102 - it is our own page
    assert "proven   restartable" in capsys.readouterr().out


def test_the_page_leaves_nothing_out():
    for name in indicators.__all__:
        assert f"`{name}(" in PAGE, name
    for name in (*CALLS, *READABLE):
        assert f"ctx.{name}" in PAGE, name
