"""Caps: limit how many results have the same value."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Int64

from catalog.catalogue import Catalogue
from catalog.value_codes import ValueCodes

_CHUNK = 1_024  # rows to look at in one go
_ANY_NUMBER = np.iinfo(np.int32).max


@dataclass(frozen=True)
class CappedList:
    """What caps leave of a list.

    Attributes:
        positions: The positions that stay; rising.
        dropped: By cap, how many items it dropped above the last position that stays. An item that
            several caps drop counts for one of them.
    """

    positions: Int64[np.ndarray, " positions"]
    dropped: tuple[int, ...]


def capped(
    catalogue: Catalogue, ranked: Int32[np.ndarray, " ranked"], max_per_group: int, count: int
) -> Int64[np.ndarray, " positions"]:
    """Return the first `count` positions of a ranked list that stay when groups are capped.

    Args:
        catalogue: The items.
        ranked: Rows of items, best first.
        max_per_group: Most results with the same group_id; 0: any number.
        count: How many positions; fewer come back where fewer stay.
    """
    caps = [(catalogue.codes("group_id"), max_per_group)] if max_per_group else []
    return apply_caps(ranked, caps, np.zeros(0, np.int32), count).positions


def apply_caps(
    ranked: Int32[np.ndarray, " ranked"],
    caps: Sequence[tuple[ValueCodes, int]],
    pinned: Int32[np.ndarray, " pinned"],
    count: int,
) -> CappedList:
    """Go down a ranked list and keep each item whose values still have room in every cap.

    Args:
        ranked: Rows of items, best first.
        caps: The values that each cap looks at, and how many results of one value it allows.
        pinned: Rows that are shown whatever the caps say; they take up room first.
        count: How many positions to keep; fewer come back where fewer stay.
    """
    if not caps or count <= 0:
        return CappedList(np.arange(max(min(count, len(ranked)), 0)), (0,) * len(caps))
    rooms = [_room(codes, most, pinned) for codes, most in caps]
    positions: list[int] = []
    dropped = np.zeros(len(caps), np.int64)
    for start in range(0, len(ranked), _CHUNK):
        chunk = ranked[start : start + _CHUNK]
        values = [codes.at(chunk) for codes, _ in caps]
        is_full = np.array([room[own] <= 0 for room, own in zip(rooms, values, strict=True)])
        # By item, the first cap without room for it; -1 for none.
        dropped_by = np.where(is_full.any(axis=0), is_full.argmax(axis=0), -1)
        for index in np.flatnonzero(dropped_by < 0).tolist():
            if len(positions) >= count:
                break
            room_and_value = [
                (room, int(value[index])) for room, value in zip(rooms, values, strict=True)
            ]
            full_caps = (n for n, (room, value) in enumerate(room_and_value) if room[value] <= 0)
            dropped_by[index] = next(full_caps, -1)
            if dropped_by[index] < 0:
                positions.append(start + index)
                for room, value in room_and_value:
                    room[value] -= value >= 0
        is_enough = len(positions) >= count
        end = positions[-1] - start + 1 if is_enough else len(chunk)
        dropped += np.bincount(dropped_by[:end] + 1, minlength=len(caps) + 1)[1:]
        if is_enough:
            break
    return CappedList(np.array(positions, np.int64), tuple(dropped.tolist()))


def _room(
    codes: ValueCodes, most: int, pinned: Int32[np.ndarray, " pinned"]
) -> Int32[np.ndarray, " values_and_1"]:
    """Return how many more results each value may have; the last entry is for no value."""
    room = np.full(codes.size + 1, most, np.int32)
    np.subtract.at(room, codes.at(pinned), 1)
    room[-1] = _ANY_NUMBER
    return room
