"""The data lake: every row is there and verified, or its absence is proven; where each came from is kept with it.

- `store`: `Lake`, what everybody calls; `series`, `provenance`: what it speaks about.
- `rows`, `codec`, `pages`, `unpack`: rows of each kind, the Parquet files they are packed into, and the reader of those.
- `files`, `leases`: where files lie, and who still reads them.
- `catalog`, `tail`, `log`: the SQLite file that is the one truth, the newest rows in it, its hash-chained log.
- `writing`, `reading`, `joining`, `holes`, `keeping`, `sql`: what `Lake` does, one file for each verb.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinstar_kit.lake.errors import CorruptFile, LakeDamaged, LakeError, NoSuchSeries
    from twinstar_kit.lake.provenance import Gap, Provenance
    from twinstar_kit.lake.reading import Chunk, Reading
    from twinstar_kit.lake.series import Kind, Series, month_of, month_span, months
    from twinstar_kit.lake.store import Lake

_HOMES = {
    "Chunk": "reading",
    "CorruptFile": "errors",
    "Gap": "provenance",
    "Kind": "series",
    "Lake": "store",
    "LakeDamaged": "errors",
    "LakeError": "errors",
    "NoSuchSeries": "errors",
    "Provenance": "provenance",
    "Reading": "reading",
    "Series": "series",
    "month_of": "series",
    "month_span": "series",
    "months": "series",
}

__all__ = [
    "Chunk",
    "CorruptFile",
    "Gap",
    "Kind",
    "Lake",
    "LakeDamaged",
    "LakeError",
    "NoSuchSeries",
    "Provenance",
    "Reading",
    "Series",
    "month_of",
    "month_span",
    "months",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
