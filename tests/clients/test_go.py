"""The Go example: generated, compiled and run against real servers."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients import behaviour, every, tools
from tests.clients.conftest import Servers

pytestmark = pytest.mark.slow

# The directory of Go sources from Debian's golang-*-dev packages.
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
        # This protobuf library is older than version 1.4.
        shutil.copy(Path(__file__).with_name("codec.go"), module)
    tools.generate("go", module)
    environment = {
        "GO111MODULE": "off",
        "GOPATH": f"{path}:{libraries}",
        "GOCACHE": str(tools.cache("go")),
        "GOFLAGS": "-p=2",
    }
    tools.run(["go", "vet", "."], module, environment)
    tools.run(["go", "build", "-o", path / "search", "."], module, environment)
    return str(path / "search")


@pytest.fixture(scope="module")
def example(program: str) -> behaviour.Example:
    return behaviour.example([program], "-")


def test_search_with_a_filter(example: behaviour.Example, servers: Servers) -> None:
    behaviour.check_search_with_filter(example, servers)


def test_both_messages_of_a_streamed_search(example: behaviour.Example, servers: Servers) -> None:
    behaviour.check_stream_with_filter(example, servers)


def test_an_answer_of_more_than_4_mib(example: behaviour.Example, large: str) -> None:
    behaviour.check_large_page(example, large)


def test_errors_have_their_details(example: behaviour.Example, servers: Servers) -> None:
    behaviour.check_error_details(example, servers, "InvalidArgument")
    behaviour.check_filter_error_path(example, servers)


def test_mutual_tls(example: behaviour.Example, servers: Servers) -> None:
    behaviour.check_mutual_tls(example, servers)


@pytest.mark.parametrize("what", behaviour.REFUSED)
def test_mutual_tls_refuses(example: behaviour.Example, servers: Servers, what: str) -> None:
    behaviour.check_refused(example, servers, what, "Unavailable")


def test_every_method_and_every_error(program: str, every_flags: Mapping[str, str]) -> None:
    every.check_every_call(behaviour.example([program, "every"], "-"), every_flags)
