"""Lists the commands; each loads what it needs only when it runs, so that `twinstar --help` is quick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from twinstar_kit.cli import data, jobs, journal, session, tools, trade

APP: dict[str, Any] = {"rich_markup_mode": None, "pretty_exceptions_enable": False, "no_args_is_help": True}
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

app = typer.Typer(add_completion=False, context_settings=CONTEXT, **APP)


def _version(wanted: bool) -> None:
    if wanted:
        from twinstar_kit import __version__

        typer.echo(f"twinstar {__version__}")
        raise typer.Exit


@app.callback()
def twinstar(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Crypto research and paper trading on one kernel."""


def _group(name: str, help_: str, **commands: Callable[..., None]) -> None:
    group = typer.Typer(help=help_, **APP)
    for command, function in commands.items():
        group.command(command)(function)
    app.add_typer(group, name=name)


for function in (tools.terminal, tools.lab, trade.backtest, trade.paper, trade.parity):
    app.command()(function)
if data.COMMANDS:
    _group("data", "Keep market data that is proven complete.", **data.COMMANDS)
_group(
    "session",
    "See and steer running sessions.",
    start=session.start,
    run=session.run,
    list=session.list_,
    status=session.status,
    stop=session.stop,
    flatten=session.flatten,
    kill=session.kill,
)
_group(
    "journal",
    "Digest, verify and export journals.",
    digest=journal.digest,
    verify=journal.verify,
    export=journal.export,
)
_group("jobs", "Run notebooks as jobs.", list=jobs.list_, run=jobs.run, history=jobs.history)
app.command()(tools.doctor)
