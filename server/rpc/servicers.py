"""The methods of `shortlist.v1`: convert, call the engine on a thread, convert back."""

# ruff: noqa: ARG002, N802 - gRPC sets the names of the methods and what they are given

import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Protocol, runtime_checkable

from live.catalogue import LiveCatalogue
from search.engine import Engine
from search.engine_handle import EngineHandle
from search.result import RequestError, SearchResult, UnknownItemsError
from server.convert import catalog as catalog_messages
from server.convert import common
from server.convert import rerank as rerank_messages
from server.convert import retrieval as retrieval_messages
from server.convert import search as search_messages
from server.interceptors.call_log import note
from server.rpc import writes
from server.rpc.streaming import parts_of
from server.worker_pool import Worker
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
        """Returns the seconds until the caller's deadline, None without one."""


def deadline_of(context: CallContext) -> float | None:
    """Returns when the caller stops waiting, in time.monotonic() seconds; None for never."""
    remaining = context.time_remaining()
    return None if remaining is None else time.monotonic() + remaining


class SearchServicer(search_service_pb2_grpc.SearchServiceServicer):
    """Both stages."""

    def __init__(self, engine_handle: EngineHandle, worker: Worker):
        self._engine_handle = engine_handle
        self._worker = worker

    async def Search(
        self, request: search_service_pb2.SearchRequest, context: CallContext
    ) -> search_service_pb2.SearchResponse:
        """Finds the products that answer a query best."""
        engine, deadline = self._engine_handle.engine, deadline_of(context)
        search = search_messages.search_record(request, engine.bundle_id, engine.manifest.root)
        result = await self._worker.run(lambda: _search(engine, search, deadline), deadline)
        note(result, engine.bundle_id)
        return search_messages.search_response(search, result)

    async def StreamSearch(
        self, request: search_service_pb2.StreamSearchRequest, context: CallContext
    ) -> AsyncIterator[search_service_pb2.StreamSearchResponse]:
        """Finds the same, and says before that what stage 1 found."""
        engine, deadline = self._engine_handle.engine, deadline_of(context)
        try:
            search = search_messages.search_record(
                request.search, engine.bundle_id, engine.manifest.root
            )
            parts = parts_of(
                self._worker,
                lambda hand_out: _search(engine, search, deadline, hand_out),
                deadline,
            )
            async with aclosing(parts):
                async for result, last in parts:
                    if last:
                        note(result, engine.bundle_id)
                    yield search_messages.stream_search_response(search, result, last=last)
        except RequestError as error:
            raise error.within("search") from None


class RetrievalServicer(retrieval_service_pb2_grpc.RetrievalServiceServicer):
    """Stage 1."""

    def __init__(self, engine_handle: EngineHandle, worker: Worker):
        self._engine_handle = engine_handle
        self._worker = worker

    async def Retrieve(
        self, request: retrieval_service_pb2.RetrieveRequest, context: CallContext
    ) -> retrieval_service_pb2.RetrieveResponse:
        """Finds the items nearest to a query."""
        engine, deadline = self._engine_handle.engine, deadline_of(context)
        query = retrieval_messages.retrieve_query(request, engine.dim)
        limit, filter = (
            retrieval_messages.retrieve_limit(request),
            common.request_filter(request),
        )
        channels = retrieval_messages.retrieve_channels(request)
        named, fields = retrieval_messages.retrieve_fields(request)
        result = await self._worker.run(
            lambda: engine.retrieve(
                query,
                limit=limit,
                channels=channels,
                filter=filter,
                with_items=named,
                deadline=deadline,
            ),
            deadline,
        )
        note(result, engine.bundle_id)
        return retrieval_messages.retrieve_response(result, engine.bundle_id, fields)

    async def SimilarItems(
        self, request: retrieval_service_pb2.SimilarItemsRequest, context: CallContext
    ) -> retrieval_service_pb2.SimilarItemsResponse:
        """Finds the items nearest to another."""
        engine, deadline = self._engine_handle.engine, deadline_of(context)
        similar = retrieval_messages.similar_record(request)
        result = await self._worker.run(
            lambda: engine.similar(
                similar.item_id,
                limit=similar.limit,
                filter=similar.filter,
                variants=similar.variants,
                deadline=deadline,
            ),
            deadline,
        )
        note(result, engine.bundle_id)
        return retrieval_messages.similar_response(similar, result, engine.bundle_id)

    async def Embed(
        self, request: retrieval_service_pb2.EmbedRequest, context: CallContext
    ) -> retrieval_service_pb2.EmbedResponse:
        """Encodes queries and items."""
        engine, deadline = self._engine_handle.engine, deadline_of(context)
        inputs = retrieval_messages.embed_inputs(request)
        embedded = await self._worker.run(lambda: engine.embed(inputs, deadline=deadline), deadline)
        note(embedded, engine.bundle_id)
        return retrieval_messages.embed_response(embedded, engine.bundle_id)


class RerankServicer(rerank_service_pb2_grpc.RerankServiceServicer):
    """Stage 2."""

    def __init__(self, engine_handle: EngineHandle, worker: Worker):
        self._engine_handle = engine_handle
        self._worker = worker

    async def Rerank(
        self, request: rerank_service_pb2.RerankRequest, context: CallContext
    ) -> rerank_service_pb2.RerankResponse:
        """Orders candidates."""
        engine, deadline = self._engine_handle.engine, deadline_of(context)
        candidates = rerank_messages.rerank_candidates(request)
        result = await self._worker.run(
            lambda: engine.rerank(request.query, candidates, deadline=deadline), deadline
        )
        note(result, engine.bundle_id)
        return rerank_messages.rerank_response(result, engine.bundle_id)


class CatalogServicer(catalog_service_pb2_grpc.CatalogServiceServicer):
    """The items. Looking them up is quick, so it does not wait for the worker."""

    def __init__(self, engine_handle: EngineHandle, live: LiveCatalogue | None):
        self._engine_handle = engine_handle
        self._live = live

    async def GetItem(
        self, request: catalog_service_pb2.GetItemRequest, context: CallContext
    ) -> catalog_service_pb2.GetItemResponse:
        """Returns one item."""
        engine = self._engine_handle.engine
        item_id, fields = catalog_messages.get_item_record(request)
        found = engine.lookup([item_id])
        note(found, engine.bundle_id)
        if found.missing:
            raise UnknownItemsError(found.missing)
        return catalog_messages.get_item_response(found, fields, engine.bundle_id)

    async def BatchGetItems(
        self, request: catalog_service_pb2.BatchGetItemsRequest, context: CallContext
    ) -> catalog_service_pb2.BatchGetItemsResponse:
        """Returns the items found and the ids missing."""
        engine = self._engine_handle.engine
        item_ids, fields = catalog_messages.batch_get_record(request)
        found = engine.lookup(item_ids)
        note(found, engine.bundle_id)
        return catalog_messages.batch_get_response(found, fields, engine.bundle_id)

    async def UpsertItems(
        self,
        request_iterator: AsyncIterator[catalog_service_pb2.UpsertItemsRequest],
        context: CallContext,
    ) -> AsyncIterator[catalog_service_pb2.UpsertItemsResponse]:
        """Creates and changes items."""
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
        """Deletes items."""
        method = "shortlist.v1.CatalogService/DeleteItems"
        response = catalog_service_pb2.DeleteItemsResponse
        async for answer in writes.answers(
            request_iterator, writes.deletion, response, self._live, method
        ):
            yield answer


def _search(
    engine: Engine,
    search: search_messages.Search,
    deadline: float | None,
    on_recalled: Callable[[SearchResult], None] | None = None,
) -> SearchResult:
    result = engine.search(
        search.query,
        limit=search.limit,
        offset=search.offset,
        recall_depth=search.recall_depth,
        rerank_depth=search.rerank_depth,
        rerank_most=search.reranked_before,
        filter=search.filter,
        facets=search.facets,
        max_per_group=search.max_per_group,
        rules=search.rules,
        deadline=deadline,
        on_recalled=on_recalled,
    )
    return search_messages.as_before(search, result)
