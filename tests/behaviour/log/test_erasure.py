"""Erasure: no byte of a user stays in the files of the log."""

from pathlib import Path

import pytest

from base.sqlite_log.file import LogError
from base.sqlite_log.open_log import OpenLog
from base.sqlite_log.scan import NotErasedError, require_erased
from behaviour.log.event_log import EventLog, Removed
from behaviour.log.format import log_file
from tests.behaviour.examples import MICROSECONDS, bytes_of, event, random_events

USER = "ada-lovelace"


def fill(log: EventLog) -> None:
    """Write so much that rows of the user move between pages, and some are only in the WAL."""
    for part in range(40):
        events = random_events(part, 100)
        ada = [
            event(f"{USER}-{part}-{n}", user_id=USER, query="q" * 50 * n, session_id=f"of-{USER}")
            for n in range(20)
        ]
        log.append([events, ada])


def size_of(state: Path) -> int:
    return log_file(state).path.stat().st_size


def test_nothing_of_an_erased_user_stays_in_the_files(tmp_path: Path):
    with EventLog.open(tmp_path) as log:
        fill(log)
        log.join("before-login", USER, MICROSECONDS)
        log.append([[event("anonymous", session_id="before-login", item_id="secret-item")]])
        log.append([[event("same session", session_id=f"of-{USER}", item_id="secret-item")]])
        log.append(
            [[event("other", session_id=f"of-{USER}", user_id="other", item_id="kept-item")]]
        )
        others = [e for e in log.events() if e.event.event_id.startswith(tuple("0123456789"))]
        assert bytes_of(tmp_path).count(USER.encode()) > 800
        removed = log.remove_user(USER)
        assert len(removed.events) == 802
        assert {e.event.event_id for e in removed.events} >= {"anonymous", "same session"}
        assert removed.sessions == {"before-login", f"of-{USER}"}
        assert log.rewrite({USER, *removed.sessions}) == size_of(tmp_path)
        content = bytes_of(tmp_path)
        # The session id stays in the event of the other user.
        assert content.count(USER.encode()) == content.count(f"of-{USER}".encode()) == 1
        assert b"secret-item" not in content
        assert list(log.events())[:-1] == others
        assert log.sessions() == []
        log.append([[event("more")]])  # the watch of the files accepts the shorter files
        assert log.sequence == 4_804
    with EventLog.open(tmp_path) as log:
        assert len(list(log.events())) == 4_002
        assert bytes_of(tmp_path).count(USER.encode()) == 1


def test_rows_that_are_only_deleted_leave_bytes(tmp_path: Path):
    """The test above would see it if the file was not rewritten."""
    with EventLog.open(tmp_path) as log:
        fill(log)
        log.remove_user(USER)
        assert USER.encode() in bytes_of(tmp_path)


def test_the_next_start_finishes_an_erasure_that_was_interrupted(tmp_path: Path):
    log = EventLog.open(tmp_path)
    fill(log)
    log.remove_user(USER)
    log.close()
    with EventLog.open(tmp_path):
        assert USER.encode() not in bytes_of(tmp_path)


def test_an_erasure_of_an_unknown_user_changes_nothing(tmp_path: Path):
    with EventLog.open(tmp_path) as log:
        fill(log)
        before = list(log.events())
        assert log.remove_user("nobody") == Removed([], frozenset())
        log.rewrite()
        assert list(log.events()) == before


def test_a_file_that_is_being_read_is_not_reported_as_rewritten(tmp_path: Path):
    with EventLog.open(tmp_path) as log:
        fill(log)
        reading = log.events()
        next(reading)
        log.remove_user(USER)
        with pytest.raises(LogError, match="is being read, so it cannot be rewritten; try again"):
            log.rewrite()
        reading.close()
        log.rewrite()
        assert USER.encode() not in bytes_of(tmp_path)


@pytest.mark.parametrize("secure_delete", ["OFF", "ON"])
def test_the_scan_finds_bytes_that_only_a_rewrite_removes(tmp_path: Path, secure_delete: str):
    with EventLog.open(tmp_path) as log:
        fill(log)
    log = OpenLog(log_file(tmp_path), create=False)
    log.connection.execute(f"PRAGMA secure_delete = {secure_delete}")
    with log.transaction():
        log.connection.execute("DELETE FROM events WHERE user_id = ?", (USER,))
    with pytest.raises(NotErasedError, match="sqlite3: still has data of the erased user"):
        require_erased(log, [USER])
    log.rewrite()
    assert require_erased(log, [USER]) == size_of(tmp_path)
    log.close()


def test_the_scan_accepts_ids_that_are_parts_of_remaining_texts(tmp_path: Path):
    with EventLog.open(tmp_path) as log:
        fill(log)
        log.append([[event("one", user_id="1"), event("ten", user_id="10", query="for 1")]])
        removed = log.remove_user("1")
        assert [stored.event.event_id for stored in removed.events] == ["one"]
        assert log.rewrite({"1"}) > 0
        assert b"one" not in bytes_of(tmp_path)
