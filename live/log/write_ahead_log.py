"""The write-ahead log of the catalogue: all changes since the bundle was built.

Only an item's latest state matters, so the log has one row per changed item. The log also has the
latest versions of curations, and it stores request ids, so that a repeated write changes nothing. A
write is on the disk before `append` or `curate` returns.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from base.errors import RequestError
from base.failpoints import failpoint
from base.locks import DirectoryLock
from base.sqlite_log.file import LogError, NoLogError, make_directory
from base.sqlite_log.high_water_mark import HighWaterMark, MarkFile
from base.sqlite_log.open_log import OpenLog
from base.sqlite_log.statements import digest, insert, select_in
from live.log import curations, reading
from live.log.curations import KEPT_VERSIONS, CurationChange, CurationVersion, PlannedChange
from live.log.digests import ItemRow, RequestRow, content_digest, content_sum, item_digest
from live.log.fields import merged, set_fields, to_json
from live.log.reading import FILE, Change, LogHead
from live.log.write import Write

__all__ = [
    "FILE",
    "Acknowledgement",
    "Change",
    "LogError",
    "NoItemError",
    "Outcome",
    "RequestIdReusedError",
    "Write",
    "WriteLog",
]

REMEMBERED_REQUESTS = 1_000_000  # number of request ids that the log keeps, in about 0.2 GB


class NoItemError(Exception):
    """A partial write names an item that does not exist."""

    def __init__(self, item_id: str):
        super().__init__(f"there is no item {item_id!r}; write the whole item to create it")
        self.item_id = item_id


class RequestIdReusedError(RequestError):
    """A request id was used before, for another write."""

    def __init__(self) -> None:
        super().__init__("request_id", "was used for another write; give a new one")


@dataclass(frozen=True)
class Acknowledgement:
    """The answer to a durable write."""

    sequence: int  # 1, 2, 3, … for new writes; a repeated write gets its first number again
    repeated: bool  # the request id was known, so nothing changed


# The acknowledgement of a write, or the error of a refused write.
Outcome: TypeAlias = Acknowledgement | NoItemError | RequestIdReusedError


@dataclass
class _Transaction:
    """The rows that one transaction writes."""

    last: int  # the log's last sequence number after the transaction
    before: LogHead
    rows: Mapping[str, ItemRow]  # item id -> its row before the transaction
    changes: dict[str, Change]  # item id -> its new row
    requests: dict[str, tuple[int, bytes]]  # request id -> sequence and digest
    curations: list[PlannedChange] = field(default_factory=list)


class WriteLog:
    """The write-ahead log in one directory. A lock keeps other writing processes out.

    Threads may share a log. It takes one batch of writes at a time. Readers and writers never wait
    for each other.

    Attributes:
        path: The log's file.
        id: Unique id of this log. Every log counts its own sequence numbers.
    """

    def __init__(
        self, log: OpenLog, head: LogHead, mark: MarkFile, lock: DirectoryLock, remembered: int
    ) -> None:
        self.path = log.file.path
        self.id = head.id
        self._file = log.file
        self._log = log
        self._mark = mark
        self._directory_lock = lock
        self._remembered = remembered
        self._lock = threading.Lock()
        self._closed = False
        self._sequence = head.sequence

    @classmethod
    def open(cls, directory: Path, *, remembered: int = REMEMBERED_REQUESTS) -> "WriteLog":
        """Check and open the log in a directory; create the directory and the log if need be.

        A lost log is not created anew. A log of an earlier format is converted. Other users have no
        access to a created directory or log.

        Args:
            directory: The directory that `--state` names.
            remembered: How many of the latest request ids the log keeps, at least 1.

        Raises:
            InputError: another process holds the lock of the directory.
            LogError: the directory or the file cannot be read or written, the file belongs to
                another program or has an unknown format, it is damaged, or it has lost writes.
        """
        file, mark_path = reading.log_file(directory), reading.mark_path(directory)
        directory = file.path.parent
        with file.reporting_directory("cannot be used"):
            make_directory(directory)
            lock = DirectoryLock(
                directory,
                f"another server is writing to {directory}; stop it, or give another --state",
                private=True,
            )
        with ExitStack() as opened, file.reporting("cannot be opened"):
            opened.callback(lock.release)
            mark = HighWaterMark.read(mark_path)
            try:
                log = OpenLog(file, create=mark.sequence == 0)
            except NoLogError:
                raise reading.lost(file, mark, 0) from None
            opened.callback(log.close, checkpoint=False)  # a log that is refused stays as it is
            reading.check(file, log.connection, mark)
            head = reading.head(log.connection)
            mark_file = MarkFile(mark_path, HighWaterMark(head.id, head.sequence))
            opened.callback(mark_file.close)
            log.watch(mark_path)
            opened.pop_all()
            return cls(log, head, mark_file, lock, remembered)

    def __enter__(self) -> "WriteLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def sequence(self) -> int:
        """Sequence number of the last write; 0 before the first write."""
        return self._sequence

    def append(
        self, writes: Sequence[Write], exists: Callable[[str], bool] = lambda _: True
    ) -> list[Outcome]:
        """Make writes durable in their order, in one transaction; leave out refused writes.

        Args:
            writes: The writes.
            exists: Returns whether an item exists. Called for partial writes, because the log has
                only items that were written.

        Returns:
            For each write, its acknowledgement or the error that refuses it.

        Raises:
            LogError: the file cannot be written, or a file of the log was removed, replaced or cut.
                After a disk failure, the writes may or may not be durable. The caller can safely
                send them again with the same request ids.
        """
        with self._lock:
            self._require_open()
            with self._file.reporting("cannot be written"):
                self._log.require_files()
                transaction, outcomes = self._plan(writes, exists)
                if transaction.requests:
                    self._commit(transaction)
        return outcomes

    def curate(
        self, change: CurationChange, check: Callable[[CurationVersion], None] = lambda _: None
    ) -> Acknowledgement:
        """Make a change of a curation durable, in one transaction.

        Args:
            change: The change.
            check: Called with the new version. The errors that it raises refuse the change.

        Raises:
            RequestIdReusedError: the request id was used for another write.
            UnknownCurationError: there is no such curation to delete, or to undo a change of.
            RevisionMismatchError: the curation does not have the expected revision.
            NothingToUndoError: the log has no earlier version.
            LogError: as from `append`.
        """
        with self._lock:
            self._require_open()
            with self._file.reporting("cannot be written"):
                self._log.require_files()
                if known := self._requests([change.request_id]).get(change.request_id):
                    if known[1] != change.digest:
                        raise RequestIdReusedError
                    return Acknowledgement(known[0], repeated=True)
                head = reading.head(self._log.connection)
                sequence = head.sequence + 1
                kept = curations.versions_of(self._file, self._log.connection, change.curation_id)
                planned = curations.plan(change, kept, sequence, KEPT_VERSIONS)
                check(curations.to_version(planned.added))
                requests = {change.request_id: (sequence, change.digest)}
                self._commit(_Transaction(sequence, head, {}, {}, requests, [planned]))
        return Acknowledgement(sequence, repeated=False)

    def curations(self, after: int = 0) -> Iterator[CurationVersion]:
        """Yield the latest version of each curation that was changed after a write, in order.

        Raises:
            LogError: the file cannot be read, or is damaged.
        """
        self._require_open()
        with self._file.reporting("cannot be read"), self._log.reader() as reader:
            yield from curations.latest(self._file, reader, after)

    def changes(self, after: int = 0) -> Iterator[Change]:
        """Yield the state of each item whose last write is later than `after`, in sequence order.

        Writes that are made during the iteration are not included.

        Raises:
            LogError: the file cannot be read, or is damaged.
        """
        self._require_open()
        with self._file.reporting("cannot be read"), self._log.reader() as reader:
            yield from reading.changes(self._file, reader, after)

    def check(self) -> None:
        """Check the whole file.

        Raises:
            LogError: the file cannot be read, or is damaged.
        """
        self._require_open()
        with self._file.reporting("cannot be read"), self._log.reader() as reader:
            reading.check(self._file, reader, HighWaterMark(self.id, self._sequence))

    def close(self) -> None:
        """Close the file and release the lock of the directory."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            failpoint("log.before-close")
            self._log.close()
            failpoint("log.after-close")
            self._mark.close()
            self._directory_lock.release()

    def _require_open(self) -> None:
        if self._closed:
            raise ValueError("the log is closed")

    def _plan(
        self, writes: Sequence[Write], exists: Callable[[str], bool]
    ) -> tuple[_Transaction, list[Outcome]]:
        """Return the transaction for a batch and the outcome of each write; write nothing."""
        requests = self._requests([write.request_id for write in writes])
        connection = self._log.connection
        rows = reading.rows_of(self._file, connection, [write.item_id for write in writes])
        partial = rows.keys() & {write.item_id for write in writes if _is_partial(write)}
        before = {item_id: reading.to_change(self._file, rows[item_id]) for item_id in partial}
        head = reading.head(connection)
        transaction = _Transaction(head.sequence, head, rows, {}, {})
        outcomes = [_add(transaction, write, requests, before, exists) for write in writes]
        return transaction, outcomes

    def _requests(self, request_ids: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        """Return the sequence number and digest of each known request, by request id."""
        query = "SELECT request_id, sequence, digest FROM requests WHERE request_id IN"
        rows = select_in(self._log.connection, query, request_ids)
        return {request_id: (sequence, digest) for request_id, sequence, digest in rows}

    def _commit(self, transaction: _Transaction) -> None:
        connection = self._log.connection
        items = [_row(change) for change in transaction.changes.values()]
        requests = [
            (sequence, request_id, digest)
            for request_id, (sequence, digest) in transaction.requests.items()
        ]
        failpoint("log.before-begin")
        with self._log.transaction():
            insert(connection, "INSERT OR REPLACE INTO items", items)
            added = [planned.added for planned in transaction.curations]
            removed = [row for planned in transaction.curations for row in planned.removed]
            insert(connection, "INSERT INTO curations", added)
            delete = "DELETE FROM curations WHERE sequence = ?"
            connection.executemany(delete, [row[:1] for row in removed])
            failpoint("log.after-insert")
            insert(connection, "INSERT INTO requests", requests)
            failpoint("log.before-prune")
            forgotten = self._forget(transaction.last - self._remembered)
            replaced = [transaction.rows[i] for i in transaction.rows.keys() & transaction.changes]
            total = int.from_bytes(transaction.before.content)
            total += content_sum([*items, *added], requests)
            content = content_digest(total - content_sum([*replaced, *removed], forgotten))
            connection.execute("UPDATE log SET content = ?", (content,))
            failpoint("log.before-commit")
        failpoint("log.after-commit")
        self._log.require_files()
        self._mark.write(HighWaterMark(self.id, transaction.last))
        self._sequence = transaction.last

    def _forget(self, last: int) -> list[RequestRow]:
        """Delete the request ids of writes up to `last`, and return their rows."""
        if last < 1:
            return []
        connection, where = self._log.connection, "FROM requests WHERE sequence <= ?"
        forgotten = connection.execute(f"SELECT sequence, request_id, digest {where}", (last,))
        rows = forgotten.fetchall()
        connection.execute(f"DELETE {where}", (last,))
        return rows


def _row(change: Change) -> ItemRow:
    """Return the row of an item's new state."""
    fields = None if change.fields is None else to_json(change.fields)
    content = (change.sequence, change.item_id, fields, int(change.whole))
    return *content, item_digest(*content)


def _digest(write: Write) -> bytes:
    """Return the hash of a write's item id, fields and `whole`."""
    content = json.dumps([write.item_id, write.whole or write.fields is None])
    return digest(content if write.fields is None else content + to_json(write.fields))


def _is_partial(write: Write) -> bool:
    """Return whether a write changes only some fields of an item."""
    return write.fields is not None and not write.whole


def _add(
    transaction: _Transaction,
    write: Write,
    requests: Mapping[str, tuple[int, bytes]],
    before: Mapping[str, Change],
    exists: Callable[[str], bool],
) -> Outcome:
    """Add a write to a transaction, unless the write is repeated or refused; return its outcome."""
    request_id, item_id, hashed = write.request_id, write.item_id, _digest(write)
    known = transaction.requests.get(request_id) or requests.get(request_id)
    if known and known[1] != hashed:
        return RequestIdReusedError()
    if known:
        return Acknowledgement(known[0], repeated=True)
    earlier = transaction.changes.get(item_id)
    if earlier is None and _is_partial(write) and not exists(item_id):
        return NoItemError(item_id)
    change = _merge(earlier or before.get(item_id), write, transaction.last + 1)
    if change is None:
        return NoItemError(item_id)
    transaction.last += 1
    transaction.changes[item_id] = change
    transaction.requests[request_id] = (transaction.last, hashed)
    return Acknowledgement(transaction.last, repeated=False)


def _merge(before: Change | None, write: Write, sequence: int) -> Change | None:
    """Return an item's row after a write; None for a partial write to a deleted item."""
    item_id, fields = write.item_id, write.fields
    if fields is None or write.whole:
        return Change(item_id, sequence, fields, whole=True)
    if before is None:
        return Change(item_id, sequence, fields, whole=False)
    if before.fields is None:
        return None
    after = merged(before.fields, fields)
    if before.whole:
        after = set_fields(after)
    return Change(item_id, sequence, after, before.whole)
