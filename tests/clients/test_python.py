"""The Python client as its users have it: its wheel in an environment with nothing else."""

import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients import behaviour, every, tools
from tests.clients.conftest import Shop

PROTOS = tools.ROOT / "protos"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory]
    tools.run(command, PROTOS)
    [wheel] = directory.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what it asks for, from what is already downloaded."""
    environment = tmp_path_factory.mktemp("environment") / "venv"
    uv = Path(sys.executable).with_name("uv")
    tools.run([uv, "venv", "--python", sys.executable, environment], tools.ROOT)
    python = environment / "bin" / "python"
    install = [uv, "pip", "install", "--python", python, "-c", tools.ROOT / "requirements.txt"]
    install = [str(word) for word in (*install, wheel)]
    cached = [*install, "--offline"]
    if subprocess.run(cached, capture_output=True, check=False).returncode != 0:
        tools.run(install, tools.ROOT)
    return python


@pytest.fixture(params=["search.py", "search_aio.py"])
def example(request: pytest.FixtureRequest, python: Path) -> behaviour.Example:
    program = tools.CLIENTS / "python" / request.param
    return behaviour.example([str(python), "-W", "error", str(program)], "--")


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


def test_every_method_and_every_error(python: Path, everything: Mapping[str, str]) -> None:
    program = [str(python), "-W", "error", str(tools.CLIENTS / "python" / "every.py")]
    every.asks_everything(behaviour.example(program, "--"), everything)


def test_only_the_client_is_installed(python: Path) -> None:
    program = (
        "import importlib.metadata as m, shortlist.client, shortlist.aio, shortlist.filters;"
        "print(*sorted(d.name.lower().replace('_', '-') for d in m.distributions()))"
    )
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = subprocess.run(
        [python, "-c", program], env=clean, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == [
        "googleapis-common-protos", "grpcio", "protobuf", "shortlist-client", "typing-extensions",
    ]  # fmt: skip


def test_the_wheel_has_the_types_the_licence_and_nothing_of_the_server(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"shortlist/py.typed", "shortlist/LICENSE", "shortlist/aio.py"} <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"shortlist", "shortlist_client"}


def test_both_projects_agree() -> None:
    def project(path: Path) -> dict[str, object]:
        return tomllib.loads((path / "pyproject.toml").read_text("utf-8"))["project"]

    whole, alone = project(tools.ROOT), project(PROTOS)
    for key in ("version", "requires-python", "license"):
        assert whole[key] == alone[key]
    assert set(alone["dependencies"]) <= set(whole["dependencies"])
