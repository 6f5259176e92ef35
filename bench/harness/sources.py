"""The code that a measurement depends on, as a digest that ignores comments and docstrings."""

import ast
import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Modules that make the inputs of all contestants. Modules that only these two import do not count,
# because they do not change what is timed. An example is the code that reads datasets.
_INPUTS = ("bench.harness.inputs", "bench.index.vectors")


def digest(*modules: str, root: Path = ROOT) -> str:
    """Return a short hash of the code of modules and of all modules that they import."""
    result = hashlib.sha256()
    for file in files(*modules, root=root):
        result.update(f"{file.relative_to(root)}\n{_code(file)}\n".encode())
    return result.hexdigest()[:12]


def files(*modules: str, root: Path = ROOT) -> list[Path]:
    """Return the files of modules and of all modules of the repository that they import, sorted.

    Imports inside functions count, too.
    """
    found, waiting = dict[str, Path](), list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or (file := _file(name, root)) is None:
            continue
        found[name] = file
        if name not in _INPUTS:
            waiting += [name.rpartition(".")[0], *_imports(ast.parse(file.read_text("utf-8")))]
    return sorted(found.values())


def commit(sources: list[Path], root: Path = ROOT) -> str:
    """Return the short name of the current commit; `+` follows if a source differs from it."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(  # noqa: S603 - git with our arguments
            command, cwd=root, check=True, capture_output=True, text=True
        ).stdout

    try:
        name = git("rev-parse", "--short", "HEAD").strip()
        changes = git("status", "--porcelain", "--", *map(str, sources))
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name + ("+" if changes else "")


def _file(module: str, root: Path) -> Path | None:
    """Return the file of a module of the repository; None if the module is not in it."""
    path = Path(*module.split("."))
    for directory in (root, root / "protos"):
        for file in (directory / path / "__init__.py", directory / f"{path}.py"):
            if module and file.is_file():
                return file
    return None


def _imports(tree: ast.Module) -> Iterator[str]:
    """Yield the names of imported modules, and of imported members, which may be modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def _code(file: Path) -> str:
    """Return the code of a file without comments and docstrings."""
    tree = ast.parse(file.read_text("utf-8"))
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.dump(tree)
