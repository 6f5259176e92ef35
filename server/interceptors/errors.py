"""Map exceptions to gRPC status codes with error details, in one interceptor for all methods."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from base.error_logging import log_error
from base.errors import RequestError
from base.sqlite_log.scan import NotErasedError
from behaviour.log.writer import ClosedLogError
from live.errors import ClosedError, ReadOnlyError
from live.log.curations import (
    NothingToUndoError,
    RevisionMismatchError,
    UnknownCurationError,
)
from live.log.write_ahead_log import LogError
from search.errors import DeadlineExceededError, NotSupportedError, UnknownItemsError
from search.runtime.cpu_limit import hold_cpu
from server.auth.tokens import RoleMissingError, UnauthenticatedError
from server.bundle_loader import BundleRefusedError, LoadUnderWayError, NothingToRollBackToError
from server.convert.page_tokens import PageTokenError, PageTokenExpiredError
from server.interceptors.call_log import (
    current_call,
    record_stages,
    request_id_metadata,
    send_request_id,
)
from server.interceptors.handlers import in_contract, wrap_handler
from server.interceptors.wire import (
    MAX_FIELDS,
    UNCOUNTED_BYTES,
    has_too_many_fields,
    request_type,
)
from server.worker_pool import OverloadedError, StoppingError

logger = logging.getLogger(__name__)

_DOMAIN = "shortlist"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_ITEM_TYPE = "shortlist.v1.Item"
_CURATION_TYPE = "shortlist.v1.Curation"

# Error details are sent in HTTP/2 trailers. By default, clients accept only 8 KiB of trailers, so
# the texts and the number of details are limited.
_MAX_MESSAGE_CHARACTERS = 300
_MAX_ID_CHARACTERS = 100
_MAX_RESOURCES = 10


class MalformedRequestError(Exception):
    """The bytes of a request are not a message of the expected type, or have too many fields."""


# The status code and the shortlist.v1.ErrorReason of each exception whose text may be sent to
# callers. A subclass without an entry uses the entry of its parent class.
_CODES_AND_REASONS: Mapping[type[BaseException], tuple[grpc.StatusCode, str]] = {
    RequestError: (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
    PageTokenError: (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_MISMATCH"),
    PageTokenExpiredError: (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_EXPIRED"),
    MalformedRequestError: (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST"),
    UnknownItemsError: (grpc.StatusCode.NOT_FOUND, "UNKNOWN_ITEM"),
    NotSupportedError: (grpc.StatusCode.FAILED_PRECONDITION, "NOT_SUPPORTED"),
    DeadlineExceededError: (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_PASSED"),
    OverloadedError: (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
    StoppingError: (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN"),
    ClosedError: (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN"),
    ClosedLogError: (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN"),
    ReadOnlyError: (grpc.StatusCode.FAILED_PRECONDITION, "READ_ONLY"),
    LogError: (grpc.StatusCode.UNAVAILABLE, "DISK_FAILED"),
    UnknownCurationError: (grpc.StatusCode.NOT_FOUND, "UNKNOWN_CURATION"),
    RevisionMismatchError: (grpc.StatusCode.ABORTED, "REVISION_MISMATCH"),
    NothingToUndoError: (grpc.StatusCode.FAILED_PRECONDITION, "NOTHING_TO_UNDO"),
    UnauthenticatedError: (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_REQUIRED"),
    RoleMissingError: (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING"),
    BundleRefusedError: (grpc.StatusCode.FAILED_PRECONDITION, "BUNDLE_REFUSED"),
    LoadUnderWayError: (grpc.StatusCode.ABORTED, "LOAD_UNDER_WAY"),
    NothingToRollBackToError: (grpc.StatusCode.FAILED_PRECONDITION, "NOTHING_TO_ROLL_BACK_TO"),
}


async def abort(context: Any, status: status_pb2.Status) -> None:
    """End the current call with a status; send its request id in the trailing metadata."""
    ending = rpc_status.to_status(status)
    metadata = (*ending.trailing_metadata, *request_id_metadata())
    await context.abort(ending.code, ending.details, metadata)


def error_status(error: Exception, method: str) -> status_pb2.Status:
    """Return the status of an exception; log an exception that `_CODES_AND_REASONS` lacks.

    This function removes the exception's traceback. gRPC keeps the exception for a while, and the
    frames of the traceback would keep a replaced engine in memory.

    Args:
        error: The exception that a servicer raised.
        method: The full name of the method, for the log.
    """
    try:
        return _error_status(error, method)
    finally:
        raised: BaseException | None = error
        while raised is not None:
            raised.__traceback__, raised = None, raised.__context__


def _error_status(error: Exception, method: str) -> status_pb2.Status:
    for kind in type(error).__mro__:
        if kind in _CODES_AND_REASONS:
            code, reason = _CODES_AND_REASONS[kind]
            return _status(code, reason, _message(error), _details(error), _metadata(error))
    error_id = uuid.uuid4().hex
    log_error(logger, error, "internal error", error_id=error_id, method=method)
    return _status(
        grpc.StatusCode.INTERNAL,
        "INTERNAL_FAULT",
        f"internal fault; the server logged it as {error_id}",
        metadata={"error_id": error_id},
    )


def _status(
    code: grpc.StatusCode,
    reason: str,
    message: str,
    details: Sequence[Message] = (),
    metadata: Mapping[str, str] | None = None,
) -> status_pb2.Status:
    info = error_details_pb2.ErrorInfo(reason=reason, domain=_DOMAIN, metadata=metadata)
    status = status_pb2.Status(code=code.value[0], message=_cut(message, _MAX_MESSAGE_CHARACTERS))
    for detail in (info, *details):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _message(error: Exception) -> str:
    match error:
        case MalformedRequestError():
            return str(error) or "the request cannot be parsed"
        case NotErasedError():
            return "the files of the event log still have data of the user; delete the user again"
        case LogError():  # the text of the error names a file of the server
            return "the server cannot write to its disk"
        case UnknownItemsError():
            first = _cut(error.item_ids[0], _MAX_ID_CHARACTERS)
            others = len(error.item_ids) - 1
            return f"the catalogue has no item {first!r}" + (f", nor {others} more" * bool(others))
        case _:
            return str(error)


def _details(error: Exception) -> list[Message]:
    match error:
        case RequestError():
            violation = error_details_pb2.BadRequest.FieldViolation(
                field=error.field, description=_cut(error.problem, _MAX_MESSAGE_CHARACTERS)
            )
            return [error_details_pb2.BadRequest(field_violations=[violation])]
        case UnknownItemsError():
            return [
                error_details_pb2.ResourceInfo(
                    resource_type=_ITEM_TYPE, resource_name=_cut(item_id, _MAX_ID_CHARACTERS)
                )
                for item_id in error.item_ids[:_MAX_RESOURCES]
            ]
        case UnknownCurationError():
            name = _cut(error.curation_id, _MAX_ID_CHARACTERS)
            return [
                error_details_pb2.ResourceInfo(resource_type=_CURATION_TYPE, resource_name=name)
            ]
        case OverloadedError():
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromNanoseconds(int(error.retry_seconds * 1e9))
            return [retry]
        case _:
            return []


def _metadata(error: Exception) -> Mapping[str, str] | None:
    match error:
        case RoleMissingError():
            return {"role": str(error.role)}
        case RevisionMismatchError():
            return {"revision": str(error.revision)}
        case _:
            return None


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"


class ErrorInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in stubs only
    """Answers errors of the contract's methods, and malformed requests, with a status.

    Methods of other packages (health, reflection) are not wrapped. Large requests are parsed on one
    thread, so that they do not block the event loop.
    """

    def __init__(self) -> None:
        self._parser = ThreadPoolExecutor(1, "parser")

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

        message = request_type(method)

        async def parse(raw: bytes) -> Message:
            if len(raw) <= UNCOUNTED_BYTES:
                parsed = _parse(raw, handler.request_deserializer)
            else:
                parsed = await asyncio.get_running_loop().run_in_executor(
                    self._parser, _parse_large, raw, handler.request_deserializer, message
                )
            if isinstance(parsed, MalformedRequestError):
                raise parsed
            return parsed

        return wrap_handler(
            handler,
            lambda context: _ErrorsAsStatus(method, context),
            deserializer=bytes,  # gRPC would parse on the event loop
            convert=parse,
            before_answer=send_request_id,
        )


# These functions return the error. If a thread raised it, the future and the traceback would form a
# reference cycle, which would keep the bytes of the request in memory.
def _parse(raw: bytes, deserializer: Callable[[bytes], Message]) -> Message | MalformedRequestError:
    try:
        return deserializer(raw)
    except DecodeError:  # by itself, gRPC would answer INTERNAL
        return MalformedRequestError()


def _parse_large(
    raw: bytes, deserializer: Callable[[bytes], Message], message: Descriptor | None
) -> Message | MalformedRequestError:
    with hold_cpu():
        if has_too_many_fields(raw, message):
            return MalformedRequestError(
                f"the request has more than {MAX_FIELDS:,} fields; split it into several calls"
            )
        return _parse(raw, deserializer)


class _ErrorsAsStatus:
    """Context manager that ends a call with the status of an exception raised inside."""

    def __init__(self, method: str, context: Any):
        self._method = method
        self._context = context

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, Exception) or isinstance(error, grpc.aio.AbortError):
            return  # an aborted call has its status already
        status = error_status(error, self._method)
        if isinstance(error, DeadlineExceededError) and error.stages:
            record_stages(error.stages)
        if (call := current_call()) is not None:
            call.code = _CODES[status.code]
            call.error_id = _error_id(status)
        # gRPC keeps the error of `abort` for a while, and that error keeps this frame in memory.
        # Without the deletion, this frame would keep the engine that the failed method used.
        del error, trace
        await abort(self._context, status)


def _error_id(status: status_pb2.Status) -> str | None:
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)  # `_status` puts the ErrorInfo first
    return str(info.metadata["error_id"]) if "error_id" in info.metadata else None
