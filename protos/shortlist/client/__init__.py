# Generated from the asyncio client by `python protos/generate.py`: change shortlist/aio.
"""The Python client: `with Client("127.0.0.1:50051") as client: client.search("lamp")`.

The client needs only grpc and protobuf, so an application can install it without the models.
Answers are the typed messages of the contract (`shortlist.v1`).
`shortlist.aio` has the same client for asyncio.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Unpack

from shortlist import requests
from shortlist.client.people import PeopleCalls
from shortlist.errors import FieldViolation, ShortlistError
from shortlist.options import Options, Retry, Tls, Token
from shortlist.requests import (
    Curated,
    CurationOptions,
    ListCurationsOptions,
    RetrieveOptions,
    SearchOptions,
    SimilarOptions,
    SuggestOptions,
)
from shortlist.v1 import (
    catalog_service_pb2,
    curation_service_pb2,
    item_pb2,
    rerank_service_pb2,
    retrieval_service_pb2,
    search_service_pb2,
    suggestion_service_pb2,
)

__all__ = ["Client", "FieldViolation", "Options", "Retry", "ShortlistError", "Tls", "Token"]


class Client(PeopleCalls):
    """A connection to one server or to several servers, shared by all threads.

    The client is thread-safe; one client per process is enough. Use it with `with`, or call
    `close()`.

    Every method raises ShortlistError if the call fails, and ValueError or TypeError for a value
    that the request message cannot hold (a text with lone surrogates, a number out of range).
    `request_id` names the call in the server's log; the default is a random id.
    """

    def search(
        self,
        query: str,
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        **options: Unpack[SearchOptions],
    ) -> search_service_pb2.SearchResponse:
        """Find the products that match a query best (SearchService.Search)."""
        request = requests.search(query, options)
        return self._call(self._search.Search, request, timeout_seconds, request_id)

    def stream_search(
        self,
        query: str,
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        **options: Unpack[SearchOptions],
    ) -> Iterator[search_service_pb2.StreamSearchResponse]:
        """Yield the page in recall order, then the page of Search (SearchService.StreamSearch).

        The search is cancelled if the iterator is closed or garbage-collected before its end.
        """
        request = requests.stream_search(query, options)
        return self._stream(self._search.StreamSearch, request, timeout_seconds, request_id)

    def similar_items(
        self,
        item_id: str,
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        **options: Unpack[SimilarOptions],
    ) -> retrieval_service_pb2.SimilarItemsResponse:
        """Find items similar to an item of the catalogue (RetrievalService.SimilarItems)."""
        request = requests.similar_items(item_id, options)
        return self._call(self._retrieval.SimilarItems, request, timeout_seconds, request_id)

    def retrieve(
        self,
        query: str | Iterable[float],
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        **options: Unpack[RetrieveOptions],
    ) -> retrieval_service_pb2.RetrieveResponse:
        """Recall items for a query text or a vector (RetrievalService.Retrieve)."""
        request = requests.retrieve(query, options)
        return self._call(self._retrieval.Retrieve, request, timeout_seconds, request_id)

    def embed(
        self,
        inputs: Sequence[str | item_pb2.Item],
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> retrieval_service_pb2.EmbedResponse:
        """Encode query texts and items with the towers (RetrievalService.Embed)."""
        request = requests.embed(inputs)
        return self._call(self._retrieval.Embed, request, timeout_seconds, request_id)

    def rerank(
        self,
        query: str,
        candidates: Sequence[str | item_pb2.Item],
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> rerank_service_pb2.RerankResponse:
        """Rerank candidates, given as ids or as whole items (RerankService.Rerank)."""
        request = requests.rerank(query, candidates)
        return self._call(self._rerank.Rerank, request, timeout_seconds, request_id)

    def suggest(
        self,
        prefix: str,
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        **options: Unpack[SuggestOptions],
    ) -> suggestion_service_pb2.SuggestResponse:
        """Complete a text that a customer is typing (SuggestionService.Suggest)."""
        request = requests.suggest(prefix, options)
        return self._call(self._suggestion.Suggest, request, timeout_seconds, request_id)

    def get_item(
        self,
        item_id: str,
        *,
        item_fields: Iterable[str] = (),
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> item_pb2.Item:
        """Return one item, or only some of its fields (CatalogService.GetItem).

        To get the bundle id and the stages too, use `batch_get_items`.
        """
        request = requests.get_item(item_id, item_fields)
        response = self._call(self._catalog.GetItem, request, timeout_seconds, request_id)
        return response.item

    def batch_get_items(
        self,
        item_ids: Sequence[str],
        *,
        item_fields: Iterable[str] = (),
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> catalog_service_pb2.BatchGetItemsResponse:
        """Return several items, and the ids that do not exist (CatalogService.BatchGetItems)."""
        request = requests.batch_get_items(item_ids, item_fields)
        return self._call(self._catalog.BatchGetItems, request, timeout_seconds, request_id)

    def list_items(
        self,
        page_size: int = 0,
        page_token: str = "",
        *,
        item_fields: Iterable[str] = (),
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> catalog_service_pb2.ListItemsResponse:
        """Return one page of all items, in the order of their ids (CatalogService.ListItems)."""
        request = requests.list_items(page_size, page_token, item_fields)
        return self._call(self._catalog.ListItems, request, timeout_seconds, request_id)

    def upsert_items(
        self,
        writes: Iterable[catalog_service_pb2.UpsertItemsRequest],
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> Iterator[catalog_service_pb2.UpsertItemsResponse]:
        """Write items; yield one response per write, in order (CatalogService.UpsertItems).

        Create writes with `shortlist.requests.upsert`. If a write fails, its response has an
        `error`. The timeout covers the whole stream.
        """
        method = self._catalog.UpsertItems
        return self._stream(method, iter(writes), timeout_seconds, request_id)

    def delete_items(
        self,
        deletions: Iterable[catalog_service_pb2.DeleteItemsRequest],
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> Iterator[catalog_service_pb2.DeleteItemsResponse]:
        """Delete items; yield one response per deletion, in order (CatalogService.DeleteItems).

        Create deletions with `shortlist.requests.deletion`. If a deletion fails, its response has
        an `error`. The timeout covers the whole stream.
        """
        method = self._catalog.DeleteItems
        return self._stream(method, iter(deletions), timeout_seconds, request_id)

    def list_curations(
        self,
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        **options: Unpack[ListCurationsOptions],
    ) -> curation_service_pb2.ListCurationsResponse:
        """Return one page of curations (CurationService.ListCurations)."""
        request = requests.list_curations(options)
        method = self._curation.ListCurations
        return self._call(method, request, timeout_seconds, request_id)

    def set_curation(
        self,
        content: Curated,
        curation_id: str = "",
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        **options: Unpack[CurationOptions],
    ) -> curation_service_pb2.SetCurationResponse:
        """Create or replace a curation (CurationService.SetCuration).

        Create the content with `shortlist.requests.synonyms` or `shortlist.requests.query_rules`.
        Without an id, the server makes one.
        """
        request = requests.set_curation(content, curation_id, options)
        method = self._curation.SetCuration
        return self._call(method, request, timeout_seconds, request_id)

    def delete_curation(
        self,
        curation_id: str,
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        **options: Unpack[CurationOptions],
    ) -> curation_service_pb2.DeleteCurationResponse:
        """Delete a curation (CurationService.DeleteCuration)."""
        request = requests.delete_curation(curation_id, options)
        method = self._curation.DeleteCuration
        return self._call(method, request, timeout_seconds, request_id)

    def undo_curation(
        self,
        curation_id: str,
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        **options: Unpack[CurationOptions],
    ) -> curation_service_pb2.UndoCurationResponse:
        """Take back the last change of a curation (CurationService.UndoCuration)."""
        request = requests.undo_curation(curation_id, options)
        method = self._curation.UndoCuration
        return self._call(method, request, timeout_seconds, request_id)
