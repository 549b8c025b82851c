"""The `twinstar` command: a thin skin, every command calls one public function of the package that owns the work."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

__all__ = ["main", "spread_assignments"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 success, 1 a check does not hold, 2 bad input with one line that says why."""
    from typer.exceptions import TyperException

    from twinstar_kit.cli.app import app
    from twinstar_kit.kernel.errors import TwinStarError

    _tell_of_compiling()
    try:
        given = sys.argv[1:] if arguments is None else arguments
        code = app(args=spread_assignments(given), prog_name="twinstar", standalone_mode=False)
    except TwinStarError as error:
        _refuse(str(error))
    except TyperException as error:
        _misused(error.format_message(), getattr(error, "ctx", None))
    except BrokenPipeError:
        # the reader of a pipe left, as `head` does
        sys.stderr.close()
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        _refuse(f"{error.strerror or error}{where}")
    sys.exit(code if isinstance(code, int) else 0)


class _Teller(logging.Handler):
    """Writes records to what standard error is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        print(record.getMessage(), file=sys.stderr)


def _tell_of_compiling() -> None:
    """Let the strategy compiler's word before a long wait reach the user, on standard error."""
    compiler = logging.getLogger("twinstar.strategy")
    if not compiler.handlers:
        compiler.addHandler(_Teller())
        compiler.setLevel(logging.INFO)


def spread_assignments(arguments: Sequence[str]) -> list[str]:
    """Let one `--set` or `-p` take several assignments, as in `--set lookback=20 fill=close`.

    >>> spread_assignments(["backtest", "breakout", "--set", "a=1", "b=2", "--json"])
    ['backtest', 'breakout', '--set', 'a=1', '--set', 'b=2', '--json']
    """
    spread: list[str] = []
    option = ""
    for at, word in enumerate(arguments):
        follows = bool(option) and "=" in word and not word.startswith("-")
        if follows and arguments[at - 1] != option:
            spread.append(option)
        elif not follows:
            option = word if word in ("--set", "-p", "--parameter") else ""
        spread.append(word)
    return spread


def _misused(message: str, context: Any) -> NoReturn:
    if message.startswith("Usage:"):
        # a group without a command: its help is the answer
        print(message)
        sys.exit(2)
    command = context.command_path if context else "twinstar"
    _refuse(f"{message.rstrip('.')} (see {command} --help)")


def _refuse(message: str) -> NoReturn:
    line = " ".join(part.strip() for part in message.splitlines() if part.strip())
    print(f"error: {line}", file=sys.stderr)
    sys.exit(2)
