"""The page for `panel serve`; run it with `--plugins twinstar_kit.terminal.plugin`, which carries the routes."""

from panel import state

from twinstar_kit.terminal.page import make_page

if state.served:
    make_page().servable()
