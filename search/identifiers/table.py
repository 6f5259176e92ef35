"""The table of identifiers: from the normal form of a code to the rows of its items."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate

import numpy as np
import pyarrow.compute as pc
from jaxtyping import Int32, Int64

from catalog.catalogue import Catalogue
from catalog.store import ItemStore
from search.identifiers.codes import (
    attribute_codes,
    is_attribute_code,
    normal_form,
    own_codes,
    part_forms,
)

MOST_SHARED = 10  # an attribute value that more items share is no code of an item
MOST_ROWS = 100  # maximum number of items of one code


class CodeKind(Enum):
    """How an item has a code; the surest first."""

    OWN = 1  # as its id or as one of its identifiers
    ATTRIBUTE = 2  # as the value of an attribute
    PART = 3  # as a part of one of these codes


@dataclass(frozen=True)
class _Part:
    """The codes of one part of a catalogue: 64-bit hashes of their forms, rising, and the rows."""

    ids: Sequence[str]
    hashes: Int64[np.ndarray, " codes"]
    rows: Int32[np.ndarray, " codes"]


@dataclass(frozen=True)
class Identifiers:
    """Finds items by a code of theirs, whole or in parts. It never changes.

    The table has 12 bytes for each code and for each part of a code. The texts of the items decide
    whether a row has a code, so that codes with the same hash are not confused.
    """

    _parts: tuple[_Part, ...]

    @classmethod
    def of(cls, catalogue: Catalogue, before: "Identifiers | None" = None) -> "Identifiers":
        """Return the table of a catalogue; parts that `before` has are not read again."""
        known = {id(part.ids): part for part in before._parts} if before else {}
        return cls(tuple(known.get(id(s.ids)) or _part_of(s) for s in catalogue.parts))

    def find(
        self, form: str, catalogue: Catalogue
    ) -> tuple[CodeKind | None, Int32[np.ndarray, " rows"]]:
        """Return the rows of current items that have a code, at most `MOST_ROWS`.

        Args:
            form: The normal form of a code or of a part of a code.
            catalogue: The catalogue that the table was made of.

        Returns:
            The first kind of code for which an item has the code, and the rows of the items that
            have a code of this kind; None and no rows if no item has the code.
        """
        found: dict[CodeKind, list[int]] = {kind: [] for kind in CodeKind}
        for row in self._rows(form)[: 2 * MOST_ROWS]:
            if catalogue.alive is not None and not catalogue.alive[row]:
                continue
            item = catalogue.roles.filterable(catalogue.item(row))
            own, of_attributes = own_codes(item), attribute_codes(item)
            if form in map(normal_form, own):
                found[CodeKind.OWN].append(row)
            elif form in map(normal_form, of_attributes):
                found[CodeKind.ATTRIBUTE].append(row)
            elif any(form in part_forms(code) for code in (*own, *of_attributes)):
                found[CodeKind.PART].append(row)
        kind = next((kind for kind, rows in found.items() if rows), None)
        rows = [] if kind is None else found[kind]
        return kind, np.array(rows[:MOST_ROWS], np.int32)

    def _rows(self, form: str) -> list[int]:
        """Return the rows whose codes have the hash of a form."""
        rows, wanted = list[int](), np.int64(hash(form))
        starts = accumulate((len(part.ids) for part in self._parts), initial=0)
        for part, start in zip(self._parts, starts, strict=False):
            first, last = (part.hashes.searchsorted(wanted, side) for side in ("left", "right"))
            rows += (part.rows[first:last] + start).tolist()
        return rows


def _part_of(store: ItemStore) -> _Part:
    pairs = [(hash(form), row) for row, code in _codes(store) for form in _forms(code)]
    if not pairs:
        return _Part(store.ids, np.zeros(0, np.int64), np.zeros(0, np.int32))
    table = np.array(pairs, np.int64)
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    is_new = np.append(True, np.any(table[1:] != table[:-1], axis=1))
    return _Part(store.ids, table[is_new, 0], table[is_new, 1].astype(np.int32))


def _forms(code: str) -> Iterator[str]:
    if form := normal_form(code):
        yield form
        yield from part_forms(code)


def _codes(store: ItemStore) -> Iterator[tuple[int, str]]:
    """Yield the row and the text of each code of a store."""
    yield from enumerate(store.ids)
    identifiers = store.table["identifiers"]
    if identifiers.null_count < len(identifiers):
        for row, codes in enumerate(identifiers.to_pylist()):
            yield from ((row, code) for code in codes or ())
    attributes = store.table["attributes"].combine_chunks()
    if attributes.null_count == len(attributes):
        return
    coded = attributes.items.dictionary_encode()
    numbers = np.asarray(coded.indices.fill_null(-1))
    counts = np.bincount(numbers[numbers >= 0], minlength=len(coded.dictionary))
    # Arrow leaves few values for Python.
    short = np.asarray(pc.match_substring_regex(coded.dictionary, r"^\S{5,40}$"))
    for number in np.flatnonzero(short & (counts <= MOST_SHARED)).tolist():
        if not is_attribute_code(coded.dictionary[number].as_py()):
            short[number] = False
    is_code = np.append(short & (counts <= MOST_SHARED), False)[numbers]
    rows = np.repeat(np.arange(len(store)), np.diff(np.asarray(attributes.offsets)))
    values = coded.dictionary
    for row, number in zip(rows[is_code].tolist(), numbers[is_code].tolist(), strict=True):
        yield row, values[number].as_py()
