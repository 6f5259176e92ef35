# Generated from the asyncio client by `python protos/generate.py`: change shortlist/aio.
"""Calls about people: recommendations, profiles, and records of what people do."""

from collections.abc import Iterable, Sequence
from typing import Unpack

from shortlist import requests
from shortlist.client.connection import Connection
from shortlist.requests import ListOptions, RecommendOptions
from shortlist.v1 import (
    context_pb2,
    event_pb2,
    feedback_service_pb2,
    filter_pb2,
    recommend_service_pb2,
)


class PeopleCalls(Connection):
    """The methods of RecommendService and FeedbackService."""

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
