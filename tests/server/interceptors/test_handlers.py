"""Handlers of all four kinds of methods, on a real server whose service echoes strings."""

import asyncio
import gc
import queue
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from base.errors import RequestError
from server.interceptors.errors import ErrorInterceptor
from server.interceptors.handlers import wrap_handler
from server.interceptors.wire import UNCOUNTED_BYTES
from shortlist.client import ShortlistError
from tests.timing import eventually, turn

Code = grpc.StatusCode

SOON = 10.0  # timeout in seconds; only a hang takes longer


def echo(text: str) -> StringValue:
    match text:
        case "wrong":
            raise RequestError("value", "is wrong")
        case "fault":
            raise KeyError("a secret")
        case _:
            return StringValue(value=f"<{text}>")


async def unary_unary(request: StringValue, context: Any) -> StringValue:
    return echo(request.value)


async def unary_stream(request: StringValue, context: Any) -> AsyncIterator[StringValue]:
    for word in request.value.split():
        yield echo(word)


async def unary_stream_by_writing(request: StringValue, context: Any) -> None:
    for word in request.value.split():
        await context.write(echo(word))


async def stream_unary(requests: AsyncIterator[StringValue], context: Any) -> StringValue:
    words = [echo(request.value).value async for request in requests]
    return StringValue(value="".join(words))


async def stream_stream(
    requests: AsyncIterator[StringValue], context: Any
) -> AsyncIterator[StringValue]:
    async for request in requests:
        yield echo(request.value)


async def aborting(request: StringValue, context: Any) -> StringValue:
    await context.abort(Code.ABORTED, "by itself")
    raise AssertionError


async def endless(request: StringValue, context: Any) -> AsyncIterator[StringValue]:
    while True:
        yield request
        await turn()


def parsed_by(raw: bytes) -> StringValue:
    """Return the name of the thread that parses a request."""
    return StringValue(value=threading.current_thread().name)


RECORDED: list[bytes] = []  # the requests to the method Recorded


def record(raw: bytes) -> StringValue:
    """Record the bytes of a request and parse them."""
    RECORDED.append(raw)
    return StringValue.FromString(raw)


DESERIALIZERS: dict[str, Callable[[bytes], StringValue]] = {
    "ParsedBy": parsed_by,
    "Recorded": record,
}
KINDS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "UnaryUnary": (grpc.unary_unary_rpc_method_handler, unary_unary),
    "UnaryStream": (grpc.unary_stream_rpc_method_handler, unary_stream),
    "UnaryStreamByWriting": (grpc.unary_stream_rpc_method_handler, unary_stream_by_writing),
    "StreamUnary": (grpc.stream_unary_rpc_method_handler, stream_unary),
    "StreamStream": (grpc.stream_stream_rpc_method_handler, stream_stream),
    "Aborting": (grpc.unary_unary_rpc_method_handler, aborting),
    "Endless": (grpc.unary_stream_rpc_method_handler, endless),
    "ParsedBy": (grpc.unary_unary_rpc_method_handler, unary_unary),
    "Recorded": (grpc.unary_unary_rpc_method_handler, unary_unary),
}
ECHOES = tuple(KINDS)[:5]


class EndRecorder(grpc.aio.ServerInterceptor):
    """Records how each call ended."""

    def __init__(self) -> None:
        self._ended: queue.Queue[str] = queue.Queue()

    def ended(self) -> str:
        """Return how a call ended; each result is returned once, in order."""
        return self._ended.get(timeout=SOON)

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        return wrap_handler(await continuation(details), self._around)

    @asynccontextmanager
    async def _around(self, _: Any) -> AsyncIterator[None]:
        how = "well"
        try:
            yield
        except BaseException as error:
            how = type(error).__name__
            raise
        finally:
            self._ended.put(how)


@pytest.fixture
def recorder() -> EndRecorder:
    return EndRecorder()


@pytest.fixture
def channel(recorder: EndRecorder) -> Iterator[grpc.Channel]:
    """A channel to a server of the methods in KINDS. The server has its own thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(daemon=True, target=loop.run_forever)
    thread.start()

    async def start() -> tuple[grpc.aio.Server, int]:
        server = grpc.aio.server(interceptors=[recorder, ErrorInterceptor()])
        handlers = {
            name: make(
                method,
                request_deserializer=DESERIALIZERS.get(name, StringValue.FromString),
                response_serializer=StringValue.SerializeToString,
            )
            for name, (make, method) in KINDS.items()
        }
        generic = grpc.method_handlers_generic_handler("shortlist.v1.EchoService", handlers)
        server.add_generic_rpc_handlers((generic,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = asyncio.run_coroutine_threadsafe(start(), loop).result()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    asyncio.run_coroutine_threadsafe(server.stop(0), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def call(channel: grpc.Channel, name: str, words: Sequence[bytes | str]) -> list[str]:
    """Send words: in one message, or each in its own to a streaming method.

    Returns:
        The answers, up to the first error.
    """
    path = f"/shortlist.v1.EchoService/{name}"
    raw = [
        word if isinstance(word, bytes) else StringValue(value=word).SerializeToString()
        for word in words
    ]
    joined = raw[0] if len(raw) == 1 else StringValue(value=" ".join(map(str, words)))
    one = joined if isinstance(joined, bytes) else joined.SerializeToString()
    read = StringValue.FromString
    responses: Any
    if name == "StreamStream":
        responses = channel.stream_stream(path, response_deserializer=read)(iter(raw), timeout=SOON)
    elif name == "StreamUnary":
        responses = [
            channel.stream_unary(path, response_deserializer=read)(iter(raw), timeout=SOON)
        ]
    elif name.startswith("UnaryStream"):
        responses = channel.unary_stream(path, response_deserializer=read)(one, timeout=SOON)
    else:
        responses = [channel.unary_unary(path, response_deserializer=read)(one, timeout=SOON)]
    return [response.value for response in responses]


def error_of(channel: grpc.Channel, name: str, words: Sequence[bytes | str]) -> ShortlistError:
    with pytest.raises(grpc.RpcError) as failed:
        call(channel, name, words)
    assert isinstance(failed.value, grpc.Call)
    return ShortlistError(failed.value)


@pytest.mark.parametrize("name", ECHOES)
def test_every_kind_of_method_answers(
    channel: grpc.Channel, recorder: EndRecorder, name: str
) -> None:
    answers = {
        "UnaryUnary": ["<a b>"],
        "StreamUnary": ["<a><b>"],
    }
    assert call(channel, name, ["a", "b"]) == answers.get(name, ["<a>", "<b>"])
    assert recorder.ended() == "well"


@pytest.mark.parametrize("name", ECHOES)
def test_errors_of_every_kind_of_method_become_a_status(
    channel: grpc.Channel, recorder: EndRecorder, name: str
) -> None:
    error = error_of(channel, name, ["wrong"])
    assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, "INVALID_FIELD")
    assert [violation.field for violation in error.field_violations] == ["value"]
    fault = error_of(channel, name, ["fault"])
    assert (fault.code, fault.reason) == (Code.INTERNAL, "INTERNAL_FAULT")
    assert "secret" not in str(fault)
    assert (recorder.ended(), recorder.ended()) == ("AbortError", "AbortError")


@pytest.mark.parametrize("name", ECHOES)
def test_bytes_that_are_no_message_are_refused_by_any_kind_of_method(
    channel: grpc.Channel, name: str
) -> None:
    error = error_of(channel, name, [b"\xff" * 100])
    assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, "MALFORMED_REQUEST")


def test_only_large_requests_are_parsed_by_a_thread_of_their_own(channel: grpc.Channel) -> None:
    [loop] = call(channel, "ParsedBy", [b"x" * UNCOUNTED_BYTES])
    [thread] = call(channel, "ParsedBy", [b"x" * (UNCOUNTED_BYTES + 1)])
    assert loop != thread == "<parser_0>"


@pytest.mark.parametrize("size", [100, UNCOUNTED_BYTES + 1])
def test_a_refused_request_does_not_stay_in_memory(channel: grpc.Channel, size: int) -> None:
    RECORDED.clear()
    gc.disable()  # a reference cycle would be collected some time later
    try:
        assert error_of(channel, "Recorded", [b"\xff" * size]).reason == "MALFORMED_REQUEST"
        # The remaining references are the list and the argument of `getrefcount`.
        eventually(lambda: sys.getrefcount(RECORDED[0]) == 2)
    finally:
        gc.enable()


@pytest.mark.parametrize("name", ["UnaryStream", "UnaryStreamByWriting", "StreamStream"])
def test_answers_before_an_error_arrive(channel: grpc.Channel, name: str) -> None:
    path = f"/shortlist.v1.EchoService/{name}"
    words = [StringValue(value=word).SerializeToString() for word in ("a", "wrong", "b")]
    one = StringValue(value="a wrong b").SerializeToString()
    read = StringValue.FromString
    responses: Any = (
        channel.stream_stream(path, response_deserializer=read)(iter(words), timeout=SOON)
        if name == "StreamStream"
        else channel.unary_stream(path, response_deserializer=read)(one, timeout=SOON)
    )
    assert next(responses).value == "<a>"
    with pytest.raises(grpc.RpcError):
        next(responses)
    assert responses.code() == Code.INVALID_ARGUMENT


def test_a_method_that_aborts_by_itself_keeps_its_status(channel: grpc.Channel) -> None:
    error = error_of(channel, "Aborting", ["x"])
    assert (error.code, error.message) == (Code.ABORTED, "by itself")


def test_a_stream_whose_caller_goes_ends_at_once(
    channel: grpc.Channel, recorder: EndRecorder
) -> None:
    method = channel.unary_stream("/shortlist.v1.EchoService/Endless")
    responses: Any = method(StringValue(value="x" * 10_000).SerializeToString(), timeout=SOON)
    next(responses)
    responses.cancel()
    assert recorder.ended() == "CancelledError"
