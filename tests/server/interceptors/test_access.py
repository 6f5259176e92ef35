"""Bearer tokens: their roles, and their replacement while the server runs."""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from base.errors import InputError
from server.auth.tokens import Role, RoleMissingError, Tokens
from server.config import ServerConfig
from server.interceptors.access import AccessInterceptor, bearer_token
from server.rpc.services import ROLES
from shortlist.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
)
from tests.server.auth.token_files import line, write
from tests.timing import eventually

Serving = Callable[[ServerConfig], AbstractContextManager[Any]]
Code = grpc.StatusCode
ECHO = "/shortlist.v1.SearchService/Echo"


class Details(NamedTuple):
    """The details of a call, as gRPC passes them to an interceptor."""

    method: str
    invocation_metadata: tuple[tuple[str, str], ...]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    lines = [line("read", "reader"), line("write", "writer"), line("admin", "boss")]
    both = [line(role, "both") for role in ("read", "admin")]
    return write(tmp_path / "tokens", "# of the shop\n\n", *lines, *both)


@pytest.fixture
def server(config: ServerConfig, file: Path, serving: Serving) -> Iterator[Any]:
    access = {"tokens": file, "reload_seconds": 0.0}
    with serving(replace(config, **access, admin_port=0)) as server:
        yield server


class Caller:
    """Makes calls with a token. Each call returns its error, or None."""

    def __init__(self, server: Any, authorization: str | None) -> None:
        self._server = server
        self._metadata = [] if authorization is None else [("authorization", authorization)]

    def search(self) -> grpc.Call | None:
        request = search_service_pb2.SearchRequest(query="cable", page_size=1)
        return self._end(search_service_pb2_grpc.SearchServiceStub, "Search", request)

    def get_item(self) -> grpc.Call | None:
        request = catalog_service_pb2.BatchGetItemsRequest(item_ids=["x"])
        return self._end(catalog_service_pb2_grpc.CatalogServiceStub, "BatchGetItems", request)

    def status(self) -> grpc.Call | None:
        stub = admin_service_pb2_grpc.AdminServiceStub
        address = f"127.0.0.1:{self._server.service.admin_port}"
        return self._end(stub, "GetStatus", admin_service_pb2.GetStatusRequest(), address)

    def _end(
        self, stub: Any, method: str, request: Any, address: str | None = None
    ) -> grpc.Call | None:
        with grpc.insecure_channel(address or self._server.address) as channel:
            try:
                getattr(stub(channel), method)(request, metadata=self._metadata, timeout=60)
            except grpc.RpcError as error:
                return error  # type: ignore[return-value]  # the errors of stubs are calls
        return None


def reason_of(error: grpc.Call) -> tuple[str, dict[str, str]]:
    """Return the reason and the metadata of an error's ErrorInfo, its only detail."""
    status = rpc_status.from_call(error)
    assert status is not None
    [detail] = status.details
    info = error_details_pb2.ErrorInfo()
    assert detail.Unpack(info)
    assert info.domain == "shortlist"
    return info.reason, dict(info.metadata)


@pytest.mark.parametrize(
    ("authorization", "allowed"),
    [
        ("Bearer reader", {"search", "get_item"}),
        ("bearer both", {"search", "get_item", "status"}),
        ("Bearer boss", {"status"}),
        ("Bearer writer", set()),
    ],
)
def test_a_role_allows_only_its_methods(server: Any, authorization: str, allowed: set[str]) -> None:
    for method in ("search", "get_item", "status"):
        error = getattr(Caller(server, authorization), method)()
        if method in allowed:
            assert error is None
        else:
            assert error.code() == Code.PERMISSION_DENIED
            role = "admin" if method == "status" else "read"
            assert reason_of(error) == ("ROLE_MISSING", {"role": role})


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer stranger",
        "Bearer Reader",
        "Basic reader",
        "reader",
        "Bearer " + hashlib.sha256(b"reader").hexdigest(),
        "Bearer " + "x" * 5_000,
    ],
)
def test_calls_without_a_known_token_are_refused(server: Any, authorization: str | None) -> None:
    caller = Caller(server, authorization)
    for call in (caller.search, caller.get_item, caller.status):
        error = call()
        assert error is not None
        assert error.code() == Code.UNAUTHENTICATED
        assert reason_of(error) == ("TOKEN_REQUIRED", {})


def test_a_call_with_two_tokens_has_none() -> None:
    shown = [("authorization", "Bearer a"), ("authorization", "Bearer b")]
    assert bearer_token(shown) is None
    assert bearer_token([*shown[:1], ("x-other", "y")]) == "a"


def test_health_and_reflection_need_no_token(server: Any) -> None:
    listing = reflection_pb2.ServerReflectionRequest(list_services="")
    for address in (server.address, f"127.0.0.1:{server.service.admin_port}"):
        with grpc.insecure_channel(address) as channel:
            stub = reflection_pb2_grpc.ServerReflectionStub(channel)
            assert list(stub.ServerReflectionInfo(iter([listing]), timeout=10))
            checked = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert checked.status == health_pb2.HealthCheckResponse.SERVING


def test_every_method_of_the_contract_has_its_role() -> None:
    methods = {name: role for name, role in ROLES.items() if name.startswith("/shortlist.v1.")}
    catalog, admin = "/shortlist.v1.CatalogService/", "/shortlist.v1.AdminService/"
    curation, people = "/shortlist.v1.CurationService/", "/shortlist.v1.RecommendService/"
    writing = {
        *(catalog + name for name in ("UpsertItems", "DeleteItems")),
        *(curation + name for name in ("SetCuration", "DeleteCuration", "UndoCuration")),
        *(people + name for name in ("DeleteUser", "SetOptOut", "JoinSession")),
    }
    operating = {admin + name for name in ("GetStatus", "LoadBundle", "RollBack")}
    assert {name for name, role in methods.items() if role is Role.WRITE} == writing
    assert {name for name, role in methods.items() if role is Role.ADMIN} == operating
    reading = {name for name, role in methods.items() if role is Role.READ}
    feedback = "/shortlist.v1.FeedbackService/"
    recording = {feedback + name for name in ("RecordEvents", "StreamEvents")}
    assert {name for name, role in methods.items() if role is Role.RECORD} == recording
    assert reading == set(methods) - writing - operating - recording
    assert {"/shortlist.v1.SearchService/Search", f"{catalog}GetItem"} <= reading


def test_methods_that_the_table_lacks_are_for_operators(file: Path) -> None:
    access = AccessInterceptor(Tokens(file), ROLES)
    for method in ("/shortlist.v1.NewService/Get", "/elsewhere.SearchService/Search"):
        for token, refused in (("reader", RoleMissingError), ("boss", type(None))):
            metadata = (("authorization", f"Bearer {token}"),)
            assert isinstance(access.objection(Details(method, metadata)), refused)


def test_tokens_are_replaced_under_load(server: Any, file: Path) -> None:
    done, errors, calls = threading.Event(), [], 0

    def call() -> None:
        nonlocal calls
        caller = Caller(server, "Bearer reader")
        while not done.is_set():
            if (error := caller.get_item()) is not None:
                errors.append(error)
            calls += 1

    def code_of(token: str) -> Code | None:
        error = Caller(server, f"Bearer {token}").get_item()
        return error and error.code()

    thread = threading.Thread(daemon=True, target=call)
    thread.start()
    try:
        assert code_of("next") is Code.UNAUTHENTICATED
        for added in ("next", "third", "fourth"):
            write(file, line("read", "reader"), line("read", added))
            assert code_of(added) is None
        assert code_of("third") is Code.UNAUTHENTICATED
        eventually(lambda: calls > 20)
    finally:
        done.set()
        thread.join()
    assert errors == []
    write(file, line("read", "fourth"))
    assert code_of("reader") is Code.UNAUTHENTICATED


def test_tokens_in_clear_stay_on_this_machine(tiny_bundle: Path, file: Path) -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.9"):
        ServerConfig(tiny_bundle, host=host, tokens=file)
    for host in ("0.0.0.0", "::", "shop.example", "10.0.0.1"):
        with pytest.raises(InputError, match=f"--host {host}: tokens would travel in clear"):
            ServerConfig(tiny_bundle, host=host, tokens=file)
        ServerConfig(tiny_bundle, host=host, tokens=file, tokens_in_clear=True)
        ServerConfig(tiny_bundle, host=host, tokens=file, tls_cert=file, tls_key=file)
        ServerConfig(tiny_bundle, admin_host=host, tokens=file)  # no admin port
        with pytest.raises(InputError, match=f"--admin-host {host}: tokens would travel"):
            ServerConfig(tiny_bundle, admin_host=host, admin_port=0, tokens=file)
        with pytest.raises(InputError, match="beyond this machine needs --tokens"):
            ServerConfig(tiny_bundle, admin_host=host, admin_port=0)


def test_writes_from_beyond_this_machine_need_tokens_or_certificates(
    tiny_bundle: Path, file: Path, tmp_path: Path
) -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        ServerConfig(tiny_bundle, host=host, state=tmp_path)
    tls = {"tls_cert": file, "tls_key": file}
    for host in ("0.0.0.0", "::", "shop.example"):
        ServerConfig(tiny_bundle, host=host)  # a server without writes
        for more in ({}, tls):
            with pytest.raises(
                InputError, match=f"--host {host}: .*--state.*--tokens or --client-ca"
            ):
                ServerConfig(tiny_bundle, host=host, state=tmp_path, **more)
        ServerConfig(tiny_bundle, host=host, state=tmp_path, tokens=file, **tls)
        ServerConfig(tiny_bundle, host=host, state=tmp_path, client_ca=file, **tls)


def _echo(*, streams_in: bool, streams_out: bool) -> grpc.RpcMethodHandler:
    """Return the handler of a method of this kind, which answers with its requests."""

    async def unary(request: bytes, context: Any) -> bytes:
        return request

    async def unary_stream(request: bytes, context: Any) -> Any:
        yield request

    async def stream_unary(requests: Any, context: Any) -> bytes:
        return b"".join([request async for request in requests])

    async def stream_stream(requests: Any, context: Any) -> Any:
        async for request in requests:
            yield request

    match streams_in, streams_out:
        case False, False:
            return grpc.unary_unary_rpc_method_handler(unary)
        case False, True:
            return grpc.unary_stream_rpc_method_handler(unary_stream)
        case True, False:
            return grpc.stream_unary_rpc_method_handler(stream_unary)
        case _:
            return grpc.stream_stream_rpc_method_handler(stream_stream)


async def _messages(*, sent: bool) -> AsyncIterator[bytes]:
    """Yield one message, or none and never end: a refused call must not wait for its messages.

    A client that sends while the server ends the call may report an internal error of gRPC instead.
    """
    if not sent:
        await asyncio.Event().wait()
    yield b"hello"


async def _end(tokens: Tokens, token: str, *, streams_in: bool, streams_out: bool) -> Code:
    """Call a method of this kind with a token; return the code with which the call ends."""
    server = grpc.aio.server(interceptors=[AccessInterceptor(tokens, {ECHO: Role.READ})])
    method = _echo(streams_in=streams_in, streams_out=streams_out)
    handler = grpc.method_handlers_generic_handler("shortlist.v1.SearchService", {"Echo": method})
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with (
        AsyncExitStack() as stack,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        stack.push_async_callback(server.stop, None)
        kind = f"{'stream' if streams_in else 'unary'}_{'stream' if streams_out else 'unary'}"
        call = getattr(channel, kind)(ECHO)(
            _messages(sent=token == "reader") if streams_in else b"hello",
            metadata=(("authorization", f"Bearer {token}"),),
            timeout=20,
        )
        try:
            answers = [answer async for answer in call] if streams_out else [await call]
            assert answers == [b"hello"]
        except grpc.aio.AioRpcError as error:
            status = rpc_status.from_call(error)  # type: ignore[arg-type]  # as sync ones have
            assert status is not None
            assert len(status.details) == 1
        code: Code = await call.code()
    return code


@pytest.mark.parametrize("streams_out", [False, True])
@pytest.mark.parametrize("streams_in", [False, True])
def test_methods_of_all_kinds_are_covered(file: Path, streams_in: bool, streams_out: bool) -> None:
    tokens = Tokens(file)
    kind = {"streams_in": streams_in, "streams_out": streams_out}
    assert asyncio.run(_end(tokens, "reader", **kind)) == Code.OK
    assert asyncio.run(_end(tokens, "boss", **kind)) == Code.PERMISSION_DENIED
    assert asyncio.run(_end(tokens, "stranger", **kind)) == Code.UNAUTHENTICATED
