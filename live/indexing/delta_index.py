"""The delta index: it adds writes to the items of a bundle, so that searches see them.

Deletions and changed numbers (price, stock, ratings, release date) are visible as soon as `apply`
returns. New items and other changes are pending until `show` has encoded and indexed them; until
then, searches find the item's earlier version. An item that cannot be encoded is set aside, so that
other items do not wait for it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float32

from catalog.items import Item
from catalog.store import NUMERIC
from live.indexing.item_vectors import ItemEncoder, item_vectors
from live.log.write_ahead_log import Change, Write
from search.bundle import Manifest
from search.channels.base import AddedRows
from search.channels.fusion import Channels, ChannelsWriter
from search.curation.curation import Curation
from search.engine import Engine
from search.runtime.batching import CallContext, call_scope
from search.snapshot import Snapshot

logger = logging.getLogger(__name__)

_REMEMBERED_WAITS = 1_000  # number of latest waits that are kept, to report percentiles

# A function with the parameters and the result of `item_vectors`.
MakeVectors: TypeAlias = Callable[
    [ItemEncoder, Sequence[Item], Sequence[Snapshot]],
    tuple[Float32[np.ndarray, "items dim"], list[int]],
]
OpenWriter: TypeAlias = Callable[[Channels, Path, Manifest, Path], ChannelsWriter]


@dataclass(frozen=True)
class PendingItem:
    """An item whose latest version is not visible yet."""

    item: Item
    sequence: int  # sequence number of the first write that is not visible
    since: float  # when that write was acknowledged, in seconds of the clock


class DeltaIndex:
    """The writes to the items of one engine. Only one thread at a time may call `show`."""

    def __init__(
        self,
        engine: Engine,
        scratch: Path,
        *,
        make_vectors: MakeVectors = item_vectors,
        open_writer: OpenWriter = ChannelsWriter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start without writes. From now on, only this object may replace the engine's snapshot.

        Args:
            engine: The engine of the bundle.
            scratch: A directory for temporary files, created when it is needed.
            make_vectors: Makes the vectors of pending items.
            open_writer: Opens the writer that adds pending items to the recall channels.
            clock: Measures how long items wait, in seconds.
        """
        self.engine = engine
        self.pending: dict[str, PendingItem] = {}
        self.aside: dict[str, PendingItem] = {}  # items that cannot be encoded
        self.waits: deque[float] = deque(maxlen=_REMEMBERED_WAITS)  # latest waits, in seconds
        self.applied = 0  # sequence of the last applied write
        self._make_vectors = make_vectors
        self._clock = clock
        self._dead: list[int] = []  # deleted rows that the channels still have
        self._scratch = scratch
        self._open_writer = open_writer
        self._built = engine.snapshot.channels
        self._writer: ChannelsWriter | None = None  # `show` opens it, again after a failure
        self._lock = threading.Lock()  # guards the engine's snapshot and the pending items

    def has(self, item_id: str) -> bool:
        """Return whether an item exists, visible or not."""
        return bool(self._waiting(item_id)) or self.engine.snapshot.catalogue.row(item_id) >= 0

    def would_wait(self, write: Write) -> bool:
        """Return whether a write would add a pending item; during `apply`, only a guess."""
        if write.fields is None or self._waiting(write.item_id):
            return False
        visible = self._visible(write.item_id)
        if visible is None:
            return write.whole
        return not _same_but_numbers(visible, _written(write, visible))

    def apply(self, writes: Iterable[tuple[int, Write | Change]]) -> None:
        """Apply writes with their sequence numbers; deletions and numbers are visible at once.

        A partial write to a missing item is skipped: an earlier bundle had the item, but this
        bundle does not.
        """
        with self._lock:
            changes, applied = _Changes(self.engine.snapshot), self.applied
            for sequence, write in writes:
                self._apply(changes, sequence, write)
                applied = sequence
            snapshot = changes.snapshot()
            # Assign last: if anything above fails, the same writes can be applied again.
            self._dead += changes.dead
            self.engine.snapshot, self.applied = snapshot, applied

    def curate(self, curations: Sequence[Curation]) -> None:
        """Let searches use other live curations; no other thread may call this meanwhile."""
        curated = self.engine.snapshot.curations.with_live(curations)  # slow, so without the lock
        with self._lock:
            self.engine.snapshot = self.engine.snapshot.curated(curated)

    def show(self, most: int, known: Snapshot | None = None) -> int:
        """Make pending items visible; return how many items were tried.

        Args:
            most: Maximum number of items to try.
            known: Another snapshot of the same models. Its vector of an unchanged item is reused.
        """
        with self._lock:
            taken = {key: self.pending[key] for key in islice(self.pending, most)}
            snapshot, dead, self._dead = self.engine.snapshot, self._dead, []
        if not taken and not dead:
            return 0
        try:
            self._show(taken, snapshot, dead, known)
        except BaseException:
            with self._lock:  # the next call deletes these rows again, which is safe
                self._dead = dead + self._dead
            raise
        return len(taken)

    def _show(
        self,
        taken: Mapping[str, PendingItem],
        snapshot: Snapshot,
        dead: Sequence[int],
        known: Snapshot | None,
    ) -> None:
        # Open the writer before the slow encoding: on a full disk, this fails.
        writer = self._writer or self._open(snapshot)
        vectors, failed = self._vectors(
            [pending.item for pending in taken.values()], [snapshot, known] if known else [snapshot]
        )
        if failed:
            keys = list(taken)
            bad = {keys[position]: taken[keys[position]] for position in failed}
            self._set_aside(bad)
            taken = {key: taken[key] for key in keys if key not in bad}
            vectors = np.delete(vectors, failed, axis=0)
        try:
            self._index(taken, vectors, snapshot, dead, writer)
        except BaseException:
            self.close()  # the channels of the writer may have other rows than the snapshot
            raise

    def _open(self, snapshot: Snapshot) -> ChannelsWriter:
        """Open a writer for the channels of the bundle, and add the added rows of a snapshot."""
        engine, catalogue = self.engine, snapshot.catalogue
        built = len(catalogue.base)
        rows = np.arange(built, catalogue.rows_in_all, dtype=np.int32)
        items = [catalogue.roles.readable(catalogue.item(row)) for row in rows.tolist()]
        dead = np.flatnonzero(~catalogue.all_alive).tolist()
        self._writer = self._open_writer(
            self._built, engine.directory, engine.manifest, self._scratch
        )
        try:
            self._writer.extended(AddedRows(built, items, snapshot.channels.vectors(rows), dead))
            return self._writer
        except BaseException:
            self.close()
            raise

    def _index(
        self,
        taken: Mapping[str, PendingItem],
        vectors: Float32[np.ndarray, "items dim"],
        snapshot: Snapshot,
        dead: Sequence[int],
        writer: ChannelsWriter,
    ) -> None:
        """Add encoded items to the channels, and make them visible."""
        items = [pending.item for pending in taken.values()]
        first = snapshot.catalogue.rows_in_all
        old = [row for row in snapshot.catalogue.rows(list(taken)).tolist() if row >= 0]
        readable = list(map(snapshot.catalogue.roles.readable, items))
        # `apply` changes only the catalogue, so these channels fit a later snapshot too.
        channels = writer.extended(AddedRows(first, readable, vectors, [*old, *dead]))
        with self._lock:
            snapshot = self.engine.snapshot  # includes deletions and numbers written meanwhile
            shown = [self._shown(item) for item in items]
            catalogue = snapshot.catalogue.with_items(shown)
            deleted = [
                row
                for row, (item_id, before) in enumerate(taken.items(), start=first)
                if self._deleted_since(item_id, before)
            ]
            self.engine.snapshot = snapshot.changed(catalogue.without(deleted), channels, shown)
            self._dead += deleted
            self._settle(taken)

    def visible_sequence(self) -> int:
        """Return the sequence number up to which all writes are visible."""
        with self._lock:
            invisible = chain(self.pending.values(), self.aside.values())
            return min((item.sequence - 1 for item in invisible), default=self.applied)

    def oldest_wait(self) -> float:
        """Return how long the oldest pending item has waited, in seconds; 0 if none is pending.

        The time before this index was opened does not count.
        """
        with self._lock:
            now = self._clock()
            return max((now - item.since for item in self.pending.values()), default=0.0)

    def close(self) -> None:
        """Release resources that only writes need; searches still work."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _apply(self, changes: "_Changes", sequence: int, write: Write | Change) -> None:
        item_id, fields = write.item_id, write.fields
        waiting = self._waiting(item_id)
        if fields is None:
            self.pending.pop(item_id, None)
            self.aside.pop(item_id, None)
            changes.remove(item_id)
            return
        if not waiting and not write.whole and fields.keys() <= NUMERIC:
            changes.renumber(item_id, fields)  # same result as below, without building the item
            return
        visible = changes.item(item_id)
        before = waiting.item if waiting else visible
        if before is None and not write.whole:
            return
        after = _written(write, before)
        if visible is not None:
            numbers = {name: getattr(after, name) for name in NUMERIC}
            other = {name: n for name, n in numbers.items() if n != getattr(visible, name)}
            changes.renumber(item_id, other)
        # A waiting item stays pending even if it equals the visible version: `show` may be about to
        # make an older pending version visible.
        if waiting or visible is None or not _same_but_numbers(visible, after):
            first = waiting or PendingItem(after, sequence, self._clock())
            aside = self.aside.pop(item_id, None)
            if aside is None:
                self.pending[item_id] = replace(first, item=after)
            elif _same_but_numbers(aside.item, after):
                self.aside[item_id] = replace(aside, item=after)  # the encoder would fail again
            else:
                self.pending[item_id] = replace(aside, item=after, since=self._clock())

    def _waiting(self, item_id: str) -> PendingItem | None:
        return self.pending.get(item_id) or self.aside.get(item_id)

    def _visible(self, item_id: str) -> Item | None:
        catalogue = self.engine.snapshot.catalogue
        row = catalogue.row(item_id)
        return catalogue.item(row) if row >= 0 else None

    def _set_aside(self, failed: Mapping[str, PendingItem]) -> None:
        """Set aside the items that cannot be encoded, unless they changed meanwhile."""
        with self._lock:
            for item_id, before in failed.items():
                if self._deleted_since(item_id, before):
                    continue
                pending = self.pending[item_id]
                if not _same_but_numbers(before.item, pending.item):
                    continue
                self.aside[item_id] = pending  # add, then delete: `has` reads both without a lock
                del self.pending[item_id]
                logger.error(
                    "item cannot be encoded, and keeps its earlier version: item_id=%r", item_id
                )

    def _shown(self, item: Item) -> Item:
        """Return an indexed item, with newer numbers if only its numbers changed meanwhile."""
        newest = self.pending.get(item.item_id)
        if newest is not None and _same_but_numbers(item, newest.item):
            return newest.item
        return item

    def _deleted_since(self, item_id: str, before: PendingItem) -> bool:
        """Return whether an item was deleted after `before`, even if it was written again."""
        pending = self.pending.get(item_id)
        return pending is None or pending.sequence != before.sequence

    def _settle(self, taken: Mapping[str, PendingItem]) -> None:
        """Remove items from the pending items after `show`, unless they changed meanwhile."""
        now = self._clock()
        for item_id, before in taken.items():
            if self._deleted_since(item_id, before):
                continue
            pending = self.pending[item_id]
            self.waits.append(now - pending.since)
            if _same_but_numbers(before.item, pending.item):
                del self.pending[item_id]
            else:
                self.pending[item_id] = replace(pending, since=now)

    def _vectors(
        self, items: Sequence[Item], snapshots: Sequence[Snapshot]
    ) -> tuple[Float32[np.ndarray, "items dim"], list[int]]:
        with call_scope(CallContext(background=True)):
            return self._make_vectors(self.engine.models.encoder, items, snapshots)


class _Changes:
    """The effect of a batch of writes on the rows of a snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._removed: set[str] = set()
        self._numbers: dict[str, dict[int, Any]] = {}  # column -> row -> new value
        self.dead: list[int] = []

    def item(self, item_id: str) -> Item | None:
        """Return a visible item after the writes so far; None if there is no such item."""
        row = self._row(item_id)
        if row < 0:
            return None
        numbers = {column: rows[row] for column, rows in self._numbers.items() if row in rows}
        return replace(self._snapshot.catalogue.item(row), **numbers)

    def remove(self, item_id: str) -> None:
        """Delete an item, if it exists."""
        if (row := self._row(item_id)) >= 0:
            self.dead.append(row)
            self._removed.add(item_id)

    def renumber(self, item_id: str, numbers: Mapping[str, Any]) -> None:
        """Change an item's numbers, if it exists."""
        if (row := self._row(item_id)) >= 0:
            for column, value in numbers.items():
                self._numbers.setdefault(column, {})[row] = value

    def snapshot(self) -> Snapshot:
        """Return the snapshot after all writes of the batch."""
        if not self._numbers and not self.dead:
            return self._snapshot
        catalogue = self._snapshot.catalogue
        return self._snapshot.changed(catalogue.with_numbers(self._numbers).without(self.dead))

    def _row(self, item_id: str) -> int:
        return -1 if item_id in self._removed else self._snapshot.catalogue.row(item_id)


def _same_but_numbers(item: Item, other: Item) -> bool:
    """Return whether two versions of an item are equal or differ only in numbers."""
    numeric = {field.name for field in fields(Item)} & NUMERIC
    return replace(item, **{name: getattr(other, name) for name in numeric}) == other


def _written(write: Write | Change, before: Item | None) -> Item:
    """Return the state of an item after a write; the write must not be a deletion."""
    assert write.fields is not None
    if write.whole or before is None:
        return Item(write.item_id, **write.fields)
    return before.changed(write.fields)
