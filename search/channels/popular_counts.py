"""Decayed counts of the events with each item, in all and in segments such as a country."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from base.errors import InputError
from base.untrusted.arrays import read_arrays
from base.untrusted.small_files import read_object

COUNTS_FILE = "popular.npz"
SEGMENTS_FILE = "segments.json"


@dataclass(frozen=True)
class PopularCounts:
    """Shares of the best count: in all events (row 0), and in each segment.

    Attributes:
        rows: The row of each segment in `values`, by "name=value" of its context attribute.
        values: Each item's count, divided by the best count of the row.
    """

    rows: Mapping[str, int]
    values: Float32[np.ndarray, "segments items"]

    def segments(self, context: Mapping[str, str]) -> tuple[str, ...]:
        """Return the segments that a context belongs to."""
        names = (segment(name, value) for name, value in context.items())
        return tuple(name for name in names if name in self.rows)

    def shares(self, context: Mapping[str, str]) -> Float32[np.ndarray, " items"]:
        """Return the mean of the shares in all events and in the segments of a context."""
        chosen = [0, *(self.rows[name] for name in self.segments(context))]
        shares: Float32[np.ndarray, " items"]
        shares = self.values[0] if len(chosen) == 1 else self.values[chosen].mean(axis=0)
        return shares

    @property
    def has_events(self) -> bool:
        """Whether any event was counted."""
        return bool(self.values[0].any())

    def write(self, directory: Path) -> None:
        """Write the counts."""
        np.savez(directory / COUNTS_FILE, values=self.values)
        (directory / SEGMENTS_FILE).write_text(json.dumps(self.rows), "utf-8")

    @classmethod
    def read(cls, directory: Path, items: int) -> "PopularCounts":
        """Read the counts of a number of items.

        Raises:
            InputError: a file is damaged.
        """
        path = directory / COUNTS_FILE
        rows = read_object(directory / SEGMENTS_FILE)
        try:
            values = read_arrays(path)["values"]
            if values.dtype != np.float32 or values.ndim != 2 or values.shape[1] != items:
                raise ValueError(f"its values are not float32 of {items} items")
            if not np.isfinite(values).all():
                raise ValueError("a value is not finite")
            if sorted(rows.values()) != list(range(1, len(values))):
                raise ValueError(f"{SEGMENTS_FILE} does not fit it")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error
        return cls(rows, values)


def segment(name: str, value: str) -> str:
    """Return the name of the segment of a context attribute."""
    return f"{name}={value}"
