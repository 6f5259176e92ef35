"""Files of a log that are removed, replaced, cut or made unwritable while the log is open."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from live.log import reading
from live.log.reading import MARK
from live.log.write_ahead_log import FILE, Acknowledgement, LogError, Write, WriteLog
from tests.live.log.model import SAW

ROOT = Path(__file__).parents[3]
WAL = f"{FILE}-wal"
FILES = (FILE, WAL, MARK)


def write(log: WriteLog, number: int) -> bool:
    """Append a write and return whether it was repeated."""
    [outcome] = log.append([Write(f"request {number}", f"item {number}", SAW)])
    assert isinstance(outcome, Acknowledgement)
    return outcome.repeated


def replace(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copyfile(path, copy)
    copy.replace(path)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("take_away", "change"), [(Path.unlink, "removed"), (replace, "replaced"), (cut, "cut")]
)
def test_no_write_is_acknowledged_after_a_file_was_taken_away(
    name: str, take_away: Callable[[Path], None], change: str, tmp_path: Path
):
    with WriteLog.open(tmp_path) as log:
        write(log, 1)
        take_away(tmp_path / name)
        for number in (1, 2, 2):
            with pytest.raises(LogError, match=f"^{tmp_path / name}: was {change} while"):
                write(log, number)
        with pytest.raises(LogError, match=change):
            list(log.changes())
        with pytest.raises(LogError, match=change):
            log.check()
        assert log.sequence == 1


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_taken_away_during_a_write_is_noticed_before_the_acknowledgement(
    name: str, tmp_path: Path
):
    def take_away(_: str) -> bool:
        (tmp_path / name).rename(tmp_path / "away")
        return True

    with WriteLog.open(tmp_path) as log:
        write(log, 1)
        partial = Write("request 2", "item", {"price": 1.0}, whole=False)
        with pytest.raises(LogError, match=f"{name}: was removed while"):
            log.append([partial], take_away)
        (tmp_path / "away").rename(tmp_path / name)
        # The write may be durable; a repeated write gets its number.
        assert log.append([partial])[0].sequence == 2
        assert not write(log, 3)
        log.check()
    assert reading.read(tmp_path).sequence == 3


def test_a_moved_directory_takes_no_writes_until_it_is_moved_back(tmp_path: Path):
    state, away = tmp_path / "state", tmp_path / "away"
    with WriteLog.open(state) as log:
        write(log, 1)
        state.rename(away)
        with pytest.raises(LogError, match=f"{FILE}: was removed"):
            write(log, 2)
        assert reading.read(away).sequence == 1
        away.rename(state)
        assert not write(log, 2)
    with WriteLog.open(state) as log:
        assert (log.sequence, write(log, 1), write(log, 2)) == (2, True, True)


def test_closing_moves_nothing_from_a_wal_that_was_cut(tmp_path: Path):
    with WriteLog.open(tmp_path) as log:
        for number in range(40):
            write(log, number)
        cut(tmp_path / WAL)
        before = [(tmp_path / name).read_bytes() for name in FILES]
    assert [(tmp_path / name).read_bytes() for name in FILES] == before
    with pytest.raises(LogError, match=r"has \d+ of 40 acknowledged writes"):
        WriteLog.open(tmp_path)


def test_closing_leaves_the_files_that_replaced_those_of_the_log(tmp_path: Path):
    other = tmp_path / "other"
    with WriteLog.open(other) as log:
        write(log, 7)
        saved = shutil.copytree(other, tmp_path / "saved")
    with WriteLog.open(tmp_path / "state") as log:
        write(log, 1)
        shutil.rmtree(tmp_path / "state")
        shutil.copytree(saved, tmp_path / "state")
    assert [(tmp_path / "state" / name).read_bytes() for name in FILES] == [
        (saved / name).read_bytes() for name in FILES
    ]
    with WriteLog.open(tmp_path / "state") as log:
        assert [change.item_id for change in log.changes()] == ["item 7"]


@pytest.mark.parametrize("seed", range(5))
def test_a_file_that_is_moved_at_any_moment_has_all_acknowledged_writes(seed: int, tmp_path: Path):
    state, acknowledged, failed = tmp_path / "state", list[int](), list[LogError]()
    some = threading.Event()

    def write_all(log: WriteLog) -> None:
        try:
            for number in range(100_000):
                write(log, number)
                acknowledged.append(number)
                if number == 20 * seed:
                    some.set()
        except LogError as error:
            failed.append(error)

    with WriteLog.open(state) as log:
        thread = threading.Thread(target=write_all, args=(log,), daemon=True)
        thread.start()
        assert some.wait(30)
        (state / FILE).rename(tmp_path / "away")
        thread.join(30)
        assert "was removed" in str(failed[0])
        (tmp_path / "away").rename(state / FILE)
    with WriteLog.open(state) as log:
        log.check()
        assert len(acknowledged) <= log.sequence <= len(acknowledged) + 1
        assert all(write(log, number) for number in acknowledged)


WRITER = """
import sys
from pathlib import Path
from live.log.write_ahead_log import LogError, WriteLog
from tests.live.log.test_taken_away import write

with WriteLog.open(Path(sys.argv[1])) as log:
    for number, _ in enumerate(sys.stdin):
        try:
            write(log, number)
            print("acknowledged", flush=True)
        except LogError as error:
            print(error, flush=True)
"""


@pytest.fixture
def chattr(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Return a function that gives the log's files an attribute, such as +i (immutable)."""
    state = tmp_path / "state"

    def change(attribute: str, *paths: Path) -> None:
        paths = paths or tuple(path for path in state.iterdir() if path.name.startswith(FILE[:6]))
        subprocess.run(["chattr", attribute, *paths], check=True, capture_output=True)

    try:
        (tmp_path / "probe").touch()
        change("+i", tmp_path / "probe")
        change("-i", tmp_path / "probe")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"only root can make files immutable, on some file systems: {error}")
    yield change
    change("-i")


def test_an_immutable_log_fails_writes_and_does_not_end_the_process(
    chattr: Callable[[str], None], tmp_path: Path
):
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, tmp_path / "state"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def said() -> str:
            process.stdin.write("write\n")
            return process.stdout.readline().strip()

        assert said() == "acknowledged"
        chattr("+i")
        for _ in range(3):
            assert "writes.sqlite3: cannot be written" in said()
        chattr("-i")
        assert said() == "acknowledged"
        chattr("+i")
        process.stdin.close()
        assert process.wait(30) == 0
    chattr("-i")
    with WriteLog.open(tmp_path / "state") as log:
        assert log.sequence == 2
        assert (write(log, 0), write(log, 4), write(log, 1)) == (True, True, False)
