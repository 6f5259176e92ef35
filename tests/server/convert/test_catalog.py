"""Pages of all items end before they are too large for clients."""

from catalog.items import Item
from search.result import ItemList
from server.convert.catalog import list_items_request, list_items_response
from server.convert.page_tokens import MAX_PAGE_BYTES
from shortlist.v1.catalog_service_pb2 import ListItemsRequest

ITEMS = tuple(
    Item(item_id, "Lamp", description="x" * size)
    for item_id, size in (("ä", MAX_PAGE_BYTES), ("b", MAX_PAGE_BYTES // 2), ("c", 10), ("d", 10))
)


def page(items: tuple[Item, ...], *, more: bool) -> tuple[list[str], str]:
    response = list_items_response(ItemList(items, more, 9, ()), None, "bundle")
    assert (response.total_size, response.bundle_id) == (9, "bundle")
    token = response.next_page_token
    following = list_items_request(ListItemsRequest(page_token=token)).after
    assert bool(token) == bool(following)
    return [item.item_id for item in response.items], following


def test_a_page_has_at_least_one_item_and_names_the_last() -> None:
    assert page(ITEMS, more=False) == (["ä"], "ä")
    assert page(ITEMS[1:], more=False) == (["b", "c", "d"], "")
    assert page(ITEMS[1:], more=True) == (["b", "c", "d"], "d")
    assert page((ITEMS[1], ITEMS[1]), more=False) == (["b"], "b")
    assert page((), more=False) == ([], "")
