"""`python -m server check` on valid and damaged bundles and state directories."""

import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path

import pytest

from behaviour.log import format as events
from behaviour.log.event_log import EventLog
from bert.numerics import choose_numerics
from live import bundle_store
from live.catalogue import LiveCatalogue
from live.config import LiveConfig
from live.log.reading import FILE, MARK
from live.log.write_ahead_log import Write, WriteLog
from search.bundle import Manifest
from search.bundle import manifest as bundle
from search.engine import Engine
from search.engine_handle import EngineHandle
from server.__main__ import main
from server.cli.check import CheckConfig
from server.cli.check import check as run_check
from server.config import ServerConfig
from tests.behaviour.examples import random_events
from tests.server.conftest import Running
from tests.tiny import tiny_items, write_bundle
from towers.index import IndexConfig
from towers.vectors import VECTORS_FILE

Check = Callable[..., tuple[int, str, str]]
Serving = Callable[[ServerConfig], AbstractContextManager[Running]]


@pytest.fixture
def check(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    """Return a function that checks a bundle and returns the exit code, stdout and stderr."""

    def run(*more: object, root: Path = tiny_bundle) -> tuple[int, str, str]:
        code = main(["check", "--bundle", str(root), *map(str, more)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def compacted(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory whose bundle includes two writes. Later writes changed two more items."""
    state = tmp_path_factory.mktemp("compacted") / "state"
    log = WriteLog.open(state)
    engine_handle = EngineHandle(Engine.load(tiny_bundle))
    never = LiveConfig(compact_from=1_000_000)
    live = LiveCatalogue(engine_handle, log, state / bundle_store.BUNDLES, never)
    live.write(Write("a", tiny_items()[0].item_id, None)).result(30)
    live.write(Write("b", tiny_items()[1].item_id, {"price": 2.0}, whole=False)).result(30)
    live.compact()
    for number in range(3):
        name = tiny_items()[2 + number // 2].item_id
        live.write(Write(f"c{number}", name, {"price": 1.0 + number}, whole=False)).result(30)
    live.close()
    return state


@pytest.fixture
def state(compacted: Path, tmp_path: Path) -> Path:
    """A copy of the state directory, which a test may damage."""
    return shutil.copytree(compacted, tmp_path / "state")


def contents(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_sound_bundle_and_state_are_described_and_left_as_they_are(
    check: Check, state: Path, tiny_bundle: Path
) -> None:
    before = contents(state)
    code, said, complaints = check("--state", state)
    assert (code, complaints) == (0, "")
    [built] = bundle_store.finished(state / bundle_store.BUNDLES)
    of = Manifest.read(tiny_bundle).bundle_id
    assert said.splitlines() == [
        f"bundle {tiny_bundle}: valid, {of}, 48 items, answers its golden queries",
        f"log {Manifest.read(built).state['log']}: valid, 5 writes, 4 items written, 0 curations",
        f"{built}: valid, all writes up to 2",
        f"a start begins with {built}, and takes 2 items from the log, written in 3 writes after 2",
    ]
    assert contents(state) == before


@pytest.mark.parametrize("quick", [False, True])
def test_the_files_of_every_bundle_are_read_once(
    state: Path, tiny_bundle: Path, *, quick: bool
) -> None:
    verified = list[Path]()

    def verify(directory: Path) -> Manifest:
        verified.append(directory)
        return bundle.verify(directory)

    run_check(CheckConfig(tiny_bundle, state, quick), verify)
    [built] = bundle_store.finished(state / bundle_store.BUNDLES)
    assert verified == [tiny_bundle, built]


def test_a_new_state_directory_is_sound_and_a_missing_one_is_not(
    check: Check, tmp_path: Path, tiny_bundle: Path
) -> None:
    code, said, _ = check("--state", tmp_path, "--quick")
    assert code == 0
    assert "golden queries skipped" in said
    assert f"log: none in {tmp_path} yet" in said
    assert f"a start begins with {tiny_bundle}, and takes 0 items" in said
    code, _, complaints = check("--state", tmp_path / "nowhere", "--quick")
    assert (code, complaints) == (2, f"error: --state {tmp_path / 'nowhere'}: no such directory\n")


def test_a_damaged_bundle_is_named_with_its_file(check: Check, tiny_bundle: Path, tmp_path: Path):
    damaged = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    (damaged / bundle.ITEMS).write_bytes(b"nothing")
    code, said, complaints = check("--quick", root=damaged)
    assert (code, said) == (2, "")
    assert "items.parquet has 7 bytes" in complaints
    code, _, complaints = check(root=tmp_path / "nowhere")
    assert code == 2
    assert "nowhere is not a directory" in complaints


def test_a_bundle_of_bfloat16_vectors_is_checked_as_any_other(check: Check, tmp_path: Path) -> None:
    root = tmp_path / "bundle"
    index = IndexConfig(vectors="bfloat16")
    write_bundle(root, tiny_items()[:9], choose_numerics(), index=index)
    code, said, _ = check(root=root)
    assert code == 0
    assert "valid" in said
    assert "answers its golden queries" in said
    vectors = root / bundle.INDEX / VECTORS_FILE
    vectors.write_bytes(vectors.read_bytes()[:-1] + b"?")
    code, _, complaints = check("--quick", root=root)
    assert code == 2
    assert "vectors.npy" in complaints


def test_a_bundle_that_answers_otherwise_is_found_unless_it_is_not_asked(
    check: Check, tiny_bundle: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    golden = other / bundle.GOLDEN
    golden.write_text(re.sub(r'"(Ch|Ca)-', r'"X\1-', golden.read_text()))
    manifest = Manifest.read(other)
    manifest.with_files(bundle.list_files(other)).write(other)
    code, _, complaints = check(root=other)
    assert code == 2
    assert "golden.jsonl line 1: only 0 of 10 results" in complaints
    assert check("--quick", root=other)[0] == 0


def test_a_damaged_compacted_bundle_is_named_and_passed_over(
    check: Check, state: Path, tiny_bundle: Path
) -> None:
    [built] = bundle_store.finished(state / bundle_store.BUNDLES)
    (built / bundle.ITEMS).unlink()
    code, said, complaints = check("--state", state, "--quick")
    assert code == 2
    assert complaints == f"error: bundle {built} is damaged: items.parquet is missing\n"
    assert f"a start skips {built}" in said
    assert f"a start begins with {tiny_bundle}, and takes 4 items" in said


@pytest.mark.parametrize(
    "damage", ["UPDATE items SET fields = '{]' WHERE sequence = 5", "DELETE FROM items"]
)
def test_a_damaged_log_is_named_and_so_is_the_bundle_beside_it(
    check: Check, state: Path, tmp_path: Path, damage: str
) -> None:
    with closing(sqlite3.connect(state / FILE)) as connection:
        connection.execute(damage)
        connection.commit()
    code, _, complaints = check("--state", state, "--quick", root=tmp_path)
    assert code == 2
    first, second = complaints.splitlines()
    assert first.startswith(f"error: {tmp_path} has no manifest.json")
    assert second.startswith(f"error: {state / FILE}: is damaged (")


def test_lost_writes_are_counted(check: Check, state: Path, tmp_path: Path) -> None:
    earlier = shutil.copyfile(state / FILE, tmp_path / "earlier")
    with WriteLog.open(state) as log:
        log.append([Write(f"later {n}", "lamp", {"title": "A lamp"}) for n in range(2)])
    shutil.copyfile(earlier, state / FILE)
    code, _, complaints = check("--state", state, "--quick")
    assert code == 2
    assert f"{state / FILE}: has 5 of 7 acknowledged writes (lost: 2)" in complaints
    (state / MARK).unlink()
    code, said, _ = check("--state", state, "--quick")
    assert code == 0
    assert f"{state / MARK}: missing, so lost writes cannot be noticed" in said


def test_orphans_and_unfinished_bundles_are_named(
    check: Check, state: Path, recall_bundle: Path
) -> None:
    bundles = state / bundle_store.BUNDLES
    [built] = bundle_store.finished(bundles)
    left = bundles / f".{built.name}.new"
    left.mkdir()
    code, said, _ = check("--state", state, "--quick", root=recall_bundle)
    assert code == 0
    assert f"{built}: valid, an orphan: it was compacted from another bundle" in said
    assert f"{left}: not finished" in said
    assert f"a start begins with {recall_bundle}, and takes 4 items" in said
    (state / FILE).unlink()
    (state / MARK).unlink()
    assert f"{built}: valid, an orphan: it belongs to another log" in check("--state", state)[1]


def test_a_state_that_a_server_uses_is_checked_beside_it(
    check: Check, state: Path, config: ServerConfig, serving: Serving
) -> None:
    with serving(replace(config, state=state)):
        code, said, _ = check("--state", state, "--quick")
    assert code == 0
    assert "takes 2 items from the log" in said


def test_the_event_log_is_checked_too(check: Check, state: Path) -> None:
    with EventLog.open(state) as log:
        log.append([random_events(0, 12)])
        code, said, complaints = check("--state", state, "--quick")
        assert (code, complaints) == (0, "")
        assert said.splitlines()[-1] == "event log: valid, 12 events"
    file = state / events.DIRECTORY / events.FILE
    file.write_bytes(file.read_bytes()[:5_000])
    code, _, complaints = check("--state", state, "--quick")
    assert code == 2
    assert complaints.startswith(f"error: {file}: is damaged")
