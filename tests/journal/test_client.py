"""A client and the owner of an account: commands act once, answers are found again, silence is told as what it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from journal.builders import HEADER, batch

from twinstar_kit.journal import AccountClient, Batch, Doorbell, Inbox, Journal, JournalError
from twinstar_kit.journal.errors import CommandError
from twinstar_kit.journal.folder import AccountFolder


class Owner:
    """An account's owner in a thread: every command becomes one batch and one answer."""

    def __init__(self, home: Path, *, deaf: bool = False, mute: bool = False) -> None:
        self.folder = AccountFolder(home, "demo")
        self.bell, self.deaf, self.mute = Doorbell(), deaf, mute
        self.lock = self.folder.lock("a test", port=self.bell.port).acquire()
        latest = self.folder.latest()
        self.journal = Journal.open(latest) if latest else Journal.create(self.folder.next(), HEADER)
        self.lock.tell(journal=str(self.journal.path))
        self.stopping = False
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        with Inbox(self.folder.inbox) as inbox:
            while not self.stopping:
                self.bell.wait(30)
                for command in [] if self.deaf else inbox.waiting():
                    answer = self.journal.answer(command.command_id)
                    if answer is None:
                        answer = {
                            "ok": True,
                            "batch": self.journal.seal.batch + 1,
                            "type": command.body["type"],
                        }
                        self.journal.commit(Batch(command=command.body, answers={command.command_id: answer}))
                    if not self.mute:
                        inbox.answer(command.command_id, answer)
                    self.bell.tell(f"answer demo {command.command_id}")

    def close(self) -> None:
        if self.stopping:
            return
        self.stopping = True
        self.bell.wake()
        self.thread.join(10)
        self.bell.close()
        self.journal.close()
        self.lock.release()


@contextmanager
def owner(home: Path, **how: bool) -> Iterator[Owner]:
    it = Owner(home, **how)
    try:
        yield it
    finally:
        it.close()


def test_commands_are_answered_and_show_in_the_replica(home: Path):
    with owner(home), AccountClient(home, "demo") as client:
        assert client.running
        assert client.place({"symbol": "BTC/USDT"})["type"] == "place"
        assert client.cancel(7)["type"] == "cancel"
        assert client.flatten()["batch"] == 3
        assert [c["type"] for c in client.replica.commands] == ["place", "cancel", "flatten"]
        assert client.replica.commands[1] == {"type": "cancel", "order_id": 7}


def test_the_same_command_twice_acts_once(home: Path):
    with owner(home), AccountClient(home, "demo") as one, AccountClient(home, "demo") as other:
        first = one.place({"n": 1}, command_id="x")
        assert other.place({"n": 1}, command_id="x") == first
        assert one.answer("x") == first
        assert one.answer("y") is None
        other.refresh()
        assert len(other.replica.commands) == 1
        with pytest.raises(CommandError, match="used for another command"):
            other.place({"n": 2}, command_id="x")


def test_without_an_owner_nothing_is_sent(home: Path):
    with owner(home):
        pass
    with AccountClient(home, "demo") as client:
        assert not client.running
        with pytest.raises(
            CommandError, match="no session runs account demo; start one with `twinstar terminal`"
        ):
            client.place({"n": 1})
    with Inbox(AccountFolder(home, "demo").inbox) as inbox:
        assert inbox.waiting() == []


def test_an_account_that_never_was(home: Path):
    with pytest.raises(JournalError, match="account nobody has no journal yet; start a session"):
        AccountClient(home, "nobody")


def test_silence_is_unknown_and_asking_again_tells(home: Path):
    unknown = "whether it acted is unknown: send the command again with command_id='x'"
    with (
        owner(home, deaf=True),
        AccountClient(home, "demo") as client,
        pytest.raises(CommandError, match=unknown),
    ):
        client.place({"n": 1}, command_id="x", timeout_s=0.05)
    with owner(home), AccountClient(home, "demo") as client:
        assert client.place({"n": 1}, command_id="x")["ok"]
        assert client.place({"n": 1}, command_id="x")["batch"] == 1


def test_an_answer_lost_with_the_owner_is_in_the_journal(home: Path):
    with owner(home, mute=True), AccountClient(home, "demo") as client:
        with pytest.raises(CommandError):
            client.place({"n": 1}, command_id="x", timeout_s=0.05)
        client.wait(5)
        assert len(client.replica.commands) == 1  # it acted
    with owner(home), AccountClient(home, "demo") as client:
        assert client.place({"n": 1}, command_id="x")["batch"] == 1  # the first answer
        assert len(client.replica.commands) == 1  # and only once


def test_waiting_wakes_with_the_next_batch(home: Path):
    with owner(home) as it, AccountClient(home, "demo") as client, AccountClient(home, "demo") as other:
        assert client.wait(0.0) == []
        other.place({"n": 1})
        assert [b.number for b in client.wait(5)] == [1]
        it.close()
        client._hang_up()
        with pytest.raises(CommandError, match="no session runs account demo"):
            client.wait(1)


def test_an_owner_that_hangs_up_is_told(home: Path):
    with owner(home) as it, AccountClient(home, "demo") as client:
        it.bell.close()
        with pytest.raises(CommandError, match="does not answer"):
            client.place({"n": 1}, timeout_s=0.5)
        it.bell = Doorbell()


def test_a_client_follows_to_the_next_journal(home: Path):
    with owner(home) as it, AccountClient(home, "demo") as client:
        it.journal.commit(Batch(final=True))
        client.refresh()
        assert client.replica.finished
        it.journal.close()
        it.journal = Journal.create(it.folder.next(), HEADER)
        it.lock.tell(journal=str(it.journal.path))
        it.journal.commit(batch(1))
        client.refresh()
        client.refresh()
        assert client.tail.path.name == "journal-0002.db"
        assert client.replica.bars == 3
