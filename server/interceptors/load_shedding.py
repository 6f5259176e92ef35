"""Load shedding: refuse calls at almost no cost while the queue is full.

A server with ten times the load that it can answer must refuse nine of ten calls. If it read,
traced and logged the refused calls, it would have no time to answer the others.
"""

import logging
import math
import time
from collections.abc import Awaitable, Callable, Collection
from functools import lru_cache
from typing import Any

import grpc
from grpc_status import rpc_status

from server.interceptors.access import AccessInterceptor
from server.interceptors.call_log import request_id_entry
from server.interceptors.errors import error_status
from server.observe.metrics import Metrics
from server.worker_pool import OverloadedError, WorkerPool

logger = logging.getLogger(__name__)


class LoadSheddingInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in stubs only
    """Refuses model work while the pool's queue is full. Must be the first interceptor.

    A refused call is counted and gets its request id. It is not read, traced or logged. A call
    without the required role is left to `AccessInterceptor`, which refuses it.
    """

    def __init__(
        self,
        pool: WorkerPool,
        metrics: Metrics,
        queued: Collection[str],
        access: AccessInterceptor | None = None,
        *,
        log_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Prepare to refuse calls.

        Args:
            pool: The pool whose queue can be full.
            metrics: Counts the refused calls.
            queued: Full names of the methods that use the pool.
            access: Checks tokens; None: calls need no token.
            log_seconds: Shortest time between two log lines that count the refused calls.
            clock: Returns the time in seconds.
        """
        self._queued = queued
        self._access = access
        self._pool = pool
        self._metrics = metrics
        self._refused = 0  # refused calls since the last log line
        self._logged = -math.inf  # time of the last log line
        self._log_seconds = log_seconds
        self._clock = clock
        self._handlers: dict[str, Any] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the method's handler, or a handler that refuses the call."""
        method = handler_call_details.method
        if method not in self._queued or self._pool.overloaded is None:
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
            error = self._pool.overloaded or OverloadedError(0.0)
            self._metrics.count_refusal(method[1:])
            self._log()
            status = _overloaded_status(round(10 * error.retry_seconds))
            request_id = request_id_entry(dict(context.invocation_metadata() or ()))
            metadata = (*status.trailing_metadata, request_id)
            await context.abort(status.code, status.details, metadata)

        # Unary methods get a stream handler too, because gRPC calls a stream handler before the
        # request arrives.
        return grpc.stream_stream_rpc_method_handler(refuse)

    def _log(self) -> None:
        self._refused += 1
        now = self._clock()
        if now - self._logged >= self._log_seconds:
            fields = {"refused_calls": self._refused}
            logger.warning("queue is full", extra={"fields": fields})
            self._refused, self._logged = 0, now


@lru_cache(maxsize=128)
def _overloaded_status(tenths: int) -> Any:
    """Return the status of a refused call, which says to retry after `tenths` * 0.1 s."""
    return rpc_status.to_status(error_status(OverloadedError(max(tenths, 1) / 10), ""))
