"""Imports: a package imports only packages of lower floors, and its modules form no circle.

A floor is a set of packages that do not import each other. A room is a module or sub-package that
lies directly in a package.
"""

import ast
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# The floors, from the lowest to the highest. The package `shortlist` is in protos/.
FLOORS = (
    {"shortlist", "base"},
    {"catalog"},
    {"bert", "lexical", "demo", "behaviour"},
    {"towers", "rerank"},
    {"search"},
    {"live"},
    {"train", "server"},
    {"commands"},
)
FLOOR_OF = {package: floor for floor, packages in enumerate(FLOORS) for package in packages}
# Third-party modules that a package and all packages below it must not import.
BANNED: Mapping[str, frozenset[str]] = {
    "server": frozenset({"optax", "orbax", "grain"}),
    "train": frozenset({"grpc", "grpc_health", "grpc_reflection", "grpc_status"}),
    "search": frozenset({"grpc", "grpc_health", "grpc_reflection", "grpc_status", "optax"}),
    "base": frozenset({"jax", "flax", "optax", "grpc"}),
    "catalog": frozenset({"jax", "flax", "optax", "grpc"}),
    "behaviour": frozenset({"jax", "flax", "optax", "grpc"}),
    "live": frozenset({"grpc", "grpc_health", "grpc_reflection", "grpc_status", "optax"}),
    "shortlist": frozenset({"jax", "jaxlib", "flax", "optax", "numpy"}),
}
# Only training reads models with `transformers`; serving needs `tokenizers` alone.
READS_MODELS = {"train"}
# Only these packages may import `shortlist`, the contract, although it is on the lowest floor.
USES_CONTRACT = {"shortlist", "server"}


def imported(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Yield the line and full name of every import of a module, including imports in functions."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names)
            case ast.ImportFrom(module=module, level=0) if module:
                yield node.lineno, module
            case ast.ImportFrom(module=module, level=level):
                yield node.lineno, f"{package}.{module or ''}" if level == 1 else "."
            case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]) if ast.unparse(
                function
            ) in ("importlib.import_module", "import_module", "__import__"):
                yield node.lineno, name


def complaints(path: str, source: str) -> list[str]:
    """Return a message for each forbidden import of a module; `path` is relative to ROOT."""
    package = path.removeprefix("protos/").split("/")[0]
    found = []
    for line, name in imported(source, package):
        other = name.split(".")[0]
        below = FLOOR_OF.get(other, -1) < FLOOR_OF[package]
        allowed = (below or other == package) and (other != "shortlist" or package in USES_CONTRACT)
        banned = BANNED.get(package, frozenset()) | {"tests", ""}
        if package not in READS_MODELS:
            banned |= {"transformers"}
        if not allowed or other in banned:
            found.append(f"{path}:{line} imports {name}")
    return found


def modules() -> list[str]:
    """Return the path of every Python module of the packages that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    inside = [path for path in listed if path.removeprefix("protos/").split("/")[0] in FLOOR_OF]
    return [path for path in inside if (ROOT / path).is_file()]


def test_every_module_imports_from_floors_below_its_own_alone():
    paths = modules()
    assert {path.removeprefix("protos/").split("/")[0] for path in paths} == set(FLOOR_OF)
    found = [line for path in paths for line in complaints(path, (ROOT / path).read_text())]
    assert found == []


def rooms(package: str, sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Return, for each room of a package, the other rooms that it imports."""

    def room(module: str) -> str:
        return ".".join(module.split(".")[:2])

    known = {
        path.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for path in sources
    }
    graph: dict[str, set[str]] = {}
    for path, source in sources.items():
        own = room(path.removesuffix(".py").replace("/", "."))
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{name.name}" for name in node.names]
                names = [name if name in known else node.module for name in names]
            elif isinstance(node, ast.Import):
                names = [name.name for name in node.names]
            else:
                continue
            inside = {room(name) for name in names if name.startswith(f"{package}.")}
            graph.setdefault(own, set()).update(inside - {own})
    return graph


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the rooms that import themselves through others, and the rooms that import these."""
    left = {room: set(others) for room, others in graph.items()}
    while free := [room for room, others in left.items() if not others & left.keys()]:
        for room in free:
            del left[room]
    return sorted(left)


@pytest.mark.parametrize("package", sorted(FLOOR_OF))
def test_the_rooms_of_a_package_form_no_circle(package):
    paths = [p for p in modules() if p.removeprefix("protos/").split("/")[0] == package]
    sources = {path.removeprefix("protos/"): (ROOT / path).read_text() for path in paths}
    assert circle(rooms(package, sources)) == []


def test_a_circle_of_rooms_is_found():
    sources = {
        "search/engine.py": "from search.pipeline import page",
        "search/pipeline/page.py": "from search.runtime.cache import Cache",
        "search/runtime/cache.py": "def f():\n    import search.pipeline.page",
    }
    assert circle(rooms("search", sources)) == [
        "search.engine",
        "search.pipeline",
        "search.runtime",
    ]
    del sources["search/runtime/cache.py"]
    assert circle(rooms("search", sources)) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("towers/model.py", "from rerank.model import Reranker"),
        ("rerank/scorer.py", "import towers.index as index"),
        ("bert/model.py", "import lexical"),
        ("catalog/store.py", "from bert import model"),
        ("catalog/store.py", "import shortlist.client"),
        ("server/worker_pool.py", "def load():\n    from train import fit\n"),
        ("server/worker_pool.py", "import optax.losses"),
        (
            "server/worker_pool.py",
            "if True:\n    import importlib\n    importlib.import_module('train.loop.fit')",
        ),
        ("train/loop/fit.py", "from server.service import Service"),
        ("train/loop/fit.py", "import grpc"),
        ("train/cli/main.py", "from commands.main import main"),
        ("search/engine.py", "from grpc import aio"),
        ("search/engine.py", "import optax"),
        ("search/engine.py", "from shortlist.v1 import item_pb2"),
        ("protos/shortlist/requests.py", "import jax.numpy as jnp"),
        ("protos/shortlist/requests.py", "from catalog.schema import Item"),
        ("towers/model.py", "from ..rerank import model"),
        ("bert/model.py", "from tests import tiny"),
        ("bert/params.py", "def read():\n    from transformers import AutoConfig"),
        ("server/service.py", "import transformers"),
    ],
)
def test_an_import_from_the_wrong_floor_is_found(path, source):
    assert len(complaints(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("server/service.py", "import grpc\nfrom search.engine import Engine\nimport asyncio"),
        (
            "train/loop/fit.py",
            "import optax\nfrom towers.model import Towers\nfrom . import metrics",
        ),
        ("rerank/model.py", "from rerank.features import FEATURES\nfrom base import errors"),
        ("protos/shortlist/requests.py", "import grpc\nfrom shortlist.v1 import item_pb2"),
    ],
)
def test_imports_from_below_and_beside_are_fine(path, source):
    assert complaints(path, source) == []
