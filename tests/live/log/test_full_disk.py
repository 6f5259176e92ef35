"""A write log whose disk is full when the log is opened, and later has room."""

from pathlib import Path

import pytest

from live.log import reading
from live.log.write_ahead_log import FILE, Acknowledgement, LogError, Write, WriteLog
from tests.small_disk import SmallDisk, small_disk

WRITES = [Write(f"r{number}", f"i{number}", {"title": "Lamp"}) for number in range(3)]
LATER = Write("later", "i9", {"title": "Desk"})


@pytest.fixture
def state(tmp_path: Path):
    with small_disk(tmp_path / "disk", "2m") as disk:
        yield disk, disk.path / "state"


def test_a_log_that_was_closed_is_read_on_a_full_disk_and_written_once_there_is_room(
    state: tuple[SmallDisk, Path],
):
    disk, directory = state
    with WriteLog.open(directory) as log:
        log.append(WRITES)
        identity, changes = log.id, list(log.changes())
    disk.fill()
    for _ in range(2):  # the second start finds the files that the first one left
        with WriteLog.open(directory) as log:
            assert (log.id, log.sequence, list(log.changes())) == (identity, 3, changes)
            assert list(log.changes(after=2)) == changes[2:]
            assert reading.read(directory).changes == tuple(changes)
            with pytest.raises(LogError, match=rf"{FILE}: cannot be written \(the disk is full\)"):
                log.append([LATER])
            assert log.sequence == 3
    with WriteLog.open(directory) as log:
        with pytest.raises(LogError):
            log.append([LATER])
        disk.free()
        assert log.append([LATER, WRITES[0]]) == [
            Acknowledgement(4, repeated=False),
            Acknowledgement(1, repeated=True),
        ]
        assert [change.item_id for change in log.changes()] == ["i0", "i1", "i2", "i9"]
    with WriteLog.open(directory) as log:
        assert (log.id, log.sequence) == (identity, 4)


def test_a_log_whose_disk_became_full_takes_writes_again_once_there_is_room(
    state: tuple[SmallDisk, Path],
):
    disk, directory = state
    with WriteLog.open(directory) as log:
        log.append(WRITES)
        disk.fill()
        many = [Write(f"m{n}", f"m{n}", {"title": "Lamp " * 100}) for n in range(1000)]
        with pytest.raises(LogError, match=r"cannot be written \(the disk is full\)"):
            log.append(many)
        assert len(list(log.changes())) == 3
        disk.free()
        assert len(log.append(many)) == 1000
        assert log.sequence == 1003


def test_a_new_log_on_a_full_disk_is_refused_in_one_line(state: tuple[SmallDisk, Path]):
    disk, directory = state
    disk.fill()
    for _ in range(2):
        with pytest.raises(LogError) as refused:
            WriteLog.open(directory)
        assert str(refused.value) == (
            f"{directory / FILE}: cannot be opened (the disk is full); free space, or give another "
            "--state"
        )
    disk.free()
    WriteLog.open(directory).close()
