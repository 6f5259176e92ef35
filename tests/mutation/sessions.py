"""The mutants of a module, and the results of tests on them, in a resumable Cosmic Ray session."""

import ast
import difflib
import hashlib
import random
import re
import tomllib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cosmic_ray.commands
from cosmic_ray.mutating import mutate_code, use_mutation
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult

from tests.mutation.runner import Runner

HERE = Path(__file__).parent
SAMPLE, SEED = 100, 0  # number of mutants of a module, and the seed with which they are drawn
# Operators of Cosmic Ray that are left out. Most operands do not support the new binary operators,
# and the exception that replaces another is not defined, so every test that runs the line kills the
# mutant. Identity and equality are the same for most operands, so no test can kill the mutant.
LEFT_OUT = re.compile(
    r"core/ReplaceBinaryOperator_\w+_(Pow|LShift|RShift|BitXor|Mod|FloorDiv)"
    r"|core/ReplaceBinaryOperator_(Add|Sub|Mul|Div)_(BitOr|BitAnd)"
    r"|core/ExceptionReplacer"
    r"|core/ReplaceComparisonOperator_(Eq_Is|Is_Eq|NotEq_IsNot|IsNot_NotEq)"
)


@dataclass(frozen=True)
class Module:
    """One table of `modules.toml`."""

    name: str
    files: tuple[str, ...]  # the files that are mutated
    tests: tuple[str, ...]  # the test files that run on every mutant

    @classmethod
    def all(cls) -> "dict[str, Module]":
        """Read `modules.toml`."""
        tables = tomllib.loads((HERE / "modules.toml").read_text())
        return {
            name: cls(name, tuple(table["files"]), tuple(table["tests"]))
            for name, table in tables.items()
        }


@dataclass(frozen=True, order=True)
class Mutant:
    """A changed line of a file, both without spaces, because a mutation may add spaces."""

    file: str
    line: str
    mutated: str

    @classmethod
    def of(cls, file: str, line: str, mutated: str) -> "Mutant":
        """Remove the spaces."""
        return cls(file, "".join(line.split()), "".join(mutated.split()))


def equivalent_mutants() -> set[Mutant]:
    """Read `equivalent.toml`."""
    entries = tomllib.loads((HERE / "equivalent.toml").read_text())["equivalent"]
    return {
        Mutant.of(entry["file"], entry["line"], mutated)
        for entry in entries
        for mutated in entry["mutants"]
    }


@dataclass(frozen=True)
class Outcome:
    """A mutant, and what the tests say about it."""

    mutant: Mutant
    is_killed: bool
    how: str  # "failed", "passed" or "out of time"


@dataclass(frozen=True)
class Session:
    """A sample of the mutants of a module, with the outcomes so far."""

    module: Module
    path: Path

    @classmethod
    def open(cls, module: Module, tree: Path, directory: Path) -> "Session":
        """Open the session of a module; start a new one if the module or this file has changed."""
        files = [tree / file for file in module.files]
        inputs = b"\0".join(file.read_bytes() for file in (*files, Path(__file__)))
        digest = hashlib.sha256(inputs).hexdigest()[:8]
        path = directory / f"{module.name}-{digest}.sqlite"
        for old in set(directory.glob(f"{module.name}-*.sqlite")) - {path}:
            old.unlink()
        is_new = not path.exists()
        with use_db(path) as database:
            if is_new:
                cosmic_ray.commands.init(files, database, {})
                sample = _sample(database.work_items)
                database.clear()
                database.add_work_items(sample)
        return cls(module, path)

    def run(self, runner: Runner, equivalent: set[Mutant]) -> Iterator[Outcome]:
        """Run the tests on every mutant that has no outcome, or that survived an earlier run."""
        with use_db(self.path, WorkDB.Mode.open) as database:
            results = {work.job_id: result for work, result in database.completed_work_items}
            for work in database.work_items:
                result = results.get(work.job_id)
                if result is not None and (
                    result.is_killed or _outcome(result).mutant in equivalent
                ):
                    continue
                result = _test(work.mutations[0], runner, self.module)
                database.set_result(work.job_id, result)
                yield _outcome(result)

    def outcomes(self) -> list[Outcome]:
        """Return the outcomes so far."""
        with use_db(self.path, WorkDB.Mode.open) as database:
            return [_outcome(result) for _, result in database.completed_work_items]


def _test(mutation: MutationSpec, runner: Runner, module: Module) -> WorkResult:
    """Run the tests of a module on a mutant."""
    with use_mutation(mutation.module_path, _operator(mutation), mutation.occurrence) as (
        before,
        after,
    ):
        code = runner.run(module.tests)
    changes = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    line, mutated = ("".join(x[2:] for x in changes if x.startswith(sign)) for sign in "-+")
    file = next(file for file in module.files if mutation.module_path.match(file))
    return WorkResult(
        WorkerOutcome.NORMAL,
        output={0: "passed", None: "out of time"}.get(code, "failed"),
        test_outcome=TestOutcome.KILLED if code else TestOutcome.SURVIVED,
        diff="\n".join((file, line, mutated)),
    )


def _outcome(result: WorkResult) -> Outcome:
    return Outcome(Mutant.of(*result.diff.split("\n")), result.is_killed, result.output)


def _sample(items: Sequence[WorkItem]) -> list[WorkItem]:
    """Draw a sample of the mutants that are Python and change more than a type."""
    types = {file: list(_types(file)) for file in {item.mutations[0].module_path for item in items}}
    mutants = [
        item
        for item in sorted(items, key=lambda item: _key(item.mutations[0]))
        if not LEFT_OUT.fullmatch(item.mutations[0].operator_name)
        and not _is_type(item.mutations[0], types)
    ]
    random.Random(SEED).shuffle(mutants)
    return list(islice((item for item in mutants if _is_python(item.mutations[0])), SAMPLE))


def _key(mutation: MutationSpec) -> tuple[str, str, int]:
    return str(mutation.module_path), mutation.operator_name, mutation.occurrence


def _is_python(mutation: MutationSpec) -> bool:
    source = mutation.module_path.read_text(encoding="utf-8")
    mutated = mutate_code(source, _operator(mutation), mutation.occurrence)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the tests refuse warnings, too
        try:
            compile(mutated, mutation.module_path, "exec")
        except SyntaxError:
            return False
    return True


def _operator(mutation: MutationSpec) -> Operator:
    operator: Operator = get_operator(mutation.operator_name)(**mutation.operator_args)
    return operator


def _is_type(mutation: MutationSpec, types: dict[Path, list[ast.expr]]) -> bool:
    return any(
        (node.lineno, node.col_offset) <= tuple(mutation.start_pos)
        and tuple(mutation.end_pos) <= (node.end_lineno or 0, node.end_col_offset or 0)
        for node in types[mutation.module_path]
    )


def _types(file: Path) -> Iterator[ast.expr]:
    """Find the annotations and type aliases of a file, whose mutants cannot be imported."""
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.AnnAssign(annotation=ast.Name(id="TypeAlias"), value=ast.expr() as alias):
                yield alias
            case (
                ast.AnnAssign(annotation=annotation) | ast.arg(annotation=ast.expr() as annotation)
            ):
                yield annotation
            case ast.FunctionDef(returns=ast.expr() as annotation):
                yield annotation
