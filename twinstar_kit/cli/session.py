"""`twinstar session`: the processes that own accounts, seen and steered from outside."""

from __future__ import annotations

from typing import Annotated

import typer

from twinstar_kit.cli import options
from twinstar_kit.cli.output import print_json, print_pairs, print_table

Name = Annotated[str | None, typer.Argument(metavar="NAME", help="The session; `default` when not given.")]


def list_(home: options.Home = None, json: options.Json = False) -> None:
    """List the running sessions.

    \b
    Examples:
      twinstar session list
      twinstar session list --json
    """
    from twinstar_kit.session import list_sessions

    rows = list_sessions()
    if json:
        print_json({"sessions": rows})
        return
    columns = ["name", "pid", "feed", "speed", "accounts", "since"]
    cells = [[row[column] for column in columns] for row in rows]
    print_table(
        columns, cells, empty="no session is running; `twinstar terminal` or `twinstar paper` starts one"
    )


def status(name: Name = None, home: options.Home = None, json: options.Json = False) -> None:
    """Show what a session holds.

    Its clock, its accounts with their balances and positions, and their open orders.

    \b
    Examples:
      twinstar session status
      twinstar session status default --json
    """
    from twinstar_kit.session import session_status

    report = session_status(name)
    if json:
        print_json(report)
    else:
        print_pairs(report)


def stop(name: Name = None, home: options.Home = None) -> None:
    """Stop a session.

    It ends after its current batch; open orders stay and go on with the next start.

    \b
    Examples:
      twinstar session stop
    """
    from twinstar_kit.session import stop_session

    print(stop_session(name))


def flatten(name: Name = None, home: options.Home = None) -> None:
    """Cancel orders and close positions.

    The session itself goes on.

    \b
    Examples:
      twinstar session flatten
    """
    from twinstar_kit.session import flatten_session

    print(flatten_session(name))


def kill(name: Name = None, home: options.Home = None) -> None:
    """End a session at once.

    Nothing more is decided; what was acknowledged is in the journal.

    \b
    Examples:
      twinstar session kill
    """
    from twinstar_kit.session import kill_session

    print(kill_session(name))
