"""The Jupyter kernel of jobs: always this interpreter, whatever kernels a machine has registered."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from typing import Any


def this_interpreter(environment: Mapping[str, str]) -> type[Any]:
    """A kernel manager class that starts `sys.executable` with `environment` added; nothing need be installed."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    command = [
        sys.executable,
        "-m",
        "ipykernel_launcher",
        "-f",
        "{connection_file}",
        "--HistoryManager.enabled=False",
        "--IPKernelApp.log_level=ERROR",
    ]
    spec = KernelSpec(argv=command, display_name="TwinStar", language="python", env=dict(environment))

    class ThisInterpreter(AsyncKernelManager):
        @property
        def kernel_spec(self) -> KernelSpec:
            return spec

    return ThisInterpreter


@functools.cache
def register_engine() -> str:
    """Tell papermill of an engine that reports each finished cell to `on_cell(done, all)`; returns its name."""
    from papermill.engines import NBClientEngine, papermill_engines

    class Watched(NBClientEngine):
        @classmethod
        def execute_managed_notebook(
            cls, nb_man: Any, kernel_name: str, on_cell: Any = None, **options: Any
        ) -> Any:
            whole, finish = len(nb_man.nb.cells), nb_man.cell_complete

            def finished(cell: Any, cell_index: int | None = None, **more: Any) -> None:
                finish(cell, cell_index=cell_index, **more)
                if on_cell is not None and cell_index is not None:
                    on_cell(cell_index + 1, whole)

            nb_man.cell_complete = finished
            return super().execute_managed_notebook(nb_man, kernel_name, **options)

    papermill_engines.register("twinstar", Watched)
    return "twinstar"
