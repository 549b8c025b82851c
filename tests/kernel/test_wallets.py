"""Money that moves: deposits, withdrawals, transfers between the spot and the swap wallet."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from kernel.builders import BTC, PERP, Desk

from twinstar_kit.kernel.errors import OrderError, UsageError
from twinstar_kit.kernel.ledger import Wallet
from twinstar_kit.kernel.orders import Reason

SPOT, SWAP = Wallet.SPOT, Wallet.SWAP


def both() -> Desk:
    return Desk({"USDT": 1000, "BTC": 1}, BTC, others=(PERP,), fee_maker=0, fee_taker=0).last(100)


def test_a_transfer_moves_free_money_and_nothing_else() -> None:
    d = both()
    d.send("buy", "limit", 5, 90)
    assert d.engine.transfer(1, "USDT", 551, SPOT, SWAP) is Reason.INSUFFICIENT_BALANCE
    assert d.engine.transfer(1, "USDT", 550, SPOT, SWAP) is Reason.NONE
    d._drain()
    assert (d.free("USDT", SPOT), d.held("USDT", SPOT), d.free("USDT", SWAP)) == (0, 450, 550)
    assert d.engine.transfer(1, "USDT", "0.00000001", SWAP, SPOT) is Reason.NONE
    d._drain()
    assert d.kinds().count("TRANSFER") == 3


@pytest.mark.parametrize("amount", [0, -1])
def test_a_transfer_is_above_zero_and_between_two_wallets(amount) -> None:
    d = both()
    with pytest.raises(OrderError, match="above zero"):
        d.engine.transfer(1, "USDT", amount, SPOT, SWAP)
    with pytest.raises(OrderError, match="two wallets"):
        d.engine.transfer(1, "USDT", 1, SPOT, SPOT)


def test_what_cross_positions_have_lost_cannot_be_taken_out() -> None:
    d = both()
    d.engine.transfer(0, "USDT", 500, SPOT, SWAP)
    d.engine.on_trade(1, 1, PERP.price_units(100))
    d.engine.submit(1, 1, 1, 1, PERP.amount_units(2))
    d.engine.on_trade(1, 2, PERP.price_units(100))
    d.engine.on_trade(1, 3, PERP.price_units(60))
    # 200 stand behind the position, 80 are lost at the last price
    assert d.engine.transfer(4, "USDT", "220.01", SWAP, SPOT) is Reason.INSUFFICIENT_BALANCE
    assert d.engine.transfer(4, "USDT", 220, SWAP, SPOT) is Reason.NONE
    d._drain()


def test_withdrawals_take_what_is_free() -> None:
    d = both()
    assert d.engine.withdraw(1, "BTC", "1.5") is Reason.INSUFFICIENT_BALANCE
    assert d.engine.withdraw(1, "BTC", "0.25") is Reason.NONE
    d._drain()
    assert d.free("BTC") == D("0.75")


def test_negative_withdrawals_and_unknown_assets_are_refused() -> None:
    d = both()
    for amount in (-1, 0):
        with pytest.raises(OrderError, match="above zero"):
            d.engine.withdraw(1, "USDT", amount)
    with pytest.raises(UsageError, match="no instrument here trades DOGE"):
        d.engine.deposit(1, "DOGE", 1)
    with pytest.raises(UsageError, match="no swap wallet"):
        Desk({"USDT": 1}).engine.deposit(1, "USDT", 1, SWAP)
