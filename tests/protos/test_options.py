"""The options of a connection, observed in its network traffic."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import grpc
import pytest

from shortlist.client import Client, Options, Retry, ShortlistError, Tls


class Wire:
    """A proxy that counts the bytes to the server and can drop all traffic silently."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = 0
        self.connections = 0
        self._lost: set[int] = set()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def lose(self) -> None:
        """Drop all further traffic of the open connections, but keep them open."""
        self._lost.update(range(self.connections + 1))

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            far = socket.create_connection(self._server)
            self._open += [near, far]
            for source, target, counts in ((near, far, True), (far, near, False)):
                carry = (source, target, self.connections, counts)
                threading.Thread(target=self._carry, args=carry, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, number: int, counts: bool):
        try:
            while data := source.recv(65_536):
                if number not in self._lost:
                    self.sent += len(data) * counts
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the peer closed the connection, or the test has ended

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for connection in (self._listener, *self._open):
            connection.close()


@pytest.fixture
def wire(address: str) -> Iterator[Wire]:
    with Wire(address) as wire:
        yield wire


def test_requests_are_compressed_on_demand(make_client, wire: Wire) -> None:
    def bytes_sent(compression: grpc.Compression) -> int:
        before = wire.sent
        options = Options(compression=compression)
        with make_client(wire.address, options=options) as client:
            client.get_item("charger " * 20_000)
        return wire.sent - before

    assert bytes_sent(grpc.Compression.NoCompression) > 160_000
    assert bytes_sent(grpc.Compression.Gzip) < 10_000


def test_a_silently_dropped_connection_is_detected_and_replaced(make_client, wire: Wire) -> None:
    options = Options(keepalive_seconds=0.5, keepalive_timeout_seconds=0.5)
    with make_client(wire.address, options=options, timeout_seconds=20) as client:
        client.get_item("a")
        wire.lose()
        begun = time.monotonic()
        assert client.get_item("b").item_id == "b"
        assert time.monotonic() - begun < 10
    assert wire.connections == 2


def test_without_keepalive_a_lost_connection_lasts_until_the_deadline(
    make_client, wire: Wire
) -> None:
    options = Options(keepalive_seconds=None)
    with make_client(wire.address, options=options) as client:
        client.get_item("a")
        wire.lose()
        with pytest.raises(ShortlistError) as late:
            client.get_item("b", timeout_seconds=2.5)
    assert late.value.code == grpc.StatusCode.DEADLINE_EXCEEDED


def test_an_answer_over_the_limit_is_refused(make_client, address) -> None:
    with make_client(address, options=Options(max_message_bytes=1_000)) as client:
        assert client.get_item("a" * 900)
        with pytest.raises(ShortlistError) as large:
            client.get_item("a" * 1_100)
    assert large.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED


# ---- tokens

IN_CLEAR = Options(token_in_clear=True)


def test_a_token_is_shown_with_every_call(make_client, address, servicer) -> None:
    with make_client(address, token="abc.def", options=IN_CLEAR) as client:
        client.get_item("a")
        client.get_item("a")
    assert [seen["authorization"] for seen in servicer.seen] == ["Bearer abc.def"] * 2


def test_a_tokens_file_is_read_anew(make_client, address, servicer, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    with make_client(address, token=file, options=IN_CLEAR) as client:
        client.get_item("a")
        file.write_text("second\n")
        client.get_item("a")
        file.unlink()
        with pytest.raises(FileNotFoundError):
            client.get_item("a")
    assert [seen["authorization"] for seen in servicer.seen] == ["Bearer first", "Bearer second"]


def test_a_function_is_asked_for_a_token_per_attempt(make_client, address, servicer) -> None:
    servicer.failures, servicer.code = 1, grpc.StatusCode.RESOURCE_EXHAUSTED
    servicer.retry_seconds = 0.01
    tokens = iter(["one", "two"])
    with make_client(address, token=lambda: next(tokens), options=IN_CLEAR) as client:
        client.get_item("a")
    assert [seen["authorization"] for seen in servicer.seen] == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "naïve"])
def test_an_impossible_token_is_not_sent(make_client, address, servicer, token: str) -> None:
    with (
        make_client(address, token=token, options=IN_CLEAR) as client,
        pytest.raises(ValueError, match="token"),
    ):
        client.get_item("a")
    assert servicer.calls == 0


def test_a_token_needs_tls(make_client) -> None:
    with pytest.raises(ValueError, match="token needs TLS"):
        make_client("127.0.0.1:1", token="abc")


@pytest.mark.parametrize(
    "address",
    ["search.example:50051", "10.0.0.1:50051", "ipv4:127.0.0.1:1,10.0.0.1:1", "dns:search.example",
     "dns://127.0.0.1/search.example:1", "[2001:db8::1]:50051", "ipv6:[::1]:1,[2001:db8::1]:1",
     "localhost.example:1"],
)  # fmt: skip
def test_a_token_in_clear_is_refused_for_other_machines(make_client, address: str) -> None:
    with pytest.raises(ValueError, match="this machine only"):
        make_client(address, token="abc", options=IN_CLEAR)


@pytest.mark.parametrize(
    "address",
    ["localhost:1", "127.0.0.1:1", "127.0.0.2:1", "[::1]:1", "::1", "ipv4:127.0.0.1:1,127.0.0.1:2",
     "ipv6:[::1]:1", "dns:///localhost:1", "unix:/run/shortlist.sock"],
)  # fmt: skip
def test_a_token_in_clear_is_allowed_for_this_machine(make_client, address: str) -> None:
    with make_client(address, token="abc", options=IN_CLEAR):
        pass


# ---- invalid options


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Retry(attempts=0), "attempts"),
        (lambda: Retry(attempts=6), "attempts"),
        (lambda: Retry(backoff_seconds=0), "backoff_seconds"),
        (lambda: Retry(backoff_seconds=2, max_backoff_seconds=1), "backoff_seconds"),
        (lambda: Options(keepalive_seconds=0), "keepalive_seconds"),
        (lambda: Options(keepalive_timeout_seconds=0), "keepalive_timeout_seconds"),
        (lambda: Options(max_message_bytes=0), "max_message_bytes"),
    ],
)
def test_an_option_out_of_range_is_named(make, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make()


def test_a_certificate_without_a_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Tls\.cert and Tls\.key"):
        Client("localhost:1", tls=Tls(cert=tmp_path / "cert.pem"))
