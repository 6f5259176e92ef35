"""The durable log of catalogue writes: what has changed since the bundle was built.

Only an item's latest state matters, so the log is one row per changed item, and a memory of request
ids by which a write that is sent again changes nothing. It is an SQLite database in WAL mode, and a
write is on the disk before `append` returns.
"""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock

from catalog import logfile, logreading
from catalog.failpoints import failpoint
from catalog.logfields import canonical, is_text, set_fields, to_json
from catalog.logfile import LogError, reporting
from catalog.logreading import FILE, Change

__all__ = [
    "Change",
    "DeletedItemError",
    "LogError",
    "RequestIdReusedError",
    "Write",
    "WriteLog",
    "Written",
]

REMEMBERED_REQUESTS = 1_000_000  # writes whose request ids are known; at most about 0.2 GB
MAX_REQUEST_ID_CHARACTERS = 64


class DeletedItemError(Exception):
    """A write would change some fields of an item that is deleted."""

    def __init__(self, item_id: str):
        super().__init__(f"item {item_id!r} is deleted; write the whole item to have it back")
        self.item_id = item_id


class RequestIdReusedError(Exception):
    """A request id came before, with another write."""

    def __init__(self, request_id: str):
        super().__init__(f"request id {request_id!r} was used for another write; choose a new one")
        self.request_id = request_id


@dataclass(frozen=True)
class Write:
    """One upsert or deletion, as a caller asks for it."""

    request_id: str  # 1 to 64 characters, the caller's choice; a repeated one changes nothing
    item_id: str
    # None: delete. Else columns of schema.ITEMS, as schema.Item has them; a None clears a field.
    fields: Mapping[str, Any] | None
    whole: bool = True  # these are all of the item's fields; False: the others stay as they are


@dataclass(frozen=True)
class Written:
    """What became of a write."""

    sequence: int  # from 1, rising by 1 with every new write; a repeated one has its first
    repeated: bool  # its request id was known, and nothing changed


@dataclass(frozen=True)
class _Batch:
    """What a transaction writes."""

    changes: Mapping[str, Change]  # item id -> its new row
    requests: Mapping[str, tuple[int, bytes]]  # request id -> sequence and digest
    written: list[Written]  # one per write
    last: int  # sequence after it


class WriteLog:
    """The log in one directory, which it keeps other processes out of.

    Attributes:
        path: Its file.
        id: Which log it is: sequences of another one mean nothing here.

    Threads may share it. Writes come one batch at a time; readers never wait for them, nor they for
    readers.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, lock: FileLock, remembered: int
    ) -> None:
        self.path = path
        self._connection = connection
        self._directory_lock = lock
        self._remembered = remembered
        self._lock = threading.Lock()
        self._closed = False
        self._sequence = logreading.last_sequence(connection)
        (self.id,) = connection.execute("SELECT id FROM log").fetchone()

    @classmethod
    def open(cls, directory: Path, *, remembered: int = REMEMBERED_REQUESTS) -> "WriteLog":
        """Opens the log in a directory; makes both where they are missing, for this user alone.

        Args:
            directory: What `--state` names.
            remembered: The number of last writes whose request ids are known, from 1.

        Raises:
            InputError: another process has the directory.
            LogError: the directory or the file cannot be read or written, or the file is none of
                ours or of another format.
        """
        directory = directory.resolve()
        path = directory / FILE
        with reporting(directory, "cannot be used"):
            logfile.make_directory(directory)
            lock = logfile.lock_directory(directory)
        try:
            with reporting(path, "cannot be opened"):
                connection = logfile.connect(path)
                try:
                    return cls(path, connection, lock, remembered)
                except BaseException:
                    connection.close()
                    raise
        except BaseException:
            lock.release()
            raise

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
        """Sequence of the last write, 0 before the first."""
        return self._sequence

    def repeated(self, write: Write) -> Written | None:
        """What became of a write that was made before; None of one that is new.

        Raises:
            RequestIdReusedError: its request id came before, with another write.
            ValueError: it is malformed.
        """
        _, digest = _check(write)
        with self._lock:
            self._require_open()
            with reporting(self.path, "cannot be read"):
                known = self._request(write.request_id)
        if known is None:
            return None
        if known[1] != digest:
            raise RequestIdReusedError(write.request_id)
        return Written(known[0], repeated=True)

    def append(self, writes: Sequence[Write]) -> list[Written]:
        """Makes writes durable, in their order: all of them, or none where this raises.

        Returns:
            What became of each write.

        Raises:
            DeletedItemError: a write has some fields of an item that is then deleted.
            RequestIdReusedError: a request id came before, with another write.
            LogError: the file cannot be written. Whether the writes are kept is not known where
                the disk failed; to send them again with the same request ids is always safe.
            ValueError: a write is malformed.
        """
        checked = [(write, *_check(write)) for write in writes]
        with self._lock:
            self._require_open()
            with reporting(self.path, "cannot be written"):
                batch = self._plan(checked)
                if batch.requests:
                    self._commit(batch)
        return batch.written

    def changes(self, after: int = 0) -> Iterator[Change]:
        """The items whose last write is later than a sequence, in order of sequence.

        All are as they were when the first was taken, whatever is written meanwhile.

        Raises:
            LogError: the file cannot be read, or holds what no log wrote.
        """
        self._require_open()
        with reporting(self.path, "cannot be read"), closing(logfile.reader(self.path)) as reader:
            yield from logreading.changes(self.path, reader, after)

    def check(self) -> None:
        """Reads everything and sees that it is sound.

        Raises:
            LogError: it is not.
        """
        self._require_open()
        with reporting(self.path, "cannot be read"), closing(logfile.reader(self.path)) as reader:
            reader.execute("BEGIN")  # one state of the file for all that is read
            logreading.check_all(self.path, reader)

    def close(self) -> None:
        """Closes the file and lets other processes into the directory."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            failpoint("log.before-close")
            self._connection.close()
            failpoint("log.after-close")
            self._directory_lock.release()

    def _require_open(self) -> None:
        if self._closed:
            raise ValueError("the log is closed")

    def _request(self, request_id: str) -> tuple[int, bytes] | None:
        query = "SELECT sequence, digest FROM requests WHERE request_id = ?"
        found: tuple[int, bytes] | None = self._connection.execute(query, (request_id,)).fetchone()
        return found

    def _plan(self, checked: Sequence[tuple[Write, Mapping[str, Any] | None, bytes]]) -> _Batch:
        """What a batch writes; nothing is written here, so that what is refused leaves nothing."""
        last = logreading.last_sequence(self._connection)
        changes: dict[str, Change] = {}
        requests: dict[str, tuple[int, bytes]] = {}
        written = []
        for write, fields, digest in checked:
            known = requests.get(write.request_id) or self._request(write.request_id)
            if known:
                if known[1] != digest:
                    raise RequestIdReusedError(write.request_id)
                written.append(Written(known[0], repeated=True))
                continue
            last += 1
            before = changes.get(write.item_id) or logreading.change_of(
                self.path, self._connection, write.item_id
            )
            changes[write.item_id] = _merge(before, write, fields, last)
            requests[write.request_id] = (last, digest)
            written.append(Written(last, repeated=False))
        return _Batch(changes, requests, written, last)

    def _commit(self, batch: _Batch) -> None:
        connection = self._connection
        failpoint("log.before-begin")
        try:
            connection.execute("BEGIN IMMEDIATE")
            for change in batch.changes.values():
                text = None if change.fields is None else to_json(change.fields)
                row = (change.sequence, change.item_id, text, change.whole)
                connection.execute("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?)", row)
                failpoint("log.after-insert")
            requests = [(sequence, name, d) for name, (sequence, d) in batch.requests.items()]
            connection.executemany("INSERT INTO requests VALUES (?, ?, ?)", requests)
            failpoint("log.before-prune")
            old = (batch.last - self._remembered,)
            connection.execute("DELETE FROM requests WHERE sequence <= ?", old)
            failpoint("log.before-commit")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._sequence = batch.last
        failpoint("log.after-commit")


def _check(write: Write) -> tuple[Mapping[str, Any] | None, bytes]:
    """A write's fields in their canonical form, and a digest of all that it does.

    Raises:
        ValueError: it is malformed.
    """
    if not is_text(write.request_id) or not 1 <= len(write.request_id) <= MAX_REQUEST_ID_CHARACTERS:
        limit = MAX_REQUEST_ID_CHARACTERS
        raise ValueError(f"request_id: {write.request_id!r} is no text of 1 to {limit} characters")
    if not is_text(write.item_id) or not write.item_id:
        raise ValueError(f"item_id: {write.item_id!r} is no text, or empty")
    fields = None
    if write.fields is not None:
        fields = canonical(write.fields, whole=write.whole)
    whole = write.whole or fields is None
    content = json.dumps([write.item_id, whole]) + ("" if fields is None else to_json(fields))
    return fields, hashlib.blake2b(content.encode(), digest_size=16).digest()


def _merge(
    before: Change | None, write: Write, fields: Mapping[str, Any] | None, sequence: int
) -> Change:
    """The row of an item after a write."""
    if fields is None or write.whole:
        return Change(write.item_id, sequence, fields, whole=True)
    if before is None:
        return Change(write.item_id, sequence, fields, whole=False)
    if before.fields is None:
        raise DeletedItemError(write.item_id)
    merged = {**before.fields, **fields}
    if before.whole:
        merged = set_fields(merged)
    return Change(write.item_id, sequence, merged, before.whole)
