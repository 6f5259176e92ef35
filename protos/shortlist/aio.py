"""The Python client for asyncio: `async with AsyncClient("127.0.0.1:50051") as client`.

The same methods, options and errors as `shortlist.client`; what a method means is said there.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc
from google.protobuf.message import Message

from shortlist import requests
from shortlist.calls import Attempts
from shortlist.errors import FieldViolation, ShortlistError
from shortlist.options import Options, Retry, Tls, Token, check_token, read_token
from shortlist.requests import RetrieveOptions, SearchOptions, SimilarOptions
from shortlist.v1 import (
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    item_pb2,
    rerank_service_pb2,
    rerank_service_pb2_grpc,
    retrieval_service_pb2,
    retrieval_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
)

__all__ = ["AsyncClient", "FieldViolation", "Options", "Retry", "ShortlistError", "Tls", "Token"]

Response = TypeVar("Response", bound=Message)


class AsyncClient:
    """A connection to one server or several, for one event loop.

    Make it where the loop runs, and use it with `async with` or await close(). Cancelling the task
    that waits for a call cancels the call.
    """

    def __init__(
        self,
        address: str,
        *,
        tls: Tls | None = None,
        token: Token | None = None,
        options: Options | None = None,
        timeout_seconds: float = 10.0,
    ) -> None:
        """Prepares the connection; see `shortlist.client.Client` for the arguments."""
        self._options = options or Options()
        check_token(token, address, tls, self._options)
        arguments = self._options.channel_arguments(address, tls)
        compression = self._options.compression
        self._channel = (
            grpc.aio.insecure_channel(address, arguments, compression)
            if tls is None
            else grpc.aio.secure_channel(address, tls.credentials(), arguments, compression)
        )
        self._token = token
        self._timeout_seconds = timeout_seconds
        self._search = search_service_pb2_grpc.SearchServiceStub(self._channel)
        self._retrieval = retrieval_service_pb2_grpc.RetrievalServiceStub(self._channel)
        self._rerank = rerank_service_pb2_grpc.RerankServiceStub(self._channel)
        self._catalog = catalog_service_pb2_grpc.CatalogServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection and cancels the calls under way."""
        await self._channel.close(None)

    async def search(
        self,
        query: str,
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        **wanted: Unpack[SearchOptions],
    ) -> search_service_pb2.SearchResponse:
        """Finds the products that answer a query best (SearchService.Search)."""
        request = requests.search(query, wanted)
        return await self._call(self._search.Search, request, timeout_seconds, request_id)

    def stream_search(
        self,
        query: str,
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        **wanted: Unpack[SearchOptions],
    ) -> AsyncIterator[search_service_pb2.StreamSearchResponse]:
        """Yields the page as stage 1 orders it, then as Search does (SearchService.StreamSearch).

        Closing the iterator, or leaving it to be collected, cancels what is left of the search.
        """
        request = requests.stream_search(query, wanted)
        return self._stream(self._search.StreamSearch, request, timeout_seconds, request_id)

    async def similar_items(
        self,
        item_id: str,
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        **wanted: Unpack[SimilarOptions],
    ) -> retrieval_service_pb2.SimilarItemsResponse:
        """Finds the items nearest to one of the catalogue (RetrievalService.SimilarItems)."""
        request = requests.similar_items(item_id, wanted)
        return await self._call(self._retrieval.SimilarItems, request, timeout_seconds, request_id)

    async def retrieve(
        self,
        query: str | Iterable[float],
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        **wanted: Unpack[RetrieveOptions],
    ) -> retrieval_service_pb2.RetrieveResponse:
        """Finds what stage 1 recalls for a query text or vector (RetrievalService.Retrieve)."""
        request = requests.retrieve(query, wanted)
        return await self._call(self._retrieval.Retrieve, request, timeout_seconds, request_id)

    async def embed(
        self,
        inputs: Sequence[str | item_pb2.Item],
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> retrieval_service_pb2.EmbedResponse:
        """Encodes query texts and items with the towers (RetrievalService.Embed)."""
        request = requests.embed(inputs)
        return await self._call(self._retrieval.Embed, request, timeout_seconds, request_id)

    async def rerank(
        self,
        query: str,
        candidates: Sequence[str | item_pb2.Item],
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> rerank_service_pb2.RerankResponse:
        """Orders candidates, given as ids or as whole items (RerankService.Rerank)."""
        request = requests.rerank(query, candidates)
        return await self._call(self._rerank.Rerank, request, timeout_seconds, request_id)

    async def get_item(
        self,
        item_id: str,
        *,
        item_fields: Iterable[str] = (),
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> item_pb2.Item:
        """Returns one item, or the fields of it that are named (CatalogService.GetItem).

        `batch_get_items` returns the response, with the bundle that answered and its stages.
        """
        request = requests.get_item(item_id, item_fields)
        response = await self._call(self._catalog.GetItem, request, timeout_seconds, request_id)
        return response.item

    async def batch_get_items(
        self,
        item_ids: Sequence[str],
        *,
        item_fields: Iterable[str] = (),
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> catalog_service_pb2.BatchGetItemsResponse:
        """Returns the items found and the ids missing (CatalogService.BatchGetItems)."""
        request = requests.batch_get_items(item_ids, item_fields)
        return await self._call(self._catalog.BatchGetItems, request, timeout_seconds, request_id)

    def upsert_items(
        self,
        writes: AsyncIterable[catalog_service_pb2.UpsertItemsRequest],
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> AsyncIterator[catalog_service_pb2.UpsertItemsResponse]:
        """Yields what became of each write, in their order (CatalogService.UpsertItems).

        `shortlist.requests.upsert` makes writes. One that could not be made has an `error`. The
        time is for the whole stream.
        """
        method = self._catalog.UpsertItems
        return self._stream(method, aiter(writes), timeout_seconds, request_id)

    def delete_items(
        self,
        deletions: AsyncIterable[catalog_service_pb2.DeleteItemsRequest],
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> AsyncIterator[catalog_service_pb2.DeleteItemsResponse]:
        """Yields what became of each deletion, in their order (CatalogService.DeleteItems).

        `shortlist.requests.deletion` makes deletions. The time is for the whole stream.
        """
        method = self._catalog.DeleteItems
        return self._stream(method, aiter(deletions), timeout_seconds, request_id)

    async def _stream(
        self,
        method: Callable[..., Any],
        request: object,
        timeout_seconds: float | None,
        request_id: str | None,
    ) -> AsyncIterator[Any]:
        """What a method answers in parts.

        One request is sent again, as by `_call`, until a part was seen; a stream of them never.
        """
        seconds = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        attempts = Attempts(self._options.retry, seconds, request_id)
        once = not isinstance(request, Message)
        while True:
            metadata = attempts.metadata(await self._read_token())
            call = method(request, timeout=attempts.seconds_left, metadata=metadata)
            try:
                async for response in call:
                    once = True
                    yield response
                return
            except grpc.aio.AioRpcError as error:
                failure = ShortlistError(error, attempts.request_id)
                pause = None if once else attempts.pause(failure)
                if pause is None:
                    raise failure from error
            finally:
                call.cancel()
            await asyncio.sleep(pause)

    async def _call(
        self,
        method: Callable[..., grpc.aio.UnaryUnaryCall[Any, Response]],
        request: Message,
        timeout_seconds: float | None,
        request_id: str | None,
    ) -> Response:
        seconds = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        attempts = Attempts(self._options.retry, seconds, request_id)
        while True:
            metadata = attempts.metadata(await self._read_token())
            try:
                return await method(request, timeout=attempts.seconds_left, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                failure = ShortlistError(error, attempts.request_id)
                pause = attempts.pause(failure)
                if pause is None:
                    raise failure from error
            await asyncio.sleep(pause)

    async def _read_token(self) -> str | None:
        if self._token is None:
            return None
        if isinstance(self._token, str):
            return read_token(self._token)
        return await asyncio.to_thread(read_token, self._token)  # a file, or the caller's own code
