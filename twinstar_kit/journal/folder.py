"""An account's folder: its journals by number, its inbox, its lock. A run gets the next number; nothing is overwritten."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twinstar_kit.journal.lock import FileLock
from twinstar_kit.journal.store import is_unborn
from twinstar_kit.settings import safe_name

_NUMBERED = re.compile(r"journal-(\d{4,})\.(db|witness)")


class AccountFolder:
    """Where the account `name` lives under `home`.

    >>> AccountFolder(Path("home"), "breakout").inbox.as_posix()
    'home/accounts/breakout/inbox.db'
    """

    def __init__(self, home: Path, name: str) -> None:
        self.name = safe_name(name, "account")
        self.path = home / "accounts" / name

    @property
    def inbox(self) -> Path:
        """The file that clients leave commands in."""
        return self.path / "inbox.db"

    @property
    def lock_path(self) -> Path:
        """The file whose lock means that the account has an owner."""
        return self.path / "lock"

    def lock(self, purpose: str, **details: Any) -> FileLock:
        """The account's lock, to be acquired; AccountLocked then names the present owner and the way out."""
        cure = "stop it with `twinstar session stop`, or use another account with --account NAME"
        return FileLock(self.lock_path, f"account {self.name}", purpose, cure, details)

    def owner(self) -> dict[str, Any] | None:
        """Who owns the account now (pid, purpose, since, and port where it answers), or None."""
        return FileLock.holder(self.lock_path)

    def journals(self) -> list[Path]:
        """The account's journals, the oldest first; what a killed creation left is none."""
        return [path for number in self._numbers("db") if not is_unborn(path := self._numbered(number))]

    def latest(self) -> Path | None:
        """The journal with the highest number, or None."""
        found = self.journals()
        return found[-1] if found else None

    def active(self) -> Path | None:
        """The journal that the account's owner writes now, else the latest, or None."""
        told = (self.owner() or {}).get("journal")
        return Path(told) if told else self.latest()

    def next(self) -> Path:
        """Where the next journal goes; a number that was ever given is not given again."""
        taken = [n for n in self._numbers("db") if not is_unborn(self._numbered(n))]
        lost = [
            n
            for n in self._numbers("witness")
            if not self._numbered(n).exists() and self._numbered(n).with_suffix(".witness").stat().st_size
        ]
        return self._numbered(max(taken + lost, default=0) + 1)

    def _numbered(self, number: int) -> Path:
        return self.path / f"journal-{number:04d}.db"

    def _numbers(self, suffix: str) -> list[int]:
        if not self.path.is_dir():
            return []
        matches = [_NUMBERED.fullmatch(path.name) for path in self.path.iterdir()]
        return sorted(int(match[1]) for match in matches if match and match[2] == suffix)


class SessionFolder:
    """Where the session `name` says that it runs, and where it can be told things.

    `info` is what its process published: `name pid port feed rules simulated speed clock accounts fees`; `clock`
    holds `start_ms`, `wall_start_ms` and `speed`: the venue's time is start_ms + (wall - wall_start_ms) * speed.

    >>> SessionFolder(Path("home"), "default").inbox.as_posix()
    'home/sessions/default/inbox.db'
    """

    BELL = "@session"
    """The name to ring for when a command waits for the session itself."""

    def __init__(self, home: Path, name: str) -> None:
        self.name = safe_name(name, "session")
        self.path = home / "sessions" / name
        self.inbox = self.path / "inbox.db"
        self.log = self.path / "session.log"

    def lock(self, purpose: str) -> FileLock:
        """The session's lock, to be acquired."""
        cure = "attach to it, stop it with `twinstar session stop`, or choose another name"
        return FileLock(self.path / "lock", f"session {self.name}", purpose, cure)

    def owner(self) -> dict[str, Any] | None:
        """The process that runs the session (pid, purpose, since), or None."""
        return FileLock.holder(self.path / "lock")

    def info(self) -> dict[str, Any] | None:
        """What the session published last, running or not; None when there never was one."""
        try:
            told = json.loads((self.path / "session.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return told if isinstance(told, dict) else None

    def publish(self, info: Mapping[str, Any]) -> None:
        """Say what others need to know; readers see the old text or the new one, never a part."""
        self.path.mkdir(parents=True, exist_ok=True)
        aside = self.path / f"session.json.{os.getpid()}"
        aside.write_text(json.dumps(info, indent=1))
        os.replace(aside, self.path / "session.json")


def sessions(home: Path) -> list[SessionFolder]:
    """All sessions under `home` that ever ran, by name."""
    folder = home / "sessions"
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return [SessionFolder(home, name) for name in names]


def accounts(home: Path) -> list[AccountFolder]:
    """All accounts under `home`, by name."""
    folder = home / "accounts"
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return [AccountFolder(home, name) for name in names]
