"""Reading a log while another process writes to it."""

import fcntl
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from base.failpoints import VARIABLE
from live.log import reading
from live.log.reading import LogSnapshot, NoLogError
from live.log.write_ahead_log import Change, LogError, Write, WriteLog
from tests.live.log.model import BATCHES
from tests.live.log.test_killed import writer

TITLE = {"title": "a lamp"}


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_reading_a_log_that_is_not_in_use_writes_nothing(tmp_path: Path):
    with WriteLog.open(tmp_path) as log:
        log.append([Write("a", "lamp", TITLE), Write("b", "chair", None)])
        expected = LogSnapshot(log.id, 2, tuple(log.changes()))
    before = files(tmp_path)
    assert reading.read(tmp_path) == expected
    assert files(tmp_path) == before


def test_a_log_is_read_while_a_server_writes_to_it(tmp_path: Path):
    with WriteLog.open(tmp_path) as log:
        assert reading.read(tmp_path) == LogSnapshot(log.id, 0, ())
        log.append([Write("a", "lamp", TITLE)])
        snapshot = reading.read(tmp_path)
        log.append([Write("b", "lamp", {"price": 2.0}, whole=False)])
        assert snapshot.changes == (Change("lamp", 1, TITLE, whole=True),)
        assert reading.read(tmp_path).changes == tuple(log.changes())


def test_a_log_is_read_at_any_moment_while_another_process_writes_opens_and_closes_it(
    tmp_path: Path,
):
    with writer(tmp_path, 0, 10_000, None) as process:
        assert process.stdout is not None
        for _ in range(10):
            process.stdout.readline()
        sequences, end = [0], time.monotonic() + 2
        while time.monotonic() < end:
            # `read` checks the digest of all rows, so it fails if the copy mixes two moments.
            sequences.append(reading.read(tmp_path).sequence)
        process.kill()
    assert sequences == sorted(sequences)
    assert len(set(sequences)) > 5


def test_the_file_does_not_change_while_a_reader_copies_it(tmp_path: Path):
    with WriteLog.open(tmp_path) as log:

        def write(count: int) -> int:
            for n in range(count):
                log.append([Write(f"{n} {log.sequence}", f"{n}", TITLE | {"brand": "b" * 50_000})])
            return log.path.stat().st_size

        write(1)
        with reading.log_file(tmp_path).wal.open() as wal:
            fcntl.flock(wal, fcntl.LOCK_SH)  # as a reader does
            empty = log.path.read_bytes()
            write(120)
            assert log.path.read_bytes() == empty
            assert reading.read(tmp_path).sequence == 121  # a second reader does not wait
        assert write(1) > len(empty)
        log.check()


def test_the_log_of_a_killed_process_has_all_acknowledged_writes(tmp_path: Path):
    with writer(tmp_path, 0, BATCHES, "log.after-commit:2") as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert reading.log_file(tmp_path).wal.exists()
    found = reading.read(tmp_path)
    assert (tmp_path / reading.FILE).exists()
    with WriteLog.open(tmp_path) as log:
        assert found == LogSnapshot(log.id, log.sequence, tuple(log.changes()))
    assert found.sequence > 0


@pytest.mark.parametrize("name", ["log.create.empty-file", "log.create.before-tables"])
def test_a_log_whose_creation_was_killed_does_not_exist(name: str, tmp_path: Path):
    with writer(tmp_path, 0, 1, name) as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL, VARIABLE
    with pytest.raises(NoLogError, match="there is no log"):
        reading.read(tmp_path)


def test_a_missing_log_and_a_damaged_one_raise_different_errors(tmp_path: Path):
    with pytest.raises(NoLogError, match=r"writes\.sqlite3: there is no log"):
        reading.read(tmp_path)
    with WriteLog.open(tmp_path) as log:
        log.append([Write("a", "lamp", TITLE)])
        path = log.path
    connection = sqlite3.connect(path)
    connection.execute("UPDATE items SET sequence = 7")
    connection.commit()
    connection.close()
    with pytest.raises(LogError, match="is damaged"):
        reading.read(tmp_path)
