"""Popularity: counts of each item's events in windows before now, and decayed counts."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64
from scipy import sparse

from behaviour.interactions import Interactions
from behaviour.models.arrays import open_arrays, write_arrays
from behaviour.models.text_fill import filled

WINDOWS_DAYS = (
    3.0,
    7.0,
    14.0,
    28.0,
    91.0,
    365.0,
)  # ages of the oldest events that the windows count


@dataclass(frozen=True)
class Popularity:
    """Counts of each item's events; the same scores for every user.

    Attributes:
        counts: Each item's events that are at most `windows_days[w]` days old.
        windows_days: Lengths of the windows in days.
        decayed: Sum of 0.5^(age / half-life) over each item's events.
        first: Time of each item's first event, in seconds since 1970; -1 without an event.
        last: Time of each item's last event.
        has_events: Whether each item has events of its own; the others may be filled.
    """

    counts: Float32[np.ndarray, "windows items"]
    windows_days: Float32[np.ndarray, " windows"]
    decayed: Float32[np.ndarray, " items"]
    first: Int64[np.ndarray, " items"]
    last: Int64[np.ndarray, " items"]
    has_events: Bool[np.ndarray, " items"]

    @classmethod
    def fit(
        cls,
        interactions: Interactions,
        now: int,
        half_life_days: float,
        windows_days: Sequence[float] = WINDOWS_DAYS,
    ) -> "Popularity":
        """Count the events before `now` (seconds since 1970)."""
        past = interactions.before(now)
        age = past.age_days(now)
        counts = [
            np.bincount(past.item[age <= days], minlength=past.items) for days in windows_days
        ]
        decay = past.decay(now, half_life_days)
        last = np.full(past.items, -1, np.int64)
        np.maximum.at(last, past.item, past.time)
        first = np.where(last < 0, -1, np.iinfo(np.int64).max)
        np.minimum.at(first, past.item, past.time)
        return cls(
            np.array(counts, np.float32),
            np.array(windows_days, np.float32),
            np.bincount(past.item, decay, past.items).astype(np.float32),
            first,
            last,
            last >= 0,
        )

    def scores(self, histories: Interactions, now: int) -> Float32[np.ndarray, "users items"]:
        """Return the decayed counts for each history; `now` and the histories change nothing."""
        del now
        return np.tile(self.decayed, (histories.users, 1))

    def window(self, days: float) -> Float32[np.ndarray, " items"]:
        """Return the counts of the window with a length in days."""
        return np.asarray(self.counts[self.windows_days.tolist().index(days)])

    def with_fill(self, fill: sparse.csr_matrix) -> "Popularity":
        """Give items without events the counts and times of items with similar texts.

        Counts are averaged as logarithms. `fill` is the matrix of `text_fill`.
        """
        is_new = np.diff(fill.indptr) > 0
        counts = np.expm1(filled(np.log1p(self.counts), fill))
        decayed = np.expm1(filled(np.log1p(self.decayed)[None], fill))[0]
        total = np.maximum(np.asarray(fill.sum(axis=1)).ravel(), 1e-6)
        first, last = (
            np.where(is_new, (fill @ values.astype(np.float64)) / total, values).astype(np.int64)
            for values in (self.first, self.last)
        )
        return Popularity(counts, self.windows_days, decayed, first, last, self.has_events)

    def extended(self, added: sparse.csr_matrix) -> "Popularity":
        """Return the counts with further items, which are filled from the weights of the others."""
        few, items = added.shape
        after = ((0, 0), (0, few))
        starts = np.concatenate([np.zeros(items, added.indptr.dtype), added.indptr])
        fill = sparse.csr_matrix((added.data, added.indices, starts), (items + few, items + few))
        return Popularity(
            np.pad(self.counts, after),
            self.windows_days,
            np.pad(self.decayed, after[1]),
            np.pad(self.first, after[1], constant_values=-1),
            np.pad(self.last, after[1], constant_values=-1),
            np.pad(self.has_events, after[1]),
        ).with_fill(fill)

    def save(self, path: Path) -> None:
        """Write the counts to a file."""
        write_arrays(path, {f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def open(cls, path: Path, items: int) -> "Popularity":
        """Open the counts of a catalogue with a number of items.

        Raises:
            InputError: the file is damaged, or has another number of items.
        """
        shapes: dict[str, tuple[int | None, ...]]
        shapes = {"counts": (None, items), "windows_days": (None,), "decayed": (items,)}
        shapes |= {"first": (items,), "last": (items,), "has_events": (items,)}
        arrays = open_arrays(path, shapes)
        return cls(**{name: arrays[name] for name in shapes})
