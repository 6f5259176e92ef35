"""Packing: many short texts in few rows, so that a training step computes hardly any padding."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Int64

from bert.batch import Packed
from bert.tokens import Framed


def rows_needed(lengths: Int[np.ndarray, " texts"], length: int) -> int:
    """How many rows of `length` tokens `pack` needs for texts of these lengths."""
    return len(_place(lengths, length)[1])


def pack(
    framed: Framed,
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
    lengths = framed.lengths[chosen]
    starts, used = _place(lengths, length)
    if len(used) > rows:
        raise ValueError(f"texts need {len(used)} rows of {length} tokens, not {rows}")
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    places = np.repeat(starts, lengths) + within
    ids = np.full(rows * length, framed.pad_id, np.int32)
    texts = np.full(rows * length, -1, np.int32)
    types, positions = np.zeros((2, rows * length), np.int32)
    ids[places] = framed.ids.take(chosen).values
    texts[places] = np.repeat(np.arange(len(chosen)), lengths)
    types[places] = within >= np.repeat(framed.first_lengths[chosen], lengths)
    positions[places] = within
    shape = (rows, length)
    return Packed(
        ids.reshape(shape),
        texts.reshape(shape),
        types.reshape(shape),
        positions.reshape(shape),
        np.pad(starts, (0, (count or len(starts)) - len(starts))).astype(np.int32),
    )


def _place(
    lengths: Int[np.ndarray, " texts"], length: int
) -> tuple[Int64[np.ndarray, " texts"], list[int]]:
    """First-fit decreasing: where each text starts, and how full each row is."""
    if lengths.max(initial=0) > length:
        raise ValueError(f"a text of {lengths.max()} tokens does not fit a row of {length}")
    used: list[int] = []
    starts = np.zeros(len(lengths), np.int64)
    for text in np.argsort(-lengths, kind="stable"):
        size = int(lengths[text])
        row = next((row for row, full in enumerate(used) if full + size <= length), len(used))
        if row == len(used):
            used.append(0)
        starts[text] = row * length + used[row]
        used[row] += size
    return starts, used
