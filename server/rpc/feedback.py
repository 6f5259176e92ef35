"""The methods of FeedbackService: convert the events, record them, and count the outcomes."""

# ruff: noqa: ARG002, N802 - gRPC sets the names and parameters of the methods

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from base.errors import RequestError
from behaviour.feedback import Feedback
from behaviour.log.event_log import Appended
from live.errors import ReadOnlyError
from search.engine_handle import EngineHandle
from server.convert.events import event_records
from server.worker_pool import OverloadedError
from shortlist.v1 import event_pb2, feedback_service_pb2, feedback_service_pb2_grpc

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
        future, unknown = await self._queue(message.events)
        if future is None:
            assert self._feedback is not None
            self._feedback.count_refused(len(message.events))
            raise OverloadedError(_RETRY_SECONDS)
        appended = await asyncio.wrap_future(future)
        return feedback_service_pb2.RecordEventsResponse(**_counts([appended], unknown))

    async def StreamEvents(
        self,
        request_iterator: AsyncIterator[feedback_service_pb2.StreamEventsRequest],
        context: Any,
    ) -> feedback_service_pb2.StreamEventsResponse:
        """Record the events of a stream."""
        waiting: deque[Future[Appended]] = deque()
        outcomes: list[Appended] = []
        unknown = number = 0
        async for message in request_iterator:
            try:
                while (queued := await self._queue(message.events))[0] is None:
                    await self._sleep(_RETRY_SECONDS)
            except RequestError as error:
                raise error.within(f"messages[{number}]") from None
            number += 1
            waiting.append(queued[0])
            unknown += queued[1]
            if len(waiting) > _MAX_UNANSWERED:
                outcomes.append(await asyncio.wrap_future(waiting.popleft()))
        outcomes += [await asyncio.wrap_future(future) for future in waiting]
        return feedback_service_pb2.StreamEventsResponse(**_counts(outcomes, unknown))

    async def _queue(
        self, messages: Sequence[event_pb2.Event]
    ) -> "tuple[Future[Appended] | None, int]":
        """Convert and queue events.

        Returns:
            The outcome, or None if too many events wait; and the number of events whose item the
            catalogue does not have.

        Raises:
            ReadOnlyError: the server takes no events.
            RequestError: an event breaks a limit.
        """
        feedback = self._feedback
        if feedback is None:
            raise ReadOnlyError
        catalogue = self._engine_handle.engine.snapshot.catalogue

        def queue() -> "tuple[Future[Appended] | None, int]":
            try:
                events = event_records(messages)
                future = feedback.record(events)
            except RequestError:
                feedback.count_refused(len(messages))
                raise
            rows = catalogue.rows([event.item_id for event in events])
            return future, int(np.count_nonzero(rows < 0))

        return await asyncio.get_running_loop().run_in_executor(self._converter, queue)


def _counts(outcomes: Sequence[Appended], unknown: int) -> dict[str, int]:
    """Return the fields of a response: the sums over the calls, and the number of unknown items."""
    return {
        "accepted_count": sum(outcome.accepted for outcome in outcomes),
        "duplicate_count": sum(outcome.duplicates for outcome in outcomes),
        "dropped_count": sum(outcome.dropped for outcome in outcomes),
        "unknown_item_count": unknown,
        "sequence": outcomes[-1].sequence if outcomes else 0,
    }
