"""A venue's numbers become counts of units: exactly, or not at all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinstar_kit.feeds.ccxt_answers import units
from twinstar_kit.feeds.source import BadAnswer


@given(st.lists(st.integers(-(2**61), 2**61), min_size=1), st.integers(0, 12))
def test_texts_become_counts_exactly(counts: list[int], scale: int):
    texts = [format(Decimal(count).scaleb(-scale), "f") for count in counts]
    assert units(texts, scale, "value").tolist() == counts


@pytest.mark.parametrize("wrong", ["", "abc", None, "nan", "inf", [1]])
def test_what_is_no_number_is_a_wrong_answer(wrong: Any):
    with pytest.raises(BadAnswer):
        units(["1", wrong], 8, "price")
