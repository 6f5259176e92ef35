"""The TypeScript example, generated, compiled and run against real servers."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients import behaviour, every, tools
from tests.clients.conftest import Shop


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


def test_search_with_a_filter(example: behaviour.Example, shop: Shop) -> None:
    behaviour.searches_with_a_filter(example, shop)


def test_both_answers_of_a_streamed_search(example: behaviour.Example, shop: Shop) -> None:
    behaviour.streams_with_a_filter(example, shop)


def test_errors_have_their_details(example: behaviour.Example, shop: Shop) -> None:
    behaviour.decodes_errors(example, shop, "INVALID_ARGUMENT")
    behaviour.names_a_filters_place(example, shop)


def test_mutual_tls(example: behaviour.Example, shop: Shop) -> None:
    behaviour.speaks_mutual_tls(example, shop)


@pytest.mark.parametrize("what", behaviour.REFUSED)
def test_mutual_tls_refuses(example: behaviour.Example, shop: Shop, what: str) -> None:
    behaviour.is_refused(example, shop, what, "UNAVAILABLE")


def test_every_method_and_every_error(build: Path, everything: Mapping[str, str]) -> None:
    every.asks_everything(behaviour.example(["node", str(build / "every.js")], "--"), everything)


def test_versions_are_exact_and_no_registry_is_named() -> None:
    text = (tools.CLIENTS / "node" / "package.json").read_text("utf-8")
    assert "://" not in text
    assert not [line for line in text.splitlines() if "^" in line or "~" in line]
    assert not list(Path(tools.CLIENTS).rglob("package-lock.json"))
