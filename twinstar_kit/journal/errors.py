"""What can go wrong with a journal, told apart by what its reader should do next."""

from __future__ import annotations

from twinstar_kit.kernel.errors import TwinStarError


class JournalError(TwinStarError):
    """The journal cannot do what was asked; nothing was acknowledged."""


class JournalDamaged(JournalError):
    """The file holds something other than what was written to it; the message says where."""


class JournalGap(JournalError):
    """A reader missed a batch, so that what it would show next is not what happened."""


class AccountLocked(JournalError):
    """Another process owns the account."""


class CommandError(JournalError):
    """A command that was not taken, or whose answer is not known; the message says which."""
