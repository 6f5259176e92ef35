"""The Go example, generated, compiled and run against real servers."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients import behaviour, every, tools
from tests.clients.conftest import Shop

# Where Debian's golang-*-dev packages put their sources.
DEBIAN = Path("/usr/share/gocode")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The compiled program."""
    tools.need("go", "go", "protoc-gen-go", "protoc-gen-go-grpc")
    libraries = Path(os.environ.get("TEST_GOPATH") or DEBIAN)
    if not (libraries / "src" / "google.golang.org" / "grpc").is_dir():
        tools.missing("go", f"{libraries} has no google.golang.org/grpc")
    path = tmp_path_factory.mktemp("go")
    module = path / "src" / "shortlist.example"
    shutil.copytree(tools.CLIENTS / "go", module, ignore=shutil.ignore_patterns("gen"))
    if (libraries / "src" / "github.com/golang/protobuf/proto/table_marshal.go").exists():
        shutil.copy(Path(__file__).with_name("codec.go"), module)  # before its version 1.4
    tools.generate("go", module)
    environment = {
        "GO111MODULE": "off",
        "GOPATH": f"{path}:{libraries}",
        "GOCACHE": str(tools.kept("go")),
        "GOFLAGS": "-p=2",
    }
    tools.run(["go", "vet", "."], module, environment)
    tools.run(["go", "build", "-o", path / "search", "."], module, environment)
    return str(path / "search")


@pytest.fixture(scope="module")
def example(program: str) -> behaviour.Example:
    return behaviour.example([program], "-")


def test_search_with_a_filter(example: behaviour.Example, shop: Shop) -> None:
    behaviour.searches_with_a_filter(example, shop)


def test_both_answers_of_a_streamed_search(example: behaviour.Example, shop: Shop) -> None:
    behaviour.streams_with_a_filter(example, shop)


def test_errors_have_their_details(example: behaviour.Example, shop: Shop) -> None:
    behaviour.decodes_errors(example, shop, "InvalidArgument")
    behaviour.names_a_filters_place(example, shop)


def test_mutual_tls(example: behaviour.Example, shop: Shop) -> None:
    behaviour.speaks_mutual_tls(example, shop)


@pytest.mark.parametrize("what", behaviour.REFUSED)
def test_mutual_tls_refuses(example: behaviour.Example, shop: Shop, what: str) -> None:
    behaviour.is_refused(example, shop, what, "Unavailable")


def test_every_method_and_every_error(program: str, everything: Mapping[str, str]) -> None:
    every.asks_everything(behaviour.example([program, "every"], "-"), everything)
