"""The metrics port under clients that are slow, many or broken."""

import logging
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from server.observe.metrics_server import MetricsServer
from tests.timing import SOON, eventually


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("lamps", "Lamps.", registry=registry).inc(3)
    return registry


@contextmanager
def serving(
    registry: CollectorRegistry,
    clock: Callable[[], float] = time.monotonic,
    max_connections: int = 4,
) -> Iterator[int]:
    server = MetricsServer(
        registry, "127.0.0.1", 0, max_connections=max_connections, max_seconds=10.0, clock=clock
    )
    try:
        yield server.port
    finally:
        server.close()


def scrape(port: int) -> float:
    """Return the value of the counter."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=SOON) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        text = answer.read().decode()
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    return next(sample.value for sample in samples if sample.name == "lamps_total")


def opened(stack: ExitStack, port: int, sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), SOON)
    stack.callback(connection.close)
    connection.sendall(sent)
    return connection


@pytest.mark.parametrize("sent", [b"", b"GET /met", b"GET /metrics HTTP/1.1\r\nHost: a\r\n"])
def test_a_connection_ends_after_its_time_whatever_it_sent(
    registry: CollectorRegistry, sent: bytes
) -> None:
    clock = Clock()
    with serving(registry, clock) as port, ExitStack() as stack:
        stuck = opened(stack, port, sent)
        assert scrape(port) == 3  # the server accepts connections in order
        clock.now = 9.0
        fresh = opened(stack, port, b"")
        assert scrape(port) == 3
        clock.now = 11.0
        assert stuck.recv(1_000) == b""
        fresh.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert fresh.recv(1_000).startswith(b"HTTP/1.0 200 OK\r\n")


def test_too_many_connections_end_the_oldest(registry: CollectorRegistry) -> None:
    with serving(registry, max_connections=4) as port, ExitStack() as stack:
        idle = [opened(stack, port, b"GET /met") for _ in range(9)]
        assert scrape(port) == 3
        for connection in idle[:5]:
            assert connection.recv(1_000) == b""
        assert scrape(port) == 3


@pytest.mark.parametrize("sent", [b"GET /met", b"GET /metrics HTTP/1.0\r\n\r\n", b"\xff\0\r\n\r\n"])
def test_a_lost_connection_is_one_line_without_a_traceback(
    registry: CollectorRegistry,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    sent: bytes,
) -> None:
    reset = struct.pack("ii", 1, 0)  # `close` then resets the connection
    with caplog.at_level(logging.DEBUG), serving(registry) as port, ExitStack() as stack:
        for _ in range(20):
            connection = opened(stack, port, sent)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            connection.close()
        assert scrape(port) == 3
    assert capfd.readouterr() == ("", "")
    for record in caplog.records:
        assert record.levelno == logging.DEBUG
        assert record.getMessage().startswith("metrics not sent: ")
        assert record.exc_info is None


def test_metrics_that_cannot_be_collected_are_logged_and_the_port_goes_on(
    registry: CollectorRegistry,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    text = " ".join(("a", "private", "wish"))  # a traceback quotes lines of code

    class Failing(Collector):
        def collect(self) -> Iterator[object]:  # type: ignore[override]
            raise KeyError(text)

        def describe(self) -> Iterator[object]:  # type: ignore[override]
            return iter(())

    failing = Failing()
    with serving(registry) as port:
        registry.register(failing)
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            scrape(port)
        [record] = eventually(lambda: [r for r in caplog.records if r.levelname == "ERROR"])
        registry.unregister(failing)
        assert scrape(port) == 3
    assert record.getMessage().startswith("metrics not collected: error=KeyError at\n")
    assert text not in record.getMessage()
    assert capfd.readouterr() == ("", "")


def test_without_free_file_descriptors_the_server_waits_instead_of_spinning() -> None:
    program = """
import os, resource, socket, sys, time
from prometheus_client import CollectorRegistry
from server.observe.metrics_server import MetricsServer

server = MetricsServer(CollectorRegistry(), "127.0.0.1", 0)
client = socket.socket()
used = len(os.listdir("/proc/self/fd"))
resource.setrlimit(resource.RLIMIT_NOFILE, (used + 5, used + 5))
taken = []
try:
    while True:
        taken.append(os.dup(0))
except OSError:
    pass
client.connect(("127.0.0.1", server.port))
client.sendall(b"GET /metrics HTTP/1.0\\r\\n\\r\\n")
before = time.process_time()
time.sleep(1)
sys.stdout.write(f"{time.process_time() - before} ")
os.close(taken.pop())
sys.stdout.write(client.recv(100).decode())
server.close()
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60
    )
    seconds, answer = ran.stdout.split(" ", 1)
    assert float(seconds) < 0.1
    assert answer.startswith("HTTP/1.0 200 OK")
    assert ran.stderr == ""
