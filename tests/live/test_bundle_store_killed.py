"""Compaction whose process is killed at every failpoint, and at random moments.

By default, the tests kill four processes at each failpoint; `TEST_KILLS=100` sets a hundred. These
processes have no models. `tests/server/test_killed.py` kills whole servers.
"""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from base.failpoints import NAMES, VARIABLE
from live import bundle_store
from live.bundle_store import State
from live.log.reading import FILE, MARK
from live.log.write_ahead_log import Write, WriteLog
from search import bundle
from search.bundle import BundleError, Manifest
from tests.live.bundle_store_model import changed, compact, current, fill, verified, write_root
from tests.live.log.model import Model, compare, random_batches

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("TEST_KILLS", "4"))  # kills per failpoint
COMPACTION = {name for name in NAMES if name.startswith("compaction.")}
# With every seed, the program calls each failpoint at least this often.
MOST_PASSAGES = 5
MANY = 10_000  # batches: more than the program can write before it is killed


class Shop:
    """A state directory, its root bundle, and a model of its log."""

    def __init__(self, directory: Path) -> None:
        self.state = directory / "state"
        self.root = directory / "root"
        self.bundles = self.state / bundle_store.BUNDLES
        self.model = Model()
        self.given = write_root(self.root)

    def start(self, seed: int, failpoint: str | None, *count: int) -> subprocess.Popen[str]:
        """Start the program that writes and compacts."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        environment.pop(VARIABLE, None)
        if failpoint is not None:
            environment[VARIABLE] = failpoint
        program = (sys.executable, "-m", "tests.live.bundle_store_model")
        arguments = (self.state, self.root, seed, *count)
        return subprocess.Popen(
            [*program, *map(str, arguments)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )

    def examine(self, seed: int, output: str, *, and_compact: bool) -> None:
        """Compare the files of a killed process with the answers that it printed; write more."""
        modules, *lines = output.splitlines()
        assert json.loads(modules) == []
        told = [line for line in lines if "compacted" not in line]
        done = [json.loads(line)["compacted"] for line in lines if "compacted" in line]
        for directory in bundle_store.finished(self.bundles):
            # A directory has the name of a bundle only if its files are complete.
            bundle.verify(directory)
        self._holds(done)
        compare(self.state, self.model, told, list(random_batches(seed, len(told) + 1)))
        self._holds(done)
        if and_compact:
            with WriteLog.open(self.state) as log:
                placed = compact(log, self.root, self.bundles)
                sequence = log.sequence
            assert list(self.bundles.iterdir()) == [placed]
            self._holds([sequence])

    def _holds(self, compacted: list[int]) -> None:
        with WriteLog.open(self.state) as log:
            newest, items = current(log, self.root, self.bundles)
            assert items == changed(self.given, log.changes())
            known = changed(self.given, self.model.changes)
            if log.sequence == len(self.model.requests):
                assert items == known
            if compacted:
                assert bundle_store.included(Manifest.read(newest), log.id) >= compacted[-1]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.mark.parametrize("name", sorted(COMPACTION))
@pytest.mark.slow
def test_a_kill_at_a_failpoint_leaves_complete_bundles_and_all_acknowledged_writes(
    name: str, shop: Shop
):
    for seed in range(KILLS):
        passage = random.Random(f"{name} {seed}").randint(1, MOST_PASSAGES)
        with shop.start(seed, f"{name}:{passage}") as process:
            output, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL, f"seed {seed} was not killed"
        shop.examine(seed, output, and_compact=seed % 2 == 0)


def test_a_kill_at_any_moment_leaves_complete_bundles_and_all_acknowledged_writes(shop: Shop):
    chance = random.Random(0)
    for seed in range(KILLS):
        with shop.start(seed, None, MANY) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(chance.randint(2, 60))]
            try:
                process.wait(timeout=chance.uniform(0, 0.02))
            except subprocess.TimeoutExpired:
                process.kill()
            output, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL
        shop.examine(seed, "".join([*lines, output]), and_compact=seed % 2 == 0)


# ---- which bundle a start begins with


def write(log: WriteLog, number: int) -> None:
    log.append([Write(f"r{number}", "item 1", {"title": f"title of {number}"})])


def test_a_damaged_bundle_is_passed_over(shop: Shop, caplog: pytest.LogCaptureFixture):
    with WriteLog.open(shop.state) as log:
        write(log, 1)
        placed = compact(log, shop.root, shop.bundles)
        assert current(log, shop.root, shop.bundles)[0] == placed
        expected = current(log, shop.root, shop.bundles)[1]
        (placed / "items.json").write_text("{}")
        assert current(log, shop.root, shop.bundles) == (shop.root, expected)
    reason = f"'bundle {placed} is damaged: items.json"
    assert f"bundle passed over: path={placed} reason={reason}" in caplog.text


def test_the_same_writes_compacted_twice_never_touch_the_bundle_in_use(shop: Shop):
    with WriteLog.open(shop.state) as log:
        write(log, 1)
        state = State(log.id, log.sequence)
        first = compact(log, shop.root, shop.bundles)
        here: list[bool] = []

        def fill(directory: Path) -> None:
            here.append(first.is_dir())

        second, _ = bundle_store.add(shop.bundles, state, fill)
        assert here == [True]
        assert first.is_dir()
        assert second != first


def test_a_start_ignores_bundles_of_another_root(shop: Shop, tmp_path: Path):
    other = tmp_path / "other"
    write_root(other)
    (other / "more").touch()
    manifest = Manifest.read(other)
    manifest.with_files(bundle.list_files(other)).write(other)
    with WriteLog.open(shop.state) as log:
        write(log, 1)
        placed = compact(log, shop.root, shop.bundles)
        state = State(log.id, log.sequence)
        assert bundle_store.newest(shop.root, [placed], state, verified) == placed
        assert bundle_store.newest(other, [placed], state, verified) == other


def test_a_bundle_with_writes_that_the_log_lost_is_refused(shop: Shop, tmp_path: Path):
    # New writes would get the sequence numbers of the lost writes, and the bundle would then seem
    # to include them.
    with WriteLog.open(shop.state) as log:
        write(log, 1)
        placed = compact(log, shop.root, shop.bundles)
    other = tmp_path / "other"
    write_root(other)
    for root in (shop.root, other, placed):
        with pytest.raises(BundleError, match="up to 1, and the log ends at 0: it lost writes"):
            bundle_store.newest(root, [placed], State(log.id, 0), verified)


def test_a_lost_log_is_refused_and_its_bundles_stay(shop: Shop):
    with WriteLog.open(shop.state) as log:
        write(log, 1)
        placed = compact(log, shop.root, shop.bundles)
    (shop.state / FILE).unlink()
    (shop.state / MARK).unlink()
    with WriteLog.open(shop.state) as log:
        state = State(log.id, log.sequence)
        with pytest.raises(BundleError, match=r"has writes of another log.*restore the log"):
            bundle_store.newest(shop.root, [placed], state, verified)
        # A bundle of the new log does not remove the last copy of the lost writes.
        other, _ = bundle_store.add(shop.bundles, state, lambda new: fill(new, {}, state, None))
        bundle_store.remove_others(shop.bundles, keep=other)
    assert sorted(bundle_store.finished(shop.bundles)) == sorted([placed, other])


def test_only_files_of_compaction_are_removed(shop: Shop):
    mine: list[Any] = [shop.bundles / name for name in ("000000000001", "notes", ".notes.new")]
    for directory in mine:
        directory.mkdir(parents=True)
    left = [".000000000001-0123abcd.new", ".000000000001-0123abcd.old", "000000000001-0123abcd"]
    for name in left:
        (shop.bundles / name).mkdir()
    with WriteLog.open(shop.state) as log:
        write(log, 1)
        placed = compact(log, shop.root, shop.bundles)
    assert sorted(shop.bundles.iterdir()) == sorted([*mine, placed])
