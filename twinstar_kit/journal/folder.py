"""An account's folder: its journals by number, its inbox, its lock. A run gets the next number; nothing is overwritten."""

from __future__ import annotations

import re
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

    def next(self) -> Path:
        """Where the next journal goes; a number that was ever given is not given again."""
        taken = [n for n in self._numbers("db") if not is_unborn(self._numbered(n))]
        lost = [n for n in self._numbers("witness") if not self._numbered(n).exists() and self._numbered(n).with_suffix(".witness").stat().st_size]
        return self._numbered(max(taken + lost, default=0) + 1)

    def _numbered(self, number: int) -> Path:
        return self.path / f"journal-{number:04d}.db"

    def _numbers(self, suffix: str) -> list[int]:
        if not self.path.is_dir():
            return []
        matches = [_NUMBERED.fullmatch(path.name) for path in self.path.iterdir()]
        return sorted(int(match[1]) for match in matches if match and match[2] == suffix)


def accounts(home: Path) -> list[AccountFolder]:
    """All accounts under `home`, by name."""
    folder = home / "accounts"
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return [AccountFolder(home, name) for name in names]
