"""The methods of `shortlist.v1`: convert, call the engine on a thread, convert back."""

# ruff: noqa: ARG002, N802 - gRPC sets the names of the methods and what they are given

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Protocol, runtime_checkable

from live.catalogue import LiveCatalogue
from search.engine_handle import EngineHandle
from search.errors import RequestError, UnknownItemsError
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
from server.interceptors.call_log import record_answer
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
)


@runtime_checkable
class CallContext(Protocol):
    """What the methods need of gRPC's context."""

    def time_remaining(self) -> float | None:
        """Return the seconds until the caller's deadline, None without one."""


def deadline_of(context: CallContext) -> float | None:
    """Return when the caller stops waiting, in time.monotonic() seconds; None for never."""
    remaining = context.time_remaining()
    return None if remaining is None else time.monotonic() + remaining


class SearchServicer(search_service_pb2_grpc.SearchServiceServicer):
    """Search: recall, then reranking."""

    def __init__(self, engine_handle: EngineHandle, pool: WorkerPool):
        self._engine_handle = engine_handle
        self._pool = pool

    async def Search(
        self, message: search_service_pb2.SearchRequest, context: CallContext
    ) -> search_service_pb2.SearchResponse:
        """Find the products that answer a query best."""
        engine = self._engine_handle.engine
        request = search_request(message, engine.manifest, deadline_of(context))
        fields = item_fields(message.item_fields, "item_fields")
        result = await self._pool.run(lambda: engine.search(request), request.deadline)
        record_answer(result, engine.bundle_id)
        return search_response(request, result, engine.manifest, fields)

    async def StreamSearch(
        self, message: search_service_pb2.StreamSearchRequest, context: CallContext
    ) -> AsyncIterator[search_service_pb2.StreamSearchResponse]:
        """Find the same, and answer with the recalled page before that."""
        engine = self._engine_handle.engine
        try:
            request = search_request(message.search, engine.manifest, deadline_of(context))
            fields = item_fields(message.search.item_fields, "item_fields")
        except RequestError as error:
            raise error.within("search") from None
        parts = parts_of(
            self._pool, lambda hand_out: engine.search(request, hand_out), request.deadline
        )
        async with aclosing(parts):
            async for result, last in parts:
                if last:
                    record_answer(result, engine.bundle_id)
                response = search_response(request, result, engine.manifest, fields)
                yield stream_search_response(response, last=last)


class RetrievalServicer(retrieval_service_pb2_grpc.RetrievalServiceServicer):
    """Recall alone, and vectors."""

    def __init__(self, engine_handle: EngineHandle, pool: WorkerPool):
        self._engine_handle = engine_handle
        self._pool = pool

    async def Retrieve(
        self, message: retrieval_service_pb2.RetrieveRequest, context: CallContext
    ) -> retrieval_service_pb2.RetrieveResponse:
        """Find the items that channels recall for a query."""
        engine = self._engine_handle.engine
        request = retrieve_request(message, deadline_of(context))
        fields = item_fields(message.item_fields, "item_fields")
        result = await self._pool.run(lambda: engine.retrieve(request), request.deadline)
        record_answer(result, engine.bundle_id)
        return retrieve_response(result, engine.bundle_id, fields)

    async def SimilarItems(
        self, message: retrieval_service_pb2.SimilarItemsRequest, context: CallContext
    ) -> retrieval_service_pb2.SimilarItemsResponse:
        """Find the items nearest to another item."""
        engine = self._engine_handle.engine
        request = similar_items_request(message, deadline_of(context))
        fields = item_fields(message.item_fields, "item_fields")
        result = await self._pool.run(lambda: engine.similar(request), request.deadline)
        record_answer(result, engine.bundle_id)
        return similar_items_response(result, engine.bundle_id, fields)

    async def Embed(
        self, message: retrieval_service_pb2.EmbedRequest, context: CallContext
    ) -> retrieval_service_pb2.EmbedResponse:
        """Encode queries and items."""
        engine = self._engine_handle.engine
        request = embed_request(message, deadline_of(context))
        embeddings = await self._pool.run(lambda: engine.embed(request), request.deadline)
        record_answer(embeddings, engine.bundle_id)
        return embed_response(embeddings, engine.bundle_id)


class RerankServicer(rerank_service_pb2_grpc.RerankServiceServicer):
    """Reranking alone."""

    def __init__(self, engine_handle: EngineHandle, pool: WorkerPool):
        self._engine_handle = engine_handle
        self._pool = pool

    async def Rerank(
        self, message: rerank_service_pb2.RerankRequest, context: CallContext
    ) -> rerank_service_pb2.RerankResponse:
        """Order candidates."""
        engine = self._engine_handle.engine
        request = rerank_request(message, deadline_of(context))
        result = await self._pool.run(lambda: engine.rerank(request), request.deadline)
        record_answer(result, engine.bundle_id)
        return rerank_response(result, engine.bundle_id)


class CatalogServicer(catalog_service_pb2_grpc.CatalogServiceServicer):
    """The items. Looking them up is quick, so it does not wait for the worker."""

    def __init__(self, engine_handle: EngineHandle, live: LiveCatalogue | None):
        self._engine_handle = engine_handle
        self._live = live

    async def GetItem(
        self, request: catalog_service_pb2.GetItemRequest, context: CallContext
    ) -> catalog_service_pb2.GetItemResponse:
        """Return one item."""
        engine = self._engine_handle.engine
        item_id, fields = catalog_messages.get_item_record(request)
        found = engine.lookup([item_id])
        record_answer(found, engine.bundle_id)
        if found.missing:
            raise UnknownItemsError(found.missing)
        return catalog_messages.get_item_response(found, fields, engine.bundle_id)

    async def BatchGetItems(
        self, request: catalog_service_pb2.BatchGetItemsRequest, context: CallContext
    ) -> catalog_service_pb2.BatchGetItemsResponse:
        """Return the found items and the missing ids."""
        engine = self._engine_handle.engine
        item_ids, fields = catalog_messages.batch_get_record(request)
        found = engine.lookup(item_ids)
        record_answer(found, engine.bundle_id)
        return catalog_messages.batch_get_response(found, fields, engine.bundle_id)

    async def UpsertItems(
        self,
        request_iterator: AsyncIterator[catalog_service_pb2.UpsertItemsRequest],
        context: CallContext,
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
        context: CallContext,
    ) -> AsyncIterator[catalog_service_pb2.DeleteItemsResponse]:
        """Delete items."""
        method = "shortlist.v1.CatalogService/DeleteItems"
        response = catalog_service_pb2.DeleteItemsResponse
        async for answer in writes.answers(
            request_iterator, writes.deletion, response, self._live, method
        ):
            yield answer
