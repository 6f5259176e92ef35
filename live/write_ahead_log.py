"""The durable log of catalogue writes: what has changed since the bundle was built.

Only an item's latest state matters, so the log is one row per changed item, and a memory of request
ids by which a write that is sent again changes nothing. It is an SQLite database in WAL mode, and a
write is on the disk before `append` returns.
"""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

from filelock import FileLock

from base import sqlite_log
from base.failpoints import failpoint
from base.sqlite_log import LogError, reporting
from live import log_reading
from live.log_fields import canonical, is_text, set_fields, to_json
from live.log_reading import FILE, Change

__all__ = [
    "Change",
    "LogError",
    "NoItemError",
    "Outcome",
    "RequestIdReusedError",
    "Write",
    "WriteLog",
    "Written",
]

REMEMBERED_REQUESTS = 1_000_000  # writes whose request ids are known; at most about 0.2 GB
MAX_REQUEST_ID_CHARACTERS = 64


class NoItemError(Exception):
    """A write would change some fields of an item that does not exist."""

    def __init__(self, item_id: str):
        super().__init__(f"there is no item {item_id!r}; write the whole item to have it")
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


# What became of a write, or why it was not made: NoItemError, RequestIdReusedError, or ValueError
# of a malformed one.
Outcome: TypeAlias = Written | Exception


@dataclass
class _Batch:
    """What a transaction writes."""

    last: int  # the log's sequence, with all that is written here
    changes: dict[str, Change]  # item id -> its new row
    requests: dict[str, tuple[int, bytes]]  # request id -> sequence and digest


@dataclass(frozen=True)
class _Checked:
    """A write that is well formed."""

    write: Write
    fields: Mapping[str, Any] | None  # in their canonical form
    digest: bytes  # of all that it does

    @property
    def in_part(self) -> bool:
        """Whether it changes some fields of an item."""
        return self.fields is not None and not self.write.whole


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
        self._sequence = log_reading.last_sequence(connection)
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
            sqlite_log.make_directory(directory)
            lock = sqlite_log.lock_directory(directory)
        try:
            with reporting(path, "cannot be opened"):
                connection = sqlite_log.connect(path)
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

    def append(
        self, writes: Sequence[Write], exists: Callable[[str], bool] = lambda _: True
    ) -> list[Outcome]:
        """Makes writes durable, in their order: all that can be made at once, or none.

        Args:
            writes: What to write.
            exists: Whether there is an item of some id, for writes of some of its fields: the log
                knows only what was written.

        Returns:
            What became of each write, or why it was not made; the others were.

        Raises:
            LogError: the file cannot be written. Whether the writes are kept is not known where
                the disk failed; to send them again with the same request ids is always safe.
        """
        checked = [_check(write) for write in writes]
        with self._lock:
            self._require_open()
            with reporting(self.path, "cannot be written"):
                batch, outcomes = self._plan(checked, exists)
                if batch.requests:
                    self._commit(batch)
        return outcomes

    def changes(self, after: int = 0) -> Iterator[Change]:
        """The items whose last write is later than a sequence, in order of sequence.

        All are as they were when the first was taken, whatever is written meanwhile.

        Raises:
            LogError: the file cannot be read, or holds what no log wrote.
        """
        self._require_open()
        with (
            reporting(self.path, "cannot be read"),
            closing(sqlite_log.reader(self.path)) as reader,
        ):
            yield from log_reading.changes(self.path, reader, after)

    def check(self) -> None:
        """Reads everything and sees that it is sound.

        Raises:
            LogError: it is not.
        """
        self._require_open()
        with (
            reporting(self.path, "cannot be read"),
            closing(sqlite_log.reader(self.path)) as reader,
        ):
            reader.execute("BEGIN")  # one state of the file for all that is read
            log_reading.check_all(self.path, reader)

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

    def _plan(
        self, checked: Sequence[_Checked | ValueError], exists: Callable[[str], bool]
    ) -> tuple[_Batch, list[Outcome]]:
        """What a batch writes, and what becomes of each write; nothing is written here."""
        good = [each for each in checked if isinstance(each, _Checked)]
        requests = self._requests([each.write.request_id for each in good])
        in_part = [each.write.item_id for each in good if each.in_part]
        before = log_reading.changes_of(self.path, self._connection, in_part)
        batch = _Batch(log_reading.last_sequence(self._connection), {}, {})
        outcomes: list[Outcome] = [
            _planned(batch, each, requests, before, exists) if isinstance(each, _Checked) else each
            for each in checked
        ]
        return batch, outcomes

    def _requests(self, names: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        """Sequence and digest of those requests that were made before."""
        query = "SELECT request_id, sequence, digest FROM requests WHERE request_id IN"
        found = log_reading.selected(self._connection, query, names)
        return {name: (sequence, digest) for name, sequence, digest in found}

    def _commit(self, batch: _Batch) -> None:
        connection = self._connection
        rows = [
            (c.sequence, c.item_id, None if c.fields is None else to_json(c.fields), c.whole)
            for c in batch.changes.values()
        ]
        requests = [(sequence, name, d) for name, (sequence, d) in batch.requests.items()]
        failpoint("log.before-begin")
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._insert("INSERT OR REPLACE INTO items", rows)
            failpoint("log.after-insert")
            self._insert("INSERT INTO requests", requests)
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

    def _insert(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        for some in log_reading.portions(rows):
            row = f"({', '.join('?' * len(some[0]))})"
            values = [value for each in some for value in each]
            self._connection.execute(f"{statement} VALUES {', '.join([row] * len(some))}", values)


def _check(write: Write) -> _Checked | ValueError:
    """A write in its canonical form, or what is wrong with it."""
    if not is_text(write.request_id) or not 1 <= len(write.request_id) <= MAX_REQUEST_ID_CHARACTERS:
        limit = MAX_REQUEST_ID_CHARACTERS
        return ValueError(f"request_id: {write.request_id!r} is no text of 1 to {limit} characters")
    if not is_text(write.item_id) or not write.item_id:
        return ValueError(f"item_id: {write.item_id!r} is no text, or empty")
    fields = None
    if write.fields is not None:
        try:
            fields = canonical(write.fields, whole=write.whole)
        except ValueError as error:
            return error
    whole = write.whole or fields is None
    content = json.dumps([write.item_id, whole]) + ("" if fields is None else to_json(fields))
    return _Checked(write, fields, hashlib.blake2b(content.encode(), digest_size=16).digest())


def _planned(
    batch: _Batch,
    each: _Checked,
    requests: Mapping[str, tuple[int, bytes]],
    before: Mapping[str, Change],
    exists: Callable[[str], bool],
) -> Outcome:
    """What becomes of a write, which is put into the batch where it is new and can be made."""
    name, item_id = each.write.request_id, each.write.item_id
    known = batch.requests.get(name) or requests.get(name)
    if known and known[1] != each.digest:
        return RequestIdReusedError(name)
    if known:
        return Written(known[0], repeated=True)
    earlier = batch.changes.get(item_id)
    if earlier is None and each.in_part and not exists(item_id):
        return NoItemError(item_id)
    change = _merge(earlier or before.get(item_id), each, batch.last + 1)
    if change is None:
        return NoItemError(item_id)
    batch.last += 1
    batch.changes[item_id] = change
    batch.requests[name] = (batch.last, each.digest)
    return Written(batch.last, repeated=False)


def _merge(before: Change | None, each: _Checked, sequence: int) -> Change | None:
    """The row of an item after a write; None where there is no item to change in part."""
    item_id, fields = each.write.item_id, each.fields
    if fields is None or each.write.whole:
        return Change(item_id, sequence, fields, whole=True)
    if before is None:
        return Change(item_id, sequence, fields, whole=False)
    if before.fields is None:
        return None
    merged = {**before.fields, **fields}
    if before.whole:
        merged = set_fields(merged)
    return Change(item_id, sequence, merged, before.whole)
