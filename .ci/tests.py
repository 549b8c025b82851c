"""What `make test` runs: the tests, then the notebooks output by output, then the coverage floors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLOORS = {"twinstar_kit/": 75.0, "twinstar_kit/kernel/": 90.0, "twinstar_kit/journal/": 90.0}


COVERED = ("--cov", "--cov-append", "--cov-report=")
TWO_WORKERS = ("-n", "2", "--dist", "worksteal")


def run(title: str, *arguments: str, **environment: str) -> None:
    """One pytest run; its failure ends the whole."""
    print(f"\n== {title}", flush=True)
    command = [sys.executable, "-m", "pytest", *arguments]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment})
    if done.returncode:
        sys.exit(done.returncode)


def percent(files: dict[str, dict[str, dict[str, int]]], folder: str) -> float | None:
    """Covered statements of a folder in percent; None where the folder holds none."""
    rows = [row["summary"] for name, row in files.items() if name.startswith(folder)]
    statements = sum(row["num_statements"] for row in rows)
    return 100 * sum(row["covered_lines"] for row in rows) / statements if statements else None


def floors() -> bool:
    """Prints coverage by folder and says whether every floor holds."""
    report = ROOT / "coverage.json"
    coverage = [sys.executable, "-m", "coverage"]
    subprocess.run([*coverage, "json", "--quiet", "-o", str(report)], cwd=ROOT, check=True)
    files = json.loads(report.read_text())["files"]
    good = True
    for folder, floor in FLOORS.items():
        measured = percent(files, folder)
        if measured is None:
            continue
        holds = measured >= floor
        good &= holds
        print(
            f"coverage {folder:<24}{measured:6.1f} %  floor {floor:.0f} %  {'holds' if holds else 'BROKEN'}"
        )
    if not good:
        subprocess.run([*coverage, "report"], cwd=ROOT, check=False)
        print(
            "error: coverage is below its floor; the lines without a test are listed above", file=sys.stderr
        )
    return good


def main(arguments: list[str]) -> int:
    """`make test ARGS="-k parity"` hands its arguments to pytest and judges no floors."""
    if arguments:
        return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT).returncode
    subprocess.run([sys.executable, "-m", "coverage", "erase"], cwd=ROOT, check=True)
    run("tests", *TWO_WORKERS, "--ignore=tests/strategy", *COVERED)
    # a tracer makes compiling three times as slow, and these tests do little else
    run("strategies and their compiler", "tests/strategy", *TWO_WORKERS)
    if any((ROOT / "notebooks").glob("*.ipynb")):
        # without coverage: nbval would start it in each kernel a second time, and wait for ever
        run(
            "notebooks, output by output",
            "notebooks",
            "--nbval",
            "--nbval-cell-timeout=300",
            "--nbval-sanitize-with=notebooks/sanitize.cfg",
            # kernels of notebooks and the session that they use reach loopback only, as tests do
            PYTHONPATH=str(ROOT / "tests" / "netguard"),
        )
    print("\n== coverage")
    return 0 if floors() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
