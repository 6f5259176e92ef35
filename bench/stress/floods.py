"""Floods: misuse that would block the event loop of the server, or fill its memory."""

import random
import shutil
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import cycle
from pathlib import Path
from threading import Event

import grpc
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from bench.service.process import Server
from shortlist.v1 import (
    catalog_service_pb2,
    rerank_service_pb2,
    retrieval_service_pb2,
    search_service_pb2,
    suggestion_service_pb2,
)

_SERVICES = (
    search_service_pb2,
    retrieval_service_pb2,
    rerank_service_pb2,
    suggestion_service_pb2,
    catalog_service_pb2,
)
_MOST_BYTES = 8 * 2**20 - 4_096  # the server's limit of a message, without its other fields
ALLOWED = 70_000  # number of fields of a dense message that the server parses
UNLIMITED = _MOST_BYTES  # number of fields that no message exceeds
HALF_PREFACE = b"PRI * HTTP/2.0\r\n"  # the first half of what an HTTP/2 client sends
_SENDERS = 4  # threads that send dense messages
_TIMEOUT_SECONDS = 30.0
_BURST_CHANNELS = 4
_HALF_SENT = b"GET /metrics HTTP/1.1\r\nHost: "
_SEARCH = "/shortlist.v1.SearchService/Search"
_GET_ITEM = "/shortlist.v1.CatalogService/GetItem"


def dense_messages(most_fields: int) -> list[tuple[str, bytes]]:
    """Return messages that consist of empty sub-messages and short values, with their methods.

    There is a message for each repeated field of a request, and of a message inside a request.
    """
    return [
        (f"/{service.full_name}/{method.name}", content)
        for module in _SERVICES
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if not method.client_streaming
        for content in _dense(method.input_type, most_fields)
    ]


def _dense(message: Descriptor | None, most_fields: int, depth: int = 2) -> Iterator[bytes]:
    for field in message.fields if message else ():
        if field.is_repeated:
            unit = _length_delimited(field.number, b"")
            yield unit * min(most_fields, _MOST_BYTES // len(unit))
        elif field.type == FieldDescriptor.TYPE_MESSAGE and depth:
            for content in _dense(field.message_type, most_fields, depth - 1):
                yield _length_delimited(field.number, content)


def _length_delimited(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))


@contextmanager
def running(action: Callable[[Counter[str]], None], threads: int) -> Iterator[Counter[str]]:
    """Repeat an action on several threads while the block runs; yield the sum of their counts."""
    over, total = Event(), Counter[str]()

    def repeat() -> Counter[str]:
        done = Counter[str]()
        while not over.is_set():
            action(done)
        return done

    with ThreadPoolExecutor(threads) as pool:
        counts = [pool.submit(repeat) for _ in range(threads)]
        try:
            yield total
        finally:
            over.set()
            for count in counts:
                total.update(count.result())


@contextmanager
def calls(
    address: str, requests: Sequence[tuple[str, bytes]], compression: grpc.Compression, threads: int
) -> Iterator[Counter[str]]:
    """Send requests, one after the other on each thread, and count the status codes."""
    upcoming = cycle(requests)
    unlimited = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(address, options=unlimited) as channel:

        def call(done: Counter[str]) -> None:
            path, content = next(upcoming)
            method = channel.unary_unary(path, None, None)
            done[_code(method.future(content, _TIMEOUT_SECONDS, compression=compression))] += 1

        with running(call, threads) as done:
            yield done


def _code(call: "grpc.CallFuture[bytes]") -> str:
    return call.code().name  # waits for the end of the call


@contextmanager
def dense(
    server: Server, most_fields: int, compression: grpc.Compression
) -> Iterator[Counter[str]]:
    """Send messages that are expensive to parse."""
    with calls(server.address, dense_messages(most_fields), compression, _SENDERS) as done:
        yield done


@contextmanager
def bursts(server: Server, size: int) -> Iterator[Counter[str]]:
    """Send thousands of calls at once, and again when all of them have ended."""
    searches = [
        (_SEARCH, search_service_pb2.SearchRequest(query=f"usb {number}").SerializeToString())
        for number in range(size)
    ]
    reads = [(_GET_ITEM, catalog_service_pb2.GetItemRequest(item_id="none").SerializeToString())]
    with ExitStack() as stack:
        own = [("grpc.use_local_subchannel_pool", 1)]
        channels = [
            stack.enter_context(grpc.insecure_channel(server.address, options=own))
            for _ in range(_BURST_CHANNELS)
        ]

        def burst(done: Counter[str]) -> None:
            sent = [
                channel.unary_unary(path, None, None).future(content, _TIMEOUT_SECONDS)
                for (path, content), channel in zip(
                    (*searches, *reads * size), cycle(channels), strict=False
                )
            ]
            done.update(map(_code, sent))
            done["bursts"] += 1

        with running(burst, 1) as done:
            yield done


@contextmanager
def half_open(address: str, sent: bytes, rate: float, held: int) -> Iterator[Counter[str]]:
    """Open connections that send half of their first message; hold the latest ones."""
    connections: list[socket.socket] = []
    host, _, port = address.rpartition(":")

    def open_one(done: Counter[str]) -> None:
        time.sleep(1 / rate)
        try:
            connection = socket.create_connection((host, int(port)), _TIMEOUT_SECONDS)
            connections.append(connection)
            connection.sendall(sent)
            done["connections"] += 1
        except OSError as error:
            done[type(error).__name__] += 1
        if len(connections) > held:
            connections.pop(0).close()

    with running(open_one, 1) as done:
        yield done
    for connection in connections:
        connection.close()


@contextmanager
def metrics(server: Server, rate: float, held: int) -> Iterator[Counter[str]]:
    """Send whole and half requests to the port of metrics."""
    address = "127.0.0.1:" + server.logged(r"service=metrics host=\S+ port=(\d+)")
    host, _, port = address.rpartition(":")

    def scrape(done: Counter[str]) -> None:
        time.sleep(1 / rate)
        size = 0
        with (
            suppress(OSError),
            socket.create_connection((host, int(port)), _TIMEOUT_SECONDS) as connection,
        ):
            connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            while part := connection.recv(2**16):
                size += len(part)
        done["scrapes" if size else "refused scrapes"] += 1

    with half_open(address, _HALF_SENT, rate, held) as halves, running(scrape, 4) as scrapes:
        done = Counter[str]()
        yield done
    done.update(halves)
    done.update(scrapes)


def damage(bundle: Path, copy: Path) -> Callable[[], None]:
    """Copy a bundle; return a function that overwrites parts of the copy's lexical index."""
    shutil.copytree(bundle, copy)

    def overwrite() -> None:
        positions = random.Random(5)  # noqa: S311 - the same damage in each run
        for file in (copy / "lexical").glob("*.idx"):
            with file.open("r+b") as index:
                size = file.stat().st_size
                for _ in range(3_000):
                    index.seek(positions.randrange(size - 200))
                    index.write(b"\xff")

    return overwrite


@contextmanager
def panics(server: Server, queries: Sequence[str]) -> Iterator[Counter[str]]:
    """Search a damaged lexical index, in which tantivy panics."""
    requests = [
        (_SEARCH, search_service_pb2.SearchRequest(query=query).SerializeToString())
        for query in queries
    ]
    with calls(server.address, requests, grpc.Compression.NoCompression, _SENDERS) as done:
        yield done
