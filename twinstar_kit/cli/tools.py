"""`terminal`, `lab` and `doctor`: the places where people work, and whether this machine is fit for them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from twinstar_kit.cli import options
from twinstar_kit.cli.output import print_json, print_table
from twinstar_kit.kernel.errors import UsageError


def terminal(
    feed: Annotated[
        str | None,
        typer.Option(
            metavar="FEED",
            help="simulated, simulated:SEED, replay:PATH, depth:PATH or ccxt:EXCHANGE.",
            show_default="simulated",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", help="Port on this machine; 0 takes a free one.", show_default="5006"),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser window.")] = True,
    session: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The session to attach to, or to start.", show_default="default"),
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(metavar="STRATEGY", help="Let this strategy trade in the session too.")
    ] = None,
    home: options.Home = None,
) -> None:
    """Serve the terminal in the browser.

    It attaches to the session of that name, or starts it. Ctrl-C stops it.

    \b
    Examples:
      twinstar terminal
      twinstar terminal --strategy breakout
      twinstar terminal --feed replay:btc_1m.parquet --port 5007 --no-browser
    """
    from twinstar_kit.terminal import serve

    serve(feed=feed, port=port, show=browser, session=session, strategy=strategy)


def lab(
    more: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- MORE", help="Further options of JupyterLab, behind `--`."),
    ] = None,
    port: Annotated[int, typer.Option(metavar="PORT", help="Port on this machine.")] = 8888,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser window.")] = True,
    home: options.Home = None,
) -> None:
    """Open JupyterLab on notebooks/.

    \b
    Examples:
      twinstar lab
      twinstar lab --no-browser --port 8890
      twinstar lab -- --allow-root
    """
    import subprocess
    import sys

    command = [sys.executable, "-m", "jupyterlab", f"--notebook-dir={_notebooks()}", f"--port={port}"]
    command += [*([] if browser else ["--no-browser"]), *(more or [])]
    raise typer.Exit(subprocess.call(command))


def _notebooks() -> Path:
    """`notebooks/` here, or beside the package in a working copy."""
    places = [Path.cwd() / "notebooks", Path(__file__).parents[2] / "notebooks"]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise UsageError(
            "there is no folder notebooks/ here; go to the project's folder, or start `jupyter lab` yourself"
        )
    return found


def doctor(home: options.Home = None, json: options.Json = False) -> None:
    """Examine this machine.

    Exit 1 when something needs a cure; every finding names its own.

    \b
    Examples:
      twinstar doctor
      twinstar doctor --json
    """
    from twinstar_kit.ops import examine

    checks = examine()
    if json:
        print_json({"checks": [asdict(check) for check in checks]})
    else:
        rows = [("ok" if check.ok else "NOT OK", check.name, check.detail, check.cure) for check in checks]
        print_table(["", "check", "found", "cure"], rows, empty="")
    if not all(check.ok for check in checks):
        raise typer.Exit(1)
