"""The Python client: `with Client("127.0.0.1:50051") as client: client.search("usb c charger")`.

It imports nothing but grpc and protobuf, so a caller can install it without the models. Answers
are the contract's own messages (`shortlist.v1`), which are typed. `shortlist.aio` has the same for
asyncio.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self, TypeVar, Unpack, cast

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

__all__ = ["Client", "FieldViolation", "Options", "Retry", "ShortlistError", "Tls", "Token"]

Response = TypeVar("Response", bound=Message)


class Client:
    """A connection to one server or several. Use it as a context manager or call close().

    It is thread-safe, and one for the whole process is enough. Every method raises ShortlistError
    when the call fails, and ValueError or TypeError for a value that the messages cannot hold (a
    text with lone surrogates, a number out of range). `request_id` is what the call is named by in
    the server's log; without one it gets a random one.
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
        """Prepares the connection; it is made by the first call.

        Args:
            address: "host:port", or any gRPC target, such as "dns:search.example:50051" for all
                servers of a name, or "ipv4:10.0.0.1:50051,10.0.0.2:50051".
            tls: How to speak TLS; None speaks plain text.
            token: What to show as "authorization: Bearer TOKEN" with every call.
            options: Retries, balancing and the connection itself; None for the defaults.
            timeout_seconds: The deadline of a call that is given none of its own.
        """
        self._options = options or Options()
        check_token(token, address, tls, self._options)
        arguments = self._options.channel_arguments(address, tls)
        compression = self._options.compression
        self._channel = (
            grpc.insecure_channel(address, arguments, compression)
            if tls is None
            else grpc.secure_channel(address, tls.credentials(), arguments, compression)
        )
        self._token = token
        self._timeout_seconds = timeout_seconds
        self._search = search_service_pb2_grpc.SearchServiceStub(self._channel)
        self._retrieval = retrieval_service_pb2_grpc.RetrievalServiceStub(self._channel)
        self._rerank = rerank_service_pb2_grpc.RerankServiceStub(self._channel)
        self._catalog = catalog_service_pb2_grpc.CatalogServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection and cancels the calls under way."""
        self._channel.close()

    def search(
        self,
        query: str,
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        **wanted: Unpack[SearchOptions],
    ) -> search_service_pb2.SearchResponse:
        """Finds the products that answer a query best (SearchService.Search)."""
        request = requests.search(query, wanted)
        return self._call(self._search.Search, request, timeout_seconds, request_id)

    def stream_search(
        self,
        query: str,
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        **wanted: Unpack[SearchOptions],
    ) -> Iterator[search_service_pb2.StreamSearchResponse]:
        """Yields the page as stage 1 orders it, then as Search does (SearchService.StreamSearch).

        Closing the iterator, or leaving it to be collected, cancels what is left of the search.
        """
        request = requests.stream_search(query, wanted)
        return self._stream(self._search.StreamSearch, request, timeout_seconds, request_id)

    def similar_items(
        self,
        item_id: str,
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        **wanted: Unpack[SimilarOptions],
    ) -> retrieval_service_pb2.SimilarItemsResponse:
        """Finds the items nearest to one of the catalogue (RetrievalService.SimilarItems)."""
        request = requests.similar_items(item_id, wanted)
        return self._call(self._retrieval.SimilarItems, request, timeout_seconds, request_id)

    def retrieve(
        self,
        query: str | Iterable[float],
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        **wanted: Unpack[RetrieveOptions],
    ) -> retrieval_service_pb2.RetrieveResponse:
        """Finds what stage 1 recalls for a query text or vector (RetrievalService.Retrieve)."""
        request = requests.retrieve(query, wanted)
        return self._call(self._retrieval.Retrieve, request, timeout_seconds, request_id)

    def embed(
        self,
        inputs: Sequence[str | item_pb2.Item],
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> retrieval_service_pb2.EmbedResponse:
        """Encodes query texts and items with the towers (RetrievalService.Embed)."""
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
        """Orders candidates, given as ids or as whole items (RerankService.Rerank)."""
        request = requests.rerank(query, candidates)
        return self._call(self._rerank.Rerank, request, timeout_seconds, request_id)

    def get_item(
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
        return self._call(self._catalog.GetItem, request, timeout_seconds, request_id).item

    def batch_get_items(
        self,
        item_ids: Sequence[str],
        *,
        item_fields: Iterable[str] = (),
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> catalog_service_pb2.BatchGetItemsResponse:
        """Returns the items found and the ids missing (CatalogService.BatchGetItems)."""
        request = requests.batch_get_items(item_ids, item_fields)
        return self._call(self._catalog.BatchGetItems, request, timeout_seconds, request_id)

    def upsert_items(
        self,
        writes: Iterable[catalog_service_pb2.UpsertItemsRequest],
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> Iterator[catalog_service_pb2.UpsertItemsResponse]:
        """Yields what became of each write, in their order (CatalogService.UpsertItems).

        `shortlist.requests.upsert` makes writes. One that could not be made has an `error`. The
        time is for the whole stream.
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
        """Yields what became of each deletion, in their order (CatalogService.DeleteItems).

        `shortlist.requests.deletion` makes deletions. The time is for the whole stream.
        """
        method = self._catalog.DeleteItems
        return self._stream(method, iter(deletions), timeout_seconds, request_id)

    def _stream(
        self,
        method: Callable[..., Iterable[Response]],
        request: object,
        timeout_seconds: float | None,
        request_id: str | None,
    ) -> Iterator[Response]:
        """What a method answers in parts.

        One request is sent again, as by `_call`, until a part was seen; a stream of them never.
        """
        seconds = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        attempts = Attempts(self._options.retry, seconds, request_id)
        once = not isinstance(request, Message)
        while True:
            token = None if self._token is None else read_token(self._token)
            metadata = attempts.metadata(token)
            call = method(request, timeout=attempts.seconds_left, metadata=metadata)
            try:
                for response in call:
                    once = True
                    yield response
                return
            except grpc.RpcError as error:  # a stub's errors are calls
                failure = ShortlistError(cast(grpc.Call, error), attempts.request_id)
                pause = None if once else attempts.pause(failure)
                if pause is None:
                    raise failure from error
            finally:
                cast(grpc.RpcContext, call).cancel()
            time.sleep(pause)

    def _call(
        self,
        method: Callable[..., Response],
        request: Message,
        timeout_seconds: float | None,
        request_id: str | None,
    ) -> Response:
        seconds = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        attempts = Attempts(self._options.retry, seconds, request_id)
        while True:
            token = None if self._token is None else read_token(self._token)
            try:
                return method(
                    request, timeout=attempts.seconds_left, metadata=attempts.metadata(token)
                )
            except grpc.RpcError as error:  # a stub's errors are calls
                failure = ShortlistError(cast(grpc.Call, error), attempts.request_id)
                pause = attempts.pause(failure)
                if pause is None:
                    raise failure from error
            time.sleep(pause)
