"""Commands arrive once, in order, and keep their first answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinstar_kit.journal import Inbox, JournalError
from twinstar_kit.journal.errors import CommandError


@pytest.fixture
def inbox(tmp_path: Path):
    with Inbox(tmp_path / "inbox.db") as it:
        yield it


def test_commands_wait_in_the_order_of_their_arrival(inbox: Inbox):
    first, second = inbox.put({"type": "place"}, 1), inbox.put({"type": "cancel"}, 2)
    assert [(c.command_id, c.sent_ms, c.body["type"]) for c in inbox.waiting()] == [
        (first, 1, "place"),
        (second, 2, "cancel"),
    ]
    inbox.answer(first, {"ok": True})
    assert [c.command_id for c in inbox.waiting()] == [second]


def test_a_command_sent_twice_is_one_command(inbox: Inbox):
    assert inbox.put({"a": 1, "b": 2}, 1, "id") == inbox.put({"b": 2, "a": 1}, 9, "id") == "id"
    assert [c.sent_ms for c in inbox.waiting()] == [1]
    inbox.answer("id", {"order_id": 1})
    inbox.put({"a": 1, "b": 2}, 10, "id")
    assert inbox.waiting() == []
    assert inbox.answered("id") == {"order_id": 1}


def test_the_first_answer_stays(inbox: Inbox):
    inbox.put({"a": 1}, 1, "id")
    inbox.answer("id", {"order_id": 1})
    inbox.answer("id", {"order_id": 2})
    assert inbox.answered("id") == {"order_id": 1}


def test_an_id_names_one_command_only(inbox: Inbox):
    inbox.put({"amount": 1}, 1, "id")
    with pytest.raises(CommandError, match="'id' was used for another command"):
        inbox.put({"amount": 2}, 1, "id")


def test_commands_and_answers_outlive_the_process(tmp_path: Path):
    with Inbox(tmp_path / "inbox.db") as before:
        before.put({"a": 1}, 1, "one")
        before.put({"a": 2}, 2, "two")
        before.answer("one", {"ok": True})
    with Inbox(tmp_path / "inbox.db") as after:
        assert after.answered("one") == {"ok": True}
        assert after.answered("two") is None
        assert after.answered("never") is None
        assert [c.command_id for c in after.waiting()] == ["two"]


def test_two_writers_share_an_inbox(tmp_path: Path):
    with Inbox(tmp_path / "inbox.db") as one, Inbox(tmp_path / "inbox.db") as other:
        one.put({"n": 1}, 1)
        other.put({"n": 2}, 1)
        assert [c.body["n"] for c in one.waiting()] == [1, 2]


def test_a_file_that_is_no_inbox(tmp_path: Path):
    (tmp_path / "inbox.db").write_text("hello" * 300)
    with pytest.raises(JournalError, match="cannot be used as an inbox"):
        Inbox(tmp_path / "inbox.db")
