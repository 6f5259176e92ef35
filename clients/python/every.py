"""Call every method once, provoke every error, and print the outcome of each call.

The flags name three servers:

- a server with tokens and `--state` (`--address` and `--admin-address`); it has an item, a second
  bundle and a revoked token;
- a server without tokens, state or reranker (`--plain-address`);
- a server whose GetItem fails with a different error for each id of `--raises`
  (`--raising-address`).

clients/node and clients/go have the same program.
"""

import argparse
import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import grpc
from google.rpc import error_details_pb2

from shortlist.client import ShortlistError
from shortlist.events import event
from shortlist.v1 import admin_service_pb2 as admin
from shortlist.v1 import catalog_service_pb2 as catalog
from shortlist.v1 import curation_service_pb2 as curation
from shortlist.v1 import feedback_service_pb2 as feedback
from shortlist.v1 import recommend_service_pb2 as recommend
from shortlist.v1 import rerank_service_pb2 as rerank
from shortlist.v1 import retrieval_service_pb2 as retrieval
from shortlist.v1 import search_service_pb2 as search
from shortlist.v1 import suggestion_service_pb2 as suggestion
from shortlist.v1.admin_service_pb2_grpc import AdminServiceStub
from shortlist.v1.catalog_service_pb2_grpc import CatalogServiceStub
from shortlist.v1.curation_service_pb2_grpc import CurationServiceStub
from shortlist.v1.feedback_service_pb2_grpc import FeedbackServiceStub
from shortlist.v1.item_pb2 import Item
from shortlist.v1.recommend_service_pb2_grpc import RecommendServiceStub
from shortlist.v1.rerank_service_pb2_grpc import RerankServiceStub
from shortlist.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from shortlist.v1.search_service_pb2_grpc import SearchServiceStub
from shortlist.v1.suggestion_service_pb2_grpc import SuggestionServiceStub

QUERY = "usb c charger"
SECONDS = 30
SEARCH = "/shortlist.v1.SearchService/Search"

parser = argparse.ArgumentParser()
for flag in (
    *("address", "admin-address", "plain-address", "raising-address"),
    *("token", "reader-token", "old-token", "item-id", "other-bundle"),
):
    parser.add_argument(f"--{flag}", required=True)
parser.add_argument("--raises", required=True, help="ids, separated by commas")
flags = parser.parse_args()

served = grpc.insecure_channel(flags.address)
plain = grpc.insecure_channel(flags.plain_address)
searches, retrievals = SearchServiceStub(served), RetrievalServiceStub(served)
items, reranks = CatalogServiceStub(served), RerankServiceStub(served)
suggestions, curations = SuggestionServiceStub(served), CurationServiceStub(served)
raising = CatalogServiceStub(grpc.insecure_channel(flags.raising_address))
operator = AdminServiceStub(grpc.insecure_channel(flags.admin_address))


def ask(
    method: Any, request: Any, token: str | None = flags.token, seconds: float = SECONDS
) -> Any:
    """Call a method with a token, and return the answer."""
    metadata = () if token is None else (("authorization", f"Bearer {token}"),)
    return method(request, timeout=seconds, metadata=metadata)


def outcome(call: Callable[[], object]) -> str:
    """Return "OK" for an answer with content, "nothing" for an empty one, else the error."""
    try:
        answer = call()
    except grpc.RpcError as rpc_error:
        error = ShortlistError(rpc_error)
        wait = "" if error.retry_seconds is None else f"{error.retry_seconds:g}"
        return f"{error.code.name} {error.reason} {wait}".strip()
    return answer if isinstance(answer, str) else "OK" if answer else "nothing"


def write_outcome(answers: Iterable[Any]) -> bool | str:
    """Return whether the only write of a stream succeeded, or the code and reason of its error."""
    [answer] = answers
    if not answer.HasField("error"):
        return bool(answer.sequence)
    info = error_details_pb2.ErrorInfo()
    answer.error.details[0].Unpack(info)
    code = next(code for code in grpc.StatusCode if code.value[0] == answer.error.code)
    return f"{code.name} {info.reason}"


def upsert(stub: Any, item: Item) -> bool | str:
    """Write one item."""
    return write_outcome(
        ask(stub.UpsertItems, iter([catalog.UpsertItemsRequest(request_id="python-1", item=item)]))
    )


def delete(token: str | None = flags.token) -> bool | str:
    """Delete the item that `upsert` wrote."""
    request = catalog.DeleteItemsRequest(request_id="python-2", item_id=LAMP.item_id)
    return write_outcome(ask(items.DeleteItems, iter([request]), token))


def other_page_token() -> str:
    """Return a page token from the plain server, which serves another bundle."""
    request = search.SearchRequest(query=QUERY, page_size=2)
    token: str = ask(SearchServiceStub(plain).Search, request, None).next_page_token
    return token


def page(token: str) -> search.SearchRequest:
    """Return the request for the page that a token names."""
    return search.SearchRequest(query=QUERY, page_size=2, page_token=token)


def fail(name: str) -> object:
    """Get an item whose id names the error that the server returns."""
    return ask(raising.GetItem, catalog.GetItemRequest(item_id=name))


SEARCH_REQUEST = search.SearchRequest(query=QUERY)
LAMP = Item(item_id="python-lamp", title="Brass reading lamp")
PLUGS = curation.SynonymRule(line="plug, charger")
VIEW = event("view", LAMP.item_id, event_id="python-3")
CANDIDATES = [rerank.RerankCandidate(item_id=flags.item_id)]
CALLS: dict[str, Callable[[], object]] = {
    "Search": lambda: ask(searches.Search, SEARCH_REQUEST).results,
    "StreamSearch": lambda: list(
        ask(searches.StreamSearch, search.StreamSearchRequest(search=SEARCH_REQUEST))
    ),
    "Retrieve": lambda: ask(retrievals.Retrieve, retrieval.RetrieveRequest(query=QUERY)).results,
    "SimilarItems": lambda: (
        ask(retrievals.SimilarItems, retrieval.SimilarItemsRequest(item_id=flags.item_id)).results
    ),
    "Embed": lambda: (
        ask(
            retrievals.Embed, retrieval.EmbedRequest(inputs=[retrieval.EmbedInput(query=QUERY)])
        ).embeddings
    ),
    "Rerank": lambda: (
        ask(reranks.Rerank, rerank.RerankRequest(query=QUERY, candidates=CANDIDATES)).results
    ),
    "Suggest": lambda: (
        ask(suggestions.Suggest, suggestion.SuggestRequest(prefix=QUERY[:3])).suggestions
    ),
    "Recommend": lambda: (
        ask(RecommendServiceStub(served).Recommend, recommend.RecommendRequest()).results
    ),
    "GetItem": lambda: ask(items.GetItem, catalog.GetItemRequest(item_id=flags.item_id)).HasField(
        "item"
    ),
    "BatchGetItems": lambda: (
        ask(items.BatchGetItems, catalog.BatchGetItemsRequest(item_ids=[flags.item_id])).items
    ),
    "UpsertItems": lambda: upsert(items, LAMP),
    "DeleteItems": delete,
    "SetCuration": lambda: ask(
        curations.SetCuration, curation.SetCurationRequest(synonyms=PLUGS)
    ).HasField("curation"),
    "ListCurations": lambda: (
        ask(curations.ListCurations, curation.ListCurationsRequest(query="plug")).curations
    ),
    "RecordEvents": lambda: (
        (
            ask(
                FeedbackServiceStub(served).RecordEvents,
                feedback.RecordEventsRequest(events=[VIEW]),
            )
        ).sequence
    ),
    "GetStatus": lambda: ask(operator.GetStatus, admin.GetStatusRequest()).HasField("bundle"),
    "a search without a query": lambda: ask(searches.Search, search.SearchRequest()),
    "a write without an id": lambda: upsert(items, Item(title="A lamp")),
    "a malformed message": lambda: ask(
        served.unary_unary(SEARCH, bytes, bytes),
        b"\xff",
    ),
    "an invalid page token": lambda: ask(searches.Search, page("AAAA")),
    "a page token of another bundle": lambda: ask(searches.Search, page(other_page_token())),
    "an unknown item": lambda: ask(items.GetItem, catalog.GetItemRequest(item_id="nothing")),
    "a deadline that passes": lambda: ask(searches.Search, SEARCH_REQUEST, seconds=1e-6),
    "a search without a token": lambda: ask(searches.Search, SEARCH_REQUEST, None),
    "an unknown token": lambda: ask(searches.Search, SEARCH_REQUEST, "stranger"),
    "a revoked token": lambda: ask(searches.Search, SEARCH_REQUEST, flags.old_token),
    "a write with a reader's token": lambda: delete(flags.reader_token),
    "a rerank without a reranker": lambda: ask(
        RerankServiceStub(plain).Rerank, rerank.RerankRequest(query=QUERY, candidates=CANDIDATES)
    ),
    "a write without a state directory": lambda: upsert(CatalogServiceStub(plain), LAMP),
    "a bundle outside the root": lambda: ask(
        operator.LoadBundle, admin.LoadBundleRequest(path="..")
    ),
    "a damaged bundle": lambda: ask(operator.LoadBundle, admin.LoadBundleRequest(path="damaged")),
    "a rollback without a previous bundle": lambda: ask(operator.RollBack, admin.RollBackRequest()),
    **{f"raised: {name}": partial(fail, name) for name in flags.raises.split(",")},
    # These calls come last, because they change the bundle that the calls above depend on.
    "LoadBundle": lambda: ask(
        operator.LoadBundle, admin.LoadBundleRequest(path=flags.other_bundle)
    ).HasField("bundle"),
    "RollBack": lambda: ask(operator.RollBack, admin.RollBackRequest()).HasField("bundle"),
}

print(json.dumps({name: outcome(call) for name, call in CALLS.items()}))
