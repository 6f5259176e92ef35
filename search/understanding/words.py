"""The words of a catalogue as they are written, with their counts and the counts of word pairs.

Spelling, joined words and split words use these words. The lexical index has its own vocabulary,
whose terms are stems.
"""

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from catalog.catalogue import Catalogue
from catalog.items import Item, all_values
from catalog.store import ItemStore
from search.understanding.near_words import NearWords

_NO_WORD = r"[^\p{L}\p{N}]+"  # what separates words, in the syntax of Arrow
_WORD = re.compile(r"[^\W_]+")
_CHUNK = 1 << 18  # number of texts that are split at a time; limits the memory


def words_of(text: str) -> list[str]:
    """Return the words of a normalised text: its runs of letters and digits."""
    return _WORD.findall(text)


def is_plain(word: str) -> bool:
    """Return whether a word has only letters, of a script with upper and lower case.

    Words with digits are sizes and codes. Scripts without case (Han, Kana, Hangul, Thai, Arabic)
    need other rules for spelling.
    """
    return word.isalpha() and (word.isascii() or word.upper() != word.lower())


@dataclass(frozen=True)
class Words:
    """Words with their number of occurrences in titles, brands, categories and attributes.

    Attributes:
        codes: The number of each plain word (see `is_plain`).
        counts: The occurrences of each word, by number.
        pair_keys: The pairs of neighbouring words that occur, as `left * 2**32 + right`; rising.
        pair_counts: The occurrences of each pair.
        near: Finds the words of `codes` near a mistyped word.
        added: Occurrences of words in items that were added later.
        added_pairs: Occurrences of pairs in items that were added later.
    """

    codes: Mapping[str, int]
    counts: Int64[np.ndarray, " words"]
    pair_keys: Int64[np.ndarray, " pairs"]
    pair_counts: Int64[np.ndarray, " pairs"]
    near: NearWords
    added: Mapping[str, int] = field(default_factory=dict)
    added_pairs: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @classmethod
    def of(cls, catalogue: Catalogue) -> "Words":
        """Count the words of a catalogue. A million titles take some seconds."""
        counter = _Counter()
        counter.add(catalogue.base.table["title"].combine_chunks().drop_null())
        for texts in _texts(catalogue.base):
            distinct = pc.value_counts(texts.drop_null())
            times = np.asarray(distinct.field("counts")).astype(np.int64)
            counter.add(distinct.field("values"), times)
        words = counter.words()
        for part in catalogue.added:
            items = map(part.item, range(len(part)))
            words = words.extended(map(catalogue.roles.readable, items))
        return words

    def extended(self, items: Iterable[Item]) -> "Words":
        """Return the words with those of more items; words of deleted items stay."""
        added, pairs = Counter(self.added), Counter(self.added_pairs)
        for item in items:
            for text in _item_texts(item):
                words = words_of(text)
                added.update(word for word in words if is_plain(word))
                pairs.update(
                    (left, right)
                    for left, right in itertools.pairwise(words)
                    if is_plain(left) and is_plain(right)
                )
        return replace(self, added=dict(added), added_pairs=dict(pairs))

    def __contains__(self, word: str) -> bool:
        return word in self.codes or word in self.added

    def count(self, word: str) -> int:
        """Return how often a word occurs."""
        code = self.codes.get(word)
        return (0 if code is None else int(self.counts[code])) + self.added.get(word, 0)

    def pair_count(self, left: str, right: str) -> int:
        """Return how often a word directly follows another."""
        count = self.added_pairs.get((left, right), 0)
        left_code, right_code = self.codes.get(left), self.codes.get(right)
        if left_code is not None and right_code is not None:
            key = (left_code << 32) + right_code
            position = int(self.pair_keys.searchsorted(key))
            if position < len(self.pair_keys) and self.pair_keys[position] == key:
                count += int(self.pair_counts[position])
        return count

    def near_words(self, word: str) -> Mapping[str, int]:
        """Return the words near a mistyped word, each with its number of edits."""
        near = self.near.find(word)
        return {**self._added_near.find(word), **near} if self.added else near

    @cached_property
    def _added_near(self) -> NearWords:
        return NearWords({word for word in self.added if word not in self.codes})


class _Counter:
    """Counts words and pairs of many texts with Arrow and NumPy."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._counts = np.zeros(0, np.int64)
        self._pairs: list[tuple[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"]]] = []

    def add(self, texts: pa.Array, times: Int64[np.ndarray, " texts"] | None = None) -> None:
        """Count the words of texts without nulls.

        Args:
            texts: The texts.
            times: How often each text counts; None: once.
        """
        keys, key_times = list[Int64[np.ndarray, "_"]](), list[Int64[np.ndarray, "_"]]()
        for start in range(0, len(texts), _CHUNK):
            codes, lengths = self._split(texts[start : start + _CHUNK])
            known = codes >= 0
            weights = None
            if times is not None:
                weights = np.repeat(times[start : start + _CHUNK], lengths)
            self._count(codes[known], None if weights is None else weights[known])
            ends = np.zeros(len(codes), np.bool_)  # the last word of each text
            ends[np.cumsum(lengths)[lengths > 0] - 1] = True
            together = known[:-1] & known[1:] & ~ends[:-1]
            keys.append((codes[:-1][together] << 32) + codes[1:][together])
            if weights is not None:
                key_times.append(weights[1:][together])
        if keys:
            joined = np.concatenate(keys)
            self._pairs.append(_summed(joined, np.concatenate(key_times) if key_times else None))

    def words(self) -> Words:
        """Return the words counted so far."""
        keys = np.concatenate([keys for keys, _ in self._pairs] or [np.zeros(0, np.int64)])
        times = np.concatenate([times for _, times in self._pairs] or [np.zeros(0, np.int64)])
        return Words(self._codes, self._counts, *_summed(keys, times), NearWords(self._codes))

    def _split(
        self, texts: pa.Array
    ) -> tuple[Int64[np.ndarray, " words"], Int64[np.ndarray, " texts"]]:
        """Return the numbers of the words of all texts, and the number of words of each text."""
        lower = pc.utf8_lower(pc.utf8_normalize(texts, "NFKC"))
        split = pc.split_pattern_regex(lower, _NO_WORD)
        coded = split.flatten().dictionary_encode()
        numbers = np.array([self._code(word) for word in coded.dictionary.to_pylist()], np.int64)
        return numbers[np.asarray(coded.indices)], np.diff(np.asarray(split.offsets)).astype(
            np.int64
        )

    def _count(
        self, codes: Int64[np.ndarray, " words"], weights: Int64[np.ndarray, " words"] | None
    ) -> None:
        self._counts = np.pad(self._counts, (0, len(self._codes) - len(self._counts)))
        # With weights, bincount adds in float64, which is exact up to 2**53.
        self._counts += np.bincount(codes, weights, len(self._codes)).astype(np.int64)

    def _code(self, word: str) -> int:
        """Return the number of a word in lower case; -1 for a word that is not counted."""
        # Arrow has only lower case. Casefolding also turns ß into ss.
        folded = word if word.isascii() else _fold(word)
        return self._codes.setdefault(folded, len(self._codes)) if is_plain(folded) else -1


def _summed(
    keys: Int64[np.ndarray, " keys"], times: Int64[np.ndarray, " keys"] | None
) -> tuple[Int64[np.ndarray, " distinct"], Int64[np.ndarray, " distinct"]]:
    """Return the distinct keys, rising, and the sum of the times (None: once) of each."""
    if times is None:
        distinct, counts = np.unique(keys, return_counts=True)
        return distinct, counts.astype(np.int64)
    distinct, positions = np.unique(keys, return_inverse=True)
    return distinct, np.bincount(positions, times, len(distinct)).astype(np.int64)


def _texts(store: ItemStore) -> Iterator[pa.Array]:
    """Yield the columns of texts whose words are counted, but for titles. Values repeat there."""
    for column in ("brand", "category"):
        yield store.table[column].combine_chunks()
    yield from store.attribute_pairs(without=store.roles.unread)


def _item_texts(item: Item) -> Sequence[str]:
    texts = [item.title, item.brand or "", item.category or ""]
    for name, value in item.attributes.items():
        texts += [name, *all_values(value)]
    return [_fold(unicodedata.normalize("NFKC", text)) for text in texts]


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", text.casefold())
