"""Named accounts, and accounts that are put away: nothing is overwritten."""

from __future__ import annotations

import ccxt
import pytest
from venues.builders import begun, exchange, open_account, run, streaming

from twinstar_kit.journal.store import JournalReader

SYMBOL = "BTC/USDT"


def named(home, name, **options):
    """The account `name` under `home`."""
    return exchange(None, account=name, home=str(home), **options)


def test_accounts_are_found_by_their_names(tmp_path):
    one, two = named(tmp_path, "alice"), named(tmp_path, "bob")
    one.create_order(SYMBOL, "market", "buy", 0.01)
    assert two.fetch_orders() == []
    assert [(a["id"], a["type"]) for a in one.fetch_accounts()] == [
        ("alice", "spot"), ("alice", "swap"), ("bob", "spot"), ("bob", "swap"),
    ]  # fmt: skip
    with pytest.raises(ccxt.AccountNotEnabled):
        named(tmp_path, "alice")
    one.close()
    again = named(tmp_path, "alice")
    assert [o["amount"] for o in again.fetch_orders()] == [0.01]
    for ex in (again, two):
        ex.close()


def test_a_named_account_is_put_away_and_the_next_gets_the_next_number(tmp_path):
    ex = named(tmp_path, "alice")
    ex.create_order(SYMBOL, "market", "buy", 0.01)
    digest, now = ex.venue.journal_digest(), ex.advance(60_000)
    kept = ex.reset()
    assert (ex.fetch_orders(), ex.fetch_balance()["USDT"]["total"], ex.milliseconds()) == ([], 100_000, now)
    with JournalReader(kept) as journal:
        assert journal.digest()["journal_digest"] == digest
    ex.create_order(SYMBOL, "market", "buy", 0.02)
    second = ex.reset()
    assert kept != second
    assert kept.exists()
    ex.close()
    assert named(tmp_path, "alice").fetch_orders() == []


def test_a_journal_moves_aside_when_its_account_is_put_away(tmp_path):
    path = tmp_path / "account.db"
    ex = open_account(path)
    digests = []
    for amount in (0.01, 0.02):
        ex.create_order(SYMBOL, "market", "buy", amount)
        digests.append((ex.venue.journal_digest(), ex.reset()))
    assert [kept.name for _, kept in digests] == ["account-0001.db", "account-0002.db"]
    for digest, kept in digests:
        with JournalReader(kept) as journal:
            assert journal.digest()["journal_digest"] == digest
    assert ex.fetch_orders() == []
    ex.close()
    assert open_account(path).fetch_orders() == []


def test_an_account_in_memory_begins_anew():
    ex = exchange()
    ex.create_order(SYMBOL, "market", "buy", 0.01)
    assert ex.reset() is None
    assert (ex.fetch_orders(), ex.fetch_balance()["BTC"]["total"]) == ([], 0)


def test_whoever_watches_hears_that_the_account_was_put_away():
    async def scenario() -> None:
        ex = streaming()
        watching = await begun(ex.watch_orders())
        await ex.reset()
        with pytest.raises(ccxt.UnsubscribeError, match="watch the new one"):
            await watching
        await ex.create_order(SYMBOL, "market", "buy", 0.01)
        assert len(await ex.fetch_orders()) == 1
        await ex.close()

    run(scenario())
