"""Reading a log while another process writes to it."""

import os
import shutil
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from base.failpoints import VARIABLE
from base.sqlite_log.file import NoLogError
from live.log import reading
from live.log.reading import FILE, LogSnapshot
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


def test_a_log_that_is_written_to_while_it_is_copied_is_copied_as_of_one_moment(tmp_path: Path):
    unchanged = list[bool]()

    def write(count: int) -> None:
        for n in range(count):
            log.append([Write(f"{n} {log.sequence}", f"{n}", TITLE | {"brand": "b" * 49_000})])

    def copy_file(path: Path, to: Path) -> None:
        shutil.copyfile(path, to)
        before = log.path.read_bytes()
        write(120)  # enough for SQLite to move transactions to the file
        unchanged.append(log.path.read_bytes() == before)

    with WriteLog.open(tmp_path) as log:
        write(1)
        assert reading.read(tmp_path, copy_file=copy_file).sequence == 121
        assert unchanged == [True, True]
        copied = log.path.stat().st_size
        write(1)
        assert log.path.stat().st_size > copied
        log.check()


def test_a_log_that_is_closed_or_opened_while_it_is_copied_is_copied_again(tmp_path: Path):
    log = WriteLog.open(tmp_path)
    log.append([Write("a", "lamp", TITLE)])
    copied = list[str]()

    def copy_file(path: Path, to: Path) -> None:
        nonlocal log
        shutil.copyfile(path, to)
        copied.append(path.name)
        if len(copied) == 1:
            log.close()  # moves the write to the file, and removes the WAL
        if len(copied) == 2:
            log = WriteLog.open(tmp_path)
            log.append([Write("b", "lamp", None)])

    assert reading.read(tmp_path, copy_file=copy_file).sequence == 2
    assert copied == [FILE, FILE, f"{FILE}-wal", FILE, f"{FILE}-wal"]
    log.close()


def test_a_log_that_changes_during_every_copy_is_refused(tmp_path: Path):
    def copy_file(path: Path, to: Path) -> None:
        shutil.copyfile(path, to)
        (tmp_path / f"{FILE}-wal").write_bytes(os.urandom(100))

    WriteLog.open(tmp_path).close()
    with pytest.raises(LogError, match="changed too often while it was copied; try again"):
        reading.read(tmp_path, copy_file=copy_file)


def test_the_log_of_a_killed_process_has_all_acknowledged_writes(tmp_path: Path):
    with writer(tmp_path, 0, BATCHES, "log.after-commit:2") as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert reading.log_file(tmp_path).wal.exists()
    found = reading.read(tmp_path)
    assert (tmp_path / FILE).exists()
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
