"""The coverage heat map tells holes from proofs and doubtful days from sound ones, at any size."""

from __future__ import annotations

import numpy as np
import pytest

from twinstar_kit.report import theme
from twinstar_kit.report.coverage import COLOURS, coverage_figure

DAY_MS = 86_400_000
KINDS = ("observed", "backfilled", "from_trades", "healed", "no_trade", "outage", "disputed")
WHOLE = 1440


def cells(counts: np.ndarray, expected: np.ndarray) -> dict[str, list]:
    names = [f"series {k}" for k in range(len(counts))]
    days = DAY_MS * np.arange(20_000, 20_000 + counts.shape[1])
    fig = coverage_figure(names, days, counts, expected, KINDS)
    (source,) = (r.data_source for r in fig.renderers if "origin" in r.data_source.data)
    return dict(source.data) | {
        "title": fig.title.text,
        "legend": [i.label.value for i in fig.legend[0].items],
    }


def days(*held: dict[str, int]) -> np.ndarray:
    """One series' counts, day by day."""
    table = np.zeros((1, len(held), len(KINDS)), np.int32)
    for at, day in enumerate(held):
        for kind, count in day.items():
            table[0, at, KINDS.index(kind)] = count
    return table


def strength(color: str, of: str) -> float:
    """How far a colour lies from the background towards another."""
    back, front, mixed = (
        np.array([int(c[k : k + 2], 16) for k in (1, 3, 5)]) for c in (theme.PANEL, of, color)
    )
    return float((mixed - back) @ (front - back) / ((front - back) @ (front - back)))


def test_a_whole_day_has_the_colour_of_where_it_comes_from():
    found = cells(days({"observed": WHOLE}, {"backfilled": WHOLE}, {"outage": WHOLE}), np.full((1, 3), WHOLE))
    assert found["color"] == [COLOURS["observed"], COLOURS["backfilled"], COLOURS["outage"]]
    assert found["there"] == ["1,440 of 1,440", "1,440 of 1,440", "0 of 1,440"]
    assert found["title"] == "Coverage · 100 % of 4,320 bars are there or proven absent"


def test_a_single_missing_minute_is_red_and_a_large_hole_is_redder():
    found = cells(days({"observed": WHOLE - 1}, {"observed": 100}, {}), np.full((1, 3), WHOLE))
    one, large, all_ = (strength(color, COLOURS["missing"]) for color in found["color"])
    assert 0.4 < one < large < all_ == pytest.approx(1)
    assert found["missing"] == [1, WHOLE - 100, WHOLE]
    assert "35.62 % of 4,320" in found["title"]


def test_a_proof_is_no_hole_and_a_healed_minute_tints_its_day():
    found = cells(
        days({"observed": 1400, "no_trade": 40}, {"observed": 1439, "healed": 1}), np.full((1, 2), WHOLE)
    )
    assert found["missing"] == [0, 0]
    assert found["proven"] == [40, 0]
    assert len({*found["color"], COLOURS["observed"], COLOURS["healed"], COLOURS["no_trade"]}) == 5
    assert found["legend"] == ["observed 2,839", "healed 1", "no trade 40"]


def test_days_outside_of_a_series_are_empty():
    found = cells(days({}, {"observed": WHOLE}), np.array([[0, WHOLE]]))
    assert found["day"] == ["2024-10-05"]


def test_a_year_of_98_series_is_drawn_in_runs_that_add_up():
    rng = np.random.default_rng(1)
    counts = np.zeros((98, 365, len(KINDS)), np.int32)
    counts[:, :, 1] = WHOLE
    holes = rng.random((98, 365)) < 0.01
    counts[holes, 1] -= rng.integers(1, WHOLE, holes.sum()).astype(np.int32)
    found = cells(counts, np.full((98, 365), WHOLE))
    assert len(found["name"]) < 3 * holes.sum() + 98
    assert sum(found["missing"]) == 98 * 365 * WHOLE - counts.sum()
    assert sum(found["width"]) == 98 * 365 * DAY_MS
