"""What can be had: no more fills than what rests or trades, and what was taken stays taken."""

from __future__ import annotations

import pytest
from venues.builders import exchange, last, replay

SYMBOL = "BTC/USDT"
RICH = {"USDT": 50_000_000, "BTC": 100}


def test_a_market_order_walks_the_book_level_by_level():
    ex = exchange(RICH)
    asks = ex.fetch_order_book(SYMBOL)["asks"]
    amount = round(sum(size for _, size in asks[:3]) + asks[3][1] / 2, 5)
    order = ex.create_order(SYMBOL, "market", "buy", amount)
    met = [(t["price"], t["amount"]) for t in order["trades"]]
    assert met[:3] == [(price, size) for price, size in asks[:3]]
    assert met[3][0] == asks[3][0]
    assert order["filled"] == pytest.approx(amount)
    assert order["cost"] == pytest.approx(sum(price * size for price, size in met))
    assert order["average"] == pytest.approx(order["cost"] / amount)


def test_what_was_eaten_stays_eaten_until_the_book_says_otherwise():
    ex = exchange(RICH)
    asks = ex.fetch_order_book(SYMBOL)["asks"]
    first = ex.create_order(SYMBOL, "market", "buy", asks[0][1])
    second = ex.create_order(SYMBOL, "market", "buy", asks[1][1])
    assert (first["average"], second["average"]) == (asks[0][0], asks[1][0])
    for _ in range(100):
        ex.advance(1_000)
        book = ex.fetch_order_book(SYMBOL)["asks"]
        if book[0] != asks[0]:
            break
    assert ex.create_order(SYMBOL, "market", "buy", 0.001)["average"] == book[0][0]


def test_a_market_order_ends_where_the_book_does():
    ex = exchange(RICH)
    depth = sum(size for _, size in ex.fetch_order_book(SYMBOL, 20)["bids"])
    order = ex.create_order(SYMBOL, "market", "sell", 90)
    assert order["status"] == "canceled"
    assert order["filled"] == pytest.approx(depth)
    assert "nothing was left to trade with" in order["info"]["reason"]


@pytest.mark.parametrize(("tif", "share"), [("IOC", 1.0), ("FOK", 0.0), ("GTC", 1.0)])
def test_what_a_limit_does_with_the_rest(tif, share):
    ex = exchange(RICH)
    price, size = ex.fetch_order_book(SYMBOL)["asks"][0]
    order = ex.create_order(SYMBOL, "limit", "buy", round(size * 2, 5), price, {"timeInForce": tif})
    assert order["filled"] == pytest.approx(size * share)
    assert order["status"] == ("open" if tif == "GTC" else "canceled")


def test_a_resting_order_gets_no_more_than_what_trades_through_it():
    ex = exchange(RICH)
    order = ex.create_order(SYMBOL, "limit", "buy", 50, round(last(ex) * 0.999, 2))
    while not (now := ex.fetch_order(order["id"]))["filled"]:
        ex.advance(10_000)
    through = {t["timestamp"]: 0.0 for t in now["trades"]}
    for t in ex.fetch_trades(SYMBOL, order["timestamp"] + 1, 100_000):
        if t["price"] < order["price"] and t["timestamp"] in through:
            through[t["timestamp"]] += t["amount"]
    for t in now["trades"]:
        assert (t["takerOrMaker"], t["price"]) == ("maker", order["price"])
        assert t["amount"] <= through[t["timestamp"]] + 1e-9


def test_orders_of_any_size_fill_whole_where_liquidity_is_unlimited():
    ex = exchange(RICH, liquidity="unlimited")
    ask = ex.fetch_order_book(SYMBOL)["asks"][0][0]
    order = ex.create_order(SYMBOL, "market", "buy", 100)
    assert (order["status"], order["average"], len(order["trades"])) == ("closed", ask, 1)


def test_bars_give_a_share_of_their_volume():
    ex = replay([(100, 100, 100, 100)] * 2 + [(100, 100, 90, 100)] * 4, balances={"USDT": 100_000})
    order = ex.create_order(SYMBOL, "limit", "buy", 2.5, 95)
    filled = []
    for _ in range(5):
        ex.advance(60_000)
        filled.append(ex.fetch_order(order["id"])["filled"])
    assert filled == [0, 1, 2, 2.5, 2.5], "a tenth of ten"


def test_a_queue_lets_a_touch_fill_when_what_stood_before_has_traded():
    symbol, amount = "DOGE/KRW", 40_000
    fills = {}
    for queue in ("none", "risk_averse"):
        ex = exchange({"KRW": 100_000_000}, queue=queue)
        ex.advance(12_000)
        bid, ahead = ex.fetch_order_book(symbol)["bids"][0]
        order = ex.create_order(symbol, "limit", "buy", amount, bid)
        ex.advance(60_000)
        fills[queue] = ex.fetch_order(order["id"])["trades"]
    # by hand: nothing trades lower in this minute; what trades at the price reaches the order when those before it are done
    traded, expected = 0.0, []
    for trade in ex.fetch_trades(symbol, order["timestamp"] + 1, 10_000):
        assert trade["price"] >= bid
        if trade["price"] == bid:
            mine = max(0.0, traded + trade["amount"] - ahead) - max(0.0, traded - ahead)
            traded += trade["amount"]
            if mine > 0:
                expected.append((trade["timestamp"], pytest.approx(mine)))
    assert [(t["timestamp"], t["amount"]) for t in fills["risk_averse"]] == expected
    assert expected
    assert fills["none"] == []


@pytest.mark.parametrize(
    ("path", "price"),
    [(None, 95), ("adverse_first", 95), ("open_low_high_close", 95), ("open_high_low_close", 105)],
)
def test_which_extreme_of_a_bar_comes_first_can_be_chosen(path, price):
    ex = replay([(100, 100, 100, 100), (100, 110, 90, 100), (100, 100, 100, 100)], path=path)
    ex.create_order(
        SYMBOL, "market", "buy", 0.1, None, {"stopLoss": {"triggerPrice": 95}, "takeProfit": {"price": 105}}
    )
    ex.advance(60_000)
    assert ex.fetch_my_trades()[-1]["price"] == price
    assert ex.fetch_open_orders() == []


def test_an_order_meets_the_book_when_it_arrives():
    ex = exchange(latency="fixed", latency_order_ms=750)
    order = ex.create_order(SYMBOL, "market", "buy", 0.01)
    assert (order["status"], order["filled"]) == ("open", 0)
    ex.advance(749)
    assert ex.fetch_order(order["id"])["status"] == "open"
    ex.advance(1)
    ask = ex.fetch_order_book(SYMBOL)["asks"][0][0]
    done = ex.fetch_order(order["id"])
    assert (done["status"], done["average"]) == ("closed", ask)
    assert done["lastTradeTimestamp"] == order["timestamp"] + 750
    resting = ex.create_order(SYMBOL, "limit", "buy", 0.01, last(ex) * 0.9)
    ex.advance(1_000)
    assert ex.cancel_order(resting["id"])["status"] == "open", "the cancel is on its way"
    ex.advance(750)
    assert ex.fetch_order(resting["id"])["status"] == "canceled"


def test_slippage_comes_on_top():
    ex = exchange(slippage_bps=10)
    ask = ex.fetch_order_book(SYMBOL)["asks"][0][0]
    assert ex.create_order(SYMBOL, "market", "buy", 0.01)["average"] == pytest.approx(ask * 1.001, abs=0.011)


def test_fees_can_be_paid_in_a_third_asset_as_long_as_there_is_enough():
    ex = exchange({"USDT": 100_000, "BNB": "0.002"}, fee_asset="BNB")
    bnb = last(ex, "BNB/USDT")
    orders = [ex.create_order(SYMBOL, "market", "buy", 0.01) for _ in range(2)]
    fees = [order["fee"] for order in orders]
    assert fees[0]["currency"] == "BNB"
    assert fees[0]["cost"] == pytest.approx(orders[0]["cost"] * 0.001 / bnb, abs=1e-8)
    assert fees[1] == {"currency": "USDT", "cost": pytest.approx(orders[1]["cost"] * 0.001)}
    assert ex.fetch_balance()["BNB"]["total"] == pytest.approx(0.002 - fees[0]["cost"])


def test_fees_fall_with_what_was_traded_in_thirty_days():
    tiers = [(0, "0.001", "0.001"), (1_000, "0.0005", "0.0008")]
    ex = exchange(fee_tiers=tiers)
    first, second = (ex.create_order(SYMBOL, "market", "buy", 0.01) for _ in range(2))
    assert first["fee"]["cost"] / first["cost"] == pytest.approx(0.001, rel=1e-6)
    assert second["fee"]["cost"] / second["cost"] == pytest.approx(0.0008, rel=1e-6)
