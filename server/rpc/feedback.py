"""The methods of FeedbackService: convert the events, record them, and count the outcomes."""

# ruff: noqa: ARG002, N802 - gRPC sets the names and parameters of the methods

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeAlias, TypeVar

import numpy as np

from base.errors import RequestError
from behaviour.events import Event
from behaviour.feedback import Feedback
from behaviour.log.event_log import Appended
from live.errors import ReadOnlyError
from search.engine_handle import EngineHandle
from server.convert.events import event_records
from server.worker_pool import OverloadedError
from shortlist.v1 import event_pb2, feedback_service_pb2, feedback_service_pb2_grpc

_Result = TypeVar("_Result")
_Response: TypeAlias = (
    feedback_service_pb2.RecordEventsResponse | feedback_service_pb2.StreamEventsResponse
)

_MAX_UNANSWERED = 256  # largest number of messages of a stream that are read but not durable
_RETRY_SECONDS = 0.1  # wait of a caller, or of a stream, while too many events wait


class FeedbackServicer(feedback_service_pb2_grpc.FeedbackServiceServicer):
    """The methods of FeedbackService. One thread converts events, so that the loop stays free."""

    def __init__(
        self,
        engine_handle: EngineHandle,
        feedback: Feedback | None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ):
        """Prepare to record events.

        Args:
            engine_handle: Holds the engine with the known items.
            feedback: Takes the events; None if the server takes none.
            sleep: Waits for some seconds before another attempt to queue events.
        """
        self._engine_handle = engine_handle
        self._feedback = feedback
        self._sleep = sleep
        self._converter = ThreadPoolExecutor(1, "events")

    async def RecordEvents(
        self, message: feedback_service_pb2.RecordEventsRequest, context: Any
    ) -> feedback_service_pb2.RecordEventsResponse:
        """Record the events of one request."""
        _, unknown, future = await self._queue(message.events)
        if future is None:
            assert self._feedback is not None
            self._feedback.count_refused(len(message.events))
            raise OverloadedError(_RETRY_SECONDS)
        response = feedback_service_pb2.RecordEventsResponse(unknown_item_count=unknown)
        _add(response, await asyncio.wrap_future(future))
        return response

    async def StreamEvents(
        self,
        request_iterator: AsyncIterator[feedback_service_pb2.StreamEventsRequest],
        context: Any,
    ) -> feedback_service_pb2.StreamEventsResponse:
        """Record the events of a stream."""
        waiting: deque[Future[Appended]] = deque()
        response = feedback_service_pb2.StreamEventsResponse()
        number = 0
        async for message in request_iterator:
            try:
                events, unknown, future = await self._queue(message.events)
                while future is None:
                    await self._sleep(_RETRY_SECONDS)
                    future = await self._on_thread(partial(self._required().record, events))
            except RequestError as error:
                raise error.within(f"messages[{number}]") from None
            number += 1
            waiting.append(future)
            response.unknown_item_count += unknown
            if len(waiting) > _MAX_UNANSWERED:
                _add(response, await asyncio.wrap_future(waiting.popleft()))
        for future in waiting:
            _add(response, await asyncio.wrap_future(future))
        return response

    async def _queue(
        self, messages: Sequence[event_pb2.Event]
    ) -> "tuple[list[Event], int, Future[Appended] | None]":
        """Convert and queue events.

        Returns:
            The events; the number of events whose item the catalogue does not have; and the
            outcome, or None if too many events wait.

        Raises:
            ReadOnlyError: the server takes no events.
            RequestError: an event breaks a limit.
        """
        feedback = self._required()
        catalogue = self._engine_handle.engine.snapshot.catalogue

        def queue() -> "tuple[list[Event], int, Future[Appended] | None]":
            try:
                events = event_records(messages)
                future = feedback.record(events)
            except RequestError:
                feedback.count_refused(len(messages))
                raise
            rows = catalogue.rows([event.item_id for event in events])
            return events, int(np.count_nonzero(rows < 0)), future

        return await self._on_thread(queue)

    async def _on_thread(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._converter, work)

    def _required(self) -> Feedback:
        if self._feedback is None:
            raise ReadOnlyError
        return self._feedback


def _add(response: _Response, appended: Appended) -> None:
    """Add the outcome of a call to a response."""
    response.accepted_count += appended.accepted
    response.duplicate_count += appended.duplicates
    response.dropped_count += appended.dropped
    response.sequence = appended.sequence
