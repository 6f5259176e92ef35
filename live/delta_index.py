"""What was written since an engine's bundle was built, put into what the engine searches.

A write is visible as soon as `apply` returns when it deletes an item or changes its numbers (price,
stock, ratings, the day it came out). Other changes, and new items, wait in `pending` until `show`
has encoded and indexed them; an item is found as it was until then. One that cannot be encoded is
set aside, so that nothing waits behind it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from catalog.schema import Item
from catalog.store import NUMERIC
from lexical.live_index import LiveLexicalIndex
from live.item_vectors import item_vectors
from live.write_ahead_log import Change, Write
from search import bundle
from search.channels.base import AddedRows
from search.engine import Engine
from search.runtime.batching import Caller, calling
from search.snapshot import Snapshot

logger = logging.getLogger(__name__)

_REMEMBERED = 1_000  # waits that the reported percentiles are of


@dataclass(frozen=True)
class Pending:
    """An item that is not found as it is yet."""

    item: Item
    sequence: int  # of the first write that is not visible
    since: float  # when that was acknowledged, in time.monotonic() seconds


class DeltaIndex:
    """The writes on top of one engine's bundle. `show` is for one thread at a time."""

    def __init__(self, engine: Engine, scratch: Path) -> None:
        """Begin with a bundle as it was built; its engine's `view` is replaced from now on.

        Args:
            engine: Whose bundle it is.
            scratch: A directory for files that mean nothing to another process.
        """
        self.engine = engine
        self.pending: dict[str, Pending] = {}
        self.aside: dict[str, Pending] = {}  # those that the encoder fails at
        self.waits: deque[float] = deque(maxlen=_REMEMBERED)  # seconds until shown
        self.applied = 0  # the last write that `apply` took
        self._dead: list[int] = []  # rows that the lexical index still has
        self._lexical = LiveLexicalIndex(
            engine.directory / bundle.LEXICAL, engine.snapshot.channels.lexical.index, scratch
        )
        self._lock = threading.Lock()  # of the engine's view and what is pending

    def has(self, item_id: str) -> bool:
        """Whether there is an item of some id, visible or not."""
        return bool(self._waiting(item_id)) or self.engine.snapshot.catalogue.row(item_id) >= 0

    def would_wait(self, write: Write) -> bool:
        """Whether a write would make one more item wait to be shown; a guess while others come."""
        if write.fields is None or self._waiting(write.item_id):
            return False
        visible = self._visible(write.item_id)
        if visible is None:
            return write.whole
        try:
            after = _written(write, visible)
        except TypeError:  # malformed, and will be refused
            return False
        return not _numbers_alone(visible, after)

    def apply(self, writes: Iterable[tuple[int, Write | Change]]) -> None:
        """Take writes in, each with its sequence; some are visible from now on, see above.

        A partial write to an item that does not exist is left out: the bundle that it was written
        over had the item, this one has not.
        """
        with self._lock:
            changes, applied = _Changes(self.engine.snapshot), self.applied
            for sequence, write in writes:
                self._apply(changes, sequence, write)
                applied = sequence
            snapshot = changes.snapshot()
            # Only now: where anything above fails, the same writes can be taken in again.
            self._dead += changes.dead
            self.engine.snapshot, self.applied = snapshot, applied

    def show(self, most: int, known: Snapshot | None = None) -> int:
        """Make up to so many of the pending items visible; returns how many it looked at.

        Args:
            most: How many.
            known: Another view of the same models, whose vectors need not be made again.
        """
        with self._lock:
            taken = {key: self.pending[key] for key in islice(self.pending, most)}
            snapshot, dead, self._dead = self.engine.snapshot, self._dead, []
        if not taken and not dead:
            return 0
        try:
            self._show(taken, snapshot, dead, known)
        except BaseException:
            with self._lock:  # rows that are looked up in vain do no harm
                self._dead = dead + self._dead
            raise
        return len(taken)

    def _show(
        self,
        taken: Mapping[str, Pending],
        snapshot: Snapshot,
        dead: Sequence[int],
        known: Snapshot | None,
    ) -> None:
        vectors, failed = self._vectors(
            [pending.item for pending in taken.values()], [snapshot, known] if known else [snapshot]
        )
        if failed:
            keys = list(taken)
            bad = {keys[at]: taken[keys[at]] for at in failed}
            self._set_aside(bad)
            taken = {key: taken[key] for key in keys if key not in bad}
            vectors = np.delete(vectors, failed, axis=0)
        items = [pending.item for pending in taken.values()]
        first = snapshot.catalogue.rows_in_all
        old = [row for row in snapshot.catalogue.rows(list(taken)).tolist() if row >= 0]
        lexical = self._lexical.update(
            dict(enumerate(items, start=first)), [*old, *dead], first + len(items)
        )
        # `apply` changes the catalogue alone, so these channels fit a later snapshot too.
        channels = snapshot.channels.extended(AddedRows(items, vectors, lexical))
        with self._lock:
            snapshot = self.engine.snapshot  # with what was deleted and renumbered meanwhile
            shown = [self._shown(item) for item in items]
            catalogue = snapshot.catalogue.with_items(shown)
            gone = [
                first + at for at, (key, was) in enumerate(taken.items()) if self._lost(key, was)
            ]
            self._dead += gone
            self.engine.snapshot = snapshot.changed(catalogue.without(gone), channels)
            self._settle(taken)

    def sequence(self) -> int:
        """Up to which write everything is visible."""
        with self._lock:
            waiting = chain(self.pending.values(), self.aside.values())
            return min((p.sequence - 1 for p in waiting), default=self.applied)

    def close(self) -> None:
        """Drop what only further writes would need."""
        self._lexical.close()

    def _apply(self, changes: "_Changes", sequence: int, write: Write | Change) -> None:
        item_id, fields = write.item_id, write.fields
        waiting = self._waiting(item_id)
        if fields is None:
            self.pending.pop(item_id, None)
            self.aside.pop(item_id, None)
            changes.remove(item_id)
            return
        if not waiting and not write.whole and fields.keys() <= NUMERIC:
            changes.renumber(item_id, fields)  # as below, without making the item
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
        # Also where it is again what is visible: `show` may be about to make it another.
        if waiting or visible is None or not _numbers_alone(visible, after):
            first = waiting or Pending(after, sequence, time.monotonic())
            aside = self.aside.pop(item_id, None)
            if aside is None:
                self.pending[item_id] = replace(first, item=after)
            elif _numbers_alone(aside.item, after):
                self.aside[item_id] = replace(aside, item=after)  # the encoder would fail again
            else:
                self.pending[item_id] = replace(aside, item=after, since=time.monotonic())

    def _waiting(self, item_id: str) -> Pending | None:
        return self.pending.get(item_id) or self.aside.get(item_id)

    def _visible(self, item_id: str) -> Item | None:
        catalogue = self.engine.snapshot.catalogue
        row = catalogue.row(item_id)
        return catalogue.item(row) if row >= 0 else None

    def _set_aside(self, failed: Mapping[str, Pending]) -> None:
        """Let nothing wait for items that the encoder fails at."""
        with self._lock:
            for key, was in failed.items():
                if self._lost(key, was) or not _numbers_alone(was.item, self.pending[key].item):
                    continue  # it is another by now
                self.aside[key] = self.pending[key]  # before it goes: `has` looks at both
                del self.pending[key]
                logger.error("item %r cannot be encoded, and stays as it is found so far", key)

    def _shown(self, item: Item) -> Item:
        """An item as it was indexed, with its newest numbers where nothing else changed since."""
        newest = self.pending.get(item.item_id)
        if newest is not None and _numbers_alone(item, newest.item):
            return newest.item
        return item

    def _lost(self, item_id: str, was: Pending) -> bool:
        """Whether an item was deleted since it was pending like that, even if it came back."""
        pending = self.pending.get(item_id)
        return pending is None or pending.sequence != was.sequence

    def _settle(self, taken: Mapping[str, Pending]) -> None:
        """Forget what is no longer pending."""
        now = time.monotonic()
        for key, was in taken.items():
            if self._lost(key, was):
                continue
            pending = self.pending[key]
            self.waits.append(now - pending.since)
            if _numbers_alone(was.item, pending.item):
                del self.pending[key]
            else:  # it changed again; what it was is visible
                self.pending[key] = replace(pending, since=now)

    def _vectors(
        self, items: Sequence[Item], views: Sequence[Snapshot]
    ) -> tuple[Float32[np.ndarray, "items dim"], list[int]]:
        with calling(Caller(background=True)):
            return item_vectors(self.engine.models.encoder, items, views)


class _Changes:
    """What a batch of writes does to the rows of a view."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._view = snapshot
        self._removed: set[str] = set()
        self._numbers: dict[str, dict[int, Any]] = {}  # by column, the new values by row
        self.dead: list[int] = []

    def item(self, item_id: str) -> Item | None:
        """A visible item as the batch has left it so far; None where there is none."""
        row = self._row(item_id)
        if row < 0:
            return None
        numbers = {column: rows[row] for column, rows in self._numbers.items() if row in rows}
        return replace(self._view.catalogue.item(row), **numbers)

    def remove(self, item_id: str) -> None:
        """Delete an item, if it is there."""
        if (row := self._row(item_id)) >= 0:
            self.dead.append(row)
            self._removed.add(item_id)

    def renumber(self, item_id: str, numbers: Mapping[str, Any]) -> None:
        """Give an item other numbers, if it is there."""
        if (row := self._row(item_id)) >= 0:
            for column, value in numbers.items():
                self._numbers.setdefault(column, {})[row] = value

    def snapshot(self) -> Snapshot:
        """The view after all of them."""
        if not self._numbers and not self.dead:
            return self._view
        catalogue = self._view.catalogue
        return self._view.changed(catalogue.with_numbers(self._numbers).without(self.dead))

    def _row(self, item_id: str) -> int:
        return -1 if item_id in self._removed else self._view.catalogue.row(item_id)


def _numbered(item: Item, numbers: Item) -> Item:
    """An item with the numbers of another."""
    own = {f.name for f in fields(Item)} & NUMERIC
    return replace(item, **{name: getattr(numbers, name) for name in own})


def _numbers_alone(item: Item, other: Item) -> bool:
    """Whether two states of an item differ in nothing but numbers."""
    return _numbered(item, other) == other


def _written(write: Write | Change, before: Item | None) -> Item:
    """An item after a write that does not delete it; what was there before matters to some fields.

    Raises:
        TypeError: it names fields that items do not have, or lacks one that they must have.
    """
    assert write.fields is not None
    if write.whole or before is None:
        return Item(write.item_id, **write.fields)
    return replace(before, **write.fields)
