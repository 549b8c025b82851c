"""The page on the virtual exchange names every option and every error class, and its code runs."""

from __future__ import annotations

import re

import ccxt

import twinstar_kit
from twinstar_kit.venues.opening import OPTIONS
from twinstar_kit.venues.order_terms import DIRECTIONS, LEG_PARAMS, ORDER_PARAMS, SELF_TRADE, TRIGGERED_BY
from twinstar_kit.venues.refusals import CLASSES
from twinstar_kit.venues.requests import TIME_IN_FORCE
from twinstar_kit.venues.watch_face import WatchFace


def test_the_page_names_every_option_and_error(repository):
    page = (repository / "docs" / "virtual-exchange.md").read_text(encoding="utf-8")
    for name in OPTIONS:
        assert f"`{name}`" in page, f"the option {name} is not on the page"
    for error in {*CLASSES.values(), ccxt.InvalidOrder}:
        assert f"`{error.__name__}`" in page
    for name in re.findall(r"`([A-Z][a-z]+[A-Z]\w+|Bad\w+)`", page):
        assert hasattr(ccxt, name) or name in twinstar_kit.__all__, f"ccxt has no {name}"


def test_the_page_names_every_stream(repository):
    page = (repository / "docs" / "virtual-exchange.md").read_text(encoding="utf-8")
    for name in vars(WatchFace):
        assert not name.startswith("watch_") or f"`{name}`" in page, f"{name} is not on the page"


def test_the_page_names_every_parameter(repository):
    page = (repository / "docs" / "virtual-exchange.md").read_text(encoding="utf-8")
    for name in (*ORDER_PARAMS, *LEG_PARAMS, *TIME_IN_FORCE, *TRIGGERED_BY, *SELF_TRADE, *DIRECTIONS):
        assert f"`{name}`" in page, f"{name} is not on the page"


def test_the_defaults_on_the_page_are_those_of_the_code(repository):
    page = (repository / "docs" / "virtual-exchange.md").read_text(encoding="utf-8")
    ex = twinstar_kit.VirtualExchange()
    markets = ex.load_markets().values()
    spot, swap = ([m for m in markets if m["type"] == kind] for kind in ("spot", "swap"))
    quotes = {quote: sum(m["quote"] == quote for m in spot) for quote in ("USDT", "KRW")}
    linear = sum(bool(m["linear"]) for m in swap)
    assert (
        f"{len(spot)} spot markets ({quotes['USDT']} in USDT, {quotes['KRW']} in KRW) and {len(swap)} perpetuals: {linear} linear"
        in page
    )
    most = sorted(m["limits"]["leverage"]["max"] for m in swap)
    assert f"{most[0]:.0f} to {most[-1]:.0f} times" in page
    rows = dict(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|.*\| (.*) \|$", page, re.MULTILINE))
    for kind, name in (("spot", "`balances`"), ("swap", "`swap_balances`")):
        opening = {
            asset: total for asset, total in ex.fetch_balance({"type": kind})["total"].items() if total
        }
        assert rows[name].split(";")[0] == ", ".join(
            f"{total:,.10g} {asset}" for asset, total in opening.items()
        )
    broker = ex.venue.broker
    for name in (
        "leverage",
        "liquidity",
        "volume_share",
        "slippage_model",
        "protection_bps",
        "latency",
        "seed",
    ):
        assert rows[f"`{name}`"] in (str(getattr(broker, name)), f"`{getattr(broker, name)}`"), name


def test_the_code_on_the_page_runs(repository):
    page = (repository / "docs" / "virtual-exchange.md").read_text(encoding="utf-8")
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(code, "virtual-exchange.md", "exec"), {})  # noqa: S102
