"""Where the profit of a run came from: how much of it on bars that were seen, fetched, rebuilt or healed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.lake.provenance import Provenance
from twinstar_kit.lake.showing import Sheet, Shown

if TYPE_CHECKING:
    from twinstar_kit.kernel.bars import Bars
    from twinstar_kit.lake.reading import Reading


class Run(Protocol):
    """What is asked of a run: its bars, and money units at the start and after each bar."""

    @property
    def bars(self) -> Bars: ...
    @property
    def equity_units(self) -> npt.NDArray[np.int64]: ...
    @property
    def start_units(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Part:
    """Bars of one provenance, and the money units that equity rose by on them."""

    bars: int
    profit: int


@dataclass(frozen=True, repr=False)
class Attribution(Shown):
    """The profit of a run by the provenance of the bars it came on; the parts add up to the whole, to the unit."""

    parts: dict[Provenance, Part]
    money: Any

    @property
    def profit(self) -> int:
        """Money units in all."""
        return sum(part.profit for part in self.parts.values())

    def share(self, mark: Provenance) -> float:
        """A provenance's part of the profit; NaN when there is no profit to share."""
        part = self.parts.get(mark, Part(0, 0))
        return part.profit / self.profit if self.profit else float("nan")

    def sheet(self) -> Sheet:
        """One line for each provenance."""
        lines = [
            [mark.name.lower().replace("_", " "), f"{part.bars:,}", f"{self.money(part.profit):+,.2f}",
             f"{self.share(mark):.1%}" if self.profit else ""]
            for mark, part in self.parts.items()
        ]  # fmt: skip
        title = f"profit {self.money(self.profit):+,.2f} by where its bars come from"
        return Sheet(title, ("bars that were", "bars", "profit", "share"), lines)


def attribute(reading: Reading, run: Run) -> Attribution:
    """Split what equity did on each bar of a run by the bar's provenance.

    UsageError when the run went over other bars than the reading holds.
    """
    if not np.array_equal(run.bars.rows[:, :6], reading.rows) or run.bars.instrument != reading.instrument:
        raise UsageError("the run went over other bars than these: read the same series, timeframe and time")
    rises = np.diff(np.concatenate([[run.start_units], run.equity_units]))
    marks = reading.provenance
    parts = {
        Provenance(int(mark)): Part(int((marks == mark).sum()), int(rises[marks == mark].sum()))
        for mark in np.unique(marks)
    }
    return Attribution(parts, run.bars.instrument.money)
