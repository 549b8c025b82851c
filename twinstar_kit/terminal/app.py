"""The page for `panel serve`; run it with `--plugins twinstar_kit.terminal.plugin`, which carries the routes."""

from twinstar_kit.terminal.page import make_page

make_page().servable()
