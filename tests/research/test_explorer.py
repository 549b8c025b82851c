"""The parameter explorer: moving a control is a back-test, looking twice is one trial, nonsense changes nothing."""

from __future__ import annotations

import pytest

from twinstar_kit.feeds.simulated import SimulatedMarket
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.research import Explorer
from twinstar_kit.session import backtest
from twinstar_kit.strategy import ParamError, load

JANUARY = 1_735_689_600_000


@pytest.fixture(scope="module")
def bars() -> Bars:
    return SimulatedMarket(3).bars("BTC/USDT", JANUARY, JANUARY + 4_000 * 60_000)


def test_the_controls_have_the_strategys_names_ranges_and_help(bars: Bars) -> None:
    explorer = Explorer(load("breakout"), bars)
    controls = {c.description: c for c in explorer.widget.children[:-1]}
    assert list(controls) == list(load("breakout").specs())
    assert (controls["lookback"].min, controls["lookback"].value) == (5, 55)
    assert controls["stop_width"].step == 0.5
    assert controls["lookback"].continuous_update is False


def test_a_moved_slider_runs_the_back_test_and_redraws(bars: Bars) -> None:
    explorer = Explorer(load("sma_cross"), bars, fee_taker="0.0005")
    fast = explorer.widget.children[0]
    before = explorer.widget.children[-1].value
    fast.value = 9
    assert explorer.widget.children[-1].value != before
    assert "2 combinations" in explorer.widget.children[-1].value
    assert "SIMULATED" in explorer.widget.children[-1].value
    want = backtest(load("sma_cross")(fast=9), bars, fee_taker="0.0005")
    assert explorer.result.journal_digest == want.journal_digest


def test_set_moves_the_controls_and_counts_each_combination_once(bars: Bars) -> None:
    explorer = Explorer(load("sma_cross"), bars)
    explorer.set(fast=10, slow=40)
    explorer.set(fast=10, slow=40)
    explorer.set(slow=4_000)  # beyond the slider's first range
    assert explorer.values == {"fast": 10, "slow": 4_000}
    assert explorer.result.params == {"fast": 10, "slow": 4_000}
    assert explorer.trials["slow"].tolist() == [50, 40, 4_000]
    assert "total_return" in explorer.trials


def test_a_parameter_out_of_range_is_refused_and_changes_nothing(bars: Bars) -> None:
    explorer = Explorer(load("sma_cross"), bars)
    with pytest.raises(ParamError):
        explorer.set(fast=0)
    with pytest.raises(ParamError):
        explorer.set(quick=3)
    assert explorer.values == {"fast": 20, "slow": 50}
    assert len(explorer.trials) == 1


def test_in_a_notebook_it_is_a_widget(bars: Bars) -> None:
    bundle = Explorer(load("sma_cross"), bars)._repr_mimebundle_()
    assert any("widget-view" in kind for kind in bundle)
