"""The run ledger: every run of every job, begun and ended, in one SQLite file that several processes may write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SCHEMA = """
create table if not exists runs (
    run_id text primary key,
    job text not null,
    parameters text not null,
    status text not null check (status in ('running', 'done', 'failed', 'interrupted')),
    started_ms integer not null,
    aside text not null,
    ended_ms integer,
    output text,
    error text
) strict;
create index if not exists runs_by_time on runs (started_ms);
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job: `status` is running, done, failed or interrupted; times are UTC milliseconds.

    `output` is the notebook that the run left, `error` one line that says what went wrong and in which cell.
    """

    run_id: str
    job: str
    parameters: dict[str, Any]
    status: str
    started_ms: int
    ended_ms: int | None = None
    output: str | None = None
    error: str | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took, once it has ended."""
        return None if self.ended_ms is None else (self.ended_ms - self.started_ms) / 1000

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self) | {"seconds": self.seconds}


class RunLedger:
    """The ledger of one home; each call is one durable transaction."""

    def __init__(self, path: Path) -> None:
        import apsw

        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = apsw.Connection(str(path))
        self._db.set_busy_timeout(10_000)
        self._db.execute("pragma journal_mode = wal; pragma synchronous = full")
        self._db.execute(SCHEMA)

    def begin(
        self, run_id: str, job: str, parameters: Mapping[str, Any], started_ms: int, aside: Path
    ) -> None:
        """Write down that a run begins and where it writes until it is whole, before anything of it happens."""
        self._db.execute(
            "insert into runs (run_id, job, parameters, status, started_ms, aside) values (?, ?, ?, 'running', ?, ?)",
            (run_id, job, json.dumps(dict(parameters), sort_keys=True), started_ms, str(aside)),
        )

    def end(self, run_id: str, status: str, ended_ms: int, output: Path | None, error: str | None) -> None:
        """Write down how a run ended; a run ends once."""
        self._db.execute(
            "update runs set status = ?, ended_ms = ?, output = ?, error = ? where run_id = ? and status = 'running'",
            (status, ended_ms, None if output is None else str(output), error, run_id),
        )

    def running(self) -> list[tuple[str, Path]]:
        """Ids of the runs that have not ended, and where they write."""
        rows = self._db.execute("select run_id, aside from runs where status = 'running'")
        return [(run_id, Path(aside)) for run_id, aside in rows]

    def get(self, run_id: str) -> Run:
        """One run."""
        return self._read("where run_id = ?", (run_id,))[0]

    def history(self, job: str | None = None, limit: int = 50) -> list[Run]:
        """The latest runs, newest first."""
        if job is None:
            return self._read("order by started_ms desc, run_id desc limit ?", (limit,))
        return self._read("where job = ? order by started_ms desc, run_id desc limit ?", (job, limit))

    def _read(self, tail: str, values: tuple[Any, ...]) -> list[Run]:
        columns = "run_id, job, parameters, status, started_ms, ended_ms, output, error"
        rows = self._db.execute(f"select {columns} from runs {tail}", values)
        return [Run(r[0], r[1], json.loads(r[2]), *r[3:]) for r in rows]

    def close(self) -> None:
        """Close the file."""
        self._db.close()
