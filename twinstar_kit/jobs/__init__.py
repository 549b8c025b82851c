"""Notebooks as jobs: templates with typed parameters, run by papermill, each run in a ledger."""

from twinstar_kit.jobs.ledger import Run
from twinstar_kit.jobs.runner import history, run_job
from twinstar_kit.jobs.templates import JobError, Parameter, Template, list_jobs

__all__ = ["JobError", "Parameter", "Run", "Template", "history", "list_jobs", "run_job"]
