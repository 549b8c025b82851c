"""Runs of jobs: whole outputs or none, failures kept and named, a ledger that survives a killed process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import nbformat
import pytest

from twinstar_kit.jobs import JobError, history, run_job

PARAMETERS = 'name: str = "world"\ntimes: int = 1'


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    folder = tmp_path / "templates"
    folder.mkdir()
    return folder


def write(folder: Path, name: str, *sources: str) -> None:
    cells = [nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]
    cells += [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"{name}.ipynb")


def printed(path: str | None) -> str:
    book = nbformat.read(str(path), as_version=4)
    return "".join(o.get("text", "") for c in book.cells if c.cell_type == "code" for o in c.outputs)


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*.ipynb"))


def test_a_run_leaves_one_whole_notebook_and_a_line_in_the_ledger(templates: Path, home: Path) -> None:
    write(
        templates,
        "greet",
        "import os, sys",
        "print('hello ' + name * times, os.environ['TWINSTAR_HOME'])",
        "print(sys.executable)",
    )
    seen: list[tuple[float, float]] = []
    run = run_job(
        "greet",
        {"name": "you", "times": "2"},
        templates=templates,
        home=home,
        progress=lambda a, b: seen.append((a, b)),
    )
    assert run.status == "done"
    assert run.parameters == {"name": "you", "times": 2}
    assert Path(run.output or "").parent == home / "runs" / "greet"
    assert f"hello youyou {home}" in printed(run.output)
    assert sys.executable in printed(run.output)
    assert files(home / "runs") == [f"greet/{run.run_id}.ipynb"]
    assert seen[-1][0] == seen[-1][1]
    assert [r.run_id for r in history("greet", home=home)] == [run.run_id]
    assert run.to_dict()["seconds"] > 0


def test_a_given_output_is_replaced_only_by_a_whole_run(templates: Path, home: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.ipynb"
    target.write_text("what stood here before")
    write(templates, "greet", "assert times == 1, 'not once'", "print('hello')")
    failed = run_job("greet", {"times": 2}, output=target, templates=templates, home=home)
    assert failed.status == "failed"
    assert failed.error is not None
    assert "AssertionError: not once" in failed.error
    assert target.read_text() == "what stood here before"
    assert Path(failed.output or "").name == "out.failed.ipynb"
    done = run_job("greet", output=target, templates=templates, home=home)
    assert done.output == str(target)
    assert printed(str(target)) == "hello\n"
    assert [r.status for r in history(home=home)] == ["done", "failed"]


def test_a_refused_parameter_writes_nothing(templates: Path, home: Path) -> None:
    write(templates, "greet", "print(name)")
    with pytest.raises(JobError):
        run_job("greet", {"times": "many"}, templates=templates, home=home)
    with pytest.raises(JobError):
        run_job("greet", {"password": "x"}, templates=templates, home=home)
    with pytest.raises(JobError):
        run_job("greet", output=home / "report.html", templates=templates, home=home)
    assert not (home / "runs").exists()


def test_a_kernel_that_dies_is_a_failed_run(templates: Path, home: Path) -> None:
    write(templates, "die", "import os", "os.kill(os.getpid(), 9)", "print('never')")
    run = run_job("die", templates=templates, home=home)
    assert run.status == "failed"
    assert "died" in (run.error or "")
    assert files(home / "runs") == [f"die/{run.run_id}.failed.ipynb"]


def test_a_cell_that_takes_too_long_is_a_failed_run(templates: Path, home: Path) -> None:
    write(templates, "slow", "import threading", "threading.Event().wait(60)")
    run = run_job("slow", templates=templates, home=home, cell_timeout_s=1)
    assert run.status == "failed"
    assert "longer than 1 s" in (run.error or "")


def test_a_killed_runner_leaves_no_half_notebook(templates: Path, home: Path) -> None:
    write(
        templates,
        "wait",
        "open(name, 'w').write('started')",
        "import threading",
        "threading.Event().wait(120)",
    )
    flag = home / "flag"
    os.mkfifo(flag)
    code = f"""
        from pathlib import Path
        from twinstar_kit.jobs import run_job
        run_job("wait", {{"name": {str(flag)!r}}}, templates=Path({str(templates)!r}), home=Path({str(home)!r}))
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)]) as runner:
        assert flag.read_text() == "started"  # a pipe: this waits until the notebook runs
        (running,) = history(home=home)
        assert running.status == "running"
        runner.send_signal(signal.SIGKILL)
        runner.wait()
    (run,) = history(home=home)
    assert (run.status, run.output) == ("interrupted", None)
    assert "process ended" in (run.error or "")
    assert files(home / "runs") == []
