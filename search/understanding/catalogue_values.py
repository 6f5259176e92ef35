"""Brands, categories and attribute values of the catalogue, recognised in a query."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog.attribute_roles import ATTRIBUTE
from catalog.catalogue import Catalogue
from catalog.fields import LEVEL
from catalog.item_text import normalise_query
from catalog.items import Item, all_values
from catalog.store import ItemStore
from search.understanding.interpretation import RecognisedValue
from search.understanding.phrases import PhraseTable, tokens_of, word_set

_MAX_WORDS = 6  # maximum number of words of a value that is recognised
_MIN_CHARACTERS = 2  # minimum number of characters of such a value
_MAX_VALUES = 1_000  # an attribute with more distinct values is a description, not a choice
_NO_VALUES = word_set("yes no true false none n/a")

_Phrase = tuple[str, ...]
_Fields = dict[str, str]  # field -> value, as the catalogue writes it


@dataclass(frozen=True)
class CatalogueValues:
    """The values of a catalogue's fields as phrases."""

    table: PhraseTable[_Fields]
    added: PhraseTable[_Fields] = field(default_factory=lambda: PhraseTable({}))

    @classmethod
    def of(cls, catalogue: Catalogue) -> "CatalogueValues":
        """Collect the brands, the levels of categories, and the values of attributes."""
        phrases: dict[_Phrase, _Fields] = {}
        for part in catalogue.parts:
            for name, value in _values_of(part, catalogue.roles.stored_only):
                _add(phrases, name, value)
        return cls(PhraseTable(phrases))

    def extended(self, items: Iterable[Item]) -> "CatalogueValues":
        """Return the values with those of more items; values of deleted items stay."""
        phrases = {phrase: dict(fields) for phrase, fields in self.added.items()}
        for item in items:
            values = [("brand", item.brand), *_levels(item.category)]
            values += [
                (ATTRIBUTE + name, value)
                for name, values_of in item.attributes.items()
                for value in all_values(values_of)
            ]
            for name, value in values:
                if value:
                    _add(phrases, name, value)
        return CatalogueValues(self.table, PhraseTable(phrases))

    def of_text(self, text: str) -> tuple[RecognisedValue, ...]:
        """Return the values in a normalised text; one phrase may be a value of several fields."""
        values = {
            (words, name): RecognisedValue(words, name, value)
            for table in (self.added, self.table)
            for words, fields in table.find(text)
            for name, value in fields.items()
        }
        return tuple(values.values())


def _values_of(store: ItemStore, hidden: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the fields and values of a store that may be recognised, without some attributes."""
    for brand in store.fields.text("brand").values.to_pylist():
        if brand:
            yield "brand", brand
    for category in store.fields.text("category").values.to_pylist():
        yield from _levels(category)
    given, values = store.attribute_pairs(without=hidden)
    if not len(given):
        return
    pairs = pa.table({"name": given, "value": values})
    distinct = pairs.group_by(["name", "value"]).aggregate([])
    names = distinct["name"].combine_chunks().dictionary_encode()
    counts = np.bincount(np.asarray(names.indices), minlength=len(names.dictionary))
    few = pa.array(counts[np.asarray(names.indices)] <= _MAX_VALUES)
    chosen = distinct.filter(pc.and_(few, pc.is_valid(distinct["value"])))
    for name, value in zip(chosen["name"].to_pylist(), chosen["value"].to_pylist(), strict=True):
        yield ATTRIBUTE + name, value


def _levels(category: str | None) -> Iterator[tuple[str, str]]:
    """Yield the path down to each level of a category."""
    levels = category.split(LEVEL) if category else []
    for depth in range(1, len(levels) + 1):
        yield "category", LEVEL.join(levels[:depth])


def _add(phrases: dict[_Phrase, _Fields], name: str, value: str) -> None:
    written = normalise_query(value.rpartition(LEVEL)[2] if name == "category" else value)
    tokens = tokens_of(written)
    if (
        0 < len(tokens) <= _MAX_WORDS
        and len(written) >= _MIN_CHARACTERS
        and written not in _NO_VALUES
        and any(character.isalpha() for character in written)
    ):
        phrases.setdefault(tokens, {}).setdefault(name, value)
