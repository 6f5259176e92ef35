"""The methods of `shortlist.v1`: convert the request, call the engine, convert the result."""

# ruff: noqa: ARG002, N802 - gRPC sets the names and parameters of the methods

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Protocol, runtime_checkable

from base.errors import RequestError
from behaviour.feedback import Feedback
from live.catalogue import LiveCatalogue
from search.engine_handle import EngineHandle
from search.errors import UnknownItemsError
from search.people.live import LivePeople
from server.convert import catalog as catalog_messages
from server.convert.items import item_fields
from server.convert.rerank import rerank_request, rerank_response
from server.convert.retrieval import (
    embed_request,
    embed_response,
    retrieve_request,
    retrieve_response,
    similar_items_request,
    similar_items_response,
)
from server.convert.search import search_request, search_response, stream_search_response
from server.convert.suggestions import suggest_request, suggest_response
from server.interceptors.call_log import current_request_id, record_answer
from server.rpc import writes
from server.rpc.streaming import parts_of
from server.worker_pool import WorkerPool
from shortlist.v1 import (
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    rerank_service_pb2,
    rerank_service_pb2_grpc,
    retrieval_service_pb2,
    retrieval_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
    suggestion_service_pb2,
    suggestion_service_pb2_grpc,
)


@runtime_checkable
class ServicerContext(Protocol):
    """The part of gRPC's call context that the methods use."""

    def time_remaining(self) -> float | None:
        """Return the seconds until the call's deadline; None: no deadline."""


def deadline_of(context: ServicerContext) -> float | None:
    """Return the call's deadline in seconds of `time.monotonic()`; None: no deadline."""
    remaining = context.time_remaining()
    return None if remaining is None else time.monotonic() + remaining


def live_people(feedback: Feedback | None) -> LivePeople | None:
    """Return the events of people; None if the server records none."""
    return None if feedback is None else LivePeople(feedback)


class SearchServicer(search_service_pb2_grpc.SearchServiceServicer):
    """The methods of SearchService: recall candidates, then rerank them."""

    def __init__(
        self, engine_handle: EngineHandle, pool: WorkerPool, feedback: Feedback | None = None
    ):
        self._engine_handle = engine_handle
        self._pool = pool
        self._people = live_people(feedback)

    async def Search(
        self, message: search_service_pb2.SearchRequest, context: ServicerContext
    ) -> search_service_pb2.SearchResponse:
        """Return the best items for a query."""
        engine = self._engine_handle.engine
        request = search_request(message, engine.manifest, deadline_of(context))
        fields = item_fields(message.item_fields)
        result = await self._pool.run(
            lambda: engine.search(request, people=self._people), request.deadline
        )
        record_answer(result, engine.bundle_id)
        return search_response(request, result, engine.manifest, fields, current_request_id())

    async def StreamSearch(
        self, message: search_service_pb2.StreamSearchRequest, context: ServicerContext
    ) -> AsyncIterator[search_service_pb2.StreamSearchResponse]:
        """Answer a search twice: with the page in recall order, then with the answer of Search."""
        engine = self._engine_handle.engine
        try:
            request = search_request(message.search, engine.manifest, deadline_of(context))
            fields = item_fields(message.search.item_fields)
        except RequestError as error:
            raise error.within("search") from None
        parts = parts_of(
            self._pool,
            lambda hand_out: engine.search(request, hand_out, self._people),
            request.deadline,
        )
        async with aclosing(parts):
            async for result, last in parts:
                if last:
                    record_answer(result, engine.bundle_id)
                response = search_response(
                    request, result, engine.manifest, fields, current_request_id()
                )
                yield stream_search_response(response, last=last)


class RetrievalServicer(retrieval_service_pb2_grpc.RetrievalServiceServicer):
    """The methods of RetrievalService: recall without reranking, and embeddings."""

    def __init__(self, engine_handle: EngineHandle, pool: WorkerPool):
        self._engine_handle = engine_handle
        self._pool = pool

    async def Retrieve(
        self, message: retrieval_service_pb2.RetrieveRequest, context: ServicerContext
    ) -> retrieval_service_pb2.RetrieveResponse:
        """Return the items that the channels recall for a query or a vector."""
        engine = self._engine_handle.engine
        request = retrieve_request(message, deadline_of(context))
        fields = item_fields(message.item_fields)
        result = await self._pool.run(lambda: engine.retrieve(request), request.deadline)
        record_answer(result, engine.bundle_id)
        return retrieve_response(result, engine.bundle_id, fields)

    async def SimilarItems(
        self, message: retrieval_service_pb2.SimilarItemsRequest, context: ServicerContext
    ) -> retrieval_service_pb2.SimilarItemsResponse:
        """Return the items whose vectors are nearest to the vector of an item."""
        engine = self._engine_handle.engine
        request = similar_items_request(message, deadline_of(context))
        fields = item_fields(message.item_fields)
        result = await self._pool.run(lambda: engine.similar(request), request.deadline)
        record_answer(result, engine.bundle_id)
        return similar_items_response(result, engine.bundle_id, fields)

    async def Embed(
        self, message: retrieval_service_pb2.EmbedRequest, context: ServicerContext
    ) -> retrieval_service_pb2.EmbedResponse:
        """Encode queries and items."""
        engine = self._engine_handle.engine
        request = embed_request(message, deadline_of(context))
        embeddings = await self._pool.run(lambda: engine.embed(request), request.deadline)
        record_answer(embeddings, engine.bundle_id)
        return embed_response(embeddings, engine.bundle_id)


class RerankServicer(rerank_service_pb2_grpc.RerankServiceServicer):
    """The methods of RerankService: reranking without recall."""

    def __init__(self, engine_handle: EngineHandle, pool: WorkerPool):
        self._engine_handle = engine_handle
        self._pool = pool

    async def Rerank(
        self, message: rerank_service_pb2.RerankRequest, context: ServicerContext
    ) -> rerank_service_pb2.RerankResponse:
        """Rerank the candidates that the request names."""
        engine = self._engine_handle.engine
        request = rerank_request(message, deadline_of(context))
        result = await self._pool.run(lambda: engine.rerank(request), request.deadline)
        record_answer(result, engine.bundle_id)
        return rerank_response(result, engine.bundle_id)


class SuggestionServicer(suggestion_service_pb2_grpc.SuggestionServiceServicer):
    """The method of SuggestionService. It has its own pool, so it never waits for model work."""

    def __init__(self, engine_handle: EngineHandle, pool: WorkerPool):
        self._engine_handle = engine_handle
        self._pool = pool

    async def Suggest(
        self, message: suggestion_service_pb2.SuggestRequest, context: ServicerContext
    ) -> suggestion_service_pb2.SuggestResponse:
        """Return completions of what a customer has typed so far."""
        engine = self._engine_handle.engine
        request = suggest_request(message, deadline_of(context))
        suggestions = await self._pool.run(lambda: engine.suggest(request), request.deadline)
        record_answer(suggestions, engine.bundle_id)
        return suggest_response(suggestions, engine.bundle_id)


class CatalogServicer(catalog_service_pb2_grpc.CatalogServiceServicer):
    """The methods of CatalogService. Reads are fast, so they do not wait for the worker pool."""

    def __init__(self, engine_handle: EngineHandle, live: LiveCatalogue | None):
        self._engine_handle = engine_handle
        self._live = live

    async def GetItem(
        self, request: catalog_service_pb2.GetItemRequest, context: ServicerContext
    ) -> catalog_service_pb2.GetItemResponse:
        """Return one item."""
        engine = self._engine_handle.engine
        fields = item_fields(request.item_fields)
        lookup = engine.lookup(catalog_messages.get_item_request(request))
        record_answer(lookup, engine.bundle_id)
        if lookup.missing:
            raise UnknownItemsError(lookup.missing)
        return catalog_messages.get_item_response(lookup, fields, engine.bundle_id)

    async def BatchGetItems(
        self, request: catalog_service_pb2.BatchGetItemsRequest, context: ServicerContext
    ) -> catalog_service_pb2.BatchGetItemsResponse:
        """Return the known items of a list of ids, and the unknown ids."""
        engine = self._engine_handle.engine
        fields = item_fields(request.item_fields)
        lookup = engine.lookup(catalog_messages.batch_get_request(request))
        record_answer(lookup, engine.bundle_id)
        return catalog_messages.batch_get_response(lookup, fields, engine.bundle_id)

    async def ListItems(
        self, request: catalog_service_pb2.ListItemsRequest, context: ServicerContext
    ) -> catalog_service_pb2.ListItemsResponse:
        """Return one page of all items."""
        engine = self._engine_handle.engine
        fields = item_fields(request.item_fields)
        page = catalog_messages.list_items_request(request)
        # On a thread, because the first page after a write sorts the ids.
        listed = await asyncio.to_thread(engine.list_items, page)
        record_answer(listed, engine.bundle_id)
        return catalog_messages.list_items_response(listed, fields, engine.bundle_id)

    async def UpsertItems(
        self,
        request_iterator: AsyncIterator[catalog_service_pb2.UpsertItemsRequest],
        context: ServicerContext,
    ) -> AsyncIterator[catalog_service_pb2.UpsertItemsResponse]:
        """Create and change items."""
        method = "shortlist.v1.CatalogService/UpsertItems"
        response = catalog_service_pb2.UpsertItemsResponse
        async for answer in writes.answers(
            request_iterator, writes.upsert, response, self._live, method
        ):
            yield answer

    async def DeleteItems(
        self,
        request_iterator: AsyncIterator[catalog_service_pb2.DeleteItemsRequest],
        context: ServicerContext,
    ) -> AsyncIterator[catalog_service_pb2.DeleteItemsResponse]:
        """Delete items."""
        method = "shortlist.v1.CatalogService/DeleteItems"
        response = catalog_service_pb2.DeleteItemsResponse
        async for answer in writes.answers(
            request_iterator, writes.deletion, response, self._live, method
        ):
            yield answer
