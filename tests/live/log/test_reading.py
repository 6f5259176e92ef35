"""Reading a log while another process writes to it."""

import signal
import sqlite3
from pathlib import Path

import pytest

from base.failpoints import VARIABLE
from live.log import reading
from live.log.reading import LogSnapshot, NoLogError
from live.log.write_ahead_log import Change, Write, WriteLog
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
    assert reading.read(tmp_path, check=True) == expected
    assert files(tmp_path) == before


def test_a_log_is_read_while_a_server_writes_to_it(tmp_path: Path):
    with WriteLog.open(tmp_path) as log:
        assert reading.read(tmp_path) == LogSnapshot(log.id, 0, ())
        log.append([Write("a", "lamp", TITLE)])
        snapshot = reading.read(tmp_path, check=True)
        log.append([Write("b", "lamp", {"price": 2.0}, whole=False)])
        assert snapshot.changes == (Change("lamp", 1, TITLE, whole=True),)
        assert reading.read(tmp_path).changes == tuple(log.changes())


def test_the_log_of_a_killed_process_has_all_acknowledged_writes(tmp_path: Path):
    with writer(tmp_path, 0, BATCHES, "log.after-commit:2") as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert reading.log_file(tmp_path).in_use
    found = reading.read(tmp_path, check=True)
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
    assert reading.read(tmp_path).sequence == 1
    with pytest.raises(reading.LogError, match="is damaged"):
        reading.read(tmp_path, check=True)
