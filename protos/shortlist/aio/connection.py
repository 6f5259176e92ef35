"""A connection to servers, with deadlines, retries and tokens."""

import asyncio
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
)
from types import TracebackType
from typing import Self, TypeVar, cast

import grpc
from google.protobuf.message import Message

from shortlist.calls import Attempts, RetryBudget
from shortlist.errors import ShortlistError
from shortlist.options import Options, Tls, Token, check_token, read_token_async
from shortlist.v1 import (
    catalog_service_pb2_grpc,
    curation_service_pb2_grpc,
    feedback_service_pb2_grpc,
    recommend_service_pb2_grpc,
    rerank_service_pb2_grpc,
    retrieval_service_pb2_grpc,
    search_service_pb2_grpc,
    suggestion_service_pb2_grpc,
)

Response = TypeVar("Response", bound=Message)


class AsyncConnection:
    """A connection to one server or to several servers, which repeats calls that failed."""

    def __init__(
        self,
        address: str,
        *,
        tls: Tls | None = None,
        token: Token | None = None,
        options: Options | None = None,
        timeout_seconds: float = 10.0,
    ) -> None:
        """Prepare the connection; the first call opens it.

        Args:
            address: "host:port" or any gRPC target, such as "dns:search.example:50051" for all
                servers of that name, or "ipv4:10.0.0.1:50051,10.0.0.2:50051".
            tls: The TLS settings; None means plain text.
            token: The token to send as "authorization: Bearer TOKEN" with every call.
            options: Retries, balancing and settings of the connection; None means the defaults.
            timeout_seconds: The deadline of a call that sets no timeout.
        """
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
        self._budget = RetryBudget()
        self._search = search_service_pb2_grpc.SearchServiceStub(self._channel)
        self._retrieval = retrieval_service_pb2_grpc.RetrievalServiceStub(self._channel)
        self._rerank = rerank_service_pb2_grpc.RerankServiceStub(self._channel)
        self._suggestion = suggestion_service_pb2_grpc.SuggestionServiceStub(self._channel)
        self._curation = curation_service_pb2_grpc.CurationServiceStub(self._channel)
        self._recommend = recommend_service_pb2_grpc.RecommendServiceStub(self._channel)
        self._catalog = catalog_service_pb2_grpc.CatalogServiceStub(self._channel)
        self._feedback = feedback_service_pb2_grpc.FeedbackServiceStub(self._channel)

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
        """Close the connection and cancel running calls."""
        await self._channel.close(grace=None)

    async def _stream(
        self,
        method: Callable[..., AsyncIterable[Response]],
        request: object,
        timeout_seconds: float | None,
        request_id: str | None,
    ) -> AsyncIterator[Response]:
        """Yield the responses of a streaming method.

        A call with a single request is retried, as in `_call`, until its first response arrives. A
        stream of requests is never retried, because its messages are already consumed.
        """
        attempts = self._attempts(timeout_seconds, request_id)
        retryable = isinstance(request, Message)
        while True:
            metadata = attempts.metadata(await self._read_token())
            call = method(request, timeout=attempts.seconds_left, metadata=metadata)
            try:
                async for response in call:
                    retryable = False
                    yield response
                attempts.succeed()
                return
            except grpc.RpcError as error:
                failure = ShortlistError(error, attempts.request_id)
                pause = attempts.pause(failure) if retryable else None
                if pause is None:
                    raise failure from error
            finally:
                cast(grpc.aio.RpcContext, call).cancel()
            await asyncio.sleep(pause)

    async def _call(
        self,
        method: Callable[..., Awaitable[Response]],
        request: object,
        timeout_seconds: float | None,
        request_id: str | None,
    ) -> Response:
        """Return the response of a method with one response.

        A stream of requests is never retried, because its messages are already consumed.
        """
        attempts = self._attempts(timeout_seconds, request_id)
        while True:
            metadata = attempts.metadata(await self._read_token())
            try:
                response = await method(request, timeout=attempts.seconds_left, metadata=metadata)
            except grpc.RpcError as error:
                failure = ShortlistError(error, attempts.request_id)
                pause = attempts.pause(failure) if isinstance(request, Message) else None
                if pause is None:
                    raise failure from error
            else:
                attempts.succeed()
                return response
            await asyncio.sleep(pause)

    def _attempts(self, timeout_seconds: float | None, request_id: str | None) -> Attempts:
        seconds = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        return Attempts(self._options.retry, seconds, request_id, self._budget)

    async def _read_token(self) -> str | None:
        return None if self._token is None else await read_token_async(self._token)
