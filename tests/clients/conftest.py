"""Whole servers of the tiny bundle, for clients in every language."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from server.config import ServerConfig
from tests.server.conftest import run_server


@dataclass(frozen=True)
class Shop:
    """A server in plain text and one that wants certificates, and the certificates."""

    plain: str
    mutual: str
    certificates: Path


@pytest.fixture(scope="session")
def config(tiny_bundle: Path, compilation_cache: Path) -> ServerConfig:
    """Serves the tiny bundle on a free port."""
    return ServerConfig(tiny_bundle, port=0, drain_seconds=0.0, compilation_cache=compilation_cache)


@pytest.fixture(scope="session")
def mutual_config(config: ServerConfig, certificates: Path) -> ServerConfig:
    """The same, for clients with a certificate only."""
    return replace(
        config,
        tls_cert=certificates / "server.pem",
        tls_key=certificates / "server.key",
        client_ca=certificates / "ca.pem",
    )


@pytest.fixture(scope="session")
def shop(config: ServerConfig, mutual_config: ServerConfig, certificates: Path) -> Iterator[Shop]:
    """Both servers, running."""
    with run_server(config) as plain, run_server(mutual_config) as mutual:
        yield Shop(plain.address, mutual.address, certificates)
