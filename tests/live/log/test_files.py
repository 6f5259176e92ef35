"""The write log's files: locks, permissions, damage."""

import resource
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from base.errors import InputError
from live.log.digests import item_digest
from live.log.reading import MARK
from live.log.write_ahead_log import FILE, Change, LogError, Write, WriteLog
from tests.live.log.model import SAW, only

NEW_DIGESTS = "UPDATE items SET digest = item_digest(sequence, item_id, fields, whole)"


def damage(log: WriteLog, *statements: str) -> None:
    """Run SQL statements on the file of an open log."""
    other = sqlite3.connect(log.path)
    other.create_function("item_digest", 4, item_digest)
    with other:
        for statement in statements:
            other.execute(statement)
    other.close()


def test_the_file_grows_with_the_items_not_with_the_writes(tmp_path):
    def size(rounds: int) -> int:
        with WriteLog.open(tmp_path / str(rounds), remembered=1) as log:
            for n in range(rounds):
                write = Write(f"r{n}", "i", {"title": "Saw", "description": str(n) * 10_000})
                log.append([write])
        return (tmp_path / str(rounds) / FILE).stat().st_size

    assert size(9) == size(3)


def test_only_one_log_at_a_time_has_a_directory(tmp_path):
    complaint = f"another server is writing to {tmp_path}"
    with WriteLog.open(tmp_path), pytest.raises(InputError, match=complaint):
        WriteLog.open(tmp_path)
    WriteLog.open(tmp_path).close()


def test_another_thread_than_the_opening_one_can_close_a_log(tmp_path):
    log = WriteLog.open(tmp_path)
    thread = threading.Thread(daemon=True, target=log.close)
    thread.start()
    thread.join()
    log.close()  # closing twice is no error
    WriteLog.open(tmp_path).close()


def test_a_closed_log_is_not_used(log):
    log.close()
    with pytest.raises(ValueError, match="closed"):
        log.append([Write("r1", "i", SAW)])
    with pytest.raises(ValueError, match="closed"):
        list(log.changes())
    with pytest.raises(ValueError, match="closed"):
        log.check()


def test_other_users_cannot_read_the_files(tmp_path):
    with WriteLog.open(tmp_path / "new" / "state") as log:
        log.append([Write("r1", "i", SAW)])
        directory = tmp_path / "new" / "state"
        assert directory.stat().st_mode & 0o777 == 0o700
        modes = {file.name: file.stat().st_mode & 0o777 for file in directory.iterdir()}
    assert modes == dict.fromkeys((".lock", FILE, f"{FILE}-wal", MARK), 0o600)


def test_every_commit_waits_for_the_disk(log):
    connection = log._log.connection
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # 2 is FULL
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def not_a_database(path: Path) -> None:
    path.write_bytes(b"not a database " * 1000)


def of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()


def of_a_newer_format(path: Path) -> None:
    WriteLog.open(path.parent).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 4")
    other.close()


def without_a_table(path: Path) -> None:
    WriteLog.open(path.parent).close()
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE requests")
    other.close()


def cut_short(path: Path) -> None:
    with WriteLog.open(path.parent) as log:
        log.append([Write(f"r{n}", f"i{n}", SAW) for n in range(100)])
    path.write_bytes(path.read_bytes()[:-4096])
    path.with_name(MARK).unlink()


@pytest.mark.parametrize(
    ("write_file", "complaint"),
    [
        (not_a_database, "file is not a database"),
        (of_another_program, "is a database of another program"),
        (of_a_newer_format, "has format 4, and this version of shortlist reads up to 3"),
        (without_a_table, "its tables are not those of a log"),
        (cut_short, "is damaged"),
        (Path.mkdir, "unable to open"),
    ],
)
def test_a_file_that_is_no_log_is_refused_and_not_changed(
    tmp_path: Path, write_file: Callable[[Path], Any], complaint: str
):
    path = tmp_path / FILE
    write_file(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(LogError) as caught:
        WriteLog.open(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")
    assert complaint in str(caught.value)
    assert (path.read_bytes() if path.is_file() else None) == before
    path.rmdir() if path.is_dir() else path.unlink()
    WriteLog.open(tmp_path).close()  # the lock was released


def test_a_path_that_cannot_be_a_directory_is_refused(tmp_path):
    (tmp_path / "state").write_text("")
    with pytest.raises(LogError, match=f"^{tmp_path / 'state'}: cannot be used"):
        WriteLog.open(tmp_path / "state")
    with pytest.raises(LogError, match="Not a directory"):
        WriteLog.open(tmp_path / "state" / "inside")


@pytest.mark.parametrize(
    "statement",
    [
        """UPDATE items SET fields = '{"title":"Axe"}'""",
        "UPDATE items SET fields = CAST(fields AS BLOB)",
        "UPDATE items SET fields = CAST(x'ff' AS TEXT)",
        "UPDATE items SET fields = NULL",
        "UPDATE items SET whole = 0",
        "UPDATE items SET whole = 2",
        "UPDATE items SET item_id = 'j'",
        "UPDATE items SET item_id = x'00'",
        "UPDATE items SET sequence = 2",
        "UPDATE items SET digest = x'00'",
        "UPDATE items SET digest = 'text'",
    ],
)
def test_a_row_that_was_changed_is_refused_when_read(log, statement):
    log.append([Write("r1", "i", SAW), Write("r2", "k", None)])
    damage(log, f"{statement} WHERE item_id = 'i'".replace("sequence = 2", "sequence = 3"))
    for read in (lambda: list(log.changes()), log.check):
        with pytest.raises(LogError, match=r"not as it was|no known write|UTF-8") as caught:
            read()
        assert str(log.path) in str(caught.value)


def test_a_row_that_was_changed_is_not_merged_with_a_write(log):
    log.append([Write("r1", "i", SAW)])
    damage(log, """UPDATE items SET fields = '{"title":"Axe"}'""")
    for write in (Write("r2", "i", {"price": 1.0}, whole=False), Write("r2", "i", SAW)):
        with pytest.raises(LogError, match="item 'i' of write 1 is not as it was written"):
            log.append([write])
    assert log.sequence == 1


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ("""'{"title":"Saw","colour":"red"}'""", "field colour"),
        ("""'{"title":"Saw","price":"1"}'""", "field price"),
        ("""'{"title":"Saw","price":NaN}'""", "field price"),
        ("""'{"title":"Saw","released":1}'""", "field released"),
        ("""'{"title":"Saw","released":"today"}'""", "field released"),
        ("""'{"brand":"Acme"}'""", "field title"),
        ("'[]'", "not a JSON object"),
        ("'{'", "not JSON"),
        ("replace(printf('%05000d', 0), '0', '[')", "not JSON"),
    ],
)
def test_fields_that_this_version_does_not_write_are_refused_when_read(log, fields, complaint):
    log.append([Write("r1", "i", SAW)])
    damage(log, f"UPDATE items SET fields = {fields}", NEW_DIGESTS)
    with pytest.raises(LogError, match=complaint) as caught:
        list(log.changes())
    assert str(log.path) in str(caught.value)


@pytest.mark.parametrize(
    "statements",
    [
        ("DELETE FROM requests WHERE sequence = 2",),
        ("DELETE FROM requests WHERE sequence = 1",),
        ("UPDATE requests SET request_id = 'other' WHERE sequence = 2",),
        ("UPDATE requests SET digest = x'00' WHERE sequence = 2",),
        ("DELETE FROM items WHERE sequence = 2",),
        ("UPDATE items SET sequence = 4 WHERE sequence = 3", NEW_DIGESTS),
        ("UPDATE items SET sequence = 0 WHERE sequence = 3", NEW_DIGESTS),
        ("UPDATE items SET item_id = 'other' WHERE sequence = 3", NEW_DIGESTS),
        ("UPDATE log SET content = x'00'",),
        ("UPDATE log SET content = 'text'",),
        ("UPDATE log SET id = 'other'",),
        ("CREATE TABLE other (id TEXT)",),
    ],
)
def test_check_finds_rows_that_are_missing_or_were_changed(log, statements):
    log.append([Write(f"r{n}", f"i{n}", SAW) for n in range(3)])
    log.check()
    damage(log, *statements)
    with pytest.raises(LogError, match=r"is damaged|lost: "):
        log.check()


def test_a_damaged_page_is_refused_in_one_line(tmp_path):
    with WriteLog.open(tmp_path) as log:
        log.append([Write(f"r{n}", f"i{n}", SAW) for n in range(1000)])
    content = bytearray((tmp_path / FILE).read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4096] = bytes(4096)
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(LogError, match="is damaged") as caught:
        WriteLog.open(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_full_disk_keeps_acknowledged_writes_and_nothing_of_the_batch(tmp_path):
    with WriteLog.open(tmp_path) as log:
        log.append([Write("r1", "i", SAW)])
        large = [
            Write(f"large {n}", f"large {n}", {"title": "Saw", "description": "x" * 49_000})
            for n in range(80)
        ]
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))  # 1 MiB per file
        try:
            with pytest.raises(LogError, match=f"{FILE}: cannot be written"):
                log.append(large)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert only(log) == Change("i", 1, SAW, True)
        assert log.sequence == 1
        log.check()
        written = log.append(large)  # possible without the limit
        assert [each.sequence for each in written] == list(range(2, 82))
    with WriteLog.open(tmp_path) as log:
        log.check()
        assert log.sequence == 81
