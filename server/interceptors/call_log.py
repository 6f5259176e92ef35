"""The data of a running call, and the log record at its end.

The log record, the metrics and the traces contain no query, item or user.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import grpc

from search.result import Answer, SearchResult
from server.interceptors.handlers import in_contract, wrap_handler
from server.observe.metrics import Metrics
from server.observe.tracing import CallTracer, Stages

logger = logging.getLogger("server.access")

_REQUEST_ID_KEY = "x-request-id"
# The caller's id is logged unchanged, so only ids of this form are accepted.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


@dataclass
class Call:
    """One call of a method of the contract.

    Attributes:
        method: The full name, such as "shortlist.v1.SearchService/Search".
        request_id: The caller's `x-request-id`, or a new one.
        code: The status code of the answer.
        error_id: The id of the call's internal error in the log; None without an internal error.
        results: The answers of the engine.
        stages: For each engine call, its stage reports and its end time in nanoseconds since 1970.
            Failed engine calls are included.
        bundle_id: The id of the bundle that answered. Before the answer, it is the id of the bundle
            that served at the start of the call.
    """

    method: str
    request_id: str
    code: grpc.StatusCode = grpc.StatusCode.OK
    error_id: str | None = None
    results: list[Answer] = field(default_factory=list)
    stages: list[tuple[Stages, int]] = field(default_factory=list)
    bundle_id: str | None = None


_current: ContextVar[Call | None] = ContextVar("call", default=None)


def current_call() -> Call | None:
    """Return the call of the current asyncio task; None outside a call."""
    return _current.get()


def record_answer(result: Answer, bundle_id: str) -> None:
    """Record the engine's answer to the current call, and the bundle that gave it."""
    call = current_call()
    if call is not None:
        call.results.append(result)
        call.bundle_id = bundle_id
        record_stages(result.stages)


def record_stages(stages: Stages) -> None:
    """Record stage reports of the current call, whether or not the engine answered."""
    call = current_call()
    if call is not None:
        call.stages.append((stages, time.time_ns()))


def current_request_id() -> str:
    """Return the request id of the current call; "" outside a call."""
    call = current_call()
    return "" if call is None else call.request_id


def request_id_metadata() -> tuple[tuple[str, str], ...]:
    """Return the metadata with the request id of the current call."""
    call = current_call()
    return () if call is None else ((_REQUEST_ID_KEY, call.request_id),)


def request_id_entry(metadata: Mapping[str, str | bytes]) -> tuple[str, str]:
    """Return the metadata entry of the request id for a call without a `Call` record."""
    return _REQUEST_ID_KEY, _request_id(metadata)


async def send_request_id(context: Any) -> None:
    """Send the current call's request id as initial metadata, before its answer.

    Once a gRPC client has received initial metadata, it does not retry the call. So the metadata is
    sent as late as possible. A call that fails before its first answer has the id in its trailing
    metadata instead.
    """
    await context.send_initial_metadata(request_id_metadata())


class CallLogInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in stubs only
    """Counts, times, traces and logs every call of the contract's methods."""

    def __init__(self, metrics: Metrics, tracer: CallTracer, bundle_id: Callable[[], str | None]):
        """Prepare to observe calls.

        Args:
            metrics: Counts the calls.
            tracer: Creates the spans of the calls.
            bundle_id: Returns the id of the bundle that serves now.
        """
        self._metrics = metrics
        self._tracer = tracer
        self._bundle_id = bundle_id

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the method's handler; wrap it if the method is of the contract."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not in_contract(method):
            return handler
        return wrap_handler(handler, lambda context: self._observed(method[1:], context))

    @asynccontextmanager
    async def _observed(self, method: str, context: Any) -> AsyncIterator[None]:
        metadata = dict(context.invocation_metadata() or ())
        call = Call(method, _request_id(metadata), bundle_id=self._bundle_id())
        _current.set(call)  # each call has its own task, so the variable needs no reset
        start = time.perf_counter()
        with self._tracer.span(method, metadata) as span:
            try:
                yield
            except asyncio.CancelledError:
                call.code = _why_cancelled(context)
                raise
            except grpc.aio.AbortError:
                if call.code is grpc.StatusCode.OK:  # the method called `abort` itself
                    call.code = _aborted_with(context)
                raise
            except BaseException:
                if call.code is grpc.StatusCode.OK:  # the caller did not get an answer
                    call.code = grpc.StatusCode.INTERNAL
                raise
            finally:
                seconds = time.perf_counter() - start
                self._metrics.count_call(method, call.code.name, seconds)
                for stages, _ in call.stages:
                    self._metrics.observe_stages(stages)
                for result in call.results:
                    self._metrics.observe_answer(method, result)
                trace_id = span.finish(call.code, call.bundle_id, call.stages)
                _log(call, context.peer(), seconds, trace_id)


def _log(call: Call, peer: str | None, seconds: float, trace_id: str | None) -> None:
    fields = {
        "method": call.method,
        "code": call.code.name,
        "milliseconds": round(seconds * 1e3, 3),
        "peer": _host(peer or ""),
        "request_id": call.request_id,
        "bundle": call.bundle_id,
        "understood": _understood(call.results),
        "error_id": call.error_id,
        "trace_id": trace_id,
    }
    present = {name: value for name, value in fields.items() if value is not None}
    logger.info("call", extra={"fields": present})


def _understood(results: Sequence[Answer]) -> str | None:
    """Return which parts the interpretation of the query has, such as "rewrites,limits"."""
    last = results[-1] if results else None
    interpretation = last.interpretation if isinstance(last, SearchResult) else None
    return (interpretation and ",".join(interpretation.parts)) or None


def _request_id(metadata: Mapping[str, str | bytes]) -> str:
    sent = metadata.get(_REQUEST_ID_KEY)
    if isinstance(sent, str) and _REQUEST_ID.fullmatch(sent):
        return sent
    return uuid.uuid4().hex


def _host(peer: str) -> str:
    """Return the host of a peer from gRPC's form, such as "ipv4:10.0.0.7:4321"."""
    kind, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else kind


def _why_cancelled(context: Any) -> grpc.StatusCode:
    """Return DEADLINE_EXCEEDED if a cancelled call's deadline has passed, else CANCELLED.

    gRPC cancels the call in both cases, and gives no reason.
    """
    remaining = context.time_remaining()
    late = remaining is not None and remaining <= 0
    return grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED


def _aborted_with(context: Any) -> grpc.StatusCode:
    code = context.code()
    return next(
        (status for status in grpc.StatusCode if code in (status, status.value[0])),
        grpc.StatusCode.UNKNOWN,
    )
