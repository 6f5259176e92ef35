"""What is known of a call while it runs, and the record that is made of it at its end.

No query, item or user is in any of it: neither in the access log nor in metrics or traces.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import grpc

from search.result import Answer
from server.interceptors.handlers import is_ours, surrounded
from server.observe.metrics import Metrics
from server.observe.tracing import CallTracer, Stages

logger = logging.getLogger("server.access")

_NAME_KEY = "x-request-id"
# An id of the caller's goes into the log as it came, so it must look like one.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


@dataclass
class Call:
    """One call of one of our methods.

    Attributes:
        method: Its full name, such as "shortlist.v1.SearchService/Search".
        request_id: The caller's `x-request-id`, or a fresh one.
        code: How it ended.
        error_id: What an internal fault was logged as.
        results: What the engine answered.
        stages: What its stages did, for these or in vain, and when they had, in nanoseconds since
            1970.
        bundle_id: The bundle that answers; the one that served when the call began, until that is
            known.
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
    """Returns the call that this task answers, None outside of one."""
    return _current.get()


def note(result: Answer, bundle_id: str) -> None:
    """Takes note of what the engine did for the current call, and with which bundle."""
    call = current_call()
    if call is not None:
        call.results.append(result)
        call.bundle_id = bundle_id
        note_stages(result.stages)


def note_stages(stages: Stages) -> None:
    """Takes note of what the engine did for the current call, with or without an answer."""
    call = current_call()
    if call is not None:
        call.stages.append((stages, time.time_ns()))


def name_metadata() -> tuple[tuple[str, str], ...]:
    """Returns the metadata that tells the caller what the current call is named."""
    call = current_call()
    return () if call is None else ((_NAME_KEY, call.request_id),)


def name_of(metadata: Mapping[str, str | bytes]) -> tuple[str, str]:
    """Returns the same for a call that has this metadata and is not taken note of."""
    return _NAME_KEY, _request_id(metadata)


async def tell_name(context: Any) -> None:
    """Begins the answer to the current call with its name.

    Only once there is an answer: a call whose answer has begun is not made again by its client's
    gRPC when it fails. The name of one that fails first is in the trailing metadata.
    """
    await context.send_initial_metadata(name_metadata())


class CallInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in stubs only
    """Counts, times, traces and logs every call of our methods. Comes before all others."""

    def __init__(self, metrics: Metrics, tracer: CallTracer, bundle_id: Callable[[], str | None]):
        """Prepares to observe.

        Args:
            metrics: Where calls are counted.
            tracer: Makes their spans.
            bundle_id: Says what is served at the moment.
        """
        self._metrics = metrics
        self._tracer = tracer
        self._bundle_id = bundle_id

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Returns the method's handler, observed when it is one of ours."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not is_ours(method):
            return handler
        return surrounded(handler, lambda context: self._observed(method[1:], context))

    @asynccontextmanager
    async def _observed(self, method: str, context: Any) -> AsyncIterator[None]:
        metadata = dict(context.invocation_metadata() or ())
        call = Call(method, _request_id(metadata), bundle_id=self._bundle_id())
        _current.set(call)  # each call is a task of its own, so there is nothing to set back
        begun = time.perf_counter()
        with self._tracer.span(method, metadata) as span:
            try:
                yield
            except asyncio.CancelledError:
                call.code = _why_cancelled(context)
                raise
            except grpc.aio.AbortError:
                if call.code is grpc.StatusCode.OK:  # not by our ErrorInterceptor
                    call.code = _aborted_with(context)
                raise
            finally:
                seconds = time.perf_counter() - begun
                self._metrics.called(method, call.code.name, seconds)
                for stages, _ in call.stages:
                    self._metrics.worked(stages)
                for result in call.results:
                    self._metrics.answered(method, result)
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
        "error_id": call.error_id,
        "trace_id": trace_id,
    }
    known = {name: value for name, value in fields.items() if value is not None}
    logger.info("call", extra={"fields": known})


def _request_id(metadata: Mapping[str, str | bytes]) -> str:
    given = metadata.get(_NAME_KEY)
    if isinstance(given, str) and _REQUEST_ID.fullmatch(given):
        return given
    return uuid.uuid4().hex


def _host(peer: str) -> str:
    """Returns the address in gRPC's name of a peer, such as "ipv4:10.0.0.7:4321"."""
    kind, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else kind


def _why_cancelled(context: Any) -> grpc.StatusCode:
    """Returns how a call ended whose caller waits no more: gRPC does not say why."""
    remaining = context.time_remaining()
    late = remaining is not None and remaining <= 0
    return grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED


def _aborted_with(context: Any) -> grpc.StatusCode:
    code = context.code()
    return next(
        (known for known in grpc.StatusCode if code in (known, known.value[0])),
        grpc.StatusCode.UNKNOWN,
    )
