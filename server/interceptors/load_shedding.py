"""Calls refused before they cost anything, while the queue is full.

Under ten times the load that a server can answer it refuses nine calls of ten. Each that is read,
traced and logged like any other takes the time that the tenth one needs.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Collection
from functools import lru_cache
from typing import Any

import grpc
from grpc_status import rpc_status

from server.interceptors.access import AccessInterceptor
from server.interceptors.call_log import name_of
from server.interceptors.errors import error_status
from server.observe.metrics import Metrics
from server.worker_pool import OverloadedError, Worker

logger = logging.getLogger(__name__)

_LOG_SECONDS = 1.0  # between two lines that say how many calls were refused


class SheddingInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in stubs only
    """Refuses model work while the worker's queue is full. Comes before all others.

    Such a call is counted and told its name, and neither read, traced nor logged one by one. One
    that may not be made is left to those who say so.
    """

    def __init__(
        self,
        worker: Worker,
        metrics: Metrics,
        queued: Collection[str],
        access: AccessInterceptor | None = None,
    ):
        """Prepare to refuse calls.

        Args:
            worker: The pool whose queue counts.
            metrics: Counts the refused calls.
            queued: Full names of the methods that wait for the pool.
            access: Checks tokens; None when calls need none.
        """
        self._queued = queued
        self._access = access
        self._worker = worker
        self._metrics = metrics
        self._refused = 0  # since the last line of the log
        self._logged = 0.0  # when that was, in time.monotonic() seconds
        self._handlers: dict[str, Any] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Returns the method's handler, or one that refuses."""
        method = handler_call_details.method
        if method not in self._queued or self._worker.overloaded is None:
            return await continuation(handler_call_details)
        if self._access is not None and self._access.objection(handler_call_details) is not None:
            return await continuation(handler_call_details)
        if method not in self._handlers:
            if await continuation(handler_call_details) is None:
                return None
            self._handlers[method] = self._refusing(method)
        return self._handlers[method]

    def _refusing(self, method: str) -> Any:
        async def refuse(_: Any, context: Any) -> None:
            error = self._worker.overloaded or OverloadedError(0.0)
            self._metrics.refused(method[1:])
            self._log()
            ending = _ending(round(10 * error.retry_seconds))
            name = name_of(dict(context.invocation_metadata() or ()))
            await context.abort(ending.code, ending.details, (*ending.trailing_metadata, name))

        # As a stream, whatever the method: its messages are not waited for.
        return grpc.stream_stream_rpc_method_handler(refuse)

    def _log(self) -> None:
        self._refused += 1
        now = time.monotonic()
        if now - self._logged >= _LOG_SECONDS:
            logger.warning("calls refused because the queue is full: %d", self._refused)
            self._refused, self._logged = 0, now


@lru_cache(maxsize=128)
def _ending(tenths: int) -> Any:
    """What a refused call ends with: code, text and trailing metadata."""
    return rpc_status.to_status(error_status(OverloadedError(max(tenths, 1) / 10), ""))
