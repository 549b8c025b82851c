"""What can go wrong with a lake, told apart by what its reader should do next."""

from __future__ import annotations

from twinstar_kit.kernel.errors import DataError, TwinStarError, UsageError


class LakeError(TwinStarError):
    """The lake cannot do what was asked; what it holds is unchanged."""


class LakeDamaged(LakeError):
    """The catalog or its log holds something other than what was written to it."""


class CorruptFile(LakeError):
    """A file that is not what was written; `file_id` is what `Lake.quarantine` takes."""

    def __init__(self, message: str, file_id: str, path: str) -> None:
        super().__init__(message)
        self.file_id, self.path = file_id, path


class NoSuchSeries(UsageError):
    """A series that the lake does not hold."""


__all__ = ["CorruptFile", "DataError", "LakeDamaged", "LakeError", "NoSuchSeries", "UsageError"]
