"""The methods of RecommendService: recommendations, profiles, and what people decide."""

# ruff: noqa: ARG002, N802 - gRPC sets the names and parameters of the methods

import asyncio

from behaviour.feedback import Feedback
from live.errors import ReadOnlyError
from search.engine_handle import EngineHandle
from server.convert.items import item_fields
from server.convert.profiles import profile_request, profile_response
from server.convert.questions import questions_request, questions_response
from server.convert.recommend import RequestMessage, Response, recommend_request, recommend_response
from server.interceptors.call_log import current_request_id, record_answer
from server.rpc.servicers import ServicerContext, deadline_of, live_people
from server.worker_pool import WorkerPool
from shortlist.v1 import recommend_service_pb2, recommend_service_pb2_grpc


class RecommendServicer(recommend_service_pb2_grpc.RecommendServiceServicer):
    """The methods of RecommendService."""

    def __init__(self, engine_handle: EngineHandle, pool: WorkerPool, feedback: Feedback | None):
        self._engine_handle = engine_handle
        self._pool = pool
        self._feedback = feedback
        self._people = live_people(feedback)

    async def Recommend(
        self, message: recommend_service_pb2.RecommendRequest, context: ServicerContext
    ) -> recommend_service_pb2.RecommendResponse:
        """Recommend items to a person."""
        return await self._answer(message, context, recommend_service_pb2.RecommendResponse)

    async def SimilarItems(
        self,
        message: recommend_service_pb2.RecommendServiceSimilarItemsRequest,
        context: ServicerContext,
    ) -> recommend_service_pb2.RecommendServiceSimilarItemsResponse:
        """Return the items that are most like an item."""
        kind = recommend_service_pb2.RecommendServiceSimilarItemsResponse
        return await self._answer(message, context, kind)

    async def ComplementaryItems(
        self, message: recommend_service_pb2.ComplementaryItemsRequest, context: ServicerContext
    ) -> recommend_service_pb2.ComplementaryItemsResponse:
        """Return what is bought together with items."""
        kind = recommend_service_pb2.ComplementaryItemsResponse
        return await self._answer(message, context, kind)

    async def GetProfile(
        self, message: recommend_service_pb2.GetProfileRequest, context: ServicerContext
    ) -> recommend_service_pb2.GetProfileResponse:
        """Return what is believed of a person."""
        engine, request = self._engine_handle.engine, profile_request(message)
        feedback = self._required()
        # On a thread, because a history can have thousands of events.
        profile = await asyncio.to_thread(engine.profile, request, self._people)
        record_answer(profile, engine.bundle_id)
        opted_out = feedback.has_opted_out(request.person.user_id)
        return profile_response(profile, engine.bundle_id, opted_out=opted_out)

    async def GetQuestions(
        self, message: recommend_service_pb2.GetQuestionsRequest, context: ServicerContext
    ) -> recommend_service_pb2.GetQuestionsResponse:
        """Return a few items to ask a new person about."""
        engine, request = (
            self._engine_handle.engine,
            questions_request(message, deadline_of(context)),
        )
        found = await self._pool.run(lambda: engine.questions(request), request.deadline)
        record_answer(found, engine.bundle_id)
        return questions_response(found, engine.bundle_id)

    async def DeleteUser(
        self, message: recommend_service_pb2.DeleteUserRequest, context: ServicerContext
    ) -> recommend_service_pb2.DeleteUserResponse:
        """Delete everything that the server has of a user."""
        feedback = self._required()
        erasure = await asyncio.wrap_future(feedback.erase_user(message.user_id))
        return recommend_service_pb2.DeleteUserResponse(
            deleted_event_count=erasure.events,
            deleted_session_count=erasure.sessions,
            scanned_byte_count=erasure.scanned_bytes,
            sequence=feedback.sequence,
        )

    async def SetOptOut(
        self, message: recommend_service_pb2.SetOptOutRequest, context: ServicerContext
    ) -> recommend_service_pb2.SetOptOutResponse:
        """Stop or resume the recording of a user's events."""
        feedback = self._required()
        await asyncio.wrap_future(feedback.opt_out(message.user_id, message.opted_out))
        return recommend_service_pb2.SetOptOutResponse(sequence=feedback.sequence)

    async def JoinSession(
        self, message: recommend_service_pb2.JoinSessionRequest, context: ServicerContext
    ) -> recommend_service_pb2.JoinSessionResponse:
        """Make the events of a session those of a user."""
        feedback = self._required()
        await asyncio.wrap_future(feedback.join_session(message.session_id, message.user_id))
        return recommend_service_pb2.JoinSessionResponse(sequence=feedback.sequence)

    def _required(self) -> Feedback:
        """Return the events of people; raise ReadOnlyError if the server keeps none."""
        if self._feedback is None:
            raise ReadOnlyError
        return self._feedback

    async def _answer(
        self, message: RequestMessage, context: ServicerContext, kind: type[Response]
    ) -> Response:
        engine = self._engine_handle.engine
        request = recommend_request(message, engine.manifest, deadline_of(context))
        fields = item_fields(message.item_fields)
        result = await self._pool.run(
            lambda: engine.search(request, people=self._people), request.deadline
        )
        record_answer(result, engine.bundle_id)
        return recommend_response(
            kind, request, result, engine.manifest, fields, current_request_id()
        )
