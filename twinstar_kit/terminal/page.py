"""The page as Panel serves it: our own template, the equity figure, and the bridge to `web/src`."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import panel as pn
from panel.custom import JSComponent

from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.terminal import current, panes
from twinstar_kit.terminal.commands import KINDS, carry_out
from twinstar_kit.terminal.equity import EquityFigure
from twinstar_kit.terminal.hub import Hub, Tab
from twinstar_kit.terminal.routes import DIST, PREFIX

TITLE = "TwinStar"
BUNDLE = DIST / "terminal.js"
# commands wait for the session's answer: not on the event loop, and not in the hub's thread
_commands = ThreadPoolExecutor(max_workers=8, thread_name_prefix="terminal-command")


class Bridge(JSComponent):
    """Carries messages between the hub and the page over Panel's own socket; it shows nothing."""

    # the page's own module is found through the window: Panel loads this one in a module world of its own
    _esm = """
    export function render({ model }) {
      const attach = () => window.twinstar.connect({
        send: (message) => model.send_msg(message),
        onMessage: (callback) => model.on("msg:custom", callback),
      })
      if (window.twinstar) attach()
      else document.addEventListener("twinstar-ready", attach, { once: true })
      return document.createElement("div")
    }
    """


class Page:
    """One open page: receives its messages and delivers to it."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.bridge: Any = Bridge()  # type: ignore[no-untyped-call]
        self.equity = EquityFigure(hub)
        self.document: Any = None
        self.tab: Tab | None = None
        self.bridge.on_msg(self._receive)

    def template(self) -> Any:
        """A fresh template holding this page."""
        template = pn.Template(_template_text(), design=pn.theme.Native, theme=pn.theme.DarkTheme)
        template.add_panel("bridge", self.bridge)
        template.add_panel("equity", self.equity.pane)
        boot = panes.boot(self.hub.backend, self.hub.rates.money)
        template.add_variable("boot", panes.dumps(boot | {"routes": PREFIX}).replace("<", "\\u003c"))
        template.add_variable("assets", f"{PREFIX}/assets")
        template.add_variable("version", _version())
        template.add_variable("page_title", TITLE)
        return template

    def _receive(self, event: Any) -> None:
        message = event.data
        kind = message.get("type")
        if kind == "ready":
            self._open()
        if self.tab is None:
            return
        if kind in ("ready", "symbol"):
            self.tab.select(message["symbol"], message.get("known", 0))
        elif kind == "ack":
            self.tab.acknowledge(message["seq"])
        elif kind in KINDS:
            _commands.submit(self._command, message)

    def _open(self) -> None:
        if self.tab is not None:
            self.tab.close()
        self.document = pn.state.curdoc
        self.tab = self.hub.open_tab(self._deliver)
        self.document.on_session_destroyed(self._closed)

    def _closed(self, _: Any) -> None:
        if self.tab is not None:
            self.tab.close()

    def _command(self, message: dict[str, Any]) -> None:
        reply = carry_out(self.hub.backend, message)
        self._deliver(panes.dumps(reply))
        self.hub.wake.set()

    def _deliver(self, message: str) -> None:
        """Send JSON to the page; from any thread."""

        def send() -> None:
            self.bridge._send_msg({"json": message})
            self.equity.update()

        self.document.add_next_tick_callback(send)


def make_page() -> Any:
    """The terminal as a Panel template, for one browser tab."""
    pn.config.notifications = False
    return Page(current.hub()).template()


@cache
def _template_text() -> str:
    return Path(__file__).with_name("template.html").read_text(encoding="utf-8")


@cache
def _version() -> str:
    """A digest of the bundle, so that a browser never runs an old one."""
    if not BUNDLE.is_file():
        raise UsageError(
            "the terminal's JavaScript bundle is missing; `make setup` (or pip install -e .) builds it"
        )
    return hashlib.sha256(BUNDLE.read_bytes()).hexdigest()[:12]
