"""Runs a job notebook through papermill: checked parameters in, a whole notebook out or none, a line in the ledger."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twinstar_kit.jobs.ledger import Run, RunLedger
from twinstar_kit.jobs.templates import JobError, Template, find_template, home_of
from twinstar_kit.journal.lock import FileLock

ERROR_LENGTH = 300
"""An error in the ledger is one line of at most this many characters; the whole of it stands in the notebook."""


def run_job(
    name: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    output: Path | None = None,
    templates: Path | None = None,
    home: Path | None = None,
    cell_timeout_s: float = 600,
    progress: Callable[[float, float], None] | None = None,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> Run:
    """Run the job notebook `name` in a kernel of this interpreter and return its line of the ledger.

    `parameters` hold text as a command line has it, or values of the annotated types; what the template does not
    declare, or of another type, is a JobError before anything is written. The notebook is written aside and takes
    its name (`output`, else `HOME/runs/NAME/TIME-ID.ipynb`) only when every cell has run; a run that failed leaves
    `*.failed.ipynb` with the cell that broke, and its `status` is "failed". A cell may take `cell_timeout_s` seconds.
    `progress` is called with the cells done and all cells.
    """
    place = home_of(home)
    template = find_template(name, templates, home=place)
    values = template.resolve(parameters or {})
    started = now_ms()
    run_id = f"{datetime.fromtimestamp(started / 1000, UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    target = place / "runs" / name / f"{run_id}.ipynb" if output is None else output.absolute()
    if target.suffix != ".ipynb":
        raise JobError(f"the output {target} must be named *.ipynb")
    with _ledger(place / "runs") as ledger:
        aside = target.parent / f".{run_id}.ipynb"
        lock = _lock_of(place / "runs", run_id)
        with FileLock(lock, f"run {run_id}", f"job {name}"):
            ledger.begin(run_id, name, values, started, aside)
            status, left = "interrupted", None
            error: str | None = "it was interrupted"
            try:
                error = _execute(
                    template, values, aside, {"TWINSTAR_HOME": str(place)}, cell_timeout_s, progress
                )
                status = "failed" if error else "done"
                left = _publish(aside, target.with_suffix(".failed.ipynb") if error else target)
            finally:
                ledger.end(run_id, status, now_ms(), left, error)
                aside.unlink(missing_ok=True)
        lock.unlink(missing_ok=True)
        return ledger.get(run_id)


def history(job: str | None = None, *, home: Path | None = None, limit: int = 50) -> list[Run]:
    """The latest runs of one job or of all, newest first."""
    with _ledger(home_of(home) / "runs") as ledger:
        return ledger.history(job, limit)


def _lock_of(runs: Path, run_id: str) -> Path:
    return runs / ".locks" / run_id


@contextmanager
def _ledger(runs: Path) -> Iterator[RunLedger]:
    """The ledger, with runs whose process is gone marked as interrupted and their leavings removed."""
    ledger = RunLedger(runs / "ledger.db")
    try:
        for run_id, aside in ledger.running():
            lock = _lock_of(runs, run_id)
            if FileLock.holder(lock) is None:
                ended = time.time_ns() // 1_000_000
                ledger.end(run_id, "interrupted", ended, None, "its process ended before the notebook did")
                aside.unlink(missing_ok=True)
                lock.unlink(missing_ok=True)
        yield ledger
    finally:
        ledger.close()


def _execute(
    template: Template,
    values: Mapping[str, Any],
    target: Path,
    environment: Mapping[str, str],
    cell_timeout_s: float,
    progress: Callable[[float, float], None] | None,
) -> str | None:
    """Let papermill write `target`; None when all cells ran, else one line about the one that did not."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    from twinstar_kit.jobs.kernel import register_engine, this_interpreter

    logging.getLogger("papermill").setLevel(logging.ERROR)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        papermill.execute_notebook(
            str(template.path),
            str(target),
            parameters=dict(values),
            engine_name=register_engine(),
            kernel_name="python3",
            language="python",
            kernel_manager_class=this_interpreter(environment),
            on_cell=progress,
            progress_bar=False,
            execution_timeout=int(cell_timeout_s),
        )
    except PapermillExecutionError as error:
        return _line(f"cell {error.exec_count}: {error.ename}: {error.evalue}")
    except CellTimeoutError:
        return f"a cell took longer than {cell_timeout_s:g} s"
    except DeadKernelError:
        return "the notebook's kernel died"
    return None


def _line(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= ERROR_LENGTH else flat[: ERROR_LENGTH - 1] + "…"


def _publish(aside: Path, target: Path) -> Path:
    """Give a finished notebook its name: whole on the disk first, then renamed, then the folder."""
    _sync(aside)
    aside.rename(target)
    _sync(target.parent)
    return target


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
