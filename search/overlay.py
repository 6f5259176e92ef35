"""What was written since an engine's bundle was built, put into what the engine searches.

A write is visible as soon as `apply` returns when it deletes an item or changes its numbers (price,
stock, ratings, the day it came out). Other changes, and new items, wait in `pending` until `show`
has encoded and indexed them; an item is found as it was until then.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import Any

import numpy as np
from jaxtyping import Float32

from catalog.log import Change, Write
from catalog.schema import Item
from catalog.store import NUMERIC
from catalog.text import item_text
from lexical.live import LiveLexicalIndex
from search import bundle
from search.engine import Engine
from search.view import View

_REMEMBERED = 1_000  # waits that the reported percentiles are of


@dataclass(frozen=True)
class Pending:
    """An item that is not found as it is yet."""

    item: Item
    sequence: int  # of the first write that is not visible
    since: float  # when that was acknowledged, in time.monotonic() seconds


class Overlay:
    """The writes on top of one engine's bundle. `show` is for one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        """Begin with a bundle as it was built; its engine's `view` is replaced from now on."""
        self.engine = engine
        self.pending: dict[str, Pending] = {}
        self.waits: deque[float] = deque(maxlen=_REMEMBERED)  # seconds until shown
        self.applied = 0  # the last write that `apply` took
        self._dead: list[int] = []  # rows that the lexical index still has
        self._lexical = LiveLexicalIndex(
            engine.directory / bundle.LEXICAL, engine.view.recall.lexical
        )
        self._lock = threading.Lock()  # of the engine's view and what is pending

    def current(self, item_id: str) -> Item | None:
        """An item as it was last written, visible or not; None where there is none."""
        pending = self.pending.get(item_id)
        if pending is not None:
            return pending.item
        catalogue = self.engine.view.catalogue
        row = catalogue.row(item_id)
        return catalogue.item(row) if row >= 0 else None

    def apply(self, writes: Iterable[tuple[int, Write | Change]]) -> None:
        """Take writes in, each with its sequence; some are visible from now on, see above.

        A partial write to an item that does not exist is left out: the bundle that it was written
        over had the item, this one has not.
        """
        with self._lock:
            changes = _Changes(self.engine.view)
            for sequence, write in writes:
                self._apply(changes, sequence, write)
                self.applied = sequence
            self._dead += changes.dead
            self.engine.view = changes.view()

    def show(self, most: int, known: View | None = None) -> int:
        """Make up to so many of the pending items visible; returns how many it looked at.

        Args:
            most: How many.
            known: Another view of the same models, whose vectors need not be made again.
        """
        with self._lock:
            taken = {key: self.pending[key] for key in islice(self.pending, most)}
            view, dead, self._dead = self.engine.view, self._dead, []
        if not taken and not dead:
            return 0
        try:
            self._show(taken, view, dead, known)
        except BaseException:
            with self._lock:  # rows that are looked up in vain do no harm
                self._dead = dead + self._dead
            raise
        return len(taken)

    def _show(
        self, taken: Mapping[str, Pending], view: View, dead: Sequence[int], known: View | None
    ) -> None:
        items = [pending.item for pending in taken.values()]
        vectors = self._vectors(items, (view, known))
        first = view.catalogue.rows_in_all
        old = [row for row in view.catalogue.rows(list(taken)).tolist() if row >= 0]
        lexical = self._lexical.update(
            dict(enumerate(items, start=first)), [*old, *dead], first + len(items)
        )
        with self._lock:
            view = self.engine.view  # with what was deleted and renumbered meanwhile
            shown = [self._shown(item) for item in items]
            catalogue = view.catalogue.with_items(shown)
            gone = [
                first + at for at, (key, was) in enumerate(taken.items()) if self._lost(key, was)
            ]
            self._dead += gone
            recall = view.recall.extended_by(vectors, lexical)
            self.engine.view = view.changed(catalogue.without(gone), recall)
            self._settle(taken)

    def sequence(self, last: int) -> int:
        """Up to which write everything is visible, when `last` is the last one applied."""
        with self._lock:
            return min((p.sequence - 1 for p in self.pending.values()), default=last)

    def close(self) -> None:
        """Drop what only further writes would need."""
        self._lexical.close()

    def _apply(self, changes: "_Changes", sequence: int, write: Write | Change) -> None:
        item_id = write.item_id
        visible = changes.item(item_id)
        pending = self.pending.get(item_id)
        if write.fields is None:
            self.pending.pop(item_id, None)
            changes.remove(item_id)
            return
        before = pending.item if pending else visible
        if write.whole:
            after = Item(item_id, **write.fields)
        elif before is not None:
            after = replace(before, **write.fields)
        else:
            return
        if visible is not None:
            changes.renumber(visible, after)
        # Also where it is again what is visible: `show` may be about to make it another.
        if pending or visible is None or _numbered(visible, after) != after:
            first = pending or Pending(after, sequence, time.monotonic())
            self.pending[item_id] = replace(first, item=after)

    def _shown(self, item: Item) -> Item:
        """An item as it was indexed, with its newest numbers where nothing else changed since."""
        newest = self.pending.get(item.item_id)
        if newest is not None and _numbered(item, newest.item) == newest.item:
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
            if _numbered(was.item, pending.item) == pending.item:
                del self.pending[key]
            else:  # it changed again; what it was is visible
                self.pending[key] = replace(pending, since=now)

    def _vectors(
        self, items: Sequence[Item], views: Sequence[View | None]
    ) -> Float32[np.ndarray, "items dim"]:
        """Vectors of items; those of texts that have one in a view are not made again."""
        vectors = np.empty((len(items), self.engine.dim), np.float32)
        texts = [item_text(item) for item in items]
        unknown = []
        for at, item in enumerate(items):
            for source in views:
                row = -1 if source is None else source.catalogue.row(item.item_id)
                if source and row >= 0 and item_text(source.catalogue.item(row)) == texts[at]:
                    vectors[at] = source.recall.vectors(np.array([row], np.int32))[0]
                    break
            else:
                unknown.append(at)
        if unknown:
            vectors[unknown] = self.engine.models.encoder.items([texts[at] for at in unknown])
        return vectors


class _Changes:
    """What a batch of writes does to the rows of a view."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._items: dict[str, Item | None] = {}  # as the batch has left them so far
        self._numbers: dict[str, dict[int, Any]] = {}
        self.dead: list[int] = []

    def item(self, item_id: str) -> Item | None:
        """A visible item; None where there is none."""
        if item_id not in self._items:
            row = self._view.catalogue.row(item_id)
            self._items[item_id] = self._view.catalogue.item(row) if row >= 0 else None
        return self._items[item_id]

    def remove(self, item_id: str) -> None:
        """Delete an item, if it is there."""
        if self.item(item_id) is not None:
            self.dead.append(self._view.catalogue.row(item_id))
            self._items[item_id] = None

    def renumber(self, visible: Item, after: Item) -> None:
        """Give a visible item the numbers of another state of it."""
        row = self._view.catalogue.row(visible.item_id)
        for column in NUMERIC:
            value = getattr(after, column)
            if value != getattr(visible, column):
                self._numbers.setdefault(column, {})[row] = value
        self._items[visible.item_id] = _numbered(visible, after)

    def view(self) -> View:
        """The view after all of them."""
        if not self._numbers and not self.dead:
            return self._view
        catalogue = self._view.catalogue
        return self._view.changed(catalogue.with_numbers(self._numbers).without(self.dead))


def _numbered(item: Item, numbers: Item) -> Item:
    """An item with the numbers of another."""
    own = {f.name for f in fields(Item)} & NUMERIC
    return replace(item, **{name: getattr(numbers, name) for name in own})
