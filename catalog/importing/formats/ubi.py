"""OpenSearch User Behavior Insights (UBI): the indexes `ubi_events` and `ubi_queries` as JSON."""

from collections.abc import Iterator
from typing import Any

from catalog.importing.report import Report
from catalog.importing.rules import Format, Row, TableRules, columns, rules
from catalog.importing.sources import Files
from catalog.schema import EVENTS

_ACTIONS = {
    **dict.fromkeys(("impression", "view_item_list"), "impression"),
    **dict.fromkeys(("click", "item_click", "click_through", "product_click"), "click"),
    **dict.fromkeys(("add_to_cart", "addtocart", "cart_add"), "add_to_cart"),
    **dict.fromkeys(("purchase", "buy", "order"), "purchase"),
}
_OBJECT = "event_attributes.object.object_id"
_ORDINAL = "event_attributes.position.ordinal"


def _events(files: Files) -> Iterator[Row]:
    """Yield the events of items, with the texts of their queries, and positions from 1."""
    queries = {row.text("query_id"): row.get("user_query") for row in files.rows("queries")}
    again = Files(files.sources, Report())  # for a reading whose problems are not counted
    positions = map(_position, again.rows("events"))
    first = min((position for position in positions if position is not None), default=1)
    for row in files.rows("events"):
        action = row.text("action_name").lower().replace("-", "_")
        if action not in _ACTIONS:
            files.leave_out(row, f"an event {action}")
        elif row.get(_OBJECT) is None:
            files.leave_out(row, "an event without an item")
        else:
            cells: dict[str, Any] = {"type": _ACTIONS[action], "position": _position(row)}
            if first == 0 and cells["position"] is not None:
                cells["position"] += 1
            if row.get("user_query") is None:
                cells["user_query"] = queries.get(row.text("query_id"))
            yield row.with_cells(cells)


def _position(row: Row) -> int | None:
    position = row.get(_ORDINAL)
    whole = isinstance(position, int | float) and position % 1 == 0
    return int(position) if whole else None


FORMAT = Format(
    "ubi",
    "OpenSearch UBI events (JSON lines)",
    {
        "events": (columns("action_name", "event_attributes"),),
        "queries": (columns("query_id", "user_query"),),
    },
    (
        TableRules(
            EVENTS,
            rules(
                time="timestamp",
                item_id=_OBJECT,
                type="type",
                session_id="session_id",
                user_id=("user_id", "client_id"),
                query="user_query",
                position="position",
            ),
            _events,
        ),
    ),
    reads="action_name|query_id",
)
