"""How an account shows itself in a notebook: what kind of money it is, what there is of it, what is open."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from twinstar_kit.kernel.money import from_units
from twinstar_kit.kernel.orders import OrdType
from twinstar_kit.venues.port import Venue

_CELL = "style='text-align:right;padding:2px 10px'"
_LEFT = "style='text-align:left;padding:2px 10px'"
MOST_ORDERS = 20


def account_html(venue: Venue) -> str:
    """A small HTML summary of an account: label, time, balances that are not zero, open orders."""
    now = datetime.fromtimestamp(venue.catch_up() / 1000, UTC)
    balances = [
        [asset, f"{free:,f}", f"{held:,f}", f"{free + held:,f}"]
        for asset, (free, held) in venue.balances().items()
        if free or held
    ]
    open_orders = [order for order in venue.orders() if order.status == "open"]
    rows = []
    for order in open_orders[:MOST_ORDERS]:
        m = order.instrument
        price = order.stop_px if order.ord_type in (OrdType.STOP, OrdType.TRAILING_STOP) else order.price
        rows.append(
            [
                str(order.order_id), m.symbol, order.side.name.lower(), order.ord_type.name.lower().replace("_", " "),
                f"{from_units(order.order_qty, m.amount_scale):,f}", f"{from_units(price, m.price_scale):,f}",
            ]
        )  # fmt: skip
    more = f"<p>and {len(open_orders) - MOST_ORDERS} more</p>" if len(open_orders) > MOST_ORDERS else ""
    return (
        "<div class='twinstar-account'>"
        f"<p><b>{escape(venue.label)}</b> &nbsp; {now:%Y-%m-%d %H:%M:%S} UTC</p>"
        + _table(("asset", "free", "used", "total"), balances, 1)
        + (
            _table(("order", "symbol", "side", "type", "amount", "price"), rows, 4)
            if rows
            else "<p>no open orders</p>"
        )
        + more
        + "</div>"
    )


def _table(head: tuple[str, ...], rows: list[list[str]], left: int) -> str:
    def line(tag: str, cells: tuple[str, ...] | list[str]) -> str:
        styled = (f"<{tag} {_LEFT if i < left else _CELL}>{escape(c)}</{tag}>" for i, c in enumerate(cells))
        return f"<tr>{''.join(styled)}</tr>"

    return f"<table>{line('th', head)}{''.join(line('td', row) for row in rows)}</table>"
