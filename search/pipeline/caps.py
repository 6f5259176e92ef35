"""Caps: going down a ranked list, what is left out because its like has been shown enough."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Int64

from catalog.value_codes import ValueCodes

_CHUNK = 1_024  # rows that are looked at in one go
_ANY_NUMBER = np.iinfo(np.int32).max


@dataclass(frozen=True)
class Kept:
    """What caps leave of a list.

    Attributes:
        places: The places that stay, rising.
        dropped: By cap, how many items above the last of them it left out; an item that several
            caps leave out counts for one of them.
    """

    places: Int64[np.ndarray, " places"]
    dropped: tuple[int, ...]


def keep(
    ranked: Int32[np.ndarray, " ranked"],
    caps: Sequence[tuple[ValueCodes, int]],
    shown: Int32[np.ndarray, " shown"],
    wanted: int,
) -> Kept:
    """Go down a list and keep each item that no cap has had enough of.

    Args:
        ranked: Rows of items, best first.
        caps: The values that each cap looks at, and how many results of one value it leaves.
        shown: Rows that are shown whatever the caps say, and count before the list does.
        wanted: How many places are wanted; fewer come back where fewer stay.
    """
    if not caps or wanted <= 0:
        return Kept(np.arange(max(min(wanted, len(ranked)), 0)), (0,) * len(caps))
    room = [_room(codes, most, shown) for codes, most in caps]
    places: list[int] = []
    dropped = np.zeros(len(caps), np.int64)
    for start in range(0, len(ranked), _CHUNK):
        part = ranked[start : start + _CHUNK]
        values = [codes.at(part) for codes, _ in caps]
        full = np.array([left[own] <= 0 for left, own in zip(room, values, strict=True)])
        by = np.where(full.any(axis=0), full.argmax(axis=0), -1)
        for at in np.flatnonzero(by < 0).tolist():
            if len(places) >= wanted:
                break
            own = [(left, int(value[at])) for left, value in zip(room, values, strict=True)]
            by[at] = next((n for n, (left, value) in enumerate(own) if left[value] <= 0), -1)
            if by[at] < 0:
                places.append(start + at)
                for left, value in own:
                    left[value] -= value >= 0
        enough = len(places) >= wanted
        end = places[-1] - start + 1 if enough else len(part)
        dropped += np.bincount(by[:end] + 1, minlength=len(caps) + 1)[1:]
        if enough:
            break
    return Kept(np.array(places, np.int64), tuple(dropped.tolist()))


def _room(
    codes: ValueCodes, most: int, shown: Int32[np.ndarray, " shown"]
) -> Int32[np.ndarray, " values_and_1"]:
    """How many results of each value are still to be shown; at the end, of those without one."""
    left = np.full(codes.size + 1, most, np.int32)
    np.subtract.at(left, codes.at(shown), 1)
    left[-1] = _ANY_NUMBER
    return left
