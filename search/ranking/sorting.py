"""An order that a request asks for: sort keys such as "price desc", and the order of rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Int64

from base.errors import RequestError, check_count, unknown_name
from catalog.attribute_roles import ATTRIBUTE
from catalog.catalogue import Catalogue
from catalog.fields import COLUMNS, kind_of

MAX_SORT_KEYS = 3
POPULARITY = "popularity"
# The fields by which popularity is ordered, the first field first (see `Popularity`).
_POPULARITY_FIELDS = ("rating_count", "rating")
_DIRECTIONS = {"asc": False, "desc": True}
_SORTED_FIELDS = tuple(field for field in COLUMNS if kind_of(field) != "text")


@dataclass(frozen=True)
class SortKey:
    """A field to sort by."""

    field: str  # a number, date or flag; or an attribute, whose values are read as numbers
    descending: bool


def sort_keys(order_by: str, path: str) -> tuple[SortKey, ...]:
    """Parse an order such as "rating desc, price" (AIP-132); an empty text has no keys.

    Raises:
        RequestError: a key names no field with an order or an unknown direction, or there are too
            many keys.
    """
    if not order_by:
        return ()
    keys = order_by.split(",")
    check_count(len(keys), path, None, MAX_SORT_KEYS, "keys")
    return tuple(part for key in keys for part in _parts(key.strip(), path))


def sorted_positions(
    keys: Sequence[SortKey], catalogue: Catalogue, rows: Int32[np.ndarray, " rows"]
) -> Int64[np.ndarray, " rows"]:
    """Return the positions of rows in sorted order.

    Items without a value come last in both directions. Items with equal values keep their order.
    """
    columns = [catalogue.field_numbers(key.field, rows) for key in keys]
    signed = [-c if key.descending else c for c, key in zip(columns, keys, strict=True)]
    # lexsort is stable, sorts by its last column first, and puts NaN last.
    return np.lexsort(signed[::-1]).astype(np.int64)


def _parts(key: str, path: str) -> tuple[SortKey, ...]:
    """Return the sort keys of a key; popularity consists of two fields."""
    field, _, direction = key.rpartition(" ")
    if direction in _DIRECTIONS and field:
        field, descending = field.strip(), _DIRECTIONS[direction]
    else:
        field, descending = key, False
    if field == POPULARITY:
        return tuple(SortKey(name, descending) for name in _POPULARITY_FIELDS)
    if field not in _SORTED_FIELDS and not (field.startswith(ATTRIBUTE) and field != ATTRIBUTE):
        raise _unknown(path)
    return (SortKey(field, descending),)


def _unknown(path: str) -> RequestError:
    known = (*_SORTED_FIELDS, POPULARITY, f'{ATTRIBUTE}NAME, each alone or followed by " desc"')
    return unknown_name(path, known, "field with an order")
