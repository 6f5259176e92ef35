"""Both Python clients write to a real server and read the writes back."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from shortlist.client import Client, Options, ShortlistError
from shortlist.requests import deletion, upsert
from shortlist.v1.item_pb2 import Item
from shortlist.v1.search_service_pb2 import SearchPhase
from tests.protos.conftest import BlockingAsyncClient
from tests.timing import eventually

SECONDS = 60.0
LAMP = Item(item_id="zyx-lamp", title="Zyx brass reading lamp", brand="Zyx", price=20.0)


@pytest.fixture(params=[Client, BlockingAsyncClient], ids=["sync", "aio"])
def client(request: pytest.FixtureRequest, every_flags: Mapping[str, str]) -> Iterator[Any]:
    """A threaded or an asyncio client of the server with every option."""
    options = Options(token_in_clear=True)
    address, token = every_flags["address"], every_flags["token"]
    with request.param(address, token=token, options=options, timeout_seconds=SECONDS) as client:
        yield client


def test_a_written_item_is_found_until_it_is_deleted(client: Any) -> None:
    write = upsert(LAMP)
    first, again, refused = client.upsert_items([write, write, upsert(Item(title="A lamp"))])
    assert first.sequence == again.sequence > 0
    assert (first.repeated, again.repeated) == (False, True)
    assert (refused.sequence, refused.error.code) == (0, 3)  # code 3 is INVALID_ARGUMENT
    # The server encodes a new text after the answer, so the item becomes visible later.
    eventually(lambda: client.batch_get_items(["zyx-lamp"]).items)
    assert client.get_item("zyx-lamp") == LAMP
    recalled, reranked = client.stream_search("zyx brass lamp")
    assert recalled.phase == SearchPhase.SEARCH_PHASE_RECALLED
    assert reranked.phase == SearchPhase.SEARCH_PHASE_RERANKED
    for part in (recalled, reranked):
        assert "zyx-lamp" in [result.item_id for result in part.search.results]
    [deleted] = client.delete_items([deletion("zyx-lamp")])
    assert deleted.sequence == first.sequence + 1
    with pytest.raises(ShortlistError) as failed:
        client.get_item("zyx-lamp")
    assert (failed.value.reason, failed.value.resources) == ("UNKNOWN_ITEM", ("zyx-lamp",))


def test_similar_items_are_other_items(client: Any, every_flags: Mapping[str, str]) -> None:
    response = client.similar_items(every_flags["item-id"], page_size=3)
    ids = [result.item_id for result in response.results]
    assert len(set(ids)) == 3
    assert every_flags["item-id"] not in ids
