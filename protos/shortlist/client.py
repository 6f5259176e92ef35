# Generated from aio.py by `python protos/generate.py`: change aio.py, not this file.
"""The Python client: `with Client("127.0.0.1:50051") as client: client.search("lamp")`.

The client needs only grpc and protobuf, so an application can install it without the models.
Answers are the typed messages of the contract (`shortlist.v1`).
`shortlist.aio` has the same client for asyncio.
"""

import time
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from types import TracebackType
from typing import Self, TypeVar, Unpack, cast

import grpc
from google.protobuf.message import Message

from shortlist import requests
from shortlist.calls import Attempts, RetryBudget
from shortlist.errors import FieldViolation, ShortlistError
from shortlist.options import Options, Retry, Tls, Token, check_token, read_token
from shortlist.requests import (
    Curated,
    CurationOptions,
    ListCurationsOptions,
    ListOptions,
    RecommendOptions,
    RetrieveOptions,
    SearchOptions,
    SimilarOptions,
    SuggestOptions,
)
from shortlist.v1 import (
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    context_pb2,
    curation_service_pb2,
    curation_service_pb2_grpc,
    event_pb2,
    feedback_service_pb2,
    feedback_service_pb2_grpc,
    filter_pb2,
    item_pb2,
    recommend_service_pb2,
    recommend_service_pb2_grpc,
    rerank_service_pb2,
    rerank_service_pb2_grpc,
    retrieval_service_pb2,
    retrieval_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
    suggestion_service_pb2,
    suggestion_service_pb2_grpc,
)

__all__ = ["Client", "FieldViolation", "Options", "Retry", "ShortlistError", "Tls", "Token"]

Response = TypeVar("Response", bound=Message)


class Client:
    """A connection to one server or to several servers, shared by all threads.

    The client is thread-safe; one client per process is enough. Use it with `with`, or call
    `close()`.

    Every method raises ShortlistError if the call fails, and ValueError or TypeError for a value
    that the request message cannot hold (a text with lone surrogates, a number out of range).
    `request_id` names the call in the server's log; the default is a random id.
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
            grpc.insecure_channel(address, arguments, compression)
            if tls is None
            else grpc.secure_channel(address, tls.credentials(), arguments, compression)
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
        """Close the connection and cancel running calls."""
        self._channel.close()

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

    def recommend(
        self,
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        **options: Unpack[RecommendOptions],
    ) -> recommend_service_pb2.RecommendResponse:
        """Recommend items to a person (RecommendService.Recommend)."""
        request = requests.recommend(options)
        return self._call(self._recommend.Recommend, request, timeout_seconds, request_id)

    def recommend_similar(
        self,
        item_id: str,
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        **options: Unpack[ListOptions],
    ) -> recommend_service_pb2.RecommendServiceSimilarItemsResponse:
        """Find the items that are most like an item (RecommendService.SimilarItems)."""
        request = requests.recommend_similar(item_id, options)
        return self._call(self._recommend.SimilarItems, request, timeout_seconds, request_id)

    def complementary_items(
        self,
        item_ids: Sequence[str],
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        **options: Unpack[ListOptions],
    ) -> recommend_service_pb2.ComplementaryItemsResponse:
        """Find what is bought together with items (RecommendService.ComplementaryItems)."""
        request = requests.complementary_items(item_ids, options)
        method = self._recommend.ComplementaryItems
        return self._call(method, request, timeout_seconds, request_id)

    def get_profile(
        self,
        person: context_pb2.Person,
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> recommend_service_pb2.GetProfileResponse:
        """Return what the server believes of a person (RecommendService.GetProfile)."""
        request = recommend_service_pb2.GetProfileRequest(person=person)
        return self._call(self._recommend.GetProfile, request, timeout_seconds, request_id)

    def get_questions(
        self,
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
        page_size: int = 0,
        filter: filter_pb2.Filter | None = None,
        context: context_pb2.Context | None = None,
    ) -> recommend_service_pb2.GetQuestionsResponse:
        """Return a few items to ask a new person about (RecommendService.GetQuestions)."""
        request = recommend_service_pb2.GetQuestionsRequest(
            page_size=page_size, filter=filter, context=context
        )
        return self._call(self._recommend.GetQuestions, request, timeout_seconds, request_id)

    def delete_user(
        self,
        user_id: str,
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> recommend_service_pb2.DeleteUserResponse:
        """Delete all data of a user, and return what was deleted (RecommendService.DeleteUser)."""
        request = recommend_service_pb2.DeleteUserRequest(user_id=user_id)
        return self._call(self._recommend.DeleteUser, request, timeout_seconds, request_id)

    def set_opt_out(
        self,
        user_id: str,
        *,
        opted_out: bool = True,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> None:
        """Stop or resume the recording of a user's events (RecommendService.SetOptOut)."""
        request = recommend_service_pb2.SetOptOutRequest(user_id=user_id, opted_out=opted_out)
        self._call(self._recommend.SetOptOut, request, timeout_seconds, request_id)

    def join_session(
        self,
        session_id: str,
        user_id: str,
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> None:
        """Make the events of a session those of a user (RecommendService.JoinSession)."""
        request = recommend_service_pb2.JoinSessionRequest(session_id=session_id, user_id=user_id)
        self._call(self._recommend.JoinSession, request, timeout_seconds, request_id)

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

    def record_events(
        self,
        events: Iterable[event_pb2.Event],
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> feedback_service_pb2.RecordEventsResponse:
        """Record up to 1,000 events (FeedbackService.RecordEvents).

        Create events with `shortlist.events.event_of`. If the call fails, it is safe to record the
        same events again.
        """
        request = requests.record_events(events)
        return self._call(self._feedback.RecordEvents, request, timeout_seconds, request_id)

    def stream_events(
        self,
        messages: Iterable[feedback_service_pb2.StreamEventsRequest],
        *,
        timeout_seconds: float | None = None,
        request_id: str | None = None,
    ) -> feedback_service_pb2.StreamEventsResponse:
        """Record a stream of events, up to 1,000 per message (FeedbackService.StreamEvents).

        The timeout covers the whole stream. If the call fails, it is safe to record the same events
        again.
        """
        method = self._feedback.StreamEvents
        return self._call(method, iter(messages), timeout_seconds, request_id)

    def _stream(
        self,
        method: Callable[..., Iterable[Response]],
        request: object,
        timeout_seconds: float | None,
        request_id: str | None,
    ) -> Iterator[Response]:
        """Yield the responses of a streaming method.

        A call with a single request is retried, as in `_call`, until its first response arrives. A
        stream of requests is never retried, because its messages are already consumed.
        """
        attempts = self._attempts(timeout_seconds, request_id)
        retryable = isinstance(request, Message)
        while True:
            metadata = attempts.metadata(self._read_token())
            call = method(request, timeout=attempts.seconds_left, metadata=metadata)
            try:
                for response in call:
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
                cast(grpc.RpcContext, call).cancel()
            time.sleep(pause)

    def _call(
        self,
        method: Callable[..., Response],
        request: object,
        timeout_seconds: float | None,
        request_id: str | None,
    ) -> Response:
        """Return the response of a method with one response.

        A stream of requests is never retried, because its messages are already consumed.
        """
        attempts = self._attempts(timeout_seconds, request_id)
        while True:
            metadata = attempts.metadata(self._read_token())
            try:
                response = method(request, timeout=attempts.seconds_left, metadata=metadata)
            except grpc.RpcError as error:
                failure = ShortlistError(error, attempts.request_id)
                pause = attempts.pause(failure) if isinstance(request, Message) else None
                if pause is None:
                    raise failure from error
            else:
                attempts.succeed()
                return response
            time.sleep(pause)

    def _attempts(self, timeout_seconds: float | None, request_id: str | None) -> Attempts:
        seconds = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        return Attempts(self._options.retry, seconds, request_id, self._budget)

    def _read_token(self) -> str | None:
        return None if self._token is None else read_token(self._token)
