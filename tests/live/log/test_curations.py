"""Curations in the write log: versions, undo, expected revisions, and damage."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from base.errors import RequestError
from live.log import reading
from live.log.curations import (
    KEPT_VERSIONS,
    Action,
    CurationChange,
    CurationVersion,
    NothingToUndoError,
    RevisionMismatchError,
    UnknownCurationError,
)
from live.log.write_ahead_log import (
    FILE,
    Acknowledgement,
    LogError,
    RequestIdReusedError,
    Write,
    WriteLog,
)
from tests.live.log.model import SAW

TIME = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
Curate = Callable[..., Acknowledgement]


def change(action: Action = Action.SET, content: str | None = None, **fields: Any):
    values = {"request_id": f"r{datetime.now(UTC).timestamp()}", "curation_id": "c"} | fields
    return CurationChange(action=action, time=TIME, content=content, author="Ann", **values)


def present(log: WriteLog) -> list[tuple[str, int, str | None]]:
    return [(v.curation_id, v.revision, v.content) for v in log.curations()]


def test_a_set_curation_is_in_the_log_after_a_restart(tmp_path: Path) -> None:
    with WriteLog.open(tmp_path) as log:
        log.append([Write("item", "saw", SAW)])
        assert log.curate(change(content="one")) == Acknowledgement(2, repeated=False)
        assert log.sequence == 2
    with WriteLog.open(tmp_path) as log:
        log.check()
        assert list(log.curations()) == [CurationVersion("c", 2, "one", "Ann", TIME)]
        assert list(log.curations(after=2)) == []
        assert [c.item_id for c in log.changes()] == ["saw"]
    assert reading.read(tmp_path).curations == (CurationVersion("c", 2, "one", "Ann", TIME),)


def test_an_undo_goes_back_one_version_each_time(log: WriteLog) -> None:
    for content in ("one", "two", "three"):
        log.curate(change(content=content))
    log.curate(change(Action.UNDO))
    assert present(log) == [("c", 4, "two")]
    log.curate(change(Action.UNDO))
    assert present(log) == [("c", 5, "one")]
    with pytest.raises(NothingToUndoError):
        log.curate(change(Action.UNDO))
    assert log.sequence == 5
    log.check()


def test_an_undo_brings_a_deleted_curation_back_and_takes_a_restored_one_away(
    log: WriteLog,
) -> None:
    log.curate(change(content="one"))
    log.curate(change(Action.DELETE))
    assert present(log) == [("c", 2, None)]
    log.curate(change(Action.UNDO))
    assert present(log) == [("c", 3, "one")]
    log.curate(change(Action.DELETE))
    log.curate(change(content="two"))
    log.curate(change(Action.UNDO))
    assert present(log) == [("c", 6, None)]


def test_the_log_keeps_the_latest_versions_only(log: WriteLog) -> None:
    for number in range(KEPT_VERSIONS + 5):
        log.curate(change(content=str(number)))
    for _ in range(KEPT_VERSIONS - 1):
        log.curate(change(Action.UNDO))
    assert [content for *_, content in present(log)] == ["5"]
    with pytest.raises(NothingToUndoError):
        log.curate(change(Action.UNDO))
    log.check()


def test_a_repeated_change_changes_nothing(log: WriteLog) -> None:
    first = change(content="one", request_id="r")
    assert log.curate(first) == Acknowledgement(1, repeated=False)
    log.curate(change(content="two"))
    assert log.curate(first) == Acknowledgement(1, repeated=True)
    assert present(log) == [("c", 2, "two")]
    for other in (
        change(content="three", request_id="r"),
        change(content="one", request_id="r", curation_id="d"),
        change(Action.DELETE, request_id="r"),
    ):
        with pytest.raises(RequestIdReusedError):
            log.curate(other)
    [refused] = log.append([Write("r", "saw", SAW)])
    assert isinstance(refused, RequestIdReusedError)


def test_a_change_needs_the_expected_revision(log: WriteLog) -> None:
    log.curate(change(content="one", expected_revision=0))
    for revision in (0, 2):
        with pytest.raises(RevisionMismatchError, match="has revision 1,"):
            log.curate(change(content="two", expected_revision=revision))
    log.curate(change(Action.DELETE, expected_revision=1))
    # A deleted curation does not exist, and has the revision of its deletion.
    log.curate(change(Action.UNDO, expected_revision=2))
    log.curate(change(Action.DELETE))
    log.curate(change(content="two", expected_revision=0))
    with pytest.raises(RevisionMismatchError, match="does not exist"):
        log.curate(change(content="x", curation_id="d", expected_revision=3))
    assert present(log) == [("c", 5, "two")]


@pytest.mark.parametrize("action", [Action.DELETE, Action.UNDO])
def test_an_unknown_curation_is_refused_and_nothing_is_written(
    log: WriteLog, action: Action
) -> None:
    with pytest.raises(UnknownCurationError, match="'c'"):
        log.curate(change(action))
    assert log.sequence == 0
    log.curate(change(content="one"))
    log.curate(change(Action.DELETE))
    if action is Action.DELETE:
        with pytest.raises(UnknownCurationError):
            log.curate(change(action))


def test_a_refused_version_is_not_written(log: WriteLog) -> None:
    def refuse(version: CurationVersion) -> None:
        raise RequestError("query_rules", f"has {version.content}")

    log.curate(change(content="one"))
    log.curate(change(content="two"))
    with pytest.raises(RequestError, match="has one"):
        log.curate(change(Action.UNDO), refuse)
    assert present(log) == [("c", 2, "two")]
    log.check()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE curations SET content = 'evil'",
        "UPDATE curations SET author = 'Bob' WHERE sequence = 1",
        "DELETE FROM curations WHERE sequence = 1",
        "UPDATE curations SET sequence = 9 WHERE sequence = 2",
    ],
)
def test_a_changed_row_is_damage(tmp_path: Path, statement: str) -> None:
    with WriteLog.open(tmp_path) as log:
        for content in ("one", "two"):
            log.curate(change(content=content))
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        other.execute(statement)
        other.commit()
    with pytest.raises(LogError, match="is damaged"):
        WriteLog.open(tmp_path)
    with pytest.raises(LogError, match="is damaged"):
        reading.read(tmp_path)


def test_a_log_of_format_2_goes_on(tmp_path: Path) -> None:
    with WriteLog.open(tmp_path) as log:
        log.append([Write("item", "saw", SAW)])
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        other.execute("DROP TABLE curations")
        other.execute("PRAGMA user_version = 2")
        other.commit()
    assert reading.read(tmp_path).curations == ()
    with WriteLog.open(tmp_path) as log:
        log.curate(change(content="one"))
        log.check()
        assert present(log) == [("c", 2, "one")]
