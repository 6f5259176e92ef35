"""Calls every method once, makes every mistake that a client can, and prints how each call ended.

Its flags name a server with tokens and `--state`, an item and another bundle that it has, and a
token that it knows no more; one of stage 1 alone without tokens or state; and one whose GetItem
ends with a different error for each of some ids. clients/node and clients/go have the same.
"""

import argparse
import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import grpc
from google.rpc import error_details_pb2

from shortlist.client import ShortlistError
from shortlist.v1 import admin_service_pb2 as admin
from shortlist.v1 import catalog_service_pb2 as catalog
from shortlist.v1 import rerank_service_pb2 as rerank
from shortlist.v1 import retrieval_service_pb2 as retrieval
from shortlist.v1 import search_service_pb2 as search
from shortlist.v1.admin_service_pb2_grpc import AdminServiceStub
from shortlist.v1.catalog_service_pb2_grpc import CatalogServiceStub
from shortlist.v1.item_pb2 import Item
from shortlist.v1.rerank_service_pb2_grpc import RerankServiceStub
from shortlist.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from shortlist.v1.search_service_pb2_grpc import SearchServiceStub

QUERY = "usb c charger"
SECONDS = 30
SEARCH = "/shortlist.v1.SearchService/Search"

parser = argparse.ArgumentParser()
for flag in (
    *("address", "admin-address", "plain-address", "raising-address"),
    *("token", "reader-token", "old-token", "item-id", "other-bundle"),
):
    parser.add_argument(f"--{flag}", required=True)
parser.add_argument("--raises", required=True, help="ids, with commas between them")
given = parser.parse_args()

served = grpc.insecure_channel(given.address)
plain = grpc.insecure_channel(given.plain_address)
searches, retrievals = SearchServiceStub(served), RetrievalServiceStub(served)
items, reranks = CatalogServiceStub(served), RerankServiceStub(served)
raising = CatalogServiceStub(grpc.insecure_channel(given.raising_address))
operator = AdminServiceStub(grpc.insecure_channel(given.admin_address))


def ask(method: Any, request: Any, token: str | None = given.token) -> Any:
    """Returns the answer."""
    metadata = () if token is None else (("authorization", f"Bearer {token}"),)
    return method(request, timeout=SECONDS, metadata=metadata)


def outcome(call: Callable[[], object]) -> str:
    """Returns how a call ended: OK when there is something in its answer, else code and reason."""
    try:
        found = call()
    except grpc.RpcError as error:
        failed = ShortlistError(error)  # type: ignore[arg-type]  # the errors of stubs are calls
        wait = "" if failed.retry_seconds is None else f"{failed.retry_seconds:g}"
        return f"{failed.code.name} {failed.reason} {wait}".strip()
    return found if isinstance(found, str) else "OK" if found else "nothing"


def written(answers: Iterable[Any]) -> bool | str:
    """Whether a stream's one write was made; its code and reason when it has an error."""
    [answer] = answers
    if not answer.HasField("error"):
        return bool(answer.sequence)
    info = error_details_pb2.ErrorInfo()
    answer.error.details[0].Unpack(info)
    code = next(code for code in grpc.StatusCode if code.value[0] == answer.error.code)
    return f"{code.name} {info.reason}"


def upsert(stub: Any, item: Item) -> bool | str:
    """Writes one item."""
    return written(
        ask(stub.UpsertItems, iter([catalog.UpsertItemsRequest(request_id="python-1", item=item)]))
    )


def delete(token: str | None = given.token) -> bool | str:
    """Deletes what was written."""
    request = catalog.DeleteItemsRequest(request_id="python-2", item_id=LAMP.item_id)
    return written(ask(items.DeleteItems, iter([request]), token))


def of_another_bundle() -> str:
    """Returns a page token that the other server gave."""
    request = search.SearchRequest(query=QUERY, page_size=2)
    token: str = ask(SearchServiceStub(plain).Search, request, None).next_page_token
    return token


def page(token: str) -> search.SearchRequest:
    """Asks for the page of a token."""
    return search.SearchRequest(query=QUERY, page_size=2, page_token=token)


def fail(name: str) -> object:
    """Asks for an item whose id is the name of an error."""
    return ask(raising.GetItem, catalog.GetItemRequest(item_id=name))


QUESTION = search.SearchRequest(query=QUERY)
LAMP = Item(item_id="python-lamp", title="Brass reading lamp")
CANDIDATES = [rerank.RerankCandidate(item_id=given.item_id)]
CALLS: dict[str, Callable[[], object]] = {
    "Search": lambda: ask(searches.Search, QUESTION).results,
    "StreamSearch": lambda: list(
        ask(searches.StreamSearch, search.StreamSearchRequest(search=QUESTION))
    ),
    "Retrieve": lambda: ask(retrievals.Retrieve, retrieval.RetrieveRequest(query=QUERY)).results,
    "SimilarItems": lambda: (
        ask(retrievals.SimilarItems, retrieval.SimilarItemsRequest(item_id=given.item_id)).results
    ),
    "Embed": lambda: (
        ask(
            retrievals.Embed, retrieval.EmbedRequest(inputs=[retrieval.EmbedInput(query=QUERY)])
        ).embeddings
    ),
    "Rerank": lambda: (
        ask(reranks.Rerank, rerank.RerankRequest(query=QUERY, candidates=CANDIDATES)).results
    ),
    "GetItem": lambda: ask(items.GetItem, catalog.GetItemRequest(item_id=given.item_id)).HasField(
        "item"
    ),
    "BatchGetItems": lambda: (
        ask(items.BatchGetItems, catalog.BatchGetItemsRequest(item_ids=[given.item_id])).items
    ),
    "UpsertItems": lambda: upsert(items, LAMP),
    "DeleteItems": delete,
    "GetStatus": lambda: ask(operator.GetStatus, admin.GetStatusRequest()).HasField("bundle"),
    "no query": lambda: ask(searches.Search, search.SearchRequest()),
    "a write without an id": lambda: upsert(items, Item(title="A lamp")),
    "bytes that are no message": lambda: ask(
        served.unary_unary(SEARCH, bytes, bytes),
        b"\xff",
    ),
    "a token of nobody's": lambda: ask(searches.Search, page("AAAA")),
    "a token of another bundle": lambda: ask(searches.Search, page(of_another_bundle())),
    "an unknown item": lambda: ask(items.GetItem, catalog.GetItemRequest(item_id="nothing")),
    "a deadline that passes": lambda: searches.Search(QUESTION, timeout=1e-6),
    "no token": lambda: ask(searches.Search, QUESTION, None),
    "an unknown token": lambda: ask(searches.Search, QUESTION, "stranger"),
    "a token of before": lambda: ask(searches.Search, QUESTION, given.old_token),
    "a reader that writes": lambda: delete(given.reader_token),
    "no reranker": lambda: ask(
        RerankServiceStub(plain).Rerank, rerank.RerankRequest(query=QUERY, candidates=CANDIDATES)
    ),
    "no state": lambda: upsert(CatalogServiceStub(plain), LAMP),
    "a bundle elsewhere": lambda: ask(operator.LoadBundle, admin.LoadBundleRequest(path="..")),
    "no bundle": lambda: ask(operator.LoadBundle, admin.LoadBundleRequest(path="damaged")),
    "nothing to roll back to": lambda: ask(operator.RollBack, admin.RollBackRequest()),
    **{f"raised: {name}": partial(fail, name) for name in given.raises.split(",")},
    # Last, for the calls above depend on what is served.
    "LoadBundle": lambda: ask(
        operator.LoadBundle, admin.LoadBundleRequest(path=given.other_bundle)
    ).HasField("bundle"),
    "RollBack": lambda: ask(operator.RollBack, admin.RollBackRequest()).HasField("bundle"),
}

print(json.dumps({name: outcome(call) for name, call in CALLS.items()}))
