"""A write log whose process is killed at every failpoint, and at random moments.

By default, the tests kill ten processes at each failpoint. `TEST_KILLS=100` sets a hundred kills
per failpoint, about a thousand in all; they take some minutes. A kill is not a power failure: the
operating system still writes all data that the process gave it.
"""

import ast
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from base.failpoints import NAMES, VARIABLE
from live.log.write_ahead_log import WriteLog
from tests.live.log.model import BATCHES, Model, compare, random_batches

ROOT = Path(__file__).parents[3]
KILLS = int(os.environ.get("TEST_KILLS", "10"))  # kills per failpoint
LOG_NAMES = sorted(name for name in NAMES if name.startswith("log."))
# With every seed, the program calls each failpoint at least this often.
MOST_PASSAGES = 5


def writer(
    directory: Path, seed: int, batches: int, failpoint: str | None
) -> subprocess.Popen[str]:
    """Start the program that writes to the log."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop(VARIABLE, None)
    if failpoint is not None:
        environment[VARIABLE] = failpoint
    return subprocess.Popen(
        [sys.executable, "-m", "tests.live.log.model", directory, str(seed), str(batches)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("name", LOG_NAMES)
def test_a_kill_at_a_failpoint_loses_no_acknowledged_write_and_splits_no_batch(
    name: str, tmp_path: Path
):
    new_each_time = name.startswith("log.create.")
    model, directory = Model(), tmp_path / "state"
    for seed in range(KILLS):
        if new_each_time:
            model, directory = Model(), tmp_path / f"state {seed}"
        passage = 1 if new_each_time else random.Random(f"{name} {seed}").randint(1, MOST_PASSAGES)
        with writer(directory, seed, BATCHES, f"{name}:{passage}") as process:
            output, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL, f"seed {seed} was not killed"
        modules, *told = output.splitlines()
        assert json.loads(modules) == []
        kept = compare(directory, model, told, list(random_batches(seed)))
        assert kept == (name == "log.after-commit")


def test_a_kill_at_any_moment_loses_no_acknowledged_write_and_splits_no_batch(tmp_path: Path):
    model, chance, many = Model(), random.Random(0), 10_000
    for seed in range(KILLS):
        with writer(tmp_path, seed, many, None) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(chance.randint(1, 100))]
            try:
                process.wait(timeout=chance.uniform(0, 0.01))
            except subprocess.TimeoutExpired:
                process.kill()
            output, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL
        told = "".join([*lines, output]).splitlines()[1:]
        compare(tmp_path, model, told, list(random_batches(seed, len(told) + 1)))


def test_a_killed_process_releases_its_lock(tmp_path: Path):
    with writer(tmp_path, 0, BATCHES, "log.before-begin") as process:
        process.communicate()
    WriteLog.open(tmp_path).close()


def calls() -> Mapping[str, list[str]]:
    """Return the names of the files that call each failpoint, by the failpoint's name."""
    found: dict[str, list[str]] = {}
    for package in (
        "base",
        "catalog",
        "behaviour",
        "lexical",
        "bert",
        "towers",
        "rerank",
        "search",
        "live",
        "train",
        "server",
    ):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                match node:
                    case ast.Call(func=ast.Name(id="failpoint"), args=[argument]):
                        assert isinstance(argument, ast.Constant), f"{path}:{node.lineno}"
                        found.setdefault(argument.value, []).append(path.name)
    return found


def test_every_failpoint_is_registered_and_in_one_place():
    found = calls()
    assert found.keys() == NAMES
    assert {name: files for name, files in found.items() if len(files) > 1} == {}


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("log.nowhere", "no failpoint 'log.nowhere'"),
        ("log.before-commit:0", "'0' is no count"),
        ("log.before-commit:", "'' is no count"),
        ("log.before-commit:x", "'x' is no count"),
    ],
)
def test_a_failpoint_that_does_not_exist_is_refused_at_once(value: str, complaint: str):
    done = subprocess.run(
        [sys.executable, "-c", "import base.failpoints"],
        cwd=ROOT,
        env={**os.environ, VARIABLE: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"InputError: {VARIABLE}: {complaint}" in done.stderr
