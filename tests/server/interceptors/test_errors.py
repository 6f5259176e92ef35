"""Every exception that a method can raise, as a client of a real server sees it."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

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
from server.auth.tokens import Role, RoleMissingError, UnauthenticatedError
from server.bundle_loader import BundleRefusedError, LoadUnderWayError, NothingToRollBackToError
from server.convert.page_tokens import PageTokenError, PageTokenExpiredError
from server.interceptors.errors import ErrorInterceptor
from server.worker_pool import OverloadedError, StoppingError
from shortlist.client import Client, FieldViolation, ShortlistError
from shortlist.v1 import catalog_service_pb2, catalog_service_pb2_grpc
from shortlist.v1.error_reason_pb2 import ErrorReason

Code = grpc.StatusCode

EXPECTED = {
    "field": (RequestError("query", "is odd"), Code.INVALID_ARGUMENT, "INVALID_FIELD"),
    "token": (PageTokenError(), Code.INVALID_ARGUMENT, "PAGE_TOKEN_MISMATCH"),
    "old token": (PageTokenExpiredError(), Code.INVALID_ARGUMENT, "PAGE_TOKEN_EXPIRED"),
    "item": (UnknownItemsError(("x-1",)), Code.NOT_FOUND, "UNKNOWN_ITEM"),
    "unable": (NotSupportedError("no reranker"), Code.FAILED_PRECONDITION, "NOT_SUPPORTED"),
    "late": (DeadlineExceededError("too late"), Code.DEADLINE_EXCEEDED, "DEADLINE_PASSED"),
    "full": (OverloadedError(1.25), Code.RESOURCE_EXHAUSTED, "OVERLOADED"),
    "refused bundle": (
        BundleRefusedError("is damaged"),
        Code.FAILED_PRECONDITION,
        "BUNDLE_REFUSED",
    ),
    "busy": (LoadUnderWayError("wait"), Code.ABORTED, "LOAD_UNDER_WAY"),
    "first bundle": (
        NothingToRollBackToError("none"),
        Code.FAILED_PRECONDITION,
        "NOTHING_TO_ROLL_BACK_TO",
    ),
    "no token": (UnauthenticatedError("no token"), Code.UNAUTHENTICATED, "TOKEN_REQUIRED"),
    "no role": (RoleMissingError(Role.WRITE), Code.PERMISSION_DENIED, "ROLE_MISSING"),
    "read only": (ReadOnlyError(), Code.FAILED_PRECONDITION, "READ_ONLY"),
    "not erased": (NotErasedError("/var/secret: has"), Code.UNAVAILABLE, "DISK_FAILED"),
    "disk": (LogError("/var/secret: is full"), Code.UNAVAILABLE, "DISK_FAILED"),
    "no curation": (UnknownCurationError("x-1"), Code.NOT_FOUND, "UNKNOWN_CURATION"),
    "changed": (RevisionMismatchError(7), Code.ABORTED, "REVISION_MISMATCH"),
    "first version": (NothingToUndoError(), Code.FAILED_PRECONDITION, "NOTHING_TO_UNDO"),
    "closed": (ClosedError("no more writes"), Code.UNAVAILABLE, "SHUTTING_DOWN"),
    "closed log": (ClosedLogError("no more events"), Code.UNAVAILABLE, "SHUTTING_DOWN"),
    "stopping": (StoppingError("going down"), Code.UNAVAILABLE, "SHUTTING_DOWN"),
    "fault": (KeyError("a secret"), Code.INTERNAL, "INTERNAL_FAULT"),
}
HOSTILE = {
    "long problem": RequestError("query", "ü" * 100_000),
    "long ids": UnknownItemsError(tuple("🔌" * 1_000 + str(n) for n in range(500))),
}


class Raising(catalog_service_pb2_grpc.CatalogServiceServicer):
    """A servicer that raises the exception whose name is the item id."""

    async def GetItem(  # noqa: N802 - gRPC's name
        self, request: catalog_service_pb2.GetItemRequest, _: object
    ) -> catalog_service_pb2.GetItemResponse:
        if request.item_id in HOSTILE:
            raise HOSTILE[request.item_id]
        raise EXPECTED[request.item_id][0]


@contextmanager
def run_raising() -> Iterator[str]:
    """Run a server of `Raising` on its own thread, and yield its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(daemon=True, target=loop.run_forever)
    thread.start()

    async def start() -> tuple[grpc.aio.Server, int]:
        server = grpc.aio.server(interceptors=[ErrorInterceptor()])
        catalog_service_pb2_grpc.add_CatalogServiceServicer_to_server(Raising(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = asyncio.run_coroutine_threadsafe(start(), loop).result()
    yield f"127.0.0.1:{port}"
    asyncio.run_coroutine_threadsafe(server.stop(0), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with run_raising() as address:
        yield address


def error_of(address: str, item_id: str) -> ShortlistError:
    with Client(address) as client, pytest.raises(ShortlistError) as failed:
        client.get_item(item_id)
    return failed.value


@pytest.mark.parametrize("name", EXPECTED)
def test_each_exception_has_its_code_and_reason(address: str, name: str) -> None:
    _, code, reason = EXPECTED[name]
    error = error_of(address, name)
    assert (error.code, error.reason) == (code, reason)
    assert isinstance(error.__cause__, grpc.RpcError)


@pytest.mark.parametrize("name", [*EXPECTED, *HOSTILE])
def test_each_error_has_one_error_info_and_names_the_field_at_fault(
    address: str, name: str
) -> None:
    error = error_of(address, name)
    assert isinstance(error.__cause__, grpc.Call)
    status = rpc_status.from_call(error.__cause__)
    assert status is not None
    infos = [detail for detail in status.details if detail.Is(ErrorInfo.DESCRIPTOR)]
    assert len(infos) == 1
    info = ErrorInfo.FromString(infos[0].value)
    assert info.domain == "shortlist"
    metadata = {"fault": {"error_id"}, "no role": {"role"}, "changed": {"revision"}}
    assert set(info.metadata) == metadata.get(name, set())
    at_fault = name in ("field", "token", "old token", "long problem")
    assert len(error.field_violations) == at_fault


def test_every_reason_of_the_contract_is_given_for_something() -> None:
    given = {reason for _, _, reason in EXPECTED.values()} | {"MALFORMED_REQUEST"}
    promised = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118 - no dictionary
    assert promised - given == {"UNSPECIFIED"}


def test_a_bad_field_is_named(address: str) -> None:
    error = error_of(address, "field")
    assert error.message == "query: is odd"
    assert error.field_violations == (FieldViolation("query", "is odd"),)
    assert [v.field for v in error_of(address, "token").field_violations] == ["page_token"]


def test_a_failing_disk_does_not_name_the_server_s_files(address: str) -> None:
    assert "secret" not in error_of(address, "disk").message


def test_an_unknown_item_is_named(address: str) -> None:
    error = error_of(address, "item")
    assert error.resources == ("x-1",)
    assert error.message == "the catalogue has no item 'x-1'"


def test_an_overloaded_server_says_when_to_come_back(address: str) -> None:
    assert error_of(address, "full").retry_seconds == 1.25


def test_a_fault_is_hidden_behind_an_id_that_is_logged(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    error = error_of(address, "fault")
    assert "secret" not in str(error)
    error_id = error.message.rpartition(" ")[2]
    [record] = [r for r in caplog.records if r.name == "server.interceptors.errors"]
    assert error_id in record.getMessage()
    assert "KeyError" in record.getMessage()
    # The traceback shows the line that raised the exception.
    assert "raise EXPECTED" in record.getMessage()
    assert "a secret" not in caplog.text


@pytest.mark.parametrize("name", HOSTILE)
def test_errors_about_huge_requests_still_fit_into_the_trailers(address: str, name: str) -> None:
    error = error_of(address, name)
    assert error.code in (Code.INVALID_ARGUMENT, Code.NOT_FOUND)
    assert error.reason in ("INVALID_FIELD", "UNKNOWN_ITEM")
    assert len(error.resources) in (0, 10)


@pytest.mark.parametrize(
    "raw",
    [b"\x0a\x02\xff\xfe", b"\x0a\x05ab", b"\x0a\x03\xed\xa0\x80", b"\xff" * 100],
    ids=["not UTF-8", "truncated", "surrogate", "noise"],
)
def test_bytes_that_are_no_message_are_the_callers_fault(address: str, raw: bytes) -> None:
    with grpc.insecure_channel(address) as channel:
        method = channel.unary_unary("/shortlist.v1.CatalogService/GetItem")
        with pytest.raises(grpc.RpcError) as failed:
            method(raw, timeout=10)  # without a serializer, the bytes are sent
    assert isinstance(failed.value, grpc.Call)
    error = ShortlistError(failed.value)
    assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, "MALFORMED_REQUEST")


def test_an_unknown_method_is_unimplemented(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        method = channel.unary_unary("/shortlist.v1.CatalogService/NoSuch")
        with pytest.raises(grpc.RpcError) as failed:
            method(b"", timeout=10)
    assert isinstance(failed.value, grpc.Call)
    assert failed.value.code() == Code.UNIMPLEMENTED
