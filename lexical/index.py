"""The lexical index: weighted BM25 over item fields, on tantivy.

The scores serve a recall channel, a reranker feature and hard negatives. Reasons for tantivy (Rust,
through tantivy-py) and against bm25s:

* Field weights: a query is a tree of term queries, each with its own boost, and the score is the
  boosted sum. bm25s has one field per index.
* Updates: tantivy adds documents to an existing index and deletes documents by query. (In
  tantivy-py 0.27, deletion by term silently deletes nothing if the field is an integer.) An index
  of bm25s must be rebuilt.
* Term dictionary: it can be read, with the number of items of each term. `lexical.vocabulary`
  corrects mistyped words and completes unfinished words with these terms.
* Files: tantivy maps its files into memory. Nothing is unpickled, and nothing is read in advance.
* Speed: BM25 in Rust (k1 = 1.2, b = 0.75) with early termination takes tenths of a millisecond per
  query over 50,000 items. Python's interpreter lock is held only while the query is built.

Two properties of tantivy matter here. It stores a field's length in one byte: lengths up to 40
terms are exact, and larger lengths are rounded down. It also creates a lock file in every directory
that it opens. A bundle must not change, so `LexicalIndex.open` opens a directory of links instead.
"""

import math
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import accumulate
from pathlib import Path

import numpy as np
import tantivy
from jaxtyping import Float32, Int32

from base.errors import InputError
from catalog.store import ItemStore
from lexical.analysers import QueryWord, cjk
from lexical.config import LexicalConfig
from lexical.query_terms import Lookups, pinyin_syllables, weighted_terms
from lexical.schema import PINYIN, ROW, IndexSchema
from lexical.term_dictionary import has_sound, read_languages, read_vocabulary
from lexical.vocabulary import Vocabulary

MAX_TERMS = 64
"""Maximum number of terms of a query that are searched; later terms are ignored."""

# Maximum number of rows that one query scores. Above a thousand rows, tantivy's state no longer
# fits the processor's cache, and a row takes five microseconds instead of two.
_SCORE_BATCH = 512
# Memory limit of the writer, not an allocation. Over a million items fit, and their index is one
# segment. An index above the limit has several segments. Its scores are the same, but if several
# rows have the k-th best score, a search may return other rows of that score.
_WRITER_BYTES = 1 << 30
_PINYIN_WEIGHTS = {PINYIN: 1.0}  # relative to the weight of the title
_CACHED = 4_096  # maximum number of terms of pinyin that are known to be in the index or not
_FREQUENT = 0.05  # share of items from which a term counts as frequent


class LexicalIndex:
    """BM25 over the items of one store, read-only and safe to use from several threads.

    The score of an item is the sum, over fields and distinct terms of the query, of
    `weight[field] * BM25(term, field)`, with the statistics of that field over all items.
    The field weights and the analyser come from the index's own configuration (`lexical.config`).
    A term that no item has is replaced by guesses of lower weight; see `weighted_terms`.

    Attributes:
        schema: The schema of the index, with its configuration.
        vocabulary: The terms of the index.
        languages: The languages in which words of Latin letters of queries are read.
    """

    def __init__(
        self, index: tantivy.Index, schema: IndexSchema, rows: int, vocabulary: Vocabulary
    ) -> None:
        """Wrap an opened index; later updates of `index` do not change this object.

        Args:
            index: The opened index of tantivy.
            schema: The schema of `index`.
            rows: The number of rows, including deleted rows.
            vocabulary: The terms of `index`.
        """
        self.schema = schema
        self._searcher = index.searcher()
        self._rows = rows
        self.vocabulary = vocabulary
        self.languages = read_languages(self._searcher, schema)
        # Cache a partial, not a method: a method's cache would keep the index in memory.
        self._has_sound = lru_cache(_CACHED)(partial(has_sound, self._searcher, schema))

    @classmethod
    def build(
        cls, store: ItemStore, directory: Path, config: LexicalConfig | None = None
    ) -> "LexicalIndex":
        """Index every item of `store` into `directory`, and open the index.

        One writer thread adds the items in row order, so two builds from the same items give the
        same scores. Only the file names differ: tantivy chooses random names.

        Args:
            store: The items.
            directory: An empty directory, or a directory to create.
            config: The analyser and field weights, written beside the index; None: the defaults.

        Raises:
            InputError: `directory` is not empty.
        """
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise InputError(
                f"{directory}: not empty; delete it or name another directory, because a lexical "
                "index is written once"
            )
        # tantivy may create lock files in its directory at any time. So it writes to a scratch
        # directory, and only the index files are copied.
        with tempfile.TemporaryDirectory(
            prefix="shortlist-lexical-", ignore_cleanup_errors=True
        ) as scratch:
            schema = IndexSchema.of(store, config or LexicalConfig())
            index = schema.index(Path(scratch))
            writer = index.writer(heap_size=_WRITER_BYTES, num_threads=1)
            for row in range(len(store)):
                item = store.roles.readable(store.item(row))
                writer.add_document(schema.document(row, item))
            writer.commit()
            writer.wait_merging_threads()
            for file in Path(scratch).glob("[!.]*"):
                shutil.copyfile(file, directory / file.name)
        schema.write(directory)
        return cls.open(directory)

    @classmethod
    def open(cls, directory: Path) -> "LexicalIndex":
        """Open the index in `directory` without writing there.

        Opening maps every file into memory, so the directory of links
        (`IndexSchema.open_read_only`) can be removed at once.

        Raises:
            InputError: there is no index, it is damaged or of another format, its configuration
                cannot be used, or there is no room for a temporary directory.
        """
        schema = IndexSchema.read(directory)
        # Ignore errors of the cleanup: it fails if tantivy creates its lock file at the same time.
        try:
            with tempfile.TemporaryDirectory(
                prefix="shortlist-lexical-", ignore_cleanup_errors=True
            ) as links:
                index = schema.open_read_only(directory, Path(links))
        except OSError as error:
            raise InputError(
                f"{directory}: opening the lexical index needs a temporary directory ({error}); "
                "free space there, or name another directory with TMPDIR"
            ) from error
        searcher = index.searcher()
        vocabulary = read_vocabulary(searcher, schema, directory)
        if schema.by_language and searcher.terms_with_prefix(PINYIN, "", limit=1):
            cjk.syllables("\u4e00")  # load its dictionaries now, and not during the first query
        return cls(index, schema, searcher.num_docs, vocabulary)

    def __len__(self) -> int:
        return int(self._searcher.num_docs)

    def words(self, query: str, language: str = "") -> list[QueryWord]:
        """Return the words of `query` that its first `MAX_TERMS` terms belong to, in order.

        Args:
            query: Plain words. No character is an operator.
            language: The language of the query; "": words of Latin letters are read in every
                language that items have.
        """
        languages = [self.schema.language(language)] if language else self.languages
        words = self.schema.query_words(query, languages)
        numbers = accumulate(len(word.readings) for word in words)
        return [word for word, number in zip(words, numbers, strict=True) if number <= MAX_TERMS]

    def terms(self, query: str, language: str = "") -> list[str]:
        """Return the first `MAX_TERMS` distinct terms of `query`, in order."""
        words = self.words(query, language)
        return list(dict.fromkeys(term for word in words for term in word.readings))

    def sizes(self, query: str, language: str = "") -> list[str]:
        """Return the terms of the whole sizes, dimensions and fractions of a query that items have.

        Args:
            query: Plain words.
            language: The language of the query; see `words`.
        """
        return [
            word.text
            for word in self.words(query, language)
            if not (word.is_word or word.part_of)
            and any(map(str.isdigit, word.text))
            and word.text in self.vocabulary
        ]

    def has(self, text: str, language: str = "") -> bool:
        """Return whether items have a reading of each word of a text."""
        return all(
            any(term in self.vocabulary for term in word.readings)
            for word in self.words(text, language)
        )

    def weighted_terms(
        self, query: str, alternatives: Iterable[tuple[str, float]] = (), language: str = ""
    ) -> dict[str, float]:
        """Return the terms that a search for `query` uses, each with its weight.

        Args:
            query: Plain words; see `lexical.query_terms`.
            alternatives: Other texts, each with the weight of its terms. The terms of the query
                keep their own weights.
            language: The language of the query; see `words`.
        """
        weights = weighted_terms(self.words(query, language), self._lookups)
        for text, weight in alternatives:
            for term, of_term in weighted_terms(self.words(text, language), self._lookups).items():
                weights.setdefault(term, weight * of_term)
        return weights

    def pinyin(self, query: str, language: str = "") -> list[tuple[str, str, float]]:
        """Return the parts of a query that are pinyin, with the Han text and its probability.

        Args:
            query: Plain words; see `lexical.query_terms`.
            language: The language of the query; see `words`.
        """
        words = self.words(query, language)
        rows = pinyin_syllables(words, self._lookups)
        runs: list[list[int]] = []  # positions of neighbouring words
        for position in sorted(rows):
            if runs and runs[-1][-1] == position - 1:
                runs[-1].append(position)
            else:
                runs.append([position])
        parts = []
        for positions in runs:
            syllables = [syllable for position in positions for syllable in rows[position]]
            text, probability = self.vocabulary.han_sounds.text(syllables)
            if text:
                typed = " ".join(words[position].text for position in positions)
                parts.append((typed, text, probability))
        return parts

    @property
    def _lookups(self) -> Lookups:
        return Lookups(self.vocabulary, self._has_sound, self._has_all)

    def search(
        self, query: str | Mapping[str, float], k: int, language: str = ""
    ) -> tuple[Int32[np.ndarray, "n"], Float32[np.ndarray, "n"]]:
        """Return the `k` best items that share at least one term with `query`.

        Args:
            query: Plain words, in which no character is an operator; or terms with their weights.
            k: The maximum number of items, at least 1.
            language: The language of the query; see `words`.

        Returns:
            Item rows and their scores, best first; equal scores in row order. Both are empty if no
            item matches or the query has no term.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        terms = query if isinstance(query, Mapping) else self.weighted_terms(query, (), language)
        if not terms:
            return np.empty(0, np.int32), np.empty(0, np.float32)
        return self._best(self._any_of(terms), max(1, min(k, len(self))))

    def scores(
        self,
        query: str | Mapping[str, float],
        rows: Int32[np.ndarray, "n"],
        language: str = "",
    ) -> Float32[np.ndarray, "n"]:
        """Return the scores that `search` gives the items in `rows`; 0 for items without a match.

        Args:
            query: Plain words or terms, as for `search`.
            rows: Item rows, in any order; a row may occur twice.
            language: The language of the query; see `words`.

        Raises:
            IndexError: a row is negative or beyond the last row.
        """
        if rows.size and (rows.min() < 0 or rows.max() >= self._rows):
            raise IndexError(f"rows must lie in [0, {self._rows})")
        terms = query if isinstance(query, Mapping) else self.weighted_terms(query, (), language)
        scores = np.zeros(len(rows), np.float32)
        if not terms or not rows.size:
            return scores
        distinct, positions = np.unique(rows, return_inverse=True)
        distinct_scores, any_term = np.zeros(len(distinct), np.float32), self._any_of(terms)
        for start in range(0, len(distinct), _SCORE_BATCH):
            batch = distinct[start : start + _SCORE_BATCH]
            hits, hit_scores = self._best(self._restricted(any_term, batch), len(batch))
            distinct_scores[start + np.searchsorted(batch, hits)] = hit_scores
        return distinct_scores[positions]

    def known_share(self, terms: Sequence[str]) -> float:
        """Return the share of some terms that items have, weighted by inverse document frequency.

        A term that no item has weighs most, and a frequent term hardly counts. Without terms, the
        share is 0.
        """
        total = known = 0.0
        for term in terms:
            count = min(self.vocabulary.count(term), len(self))
            weight = math.log1p((len(self) - count + 0.5) / (count + 0.5))
            total += weight
            known += weight if count else 0.0
        return known / total if total else 0.0

    def last_word_plausibility(self, terms: Sequence[str]) -> float:
        """Return how plausible it is that items have the last term that is no number, size or code.

        See `Vocabulary.plausibility`. If all terms have digits, the result is 1 if items have any
        of the terms, else 0.
        """
        for term in reversed(terms):
            if term.isalpha():
                return self.vocabulary.plausibility(term, max(1.0, len(self) * _FREQUENT))
        return float(any(term in self.vocabulary for term in terms))

    def rows_with_all(
        self, text: str, k: int, *, among: int | None = None
    ) -> Int32[np.ndarray, " rows"]:
        """Return up to `k` rows of items that have every word of a text; none are guessed.

        Args:
            text: Plain words. A text without words has no rows.
            k: The maximum number of rows.
            among: The only row to look at; None: all rows.
        """
        words = self.words(text)
        if not words or not self.has(text):
            return np.empty(0, np.int32)
        must = [
            (tantivy.Occur.Must, self._any_of(dict.fromkeys(word.readings, 1.0))) for word in words
        ]
        if among is not None:
            must.append((tantivy.Occur.Must, self.schema.row_query(among)))
        return self._best(tantivy.Query.boolean_query(must), k)[0]

    def _any_of(self, terms: Mapping[str, float]) -> tantivy.Query:
        # tantivy terminates early only for one flat disjunction of boosted terms.
        return tantivy.Query.boolean_query(
            [
                (
                    tantivy.Occur.Should,
                    tantivy.Query.boost_query(
                        tantivy.Query.term_query(self.schema.tantivy, field, term, "freq"),
                        term_weight * field_weight,
                    ),
                )
                for term, term_weight in terms.items()
                for field, field_weight in self._fields(term).items()
            ]
        )

    def _fields(self, term: str) -> Mapping[str, float]:
        """Return the fields that may have a term, each with its weight."""
        return _PINYIN_WEIGHTS if term.startswith(cjk.SOUND) else self.schema.weights

    def _has_all(self, words: Sequence[QueryWord]) -> bool:
        """Return whether an item has a reading of every word."""
        words_of_item = [
            (tantivy.Occur.Must, self._any_of(dict.fromkeys(word.readings, 1.0)))
            for word in words
            if word.is_word
        ]
        every = tantivy.Query.boolean_query(words_of_item)
        return bool(self._searcher.search(every, limit=1, count=False).hits)

    def _best(
        self, query: tantivy.Query, k: int
    ) -> tuple[Int32[np.ndarray, "n"], Float32[np.ndarray, "n"]]:
        hits = self._searcher.search(query, limit=k, count=False).hits
        rows = np.array(
            self._searcher.fast_field_values(ROW, [address for _, address in hits]), np.int32
        )
        scores = np.array([score for score, _ in hits], np.float32)
        order = np.lexsort((rows, -scores))
        return rows[order], scores[order]

    def _restricted(self, query: tantivy.Query, rows: Int32[np.ndarray, "n"]) -> tantivy.Query:
        """Return a query that matches the same items in some rows only, with the same scores."""
        # One term query per row is four times faster here than one query for the set of rows.
        allowed = [(tantivy.Occur.Should, self.schema.row_query(row)) for row in rows.tolist()]
        unscored = tantivy.Query.const_score_query(tantivy.Query.boolean_query(allowed), 0.0)
        return tantivy.Query.boolean_query(
            [(tantivy.Occur.Must, query), (tantivy.Occur.Must, unscored)]
        )
