"""Whole servers of the tiny bundle, for clients in every language."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
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


@pytest.fixture(scope="session")
def everything(
    config: ServerConfig, stage1_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, object]]:
    """A server with all there is and one of stage 1 alone, as flags of the programs `every`."""
    directory = tmp_path_factory.mktemp("everything")
    roles = [("read", "all"), ("write", "all"), ("admin", "all"), ("read", "reader")]
    tokens = directory / "tokens"
    tokens.write_text(
        "".join(f"{role}: {sha256(token.encode()).hexdigest()}\n" for role, token in roles)
    )
    tokens.chmod(0o600)
    root = directory / "bundles"
    (root / "damaged").mkdir(parents=True)
    whole = replace(
        config, state=directory / "state", tokens=tokens, admin_port=0, bundle_root=root
    )
    with run_server(whole) as server, run_server(replace(config, bundle=stage1_bundle)) as plain:
        yield {
            "address": server.address,
            "admin-address": f"127.0.0.1:{server.service.admin_port}",
            "plain-address": plain.address,
            "token": "all",
            "reader-token": "reader",
            "item-id": "Ch-10-voltix",
        }
