"""Who may import whom: the house's floors, kept."""

import ast
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the ground up; packages on one floor never import each other. `shortlist` is the package
# that lies in protos/.
FLOORS = (
    {"shortlist", "catalog"},
    {"bert", "lexical"},
    {"towers", "rerank"},
    {"search"},
    {"train", "server"},
)
FLOOR_OF = {package: floor for floor, packages in enumerate(FLOORS) for package in packages}
# Third-party modules that a package leaves alone, and so does all it is built from.
BANNED: Mapping[str, frozenset[str]] = {
    "server": frozenset({"optax", "orbax", "grain"}),
    "train": frozenset({"grpc", "grpc_health", "grpc_reflection", "grpc_status"}),
    "search": frozenset({"grpc", "grpc_health", "grpc_reflection", "grpc_status", "optax"}),
    "catalog": frozenset({"jax", "flax", "optax", "grpc"}),
    "shortlist": frozenset({"jax", "jaxlib", "flax", "optax", "numpy"}),
}
# The contract is the business of servers and clients alone, though its floor is below all.
NEVER = {("train", "shortlist"), ("search", "shortlist")}


def imported(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Line and full name of every import of a module, also inside functions and by name."""
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
    """What a module imports from where it may not; `path` is relative to the repository."""
    package = path.removeprefix("protos/").split("/")[0]
    found = []
    for line, name in imported(source, package):
        other = name.split(".")[0]
        below = FLOOR_OF.get(other, -1) < FLOOR_OF[package]
        allowed = (below or other == package) and (package, other) not in NEVER
        if not allowed or other in BANNED.get(package, frozenset()) or other in ("tests", ""):
            found.append(f"{path}:{line} imports {name}")
    return found


def modules() -> list[str]:
    """Every Python module of the house, as git knows them."""
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


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("towers/model.py", "from rerank.model import Reranker"),
        ("rerank/score.py", "import towers.index as index"),
        ("bert/model.py", "import lexical"),
        ("catalog/store.py", "from bert import model"),
        ("catalog/store.py", "import shortlist.client"),
        ("server/work.py", "def load():\n    from train import fit\n"),
        ("server/work.py", "import optax.losses"),
        (
            "server/work.py",
            "if True:\n    import importlib\n    importlib.import_module('train.fit')",
        ),
        ("train/fit.py", "from server.service import Service"),
        ("train/fit.py", "import grpc"),
        ("search/engine.py", "from grpc import aio"),
        ("search/engine.py", "import optax"),
        ("search/engine.py", "from shortlist.v1 import item_pb2"),
        ("protos/shortlist/client.py", "import jax.numpy as jnp"),
        ("protos/shortlist/client.py", "from catalog.schema import Item"),
        ("towers/model.py", "from ..rerank import model"),
        ("bert/model.py", "from tests import tiny"),
    ],
)
def test_an_import_from_the_wrong_floor_is_found(path, source):
    assert len(complaints(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("server/service.py", "import grpc\nfrom search.engine import Engine\nimport asyncio"),
        ("train/fit.py", "import optax\nfrom towers.model import Towers\nfrom . import metrics"),
        ("rerank/model.py", "from rerank.features import FEATURES\nfrom catalog import errors"),
        ("protos/shortlist/client.py", "import grpc\nfrom shortlist.v1 import item_pb2"),
    ],
)
def test_imports_from_below_and_beside_are_fine(path, source):
    assert complaints(path, source) == []
