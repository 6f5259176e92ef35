"""The event log: one event per id, sessions of users, opt-outs, expiry, and damaged files."""

import sqlite3
from pathlib import Path

import pytest

from base.errors import InputError, RequestError
from base.sqlite_log.file import LogError, NoLogError
from behaviour.log import format as format_
from behaviour.log.event_log import Appended, EventLog
from tests.behaviour.examples import HOUR, MICROSECONDS, bytes_of, event, full_event, random_events


def ids(log: EventLog) -> list[str]:
    return [stored.event.event_id for stored in log.events()]


def test_an_event_comes_back_as_it_was_recorded(tmp_path: Path):
    events = [full_event(), event("2"), event("3", query="", context={})]
    with EventLog.open(tmp_path) as log:
        [outcome], new = log.append([events])
        assert outcome == Appended(sequence=3, accepted=3, duplicates=0, dropped=0)
        assert list(log.events()) == new
    with EventLog.open(tmp_path) as log:
        assert [stored.event for stored in log.events()] == events
        assert [stored.sequence for stored in log.events()] == [1, 2, 3]
    with format_.copied(tmp_path) as stored:
        assert [each.event for each in stored] == events


def test_an_event_counts_once_in_a_call_in_a_transaction_and_after_a_restart(tmp_path: Path):
    a, b, c = event("a"), event("b"), event("c")
    with EventLog.open(tmp_path) as log:
        outcomes, new = log.append([[a, b, a], [b, c]])
        assert outcomes == [Appended(2, 2, 1, 0), Appended(3, 1, 1, 0)]
        assert [stored.event for stored in new] == [a, b, c]
    with EventLog.open(tmp_path) as log:
        assert log.append([[c, event("d")]])[0] == [Appended(4, 1, 1, 0)]
        assert log.append([[c]])[0] == [Appended(4, 0, 1, 0)]
        assert ids(log) == ["a", "b", "c", "d"]


def test_the_events_of_a_joined_session_are_those_of_its_user(tmp_path: Path):
    with EventLog.open(tmp_path) as log:
        log.append([[event("a", session_id="s"), event("b", session_id="t")]])
        log.join("s", "u", MICROSECONDS)
        log.join("s", "u", MICROSECONDS)
        _, [new] = log.append([[event("c", session_id="s")]])
        assert new.user_id == "u"
        assert new.event.user_id is None
        _, [other] = log.append([[event("d", session_id="s", user_id="v")]])
        assert other.user_id == "v"
        with pytest.raises(RequestError, match="session_id: was joined to another user"):
            log.join("s", "v", MICROSECONDS)
    with EventLog.open(tmp_path) as log:
        assert [stored.user_id for stored in log.events()] == ["u", None, "u", "v"]
        assert [stored.resolved.user_id for stored in log.events()] == ["u", None, "u", "v"]
        assert log.sessions() == [("s", "u")]


def test_later_events_of_a_user_who_opted_out_are_dropped(tmp_path: Path):
    with EventLog.open(tmp_path) as log:
        log.append([[event("a", user_id="u")]])
        log.join("s", "u", MICROSECONDS)
        log.opt_out("u")
        log.opt_out("u")
    with EventLog.open(tmp_path) as log:
        assert log.has_opted_out("u")
        assert not log.has_opted_out("v")
        events = [event("b", user_id="u"), event("c", session_id="s"), event("d", user_id="v")]
        assert log.append([events])[0] == [Appended(2, 1, 0, 2)]
        log.opt_out("u", False)
        assert log.append([events])[0] == [Appended(4, 2, 1, 0)]
        assert ids(log) == ["a", "d", "b", "c"]
        assert [log.anonymous(stored).user_id for stored in log.events()] == [None, "v", "u", "u"]
        log.opt_out("u")
        log.opt_out("v")
        log.opt_out("v", False)
        for user in ("u", "v"):
            log.remove_user(user)
    with EventLog.open(tmp_path) as log:
        assert log.has_opted_out("u")  # the digest stays
        assert log.last_forgotten("v") == 0


def test_the_opt_outs_of_a_log_of_format_1_stay(tmp_path: Path):
    with EventLog.open(tmp_path) as log:
        log.append([[event("a", user_id="u")]])
        log.opt_out("u")
    with sqlite3.connect(tmp_path / "events" / format_.FILE) as connection:
        users = connection.execute("SELECT user FROM opted_out").fetchall()
        connection.execute("DROP TABLE opted_out")
        connection.execute("CREATE TABLE opted_out (user BLOB PRIMARY KEY) WITHOUT ROWID")
        connection.executemany("INSERT INTO opted_out VALUES (?)", users)
        connection.execute("UPDATE events SET session_id = ''")
        connection.execute("ALTER TABLE events DROP COLUMN promotion_id")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    with format_.copied(tmp_path) as stored:
        assert [each.user_id for each in stored] == [None]
    with EventLog.open(tmp_path) as log:
        assert log.has_opted_out("u")
        log.opt_out("u", False)
        later = event("b", user_id="u", promotion_id="ads")
        assert log.append([[later]])[0] == [Appended(2, 1, 0, 0)]
        assert [stored.event.session_id for stored in log.events()] == [None, None]
        assert [stored.event.promotion_id for stored in log.events()] == [None, "ads"]
        query = "SELECT count(*) FROM events WHERE session_id IS NULL"
        assert log._log.connection.execute(query).fetchone() == (2,)


@pytest.mark.parametrize("blank", ["", " "])
def test_an_event_with_a_blank_user_is_an_event_of_its_session(tmp_path: Path, blank: str):
    with EventLog.open(tmp_path) as log:
        log.append([[event("a", user_id=blank, session_id="s")]])
        log.append([[event("b", user_id="v", session_id=blank)]])
        log.join("s", "u", MICROSECONDS)
        assert [stored.user_id for stored in log.events()] == ["u", "v"]
        assert [stored.event.event_id for stored in log.remove_user("u").events] == ["a"]
        assert [stored.event.event_id for stored in log.remove_user("v").events] == ["b"]


def test_the_log_does_not_have_the_id_of_a_user_who_only_opted_out(tmp_path: Path):
    with EventLog.open(tmp_path) as log:
        log.opt_out("grace.hopper")
        assert b"hopper" not in bytes_of(tmp_path)
    assert b"hopper" not in bytes_of(tmp_path)


def test_old_events_expire_and_are_not_taken_again(tmp_path: Path):
    old, new = event("old", time=MICROSECONDS - HOUR, session_id="s"), event("new", session_id="t")
    with EventLog.open(tmp_path) as log:
        log.append([[old, new]])
        for session in ("s", "t"):
            log.join(session, "u", MICROSECONDS - HOUR)
        log.join("later", "u", MICROSECONDS)
        assert log.expire(MICROSECONDS - HOUR) == 0
        assert log.expire(MICROSECONDS) == 1
        assert ids(log) == ["new"]
        assert {session for session, _ in log.sessions()} == {"t", "later"}
        assert log.append([[old]], earliest=MICROSECONDS)[0] == [Appended(2, 0, 0, 1)]
        assert log.expire(MICROSECONDS + 1) == 1
    with EventLog.open(tmp_path) as log:
        assert log.append([[event("next")]])[0] == [Appended(3, 1, 0, 0)]


def test_a_second_process_cannot_open_the_log_but_can_read_a_copy(tmp_path: Path):
    with EventLog.open(tmp_path) as log:
        with pytest.raises(InputError, match=r"another process is writing to .*/events; stop it"):
            EventLog.open(tmp_path)
        log.append([[event("a")]])
        with format_.copied(tmp_path) as stored:
            assert [each.event.event_id for each in stored] == ["a"]


def test_a_directory_without_a_log_cannot_be_read(tmp_path: Path):
    with pytest.raises(NoLogError, match="there is no log"), format_.copied(tmp_path):
        pass


def test_a_log_that_lost_acknowledged_events_is_refused(tmp_path: Path):
    file = format_.log_file(tmp_path)
    with EventLog.open(tmp_path) as log:
        log.append([random_events(0, 10)])
    short = file.path.read_bytes()
    with EventLog.open(tmp_path) as log:
        log.append([random_events(1, 10)])
    file.path.write_bytes(short)
    with pytest.raises(LogError, match=r"has 10 of 20 acknowledged writes \(lost: 10\)"):
        EventLog.open(tmp_path)
    with pytest.raises(LogError, match="has 10 of 20"), format_.copied(tmp_path):
        pass
    file.path.unlink()
    with pytest.raises(LogError, match="has 0 of 20"):
        EventLog.open(tmp_path)
    (tmp_path / "events" / format_.MARK).unlink()
    with EventLog.open(tmp_path) as log:
        assert ids(log) == []


def test_a_log_of_another_program_is_refused(tmp_path: Path):
    (tmp_path / "events").mkdir()
    with sqlite3.connect(tmp_path / "events" / format_.FILE) as connection:
        connection.execute("CREATE TABLE other (x)")
    connection.close()
    with pytest.raises(LogError, match="is a database of another program"):
        EventLog.open(tmp_path)
