"""The Python client as users install it: from its wheel, in a new virtual environment."""

import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients import behaviour, every, tools
from tests.clients.conftest import Servers

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
    """The Python of a virtual environment with the wheel and its dependencies.

    Dependencies come from the cache of uv if it has all of them.
    """
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


def test_every_method_and_every_error(python: Path, every_flags: Mapping[str, str]) -> None:
    program = [str(python), "-W", "error", str(tools.CLIENTS / "python" / "every.py")]
    every.check_every_call(behaviour.example(program, "--"), every_flags)


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
    assert {"shortlist/py.typed", "shortlist/LICENSE", "shortlist/aio/people.py"} <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"shortlist", "shortlist_client"}


def test_both_projects_agree() -> None:
    def project(path: Path) -> dict[str, object]:
        return tomllib.loads((path / "pyproject.toml").read_text("utf-8"))["project"]

    whole, alone = project(tools.ROOT), project(PROTOS)
    for key in ("version", "requires-python", "license"):
        assert whole[key] == alone[key]
    assert set(alone["dependencies"]) <= set(whole["dependencies"])
