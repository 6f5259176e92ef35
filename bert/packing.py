"""Packing: put several short texts into one row, so that a model computes little padding."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int32, Int64

from bert.batch import Packed, PackedRows
from bert.tokens import Ragged, Tokenised, padding_mask

_CHUNK = 128  # texts packed at a time; the packing time grows with the square of this number


def rows_needed(lengths: Int[np.ndarray, " texts"], length: int) -> int:
    """Count the rows of `length` tokens that `pack` needs for texts of these lengths."""
    return _first_fit(lengths, length)[1]


def pack(
    tokenised: Tokenised,
    chosen: Int[np.ndarray, " texts"] | Sequence[int],
    *,
    rows: int,
    length: int,
    count: int | None = None,
) -> Packed:
    """Put the chosen texts into rows: the longest first, each into the first row with room.

    Text i of the result is `chosen[i]`. If `count` is larger than the number of texts, the result
    has `count` starts. The additional texts have no tokens, and their starts are 0.

    Raises:
        ValueError: the texts need more than `rows` rows, or a text is longer than `length`.
    """
    chosen = np.asarray(chosen, np.int64)
    lengths = tokenised.lengths[chosen]
    starts, needed = _first_fit(lengths, length)
    if needed > rows:
        raise ValueError(f"texts need {needed} rows of {length} tokens, not {rows}")
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    targets = np.repeat(starts, lengths) + within
    ids = np.full(rows * length, tokenised.pad_id, np.int32)
    texts = np.full(rows * length, -1, np.int32)
    types, positions = np.zeros((2, rows * length), np.int32)
    ids[targets] = tokenised.ids.take(chosen).values
    texts[targets] = np.repeat(np.arange(len(chosen)), lengths)
    types[targets] = within >= np.repeat(tokenised.first_lengths[chosen], lengths)
    positions[targets] = within
    shape = (rows, length)
    return Packed(
        ids.reshape(shape),
        texts.reshape(shape),
        types.reshape(shape),
        positions.reshape(shape),
        np.pad(starts, (0, (count or len(starts)) - len(starts))).astype(np.int32),
    )


@dataclass(frozen=True, eq=False)
class PackedTexts:
    """Texts packed into rows; any of these rows can share a batch.

    Attributes:
        row: Row of each text.
        slot: Number of each text within its row, from 0.
        lengths: Number of tokens in each row.
    """

    row: Int64[np.ndarray, " texts"]
    slot: Int64[np.ndarray, " texts"]
    lengths: Int64[np.ndarray, " rows"]
    _values: tuple[Ragged, Ragged, Ragged, Ragged]  # ids, texts, types, positions
    _starts: Int32[np.ndarray, "rows most"]
    _pad_id: int

    @classmethod
    def of(cls, tokenised: Tokenised, *, length: int, most: int) -> "PackedTexts":
        """Put up to `most` texts into a row of `length` tokens; a longer text gets its own row."""
        sizes = tokenised.lengths
        row, start = np.zeros((2, len(tokenised)), np.int64)
        count = 0
        short = np.flatnonzero(sizes <= length)
        for first in range(0, len(short), _CHUNK):
            chunk = short[first : first + _CHUNK]
            starts, rows = _first_fit(sizes[chunk], length, most)
            row[chunk], start[chunk] = starts // length + count, starts % length
            count += rows
        (long,) = np.nonzero(sizes > length)
        row[long] = np.arange(count, count + len(long))
        order = np.lexsort((start, row))
        row_of = row[order]
        slot = np.empty(len(tokenised), np.int64)
        slot[order] = np.arange(len(order)) - np.searchsorted(row_of, row_of)
        starts_of = np.zeros((count + len(long), most), np.int32)
        starts_of[row, slot] = start
        ordered = tokenised.take(order)
        within = np.arange(len(ordered.ids.values)) - np.repeat(
            ordered.ids.offsets[:-1], ordered.lengths
        )
        second = within >= np.repeat(ordered.first_lengths, ordered.lengths)
        text = np.repeat(slot[order], ordered.lengths)
        lengths = np.bincount(row, sizes, len(starts_of)).astype(np.int64)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        ids, texts, types, positions = (
            Ragged(values.astype(np.int32), offsets)
            for values in (ordered.ids.values, text, second, within)
        )
        return cls(row, slot, lengths, (ids, texts, types, positions), starts_of, tokenised.pad_id)

    def __len__(self) -> int:
        return len(self.lengths)

    def pad(
        self, rows: Int[np.ndarray, " chosen"] | Sequence[int], length: int, batch: int
    ) -> PackedRows:
        """Put the chosen rows into a NumPy batch; see `Tokenised.pad`."""
        rows = np.asarray(rows, np.int64)
        mask = padding_mask(self.lengths[rows], length, batch)
        arrays = []
        for values, empty in zip(self._values, (self._pad_id, -1, 0, 0), strict=True):
            array = np.full((batch, length), empty, np.int32)
            array[mask] = values.take(rows).values
            arrays.append(array)
        starts = np.zeros((batch, self._starts.shape[1]), np.int32)
        starts[: len(rows)] = self._starts[rows]
        ids, texts, types, positions = arrays
        return PackedRows(ids, texts, types, positions, starts)


def _first_fit(
    lengths: Int[np.ndarray, " texts"], length: int, most: int | None = None
) -> tuple[Int64[np.ndarray, " texts"], int]:
    """Pack texts by first-fit decreasing, up to `most` texts in a row.

    Returns:
        The start of each text in the flattened rows, and the number of rows.
    """
    if lengths.max(initial=0) > length:
        raise ValueError(f"a text of {lengths.max()} tokens does not fit a row of {length}")
    used: list[int] = []
    texts: list[int] = []
    starts = np.zeros(len(lengths), np.int64)
    for text in np.argsort(-lengths, kind="stable"):
        size = int(lengths[text])
        row = next((row for row, full in enumerate(used) if full + size <= length), len(used))
        if row == len(used):
            used.append(0)
            texts.append(0)
        starts[text] = row * length + used[row]
        texts[row] += 1
        used[row] = length if texts[row] == most else used[row] + size
    return starts, len(used)
