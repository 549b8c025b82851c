"""`twinstar jobs`: the notebooks in templates/ that run as jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from twinstar_kit.cli import options
from twinstar_kit.cli.assignments import split_pairs
from twinstar_kit.cli.output import print_json, print_table, progress, say

Templates = Annotated[
    Path | None, typer.Option(metavar="PATH", help="Folder of job notebooks (else templates/ here).")
]


def list_(templates: Templates = None, json: options.Json = False) -> None:
    """List the jobs and their parameters.

    \b
    Examples:
      twinstar jobs list
      twinstar jobs list --json
    """
    from twinstar_kit.jobs import list_jobs

    jobs = [job.to_dict() for job in list_jobs(templates)]
    if json:
        print_json({"jobs": jobs})
        return
    rows = [
        (job["name"], ", ".join(f"{k}={v}" for k, v in job["parameters"].items()), job["summary"])
        for job in jobs
    ]
    print_table(["job", "parameters", "what it does"], rows, empty="there are no notebooks in templates/")


def run(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The job: the name of its notebook without .ipynb.")
    ],
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "-p", "--parameter", metavar="KEY=VALUE", help="A parameter of the job. May be repeated."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Where the executed notebook goes (else a new file in runs/)."),
    ] = None,
    templates: Templates = None,
    home: options.Home = None,
    json: options.Json = False,
) -> None:
    """Run a job notebook.

    Its parameters are checked first; its output appears only when the whole run succeeded.

    \b
    Examples:
      twinstar jobs run daily_report
      twinstar jobs run daily_report -p symbol=ETH/USDT -p days=30 --json
    """
    from twinstar_kit.jobs import run_job

    with progress(f"job {name}") as advance:
        done = run_job(
            name, split_pairs(parameters or [], "-p"), output=output, templates=templates, progress=advance
        )
    if json:
        print_json(done.to_dict())
    else:
        print(done.output)
    if done.error:
        say(f"error: job {name} {done.status}: {done.error}")
        raise typer.Exit(1)


def history(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Only the runs of this job.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", help="How many runs, the latest first.")] = 20,
    home: options.Home = None,
    json: options.Json = False,
) -> None:
    """List past runs of jobs.

    \b
    Examples:
      twinstar jobs history
      twinstar jobs history daily_report --limit 5 --json
    """
    from twinstar_kit.jobs import history as past

    runs = [run.to_dict() for run in past(name, limit=limit)]
    if json:
        print_json({"runs": runs})
        return
    columns = ["started", "job", "status", "seconds", "output"]
    cells = [
        [_utc(run["started_ms"]), run["job"], run["status"], run["seconds"], run["output"]] for run in runs
    ]
    print_table(columns, cells, empty="no job has run yet; `twinstar jobs list` shows what there is")


def _utc(instant_ms: int) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(instant_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}Z"
