"""How much there is: partial fills on bars, trades and books are bounded by what traded or rested, and what was eaten stays eaten."""

from __future__ import annotations

from decimal import Decimal as D

from kernel.builders import Desk

from twinstar_kit.kernel.orders import Reason

ASKS = [(100, 1), (101, 2), (102, 3)]
BIDS = [(99, 1), (98, 2), (97, 3)]


def desk(**broker) -> Desk:
    terms = {"fee_maker": 0, "fee_taker": 0, "liquidity": "bounded"} | broker
    return Desk({"USDT": 100_000, "BTC": 100}, engine={"levels": 5}, **terms).last(100)


# --- bars ---------------------------------------------------------------------------------------------------------


def test_orders_share_their_part_of_a_bars_volume_the_older_first() -> None:
    d = desk(volume_share="0.25")
    first = d.send("buy", "market", 2)
    second = d.send("buy", "market", 2)
    assert d.bar(100, 101, 99, 100, volume=12) == [("buy", D(100), D(2)), ("buy", D(100), D(1))]
    assert d.order(first) is None
    assert d.leaves(second) == 1
    assert d.bar(103, 104, 102, 103, volume=40) == [("buy", D(103), D(1))]


def test_a_share_is_whole_lots_and_a_bar_without_volume_fills_nothing() -> None:
    d = desk(volume_share="0.1")
    d.send("buy", "market", 1)
    assert d.bar(100, 101, 99, 100, volume="0.123") == [("buy", D(100), D("0.012"))]
    row = [d.ts, *(d.units(p) for p in (100, 101, 99, 100)), 0]
    d.engine.on_bar(0, row)
    assert d.fills(d._drain()) == []


def test_unlimited_fills_whole_whatever_traded() -> None:
    d = desk(liquidity="unlimited")
    d.send("buy", "market", 50)
    assert d.bar(100, 101, 99, 100, volume="0.001") == [("buy", D(100), D(50))]


def test_the_nearest_on_the_path_takes_first() -> None:
    d = desk(path="open_low_high_close", volume_share="0.5")
    far = d.send("buy", "limit", 3, 95)
    near = d.send("buy", "limit", 3, 97)
    assert d.bar(100, 101, 94, 100, volume=8) == [("buy", D(97), D(3)), ("buy", D(95), D(1))]
    assert d.leaves(far) == 2
    assert d.order(near) is None


# --- trades -------------------------------------------------------------------------------------------------------


def test_a_trade_fills_no_more_than_it_was() -> None:
    d = desk()
    d.send("buy", "market", 3)
    assert d.trade(100, 2) == [("buy", D(100), D(2))]
    assert d.trade(101, 2) == [("buy", D(101), D(1))]


def test_a_trade_goes_to_the_best_price_first_and_is_shared() -> None:
    d = desk()
    low = d.send("buy", "limit", 2, 97)
    high = d.send("buy", "limit", 2, 98)
    d.trade(100, 1)
    assert d.trade(96, 3) == [("buy", D(98), D(2)), ("buy", D(97), D(1))]
    assert d.order(high) is None
    assert d.leaves(low) == 1


# --- books --------------------------------------------------------------------------------------------------------


def test_a_taker_walks_the_book_level_by_level() -> None:
    d = desk()
    d.send("buy", "market", 5)
    assert d.book(BIDS, ASKS) == [("buy", D(100), D(1)), ("buy", D(101), D(2)), ("buy", D(102), D(2))]
    assert d.met() == [Reason.MET_BOOK] * 3
    sizes = [int(e["ref_qty"]) for e in d.events if e["kind"] == 25]
    assert sizes == [d.m.amount_units(n) for n in (1, 2, 3)], "each record says how much was there"


def test_what_was_eaten_stays_eaten_until_the_book_says_otherwise() -> None:
    d = desk()
    d.send("buy", "limit", 2, 101)
    assert [f[2] for f in d.book(BIDS, ASKS)] == [1, 1]
    # the same book again: nothing new at 100, one left at 101
    d.send("buy", "limit", 5, 101)
    assert d.book(BIDS, ASKS) == [("buy", D(101), D(1))]
    assert d.book(BIDS, ASKS) == []
    # another quantity at 100: the book has spoken of that level, and what rests meets it at its own price
    assert d.book(BIDS, [(100, 3), (101, 2), (102, 3)]) == [("buy", D(101), D(3))]


def test_a_level_that_went_and_came_back_is_fresh() -> None:
    d = desk()
    d.book(BIDS, ASKS)
    d.send("buy", "limit", 5, 100)
    assert d.levels(("bid", 97, 4)) == [("buy", D(100), D(1))]
    d.levels(("ask", 100, 0))
    d.levels(("ask", 100, 2))
    d.send("buy", "limit", 5, 100)
    assert d.levels(("bid", 97, 5)) == [("buy", D(100), D(2))]


def test_a_resting_order_takes_at_its_price_what_came_through_it() -> None:
    d = desk()
    d.book(BIDS, ASKS)
    order = d.send("sell", "limit", 5, "99.50")
    assert d.book(BIDS, ASKS) == []
    # bids come over it: it is a maker, at its own price, for what rests there
    assert d.book([("99.80", 1), ("99.60", 1), (99, 9)], [(100, 1)]) == [
        ("sell", D("99.50"), D(1)),
        ("sell", D("99.50"), D(1)),
    ]
    assert d.leaves(order) == 3


def test_quotes_without_amounts_bound_nothing_and_with_amounts_do() -> None:
    d = desk()
    d.send("buy", "market", 5)
    assert d.quote(99, 100) == [("buy", D(100), D(5))]
    d.send("buy", "limit", 5, 100)
    assert d.quote(99, 100, 1, 2) == [("buy", D(100), D(2))]
    assert d.quote(99, 100, 1, 2) == []
    assert d.quote(99, "99.90", 1, 1) == [("buy", D(100), D(1))], (
        "it rests now, so it trades at its own price"
    )


def test_a_side_that_is_empty_has_no_price() -> None:
    d = desk()
    d.engine.on_quote(0, 1, 0, d.units(101))
    assert d.engine.inst["bid"][0] == 0
    assert len(d.engine.book(0, 1)) == 0
    d.send("sell", "market", 1)
    d.engine.on_quote(0, 2, 0, d.units(101))
    d._drain()
    assert d.reasons() == [Reason.NO_LIQUIDITY]


def test_a_full_side_keeps_its_best_levels() -> None:
    d = desk()
    d.levels(*(("ask", 100 + i, 1) for i in range(8)))
    assert [int(p) for p in d.engine.book(0, -1)["price"]] == [d.units(100 + i) for i in range(5)]
    d.levels(("ask", "99.50", 1))
    assert int(d.engine.book(0, -1)["price"][0]) == d.units("99.50")
    assert len(d.engine.book(0, -1)) == 5


def test_slices_of_a_book_agree_with_a_plain_dictionary() -> None:
    import random

    chance = random.Random(3)
    d = Desk({"USDT": 1000}, engine={"levels": 64})
    told: dict[str, dict[int, int]] = {"bid": {}, "ask": {}}
    for _ in range(400):
        side = chance.choice(["bid", "ask"])
        price = chance.randint(50, 70) if side == "bid" else chance.randint(71, 90)
        amount = chance.choice([0, 0, 1, 2, 3])
        d.levels((side, price, amount))
        told[side].pop(price, None)
        if amount:
            told[side][price] = amount
        for name, sign in (("bid", 1), ("ask", -1)):
            expected = sorted(told[name].items(), reverse=sign > 0)
            got = [
                (int(level["price"]) // 100, int(level["qty"]) // 10**8) for level in d.engine.book(0, sign)
            ]
            assert got == expected
