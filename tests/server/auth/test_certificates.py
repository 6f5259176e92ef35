"""Certificates and authorities that are replaced while the server runs."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from server.config import ServerConfig
from shortlist.client import Client, ShortlistError, Tls
from tests.authority import Authority, put
from tests.timing import eventually

Serving = Callable[[ServerConfig], AbstractContextManager[Any]]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authorities"), "old")


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authorities"), "new")


class Files:
    """The TLS files of a server."""

    def __init__(self, directory: Path, authority: Authority) -> None:
        self.cert, self.key, self.ca = (directory / name for name in ("cert", "key", "client-ca"))
        self.rotate(authority)
        put(authority.ca, self.ca)

    def rotate(self, authority: Authority, name: str = "server") -> None:
        cert, key = authority.sign(name)
        put(key, self.key)
        put(cert, self.cert)


@pytest.fixture
def files(tmp_path: Path, old: Authority) -> Files:
    return Files(tmp_path, old)


@pytest.fixture
def server(config: ServerConfig, files: Files, serving: Serving) -> Iterator[Any]:
    """A server that requires client certificates."""
    with serving(
        replace(config, tls_cert=files.cert, tls_key=files.key, client_ca=files.ca, admin_port=0)
    ) as server:
        yield server


def connected(address: str, tls: Tls | None) -> bool:
    """Return whether the server accepts a new connection. A refusal must be UNAVAILABLE."""
    # This client has its own channel, because gRPC shares connections between equal channels.
    with Client(address, tls=tls, timeout_seconds=20) as client:
        code = None
        try:
            client.batch_get_items(["x"])
        except ShortlistError as error:
            code = error.code
    assert code in (None, grpc.StatusCode.UNAVAILABLE)
    return code is None


def tls(
    trusts: Authority, shows: Authority | None = None, name: str = "client", days: int = 2
) -> Tls:
    return Tls(trusts.ca, *(shows.sign(name, days) if shows else ()))


@pytest.mark.parametrize(
    "client",
    [
        "plain text",
        "no certificate",
        "of a wrong authority",
        "expired",
        "trusts a wrong authority",
    ],
)
def test_strangers_are_not_let_in(server: Any, old: Authority, new: Authority, client: str) -> None:
    shown = {
        "plain text": None,
        "no certificate": tls(old),
        "of a wrong authority": tls(old, new),
        "expired": tls(old, old, "expired", days=-1),
        "trusts a wrong authority": tls(new, old),
    }[client]
    for port in (server.address.rpartition(":")[2], server.service.admin_port):
        assert not connected(f"127.0.0.1:{port}", shown)
    assert connected(server.address, tls(old, old))


def test_a_certificate_is_replaced_while_clients_come_and_go(
    server: Any, files: Files, old: Authority, new: Authority, tmp_path: Path
) -> None:
    # During a rotation, clients trust both authorities.
    both = tmp_path / "both"
    both.write_bytes(old.ca.read_bytes() + new.ca.read_bytes())
    shown = old.sign("client")
    errors: list[ShortlistError] = []
    calls, done = 0, threading.Event()

    def come_and_go() -> None:
        nonlocal calls
        while not done.is_set():
            with Client(server.address, tls=Tls(both, *shown), timeout_seconds=20) as client:
                try:
                    client.batch_get_items(["x"])
                except ShortlistError as error:
                    errors.append(error)
            calls += 1

    def some_calls() -> None:
        enough = calls + 5
        eventually(lambda: calls >= enough, 60.0)

    thread = threading.Thread(daemon=True, target=come_and_go)
    thread.start()
    try:
        for authority in (old, new, new):
            some_calls()
            files.rotate(authority)
        some_calls()
    finally:
        done.set()
        thread.join()
    assert errors == []
    assert connected(server.address, Tls(new.ca, *shown))
    assert not connected(server.address, Tls(old.ca, *shown))


def test_client_authorities_are_replaced(
    server: Any, files: Files, old: Authority, new: Authority
) -> None:
    assert connected(server.address, tls(old, old))
    assert not connected(server.address, tls(old, new))
    put(new.ca, files.ca)
    assert connected(server.address, tls(old, new))
    assert not connected(server.address, tls(old, old))


@pytest.mark.parametrize(
    "broken", ["half a certificate", "another's key", "no file", "no authority"]
)
def test_invalid_tls_files_change_nothing_and_are_logged_once(
    server: Any,
    files: Files,
    old: Authority,
    new: Authority,
    broken: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert connected(server.address, tls(old, old))
    cert, key = new.sign("server")
    match broken:
        case "half a certificate":
            put(key, files.key)
            files.cert.write_bytes(cert.read_bytes()[:200])
        case "another's key":
            put(key, files.key)
        case "no file":
            files.cert.unlink()
        case "no authority":
            files.ca.write_bytes(b"")
    with caplog.at_level(logging.INFO, "server.auth.reloading"):
        for _ in range(3):
            assert connected(server.address, tls(old, old))
        [record] = caplog.records
        assert record.levelname == "ERROR"
        assert record.message == "files not reloaded, the last valid content stays"
        assert str(files.ca.parent) in vars(record)["fields"]["reason"]
        put(key, files.key)
        put(cert, files.cert)
        put(old.ca, files.ca)
        assert connected(server.address, tls(new, old))
        assert caplog.records[-1].message == "files reloaded"
        assert vars(caplog.records[-1])["fields"] == {"files": "TLS files"}
