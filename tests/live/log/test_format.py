"""A log of version 0.1.0 is read; it recognises repeated writes and accepts new writes."""

import datetime
import shutil
from pathlib import Path

import pytest

from live.log import reading
from live.log.reading import FILE, Change, LogSnapshot
from live.log.write_ahead_log import Acknowledgement, RequestIdReusedError, Write, WriteLog

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
    assert reading.read(state, check=True) == LogSnapshot(ID, 5, CHANGES)


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


def test_the_header_of_a_new_log_is_that_of_an_earlier_one(tmp_path):
    WriteLog.open(tmp_path).close()
    new, earlier = (tmp_path / FILE).read_bytes(), LOG.read_bytes()
    # The other fields of SQLite's header depend on the content and on SQLite's version.
    for field in (slice(0, 24), slice(60, 64), slice(68, 72)):
        assert new[field] == earlier[field]
