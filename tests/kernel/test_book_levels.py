"""The levels of a book against a dictionary: whatever changes, each side is what a dictionary of its best prices would be."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.models import Broker

BTC = Instrument.from_sizes("BTC/USDT", tick="1", lot="1", amount_scale=8)
CHANGE = st.tuples(st.sampled_from([1, -1]), st.integers(1, 40), st.sampled_from([0, 0, 1, 2, 3]))


class Side:
    """One side as a dictionary that keeps the best prices that fit."""

    def __init__(self, sign, room):
        self.sign, self.room, self.levels = sign, room, {}

    def change(self, price, qty):
        if qty == 0:
            self.levels.pop(price, None)
            return
        if price not in self.levels and len(self.levels) == self.room:
            furthest = min(self.levels, key=lambda p: p * self.sign)
            if price * self.sign < furthest * self.sign:
                return
            del self.levels[furthest]
        self.levels[price] = qty

    def best_first(self):
        return sorted(self.levels.items(), key=lambda level: -level[0] * self.sign)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(CHANGE, min_size=1, max_size=12), max_size=30), st.sampled_from([1, 2, 5, 64]))
def test_levels_are_those_of_a_dictionary(updates, room):
    engine = Engine([BTC], Broker(), levels=room, live_book=True)
    sides = {sign: Side(sign, room) for sign in (1, -1)}
    for ts, update in enumerate(updates):
        engine.on_levels(0, ts, np.array(update, np.int64))
        for sign, price, qty in update:
            sides[sign].change(price, qty)
        for sign, side in sides.items():
            book = engine.book(0, sign)
            assert [(int(level["price"]), int(level["qty"])) for level in book] == side.best_first()
            best = side.best_first()[:1]
            assert int(engine.inst["bid" if sign > 0 else "ask"][0]) == (best[0][0] if best else 0)


def test_a_level_that_comes_back_has_nothing_taken_from_it():
    engine = Engine([BTC], Broker(), levels=8, live_book=True)
    engine.on_levels(0, 1, np.array([[-1, 10, 5], [-1, 11, 5], [-1, 12, 5]]))
    engine.depth["taken"][0, 1, :3] = 4
    engine.on_levels(0, 2, np.array([[-1, 11, 0]]))
    engine.on_levels(0, 3, np.array([[-1, 11, 5]]))
    assert [(int(v["price"]), int(v["taken"])) for v in engine.book(0, -1)] == [(10, 4), (11, 0), (12, 4)]
