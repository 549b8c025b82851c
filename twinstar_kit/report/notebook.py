"""Bokeh figures in notebooks without any outside address: the script stands compressed in the notebook, once.

`load()` in the first cell brings BokehJS (0.5 MB in the file), `show(figure)` draws wherever it stands. Everything
that is stored is the same on every run, so a notebook with figures can be compared output by output.
"""

from __future__ import annotations

import base64
import functools
import gzip
import json
from typing import Any

from twinstar_kit.report.theme import BACKGROUND

LOADER = """<script>(function () {
  if (window.Bokeh) return;
  const packed = Uint8Array.from(atob("%s"), c => c.charCodeAt(0));
  const plain = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  new Response(plain).text().then(code => {
    const script = document.createElement("script");
    script.textContent = code;
    document.head.appendChild(script);
  });
})();</script>
<span style="color: #8b95a3">Figures are drawn by BokehJS %s, kept in this notebook.</span>"""

FIGURE = """<div class="twinstar-figure" style="min-height: %dpx; background: %s; color: #8b95a3; padding: 0">Run this notebook, or trust it, to see the figure.</div>
<script>(function () {
  const target = document.currentScript.previousElementSibling;
  const item = %s;
  let tries = 0;
  (function draw() {
    if (window.Bokeh && window.Bokeh.embed) {
      target.textContent = "";
      window.Bokeh.embed.embed_item(item, target);
    } else if (++tries < 200) setTimeout(draw, 50);
    else target.textContent = "Run the first cell: it loads the script that draws figures.";
  })();
})();</script>"""


class Html:
    """A piece of HTML that a notebook displays; its text form is short, for places that draw nothing."""

    def __init__(self, html: str, text: str) -> None:
        self._html, self._text = html, text

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return self._text


def load() -> Html:
    """BokehJS for this notebook; the value of its first cell."""
    import bokeh

    return Html(LOADER % (_packed(), bokeh.__version__), f"BokehJS {bokeh.__version__}")


def show(figure: Any, height: int | None = None) -> Html:
    """A Bokeh figure or layout for the end of a cell; needs `load()` in an earlier one.

    `height` in pixels is what the page keeps free before it is drawn (default: the figure's own).
    """
    from bokeh.embed import json_item

    text = json.dumps(json_item(figure), separators=(",", ":")).replace("</", "<\\/")
    return Html(FIGURE % (height or _height(figure), BACKGROUND, text), f"<figure: {_title(figure)}>")


def _title(figure: Any) -> str:
    own = getattr(getattr(figure, "title", None), "text", "")
    return own or ", ".join(filter(None, map(_title, getattr(figure, "children", []))))


def _height(figure: Any) -> int:
    own = getattr(figure, "height", None)
    children = getattr(figure, "children", [])
    return int(own) if own else sum(_height(child) for child in children) or 300


@functools.cache
def _packed() -> str:
    from bokeh.resources import Resources

    script = "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)
    return base64.b64encode(gzip.compress(script.encode(), 9, mtime=0)).decode()
