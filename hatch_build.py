"""Builds the terminal's JavaScript bundle whenever the Python package is built or installed."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BundleHook(BuildHookInterface):  # type: ignore[type-arg]
    """Calls `twinstar_kit/terminal/build.py`, which does nothing when the bundle is newer than its source."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        script = Path(self.root, "twinstar_kit", "terminal", "build.py")
        if script.exists():
            runpy.run_path(str(script), run_name="__main__")
