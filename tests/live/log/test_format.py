"""A log of version 0.1.0 (format 1) is read, and goes on in the format of this version."""

import datetime
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from live.log import reading
from live.log.reading import FILE, Change, LogSnapshot
from live.log.write_ahead_log import (
    Acknowledgement,
    LogError,
    RequestIdReusedError,
    Write,
    WriteLog,
)

# Version 0.1.0 wrote this log, in two batches. It remembers the last four request ids.
LOG = Path(__file__).with_name("log_of_0_1_0.sqlite3")
ID = "f891a98742cb473eb9f6ebca1c6cac4b"
LAMP = {
    "title": "Grüne Lampe",
    "released": datetime.date(2024, 1, 31),
    "attributes": {"colour": "grün"},
    "in_stock": True,
    "rating_count": 7,
}
CHANGES = (
    Change("lamp", 2, LAMP, whole=True),
    Change("chair", 3, None, whole=True),
    Change("table", 4, {"price": None, "brand": "Acme"}, whole=False),
    Change("saw", 5, {"title": "Saw", "brand": "Acme", "price": 11.0}, whole=True),
)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    shutil.copyfile(LOG, tmp_path / FILE)
    return tmp_path


def test_an_earlier_log_is_read_beside_its_server(state):
    assert reading.read(state) == LogSnapshot(ID, 5, CHANGES)


def test_an_earlier_log_goes_on(state):
    with WriteLog.open(state) as log:
        log.check()
        assert (log.id, log.sequence, tuple(log.changes())) == (ID, 5, CHANGES)
        repeated, reused, new = log.append(
            [
                Write("r2", "lamp", LAMP),
                Write("r4", "table", {"price": 1.0}, whole=False),
                Write("r6", "chair", {"title": "Chair"}),
            ]
        )
        assert repeated == Acknowledgement(2, repeated=True)
        assert isinstance(reused, RequestIdReusedError)
        assert new == Acknowledgement(6, repeated=False)
        assert next(log.changes(after=5)) == Change("chair", 6, {"title": "Chair"}, whole=True)


def test_reading_an_earlier_log_does_not_convert_it(state):
    reading.read(state)
    assert [path.name for path in state.iterdir()] == [FILE]
    assert (state / FILE).read_bytes() == LOG.read_bytes()


def test_an_earlier_log_is_converted_to_the_tables_and_the_header_of_a_new_one(state, tmp_path):
    WriteLog.open(state).close()
    WriteLog.open(tmp_path / "new").close()
    converted, new = schema(state / FILE), schema(tmp_path / "new" / FILE)
    assert converted == new
    assert (converted["user_version"], schema(LOG)["user_version"]) == (3, 1)
    with WriteLog.open(state) as log:
        log.check()
        assert (log.id, log.sequence, tuple(log.changes())) == (ID, 5, CHANGES)


def schema(path: Path) -> dict[str, object]:
    """Return the tables of a log and the fields of its header that identify the format."""
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as connection:
        tables = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
        fields = ("application_id", "user_version", "page_size", "encoding")
        header = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in fields}
    return {"tables": tables, **header}


def test_an_earlier_log_with_a_gap_is_refused(state):
    with closing(sqlite3.connect(state / FILE)) as connection:
        connection.execute("DELETE FROM requests WHERE sequence = 4")
        connection.commit()
    with pytest.raises(LogError, match="the sequence of requests has gaps"):
        WriteLog.open(state)
