"""Packing: many short texts in few rows, so that hardly any padding is computed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int32, Int64

from bert.batch import Packed, PackedRows
from bert.tokens import Ragged, Tokenised, padding_mask

_TOGETHER = 128  # texts that are packed at a time: the time that it takes grows with their square


def rows_needed(lengths: Int[np.ndarray, " texts"], length: int) -> int:
    """How many rows of `length` tokens `pack` needs for texts of these lengths."""
    return _place(lengths, length)[1]


def pack(
    tokenised: Tokenised,
    chosen: Int[np.ndarray, " texts"] | Sequence[int],
    *,
    rows: int,
    length: int,
    count: int | None = None,
) -> Packed:
    """Lay the chosen texts into rows, the longest first, each in the first row with room.

    Text i of the result is `chosen[i]`. The result speaks of `count` texts where that is given;
    those beyond the chosen ones have no tokens and start where the first one does.

    Raises:
        ValueError: the texts need more than `rows` rows, or one is longer than `length`.
    """
    chosen = np.asarray(chosen, np.int64)
    lengths = tokenised.lengths[chosen]
    starts, needed = _place(lengths, length)
    if needed > rows:
        raise ValueError(f"texts need {needed} rows of {length} tokens, not {rows}")
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    places = np.repeat(starts, lengths) + within
    ids = np.full(rows * length, tokenised.pad_id, np.int32)
    texts = np.full(rows * length, -1, np.int32)
    types, positions = np.zeros((2, rows * length), np.int32)
    ids[places] = tokenised.ids.take(chosen).values
    texts[places] = np.repeat(np.arange(len(chosen)), lengths)
    types[places] = within >= np.repeat(tokenised.first_lengths[chosen], lengths)
    positions[places] = within
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
    """Texts packed into rows of which any can be put in a batch with any others.

    Attributes:
        row: the row that each text is in.
        place: which of its row's texts it is.
        lengths: how many tokens each row has.
    """

    row: Int64[np.ndarray, " texts"]
    place: Int64[np.ndarray, " texts"]
    lengths: Int64[np.ndarray, " rows"]
    _values: tuple[Ragged, Ragged, Ragged, Ragged]  # what `PackedRows` has of each token
    _starts: Int32[np.ndarray, "rows most"]
    _pad_id: int

    @classmethod
    def of(cls, tokenised: Tokenised, *, length: int, most: int) -> "PackedTexts":
        """Put up to `most` texts into each row of `length` tokens; longer ones have their own."""
        sizes = tokenised.lengths
        row, start = np.zeros((2, len(tokenised)), np.int64)
        count = 0
        short = np.flatnonzero(sizes <= length)
        for at in range(0, len(short), _TOGETHER):
            some = short[at : at + _TOGETHER]
            starts, rows = _place(sizes[some], length, most)
            row[some], start[some] = starts // length + count, starts % length
            count += rows
        (long,) = np.nonzero(sizes > length)
        row[long] = np.arange(count, count + len(long))
        order = np.lexsort((start, row))
        row_of = row[order]
        place = np.empty(len(tokenised), np.int64)
        place[order] = np.arange(len(order)) - np.searchsorted(row_of, row_of)
        starts_of = np.zeros((count + len(long), most), np.int32)
        starts_of[row, place] = start
        laid = tokenised.take(order)
        within = np.arange(len(laid.ids.values)) - np.repeat(laid.ids.offsets[:-1], laid.lengths)
        second = within >= np.repeat(laid.first_lengths, laid.lengths)
        text = np.repeat(place[order], laid.lengths)
        lengths = np.bincount(row, sizes, len(starts_of)).astype(np.int64)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        ids, texts, types, positions = (
            Ragged(values.astype(np.int32), offsets)
            for values in (laid.ids.values, text, second, within)
        )
        return cls(row, place, lengths, (ids, texts, types, positions), starts_of, tokenised.pad_id)

    def __len__(self) -> int:
        return len(self.lengths)

    def pad(
        self, rows: Int[np.ndarray, " chosen"] | Sequence[int], length: int, batch: int
    ) -> PackedRows:
        """A NumPy batch of the chosen rows; see `Tokenised.pad`."""
        rows = np.asarray(rows, np.int64)
        mask = padding_mask(self.lengths[rows], length, batch)
        filled = []
        for values, empty in zip(self._values, (self._pad_id, -1, 0, 0), strict=True):
            array = np.full((batch, length), empty, np.int32)
            array[mask] = values.take(rows).values
            filled.append(array)
        starts = np.zeros((batch, self._starts.shape[1]), np.int32)
        starts[: len(rows)] = self._starts[rows]
        ids, texts, types, positions = filled
        return PackedRows(ids, texts, types, positions, starts)


def _place(
    lengths: Int[np.ndarray, " texts"], length: int, most: int | None = None
) -> tuple[Int64[np.ndarray, " texts"], int]:
    """First-fit decreasing, up to `most` texts a row: where each starts, and how many rows."""
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
