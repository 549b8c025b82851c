"""The session's loop inside one process, with a clock that the test drives."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from session.builders import Fails, stored, walk

from twinstar_kit.feeds.clock import ManualClock
from twinstar_kit.journal import AccountClient, AccountLocked, Inbox
from twinstar_kit.journal.folder import AccountFolder, SessionFolder
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.orders import OrdType, Side
from twinstar_kit.session import backtest, load_run, parity
from twinstar_kit.session.host import STALE_MS, Host, Options
from twinstar_kit.venues.blotter import OrderRequest

BARS = walk(600, seed=3)
WALL = 1_750_000_000_000
BTC = BARS.instrument


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return stored(BARS, tmp_path / "walk_BTCUSDT_spot_1m_x.parquet")


class Driven:
    """A host whose loop turns once a call."""

    def __init__(self, home: Path, wall: ManualClock, **options: Any) -> None:
        self.wall = wall
        self.host = Host(
            Options(str(home), **{"balances": {"USDT": "10000", "KRW": "1000"}, **options}), wall
        )

    def turn(self, ms: int = 0) -> None:
        """Let `ms` of the wall's time pass, tick, and serve everything."""
        self.wall.advance(ms)
        now = self.host.clock.milliseconds()
        for account in self.host.accounts.values():
            account.tick(now)
        self.host.attend({SessionFolder.BELL, *self.host.accounts})
        self.host.publish()


@contextmanager
def driven(home: Path, wall: ManualClock | None = None, **options: Any) -> Iterator[Driven]:
    it = Driven(home, wall or ManualClock(WALL), **options)
    try:
        yield it
    finally:
        it.host.close()


def ask(
    home: Path, it: Driven, body: dict[str, Any], command_id: str, account: str | None = "manual"
) -> dict[str, Any]:
    path = SessionFolder(home, "default").inbox if account is None else AccountFolder(home, account).inbox
    with Inbox(path) as inbox:
        inbox.put(body, it.wall.milliseconds(), command_id)
        it.turn()
        answer = inbox.answered(command_id)
    assert answer is not None
    return answer


def buy(amount: str, **more: Any) -> dict[str, Any]:
    qty = round(float(amount) * 10**BTC.amount_scale)
    return {
        "type": "place",
        "request": OrderRequest("BTC/USDT", Side.BUY, OrdType.MARKET, qty, **more).canonical(),
    }


def replay(file: Path, speed: str = "60") -> dict[str, Any]:
    return {"feed": f"replay:{file}", "speed": speed}


def test_an_order_fills_and_is_answered_once(home: Path, file: Path):
    with driven(home, **replay(file)) as it:
        answer = ask(home, it, buy("1"), "a")
        assert answer["ok"]
        assert ask(home, it, buy("1"), "a") == answer
        with AccountClient(home) as client:
            assert len(client.replica.fills()) == 1
            assert (
                client.replica.positions() == {"BTC/USDT": 10**BTC.amount_scale} or client.replica.positions()
            )
            free, held = client.replica.balances()["USDT"]
            assert free < 10_000
            assert held == 0


def test_refusals_are_answers(home: Path, file: Path):
    with driven(home, **replay(file)) as it:
        dear = ask(home, it, buy("1000"), "dear")
        assert (dear["ok"], dear["kind"]) == (False, "OrderRefused")
        assert "the free balance does not cover" in dear["text"]
        assert ask(home, it, buy("1000"), "dear") == dear
        unknown = ask(home, it, {"type": "cancel", "order_id": 99}, "gone")
        assert "never accepted" in unknown["text"]
        stop = buy("1")
        stop["request"] |= {"ord_type": int(OrdType.STOP), "stop_px": 1}
        late = ask(home, it, stop, "late")
        assert late["kind"] == "WouldFillAtOnce"
        assert late["reason"]
        for name, body in {
            "what": {"type": "dance"},
            "no type": {},
            "half": {"type": "place", "request": {}},
            "odd": {"type": "cancel", "order_id": "x"},
        }.items():
            answer = ask(home, it, body, name)
            assert not answer["ok"]
            assert answer["kind"] == "UsageError"


def test_a_command_that_comes_too_late_is_not_carried_out(home: Path, file: Path):
    with driven(home, **replay(file)) as it:
        with Inbox(AccountFolder(home, "manual").inbox) as inbox:
            inbox.put(buy("1"), it.wall.milliseconds() - STALE_MS - 1, "old")
            it.turn()
            assert inbox.answered("old")["kind"] == "Stale"
        with Inbox(SessionFolder(home, "default").inbox) as inbox:
            inbox.put({"type": "end", "account": "x"}, it.wall.milliseconds() - STALE_MS - 1, "old")
            it.turn()
            assert inbox.answered("old")["kind"] == "Stale"
        assert it.host.accounts["manual"].batch == 1


def test_an_answer_that_was_stored_but_not_given_is_given_later(home: Path, file: Path):
    wall = ManualClock(WALL)
    with driven(home, wall, **replay(file)) as it:
        answer = ask(home, it, buy("1"), "a")
    with Inbox(AccountFolder(home, "manual").inbox) as inbox:
        inbox._db.execute(
            "UPDATE commands SET answer = NULL"
        )  # as if the process had died before it answered
    wall.advance(10 * STALE_MS)
    with driven(home, wall, **replay(file)) as it:
        it.turn()
        with Inbox(AccountFolder(home, "manual").inbox) as inbox:
            assert inbox.answered("a") == answer
        with AccountClient(home) as client:
            assert len(client.replica.fills()) == 1


def test_a_resting_order_meets_the_market_as_time_passes(home: Path, file: Path):
    with driven(home, **replay(file)) as it:
        limit = buy("1")
        low = int(BARS.rows[:, 3].min())
        limit["request"] |= {
            "ord_type": int(OrdType.LIMIT),
            "price": low * 10 ** (8 - BTC.price_scale) + 10**8,
        }
        assert ask(home, it, limit, "rest")["ok"]
        manual = it.host.accounts["manual"]
        assert manual.next_ms(0, 60.0) is not None
        it.turn(600 * 1_000)
        with AccountClient(home) as client:
            fills = client.replica.fills()
            # each bar gives a tenth of its volume
            assert set(fills["order_id"].tolist()) == {1}
            assert (len(fills), fills["last_qty"].sum()) == (3, fills["order_qty"][0])
        assert manual.next_ms(0, 60.0) is None


def test_manual_orders_go_on_after_a_restart_and_each_market_has_its_journal(home: Path, file: Path):
    wall = ManualClock(WALL)
    with driven(home, wall, **replay(file)) as it:
        ask(home, it, buy("1"), "a")
        it.turn(5_000)
        venue_ms = it.host.clock.milliseconds()
    wall.advance(3_600_000)  # the session was away for an hour: a replay waits
    with driven(home, wall, **replay(file)) as it:
        assert it.host.clock.milliseconds() == venue_ms
        assert ask(home, it, buy("1"), "b")["order_id"] == 2
    with driven(home, wall, feed="simulated:5") as it:
        assert it.host.accounts["manual"].batch == 1
        assert it.host.clock.milliseconds() == wall.milliseconds()
        assert ask(home, it, {"type": "flatten"}, "f")["text"] == "0 orders canceled, sold nothing"
    with driven(home, wall, **replay(file)) as it:
        told = ask(home, it, {"type": "flatten"}, "g")["text"]
        assert told == "0 orders canceled, sold BTC/USDT"
    folder = AccountFolder(home, "manual")
    assert [path.name for path in folder.journals()] == ["journal-0001.db", "journal-0002.db"]
    assert parity(journal=folder.journals()[0]).to_dict() | {"waterfall": []} == {
        "strategy": "manual", "bars": 0, "orders": 3, "fills": 3, "differences": 0, "waterfall": [], "compared": ["again", "journal"],
    }  # fmt: skip


def test_flatten_cancels_first(home: Path, file: Path):
    with driven(home, **replay(file)) as it:
        ask(home, it, buy("1"), "a")
        limit = buy("1")
        limit["request"] |= {"ord_type": int(OrdType.LIMIT), "price": 10**8}
        ask(home, it, limit, "b")
        assert ask(home, it, {"type": "flatten"}, "c")["text"] == "1 orders canceled, sold BTC/USDT"
        with AccountClient(home) as client:
            assert client.replica.open_orders == {}
            assert client.replica.positions() == {}


def run_command(account: str = "sma_cross", **more: Any) -> dict[str, Any]:
    return {
        "type": "run",
        "strategy": "sma_cross",
        "params": {"fast": 5, "slow": 20},
        "account": account,
        **more,
    }


def test_a_strategy_in_the_session_makes_the_events_of_its_backtest(home: Path, file: Path):
    from twinstar_kit.strategy import load

    first = int(BARS.timestamp[0])
    with driven(home, **replay(file)) as it:
        told = ask(home, it, run_command(settings={"since": first, "fee_taker": "0.0005"}), "r", None)
        assert told == {"ok": True, "text": "account sma_cross", "account": "sma_cross"}
        for _ in range(30):
            it.turn(20_000 + 7)
        account = it.host.accounts["sma_cross"]
        assert account.describe()["status"] == "finished"
        assert account.next_ms(0, 1.0) is None
        late = ask(home, it, {"type": "flatten"}, "late", "sma_cross")
        assert "has ended: the feed is over" in late["text"]
    stored_run = load_run(AccountFolder(home, "sma_cross").latest())
    assert (
        stored_run.journal_digest
        == backtest(load("sma_cross")(fast=5, slow=20), file, fee_taker="0.0005").journal_digest
    )


def test_strategies_go_on_after_a_restart(home: Path, file: Path):
    from twinstar_kit.strategy import load

    wall = ManualClock(WALL)
    first = int(BARS.timestamp[0])
    with driven(home, wall, **replay(file)) as it:
        ask(home, it, run_command(settings={"since": first}), "r", None)
        it.turn(100_000)
    with driven(home, wall, **replay(file)) as it:
        assert list(it.host.accounts) == ["manual", "sma_cross"]
        it.turn(600_000)
        assert it.host.accounts["sma_cross"].describe()["status"] == "finished"
    assert (
        load_run(AccountFolder(home, "sma_cross").latest()).journal_digest
        == backtest(load("sma_cross")(fast=5, slow=20), file).journal_digest
    )
    with driven(home, wall, **replay(file)) as it:  # what has ended stays ended
        assert list(it.host.accounts) == ["manual"]


def test_a_strategy_starts_with_the_next_bar_and_can_be_flattened_and_ended(home: Path, file: Path):
    with driven(home, **replay(file)) as it:
        it.turn(30_500)
        ask(home, it, run_command(duration_ms=200 * 60_000), "r", None)
        it.turn(100_000)
        assert ask(home, it, {"type": "flatten"}, "f", "sma_cross")["text"] == "flat in BTC/USDT"
        assert ask(home, it, {"type": "flatten"}, "f", "sma_cross")["text"] == "flat in BTC/USDT"
        again = ask(home, it, run_command(), "again", None)
        assert again["text"].startswith("account sma_cross is at work in this session")
        assert ask(home, it, {"type": "end", "account": "sma_cross"}, "e", None)["ok"]
        assert list(it.host.accounts) == ["manual"]
        assert (
            "no strategy trades on account manual"
            in ask(home, it, {"type": "end", "account": "manual"}, "m", None)["text"]
        )
    run = load_run(AccountFolder(home, "sma_cross").latest())
    assert run.finished
    assert run.bars.timestamp[0] == BARS.timestamp[0] + 32 * 60_000
    assert parity(journal=run.journal).differences == 0


def test_a_strategy_that_fails_ends_alone(home: Path, file: Path, tmp_path: Path):
    import inspect

    source = "from twinstar_kit.strategy import Strategy\n" + inspect.getsource(Fails)
    (tmp_path / "fails.py").write_text(source)
    with driven(home, **replay(file)) as it:
        command = {"type": "run", "strategy": f"{tmp_path}/fails.py:Fails", "account": "bad"}
        assert ask(home, it, command, "r", None)["ok"]
        it.turn(60_000)
        status = it.host.accounts["bad"].describe()["status"]
        assert status.startswith("failed: ")
        assert "bar 9" in status
        assert not ask(home, it, {"type": "flatten"}, "f", "bad")["ok"]
        assert ask(home, it, buy("1"), "still")["ok"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"type": "run", "strategy": "brekout"}, "did you mean 'breakout'"),
        ({"type": "run", "strategy": "breakout", "params": {"lookback": 10**9}}, "lookback"),
        ({"type": "run", "strategy": "breakout", "settings": {"symbol": "NO/PE"}}, "unknown symbol"),
        ({"type": "run"}, "cannot be read"),
        ({"type": "dance"}, "a session takes run and end, not 'dance'"),
    ],
)
def test_the_session_refuses_in_one_line(home: Path, file: Path, body: dict, told: str):
    with driven(home, **replay(file)) as it:
        answer = ask(home, it, body, "x", None)
        assert not answer["ok"]
        assert told in answer["text"]


def test_an_account_of_another_session_or_run_is_refused(home: Path, file: Path):
    with driven(home, **replay(file)) as it, AccountFolder(home, "sma_cross").lock("twinstar paper"):
        assert "account sma_cross is in use" in ask(home, it, run_command(), "x", None)["text"]
        with pytest.raises(AccountLocked, match="session default is in use by process"):
            Driven(home, ManualClock(WALL))
        with pytest.raises(AccountLocked, match="account manual is in use by process"):
            Driven(home, ManualClock(WALL), name="other")


def test_options_that_cannot_be(home: Path, file: Path):
    for options, told in (
        ({"speed": "max"}, "a session runs in real time or at a factor"),
        ({"feed": "nowhere"}, "unknown feed"),
        ({"feed": "replay:none.parquet"}, "none.parquet"),
        ({"broker": {"fee_taker": "2"}}, "fee_taker"),
        ({"broker": {"fee": "2"}}, "no broker setting 'fee'"),
    ):
        with pytest.raises(Exception, match=told) as caught:
            Driven(home, ManualClock(WALL), **options)
        assert "\n" not in str(caught.value)
    with driven(home, **replay(file)):  # and nothing stays locked
        pass


def test_a_session_can_begin_at_any_time_of_a_replay(home: Path, file: Path):
    start = int(BARS.timestamp[300])
    with driven(home, start=start, **replay(file)) as it:
        assert it.host.clock.milliseconds() == start
        assert it.host.folder.info()["venue_ms"] == start
    with driven(home, feed="simulated", start="2025-02-03", speed="60") as it:
        it.turn(1_000)
        assert it.host.clock.milliseconds() == 1_738_540_800_000 + 60_000


def test_the_loop_serves_rings_tells_and_ends(home: Path, file: Path):
    it = Host(Options(str(home), balances={"USDT": "10000"}, **replay(file, "600")))
    ready = threading.Event()
    thread = threading.Thread(target=lambda: it.serve(lambda info: ready.set()))
    thread.start()
    try:
        assert ready.wait(30)
        with AccountClient(home) as client, AccountClient(home) as other:
            assert client.send(buy("1"))["ok"]
            assert [b.number for b in other.wait(10)] == [2]
            with Inbox(SessionFolder(home, "default").inbox) as inbox:
                inbox.put(run_command(), it.wall.milliseconds(), "r")
                client._ringer.ring(SessionFolder.BELL)
                while inbox.answered("r") is None:
                    client._ringer.listen(30)
            with AccountClient(home, "sma_cross") as strategy:
                while strategy.replica.bars < 20:  # a bar takes a tenth of a second
                    assert strategy.wait(30)
    finally:
        it.stop()
        thread.join(30)
        it.close()
        it.close()
    assert SessionFolder(home, "default").owner() is None


def test_an_unfinished_account_that_cannot_go_on_is_left_alone(
    home: Path, file: Path, caplog: pytest.LogCaptureFixture
):
    wall = ManualClock(WALL)
    with driven(home, wall, **replay(file)) as it:
        ask(home, it, run_command(settings={"since": int(BARS.timestamp[0])}), "r", None)
        it.turn(10_000)
    with AccountFolder(home, "sma_cross").lock("twinstar paper"), driven(home, wall, **replay(file)) as it:
        assert list(it.host.accounts) == ["manual"]
        assert "account sma_cross cannot go on: account sma_cross is in use" in caplog.text


def test_balances_that_the_market_does_not_know_are_left_out(home: Path, file: Path):
    with driven(home, **replay(file)), AccountClient(home) as client:
        assert set(client.replica.balances()) == {"BTC", "USDT"}


def test_a_session_needs_a_good_name(home: Path):
    with pytest.raises(UsageError, match=r"session '\.\./x'"):
        Driven(home, ManualClock(WALL), name="../x")
