"""Damaged, cut and lost logs: a reader gets all acknowledged writes, or an error.

Most tests damage a copy of a log with 40 changes of curations and then 260 writes of items. The log
`closed` was closed. The process of the log `killed` was killed, so all writes of this log are in
the WAL.
"""

import random
import re
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from base.sqlite_log.high_water_mark import HighWaterMark
from live.log import reading
from live.log.curations import Action, CurationChange, CurationVersion
from live.log.reading import MARK
from live.log.write_ahead_log import FILE, Change, LogError, Write, WriteLog
from tests.live.log.model import SAW, Model

WAL = f"{FILE}-wal"
FLIPS = 300
CUTS = 40
# A partial write of an item, a deletion, and an item that is longer than a page.
KINDS = ({"price": 2.5}, None, {"title": "Saw", "description": "x" * 5_000})
NOW = datetime.now(UTC)
WRITES = [
    Write(f"request {n}", f"item {n % 120}", SAW if n % 7 else KINDS[n % 3], whole=n % 21 != 0)
    for n in range(260)
]
CHANGES = [
    CurationChange(f"change {n}", f"curation {n % 7}", Action.SET, NOW, "{}" * (n % 5 * 500 + 1))
    for n in range(40)
]
Content: TypeAlias = tuple[list[Change | CurationVersion], list[Any]]


def copy_of(directory: Path, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    return shutil.copytree(directory, to, ignore=shutil.ignore_patterns(".lock"))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("log")
    with WriteLog.open(directory / "open") as log:
        for change in CHANGES:
            log.curate(change)
        for start in range(0, len(WRITES), 5):
            log.append(WRITES[start : start + 5])
        return copy_of(directory / "open", directory / "killed")


@pytest.fixture(scope="module")
def closed(killed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = copy_of(killed, tmp_path_factory.mktemp("log") / "closed")
    WriteLog.open(directory).close()
    assert not (directory / WAL).exists()
    return directory


def opened(directory: Path) -> Content:
    """Return what a server gets from a log: all items, and the answers to repeated writes."""
    with WriteLog.open(directory) as log:
        answers = [*map(log.curate, CHANGES), *log.append(WRITES)]
        return [*log.changes(), *log.curations()], answers


def read(directory: Path) -> Content:
    """Return what a reader gets from a log."""
    log = reading.read(directory)
    return [*log.changes, *log.curations], []


def result(get: Callable[[Path], Content], directory: Path) -> Content | LogError:
    try:
        return get(directory)
    except LogError as error:
        return error


def flip(path: Path, chance: random.Random) -> str:
    """Flip a random bit of a file, and say which one."""
    content = bytearray(path.read_bytes())
    byte, bit = chance.randrange(len(content)), chance.randrange(8)
    content[byte] ^= 1 << bit
    path.write_bytes(content)
    return f"bit {bit} of byte {byte} of {path}"


@pytest.mark.parametrize(
    ("state", "names", "get"),
    [
        ("closed", (FILE,), read),
        ("closed", (FILE,), opened),
        ("killed", (FILE, WAL, WAL, WAL, MARK), read),
        ("killed", (FILE, WAL, WAL, WAL, MARK), opened),
    ],
)
def test_a_flipped_bit_is_found_or_changes_nothing_that_is_read(
    state: str,
    names: Sequence[str],
    get: Callable[[Path], Content],
    tmp_path: Path,
    request: pytest.FixtureRequest,
):
    valid: Path = request.getfixturevalue(state)
    chance, expected, found = (
        random.Random(f"{state} {get}"),
        get(copy_of(valid, tmp_path / "a")),
        0,
    )
    for _ in range(FLIPS // 4):
        directory = copy_of(valid, tmp_path / "a")
        where = flip(directory / chance.choice(names), chance)
        after = result(get, directory)
        if isinstance(after, LogError):
            found += 1
            assert str(after).startswith(str(directory)), where
            assert "\n" not in str(after), where
        else:
            assert after == expected, where
    assert found > FLIPS / 12


def lost(error: pytest.ExceptionInfo[LogError]) -> int:
    """Return how many writes a log still has, according to the error that refuses it."""
    match = re.search(r"has (\d+) of 300 acknowledged writes \(lost: (\d+)\)", str(error.value))
    assert match is not None, str(error.value)
    has, lacks = map(int, match.groups())
    assert has + lacks == len(CHANGES) + len(WRITES)
    return has


def cut(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])


def test_a_wal_that_is_cut_anywhere_says_how_many_writes_are_lost(killed: Path, tmp_path: Path):
    chance, left = random.Random(0), set()
    for _ in range(CUTS):
        directory = copy_of(killed, tmp_path / "state")
        cut(directory / WAL, chance.randrange((directory / WAL).stat().st_size))
        with pytest.raises(LogError) as said:
            reading.read(directory)
        with pytest.raises(LogError) as refused:
            WriteLog.open(directory)
        assert lost(refused) == lost(said)
        left.add(lost(said))
        # Without the mark, the log goes on with the writes that it has.
        (directory / MARK).unlink()
        with WriteLog.open(directory) as log:
            model = Model()
            model.append([*CHANGES, *WRITES][: lost(said)])
            assert (log.sequence, list(log.changes())) == (lost(said), model.changes)
            assert list(log.curations()) == model.curations
            assert [log.append([write])[0].repeated for write in WRITES[-2:]] == [False, False]
    assert len(left) > CUTS / 4


def test_a_file_that_is_cut_anywhere_is_refused(closed: Path, tmp_path: Path):
    chance = random.Random(0)
    for _ in range(CUTS):
        directory = copy_of(closed, tmp_path / "state")
        cut(directory / FILE, chance.randrange((directory / FILE).stat().st_size))
        for get in (read, WriteLog.open):
            with pytest.raises(LogError, match=r"lost: |is damaged|not a database"):
                get(directory)


def test_a_refused_log_stays_as_it_is(killed: Path, tmp_path: Path):
    directory = copy_of(killed, tmp_path / "state")
    flip(directory / WAL, random.Random(0))
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    with pytest.raises(LogError, match="lost: "):
        WriteLog.open(directory)
    assert {name: (directory / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("take_away", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_lost_log_is_not_created_anew(
    take_away: Callable[[Path], Any], killed: Path, tmp_path: Path
):
    directory = copy_of(killed, tmp_path / "state")
    take_away(directory / FILE)
    before = sorted(path.name for path in directory.iterdir())
    for get in (read, WriteLog.open):
        with pytest.raises(LogError) as refused:
            get(directory)
        assert lost(refused) == 0
        assert f"remove {directory / MARK} to go on without the lost writes" in str(refused.value)
    assert sorted({path.name for path in directory.iterdir()} - {".lock"}) == before
    (directory / MARK).unlink()
    with WriteLog.open(directory) as log:
        assert log.sequence == 0


def test_an_earlier_copy_of_a_log_and_another_log_are_refused(closed: Path, tmp_path: Path):
    state = copy_of(closed, tmp_path / "state")
    with WriteLog.open(state) as log:
        log.append([Write("later", "item", SAW)])
    shutil.copyfile(closed / FILE, state / FILE)
    with pytest.raises(LogError, match=r"has 300 of 301 acknowledged writes \(lost: 1\)"):
        WriteLog.open(state)
    with WriteLog.open(tmp_path / "other") as log:
        log.append([Write(f"later {n}", "item", SAW) for n in range(400)])
    shutil.copyfile(tmp_path / "other" / FILE, state / FILE)
    with pytest.raises(LogError, match="has 0 of 301 acknowledged writes"):
        WriteLog.open(state)
    # If no write was acknowledged, none is lost.
    WriteLog.open(tmp_path / "empty").close()
    shutil.copyfile(tmp_path / "other" / FILE, tmp_path / "empty" / FILE)
    with WriteLog.open(tmp_path / "empty") as log:
        assert log.sequence == 400


def test_the_mark_follows_the_acknowledged_writes(tmp_path: Path):
    mark = tmp_path / MARK
    with WriteLog.open(tmp_path) as log:
        assert HighWaterMark.read(mark) == HighWaterMark(log.id, 0)
        log.append([Write("a", "item", SAW), Write("b", "item", None)])
        assert HighWaterMark.read(mark) == HighWaterMark(log.id, 2)
        two = mark.read_bytes()
        log.append([Write("c", "item", SAW)])
    # A kill between the transaction and the mark leaves an earlier mark. A missing mark is made.
    for earlier in (two, b"", None):
        mark.unlink() if earlier is None else mark.write_bytes(earlier)
        with WriteLog.open(tmp_path) as log:
            assert HighWaterMark.read(mark) == HighWaterMark(log.id, 3)


@pytest.mark.parametrize("content", [b"\xff", b"3", b"3 a b", b"x a b\n", b"0 " * 50])
def test_a_damaged_mark_is_refused_and_can_be_removed(content: bytes, closed: Path, tmp_path: Path):
    directory = copy_of(closed, tmp_path / "state")
    (directory / MARK).write_bytes(content)
    for get in (read, WriteLog.open):
        with pytest.raises(LogError, match=f"^{directory / MARK}: is damaged.*remove the file"):
            get(directory)
    (directory / MARK).unlink()
    with WriteLog.open(directory) as log:
        assert log.sequence == len(CHANGES) + len(WRITES)
