"""Servers of the tiny bundle, for clients in every language."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bert.numerics import choose_numerics
from search import bundle
from server.config import ServerConfig
from shortlist.client import Client, Options, ShortlistError
from tests import tiny
from tests.server.auth.token_files import line, write
from tests.server.conftest import run_server
from tests.server.interceptors.test_errors import EXPECTED, run_raising

# With rewriting, failed assertions of these modules show the output of the client.
pytest.register_assert_rewrite("tests.clients.behaviour", "tests.clients.every")

ROLES = (("read", "all"), ("write", "all"), ("record", "all"), ("admin", "all"), ("read", "reader"))


@dataclass(frozen=True)
class Servers:
    """The addresses of a server without TLS and of one with mutual TLS, and the certificates."""

    plain: str
    mutual: str
    certificates: Path


@pytest.fixture(scope="session")
def config(tiny_bundle: Path, compilation_cache: Path) -> ServerConfig:
    """The configuration of a server of the tiny bundle on a free port."""
    return ServerConfig(tiny_bundle, port=0, drain_seconds=0.0, compilation_cache=compilation_cache)


@pytest.fixture(scope="session")
def mutual_config(config: ServerConfig, certificates: Path) -> ServerConfig:
    """The configuration of the same server with mutual TLS."""
    return replace(
        config,
        tls_cert=certificates / "server.pem",
        tls_key=certificates / "server.key",
        client_ca=certificates / "ca.pem",
    )


@pytest.fixture(scope="session")
def servers(
    config: ServerConfig, mutual_config: ServerConfig, certificates: Path
) -> Iterator[Servers]:
    """Running servers with the two configurations."""
    with run_server(config) as plain, run_server(mutual_config) as mutual:
        yield Servers(plain.address, mutual.address, certificates)


@pytest.fixture(scope="session")
def large(config: ServerConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with 16 items of Voltix, which are together larger than 4 MiB."""
    directory = tmp_path_factory.mktemp("large") / "bundle"
    items = [
        replace(item, image_url="https://" + "a" * 300_000) if item.brand == "Voltix" else item
        for item in tiny.tiny_items()
    ]
    tiny.write_bundle(directory, items, choose_numerics())
    with run_server(replace(config, bundle=directory)) as server:
        yield server.address


@pytest.fixture(scope="session")
def every_flags(
    config: ServerConfig,
    tiny_bundle: Path,
    people_bundle: Path,
    recall_bundle: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mapping[str, str]]:
    """The flags of the programs that make every call.

    They name three servers: a server with every option, a plain server without a reranker, and a
    server that raises every exception.
    """
    directory = tmp_path_factory.mktemp("everything")
    tokens = directory / "tokens"
    write_tokens(tokens, *ROLES, ("read", "revoked"))
    root = directory / "bundles"
    (root / "damaged").mkdir(parents=True)
    copy_with_fewer_golden_queries(tiny_bundle, root / "other")
    whole = replace(
        config,
        bundle=people_bundle,
        state=directory / "state",
        tokens=tokens,
        reload_seconds=0.0,
        admin_port=0,
        bundle_root=root,
    )
    with (
        run_server(whole) as server,
        run_server(replace(config, bundle=recall_bundle)) as plain,
        run_raising() as raising,
    ):
        assert is_known(server.address, "revoked")
        write_tokens(tokens, *ROLES)
        assert not is_known(server.address, "revoked")
        yield {
            "address": server.address,
            "admin-address": f"127.0.0.1:{server.service.admin_port}",
            "plain-address": plain.address,
            "raising-address": raising,
            "raises": ",".join(EXPECTED),
            "token": "all",
            "reader-token": "reader",
            "old-token": "revoked",
            "item-id": "Ch-10-voltix",
            "other-bundle": "other",
        }


def copy_with_fewer_golden_queries(source: Path, directory: Path) -> None:
    """Write a different bundle with the same models, so that nothing is compiled again."""
    shutil.copytree(source, directory)
    golden = directory / bundle.GOLDEN
    golden.write_text("".join(golden.read_text().splitlines(keepends=True)[:-1]))
    manifest = bundle.Manifest.read(directory)
    manifest.with_files(bundle.list_files(directory)).write(directory)


def write_tokens(path: Path, *roles: tuple[str, str]) -> None:
    """Replace the token file."""
    write(path, *(line(role, token) for role, token in roles))


def is_known(address: str, token: str) -> bool:
    """Return whether a server accepts a token."""
    options = Options(token_in_clear=True)
    with Client(address, token=token, options=options, timeout_seconds=60) as client:
        try:
            client.batch_get_items(["x"])
        except ShortlistError as error:
            if error.reason != "TOKEN_REQUIRED":
                raise
            return False
        return True
