"""Caps: limit how many results have the same value."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Int64

from catalog.catalogue import Catalogue
from catalog.value_codes import ValueCodes

_CHUNK = 1_024  # number of rows processed at a time
_NEVER_FULL = np.iinfo(np.int32).min


@dataclass(frozen=True)
class CappedList:
    """The part of a list that remains after caps.

    Attributes:
        positions: The positions of the items that remain; rising.
        dropped: For each cap, the number of removed items above the last position that remains. An
            item that several caps remove counts only for the first of these caps.
    """

    positions: Int64[np.ndarray, " positions"]
    dropped: tuple[int, ...]


def capped(
    catalogue: Catalogue, ranked: Int32[np.ndarray, " ranked"], max_per_group: int, count: int
) -> Int64[np.ndarray, " positions"]:
    """Limit results per group; return the first `count` positions that remain.

    Args:
        catalogue: The items.
        ranked: Rows of items, best first.
        max_per_group: Maximum number of results with the same group_id; 0: no limit.
        count: Maximum number of positions to return.
    """
    codes = catalogue.codes("group_id") if max_per_group else None
    if codes is None or not codes.size:
        return np.arange(min(count, len(ranked)))
    end = 4 * count  # as many items suffice in most cases
    while True:
        groups = codes.at(ranked[:end])
        kept = np.flatnonzero((_occurrences(groups) < max_per_group) | (groups < 0))[:count]
        if len(kept) == count or end >= len(ranked):
            return kept
        end *= 4


def apply_caps(
    ranked: Int32[np.ndarray, " ranked"],
    caps: Sequence[tuple[ValueCodes, int]],
    pinned: Int32[np.ndarray, " pinned"],
    count: int,
) -> CappedList:
    """Keep the items of a ranked list whose values have not reached the limit of any cap.

    Args:
        ranked: Rows of items, best first.
        caps: For each cap, the value codes of the capped field and the maximum number of results
            per value.
        pinned: Rows of pinned items. Caps never remove them, but count them before all other
            items.
        count: Maximum number of positions to keep.
    """
    if not caps or count <= 0:
        return CappedList(np.arange(max(min(count, len(ranked)), 0)), (0,) * len(caps))
    counts = [_counts(codes, pinned) for codes, _ in caps]
    positions: list[int] = []
    dropped = np.zeros(len(caps), np.int64)
    for start in range(0, len(ranked), _CHUNK):
        chunk = ranked[start : start + _CHUNK]
        values = [codes.at(chunk) for codes, _ in caps]
        is_full = np.array(
            [used[v] >= most for used, v, (_, most) in zip(counts, values, caps, strict=True)]
        )
        # For each item, the index of the first full cap; -1 if no cap is full.
        dropped_by = np.where(is_full.any(axis=0), is_full.argmax(axis=0), -1)
        for index in np.flatnonzero(dropped_by < 0).tolist():
            if len(positions) >= count:
                break
            of_item = [
                (used, int(v[index]), most)
                for used, v, (_, most) in zip(counts, values, caps, strict=True)
            ]
            full_caps = (n for n, (used, value, most) in enumerate(of_item) if used[value] >= most)
            dropped_by[index] = next(full_caps, -1)
            if dropped_by[index] < 0:
                positions.append(start + index)
                for used, value, _ in of_item:
                    used[value] += value >= 0
        is_enough = len(positions) >= count
        end = positions[-1] - start + 1 if is_enough else len(chunk)
        dropped += np.bincount(dropped_by[:end] + 1, minlength=len(caps) + 1)[1:]
        if is_enough:
            break
    return CappedList(np.array(positions, np.int64), tuple(dropped.tolist()))


def _occurrences(values: Int32[np.ndarray, " values"]) -> Int64[np.ndarray, " values"]:
    """Return how often each value occurs before its position."""
    order = np.argsort(values, kind="stable")
    in_order = values[order]
    positions = np.arange(len(values))
    is_first = np.concatenate([[True], in_order[1:] != in_order[:-1]])[: len(values)]
    occurrences = np.empty(len(values), np.int64)
    occurrences[order] = positions - np.maximum.accumulate(np.where(is_first, positions, 0))
    return occurrences


def _counts(
    codes: ValueCodes, pinned: Int32[np.ndarray, " pinned"]
) -> Int32[np.ndarray, " values_and_1"]:
    """Return how many pinned items each value has; the last entry: never full, for no value."""
    counts = np.zeros(codes.size + 1, np.int32)  # fast, because the pages of zeros are made on use
    np.add.at(counts, codes.at(pinned), 1)
    counts[-1] = _NEVER_FULL
    return counts
