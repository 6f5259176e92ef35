"""The TypeScript example: generated, compiled and run against real servers."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients import behaviour, every, tools
from tests.clients.conftest import Servers

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the compiled programs."""
    tools.need("node", "node", "npm")
    modules = tools.npm_packages()
    directory = tmp_path_factory.mktemp("node")
    shutil.copytree(
        tools.CLIENTS / "node",
        directory,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("node_modules", "build", "gen"),
    )
    (directory / "node_modules").symlink_to(modules)
    tools.generate("node", directory / "src" / "gen", {"NODE_MODULES": str(modules)})
    tools.run(["node", modules / "typescript" / "bin" / "tsc"], directory)
    return directory / "build"


@pytest.fixture(scope="module")
def example(build: Path) -> behaviour.Example:
    return behaviour.example(["node", str(build / "search.js")], "--")


def test_search_with_a_filter(example: behaviour.Example, servers: Servers) -> None:
    behaviour.check_search_with_filter(example, servers)


def test_both_messages_of_a_streamed_search(example: behaviour.Example, servers: Servers) -> None:
    behaviour.check_stream_with_filter(example, servers)


def test_an_answer_of_more_than_4_mib(example: behaviour.Example, large: str) -> None:
    behaviour.check_large_page(example, large)


def test_errors_have_their_details(example: behaviour.Example, servers: Servers) -> None:
    behaviour.check_error_details(example, servers, "INVALID_ARGUMENT")
    behaviour.check_filter_error_path(example, servers)


def test_mutual_tls(example: behaviour.Example, servers: Servers) -> None:
    behaviour.check_mutual_tls(example, servers)


@pytest.mark.parametrize("what", behaviour.REFUSED)
def test_mutual_tls_refuses(example: behaviour.Example, servers: Servers, what: str) -> None:
    behaviour.check_refused(example, servers, what, "UNAVAILABLE")


def test_every_method_and_every_error(build: Path, every_flags: Mapping[str, str]) -> None:
    every.check_every_call(behaviour.example(["node", str(build / "every.js")], "--"), every_flags)


def test_versions_are_exact_and_no_registry_is_named() -> None:
    text = (tools.CLIENTS / "node" / "package.json").read_text("utf-8")
    assert "://" not in text
    assert not [line for line in text.splitlines() if "^" in line or "~" in line]
    assert not list(Path(tools.CLIENTS).rglob("package-lock.json"))
