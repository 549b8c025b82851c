"""A line as a small SVG: equity where no script may run, in widgets and tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twinstar_kit.report import theme
from twinstar_kit.report.reduce import extremes


def spark(
    values: NDArray[np.float64], base: float, width: int = 640, height: int = 150, points: int = 800
) -> str:
    """`values` as an SVG image, above `base` green and below it red, with `base` as a dashed line.

    >>> spark(np.array([1.0, 2.0, 0.5]), 1.0)[:31]
    '<svg viewBox="0 0 640 150" styl'
    """
    if len(values) == 0:
        return ""
    kept = extremes(values, points)
    low, high = min(float(values.min()), base), max(float(values.max()), base)
    room = (high - low) or 1.0
    x = kept / max(len(values) - 1, 1) * width
    y = height - 4 - (values[kept] - low) / room * (height - 8)
    zero = height - 4 - (base - low) / room * (height - 8)
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    colour = theme.UP if values[-1] >= base else theme.DOWN
    return (
        f'<svg viewBox="0 0 {width} {height}" style="width:100%;max-width:{width}px;background:{theme.BACKGROUND}">'
        f'<line x1="0" x2="{width}" y1="{zero:.1f}" y2="{zero:.1f}" stroke="{theme.MUTED}" stroke-dasharray="4 4" '
        f'stroke-opacity="0.6"/><polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/></svg>'
    )
