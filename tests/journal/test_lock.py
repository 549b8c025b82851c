"""One owner for an account, for as long as its process lives and no longer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from twinstar_kit.journal import AccountLocked, FileLock
from twinstar_kit.journal.folder import AccountFolder, accounts
from twinstar_kit.journal.store import Journal
from twinstar_kit.settings import SettingsError

HOLD = """
import sys
from pathlib import Path
from twinstar_kit.journal.folder import AccountFolder
with AccountFolder(Path(sys.argv[1]), "demo").lock("a long run", port=4711):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(home: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_owner_is_told_who_the_first_is(home: Path):
    with holder(home) as process:
        folder = AccountFolder(home, "demo")
        told = rf"account demo is in use by process {process.pid} \(a long run, since .*\); stop it with"
        with pytest.raises(AccountLocked, match=told):
            folder.lock("another run").acquire()
        owner = folder.owner()
        assert owner is not None
        assert (owner["pid"], owner["port"]) == (process.pid, 4711)
        process.communicate("")
    folder.lock("another run").acquire().release()


def test_the_lock_of_a_killed_process_is_free_at_once(home: Path):
    with holder(home) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        folder = AccountFolder(home, "demo")
        assert folder.owner() is None
        with folder.lock("the heir") as lock:
            assert folder.owner()["purpose"] == "the heir"
            with pytest.raises(AccountLocked, match="the heir"):
                folder.lock("third").acquire()
        lock.release()
        assert folder.owner() is None


def test_a_lock_that_is_not_signed_yet_is_a_lock(tmp_path: Path):
    with FileLock(tmp_path / "lock", "thing", "first"):
        (tmp_path / "lock").write_text("")
        with pytest.raises(AccountLocked, match="thing is in use by another process; wait"):
            FileLock(tmp_path / "lock", "thing", "second").acquire()
        (tmp_path / "lock").write_text("[1]")
        assert FileLock.holder(tmp_path / "lock") == {}


def test_nobody_holds_what_is_not_there(home: Path):
    assert AccountFolder(home, "demo").owner() is None


@pytest.mark.parametrize("name", ["", "../x", ".hidden", "a b", "ä", "-x", "x" * 65, "a/b"])
def test_names_that_no_folder_could_have(home: Path, name: str):
    with pytest.raises(SettingsError, match="account"):
        AccountFolder(home, name)


def test_journals_are_numbered_and_numbers_never_come_back(home: Path):
    from journal.builders import HEADER

    folder = AccountFolder(home, "demo")
    assert folder.latest() is None
    assert folder.journals() == []
    for number in (1, 2):
        assert folder.next().name == f"journal-{number:04d}.db"
        Journal.create(folder.next(), HEADER).close()
    assert folder.latest() == folder.journals()[-1] == folder.path / "journal-0002.db"
    folder.latest().unlink()  # a user removed it, its witness stays
    assert folder.next().name == "journal-0003.db"
    (folder.path / "journal-0003.db").touch()  # a creation that was killed
    assert folder.next().name == "journal-0003.db"
    assert [a.name for a in accounts(home)] == ["demo"]
    assert accounts(home / "nowhere") == []
