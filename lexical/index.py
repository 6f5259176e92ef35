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

import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tantivy
from jaxtyping import Float32, Int32

from base.errors import InputError
from base.untrusted import limits
from catalog.store import ItemStore
from lexical.config import LexicalConfig
from lexical.schema import ROW, IndexSchema
from lexical.vocabulary import GUESS_WEIGHT, Vocabulary

MAX_TERMS = 64
"""Maximum number of distinct terms of a query that are searched; later terms are ignored."""

# Maximum number of rows that one query scores. Above a thousand rows, tantivy's state no longer
# fits the processor's cache, and a row takes five microseconds instead of two.
_SCORE_BATCH = 512
_MAX_GUESSED = 8  # maximum number of unknown terms of a query to guess; a guess scans all terms
# Memory limit of the writer, not an allocation. Over a million items fit, and their index is one
# segment. An index above the limit has several segments. Its scores are the same, but if several
# rows have the k-th best score, a search may return other rows of that score.
_WRITER_BYTES = 1 << 30
_FIRST_TERMS = 4_096  # number of terms to read from a dictionary before most of it is read


class LexicalIndex:
    """BM25 over the items of one store, read-only and safe to use from several threads.

    The score of an item is the sum, over fields and distinct terms of the query, of
    `weight[field] * BM25(term, field)`, with the statistics of that field over all items.
    The field weights and the analyser come from the index's own configuration (`lexical.config`).
    A term that no item has is replaced by guesses of lower weight; see `weighted_terms`.

    Attributes:
        schema: The schema of the index, with its configuration.
        vocabulary: The terms of the index.
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
            schema = IndexSchema(config or LexicalConfig())
            index = schema.index(Path(scratch))
            writer = index.writer(heap_size=_WRITER_BYTES, num_threads=1)
            for row in range(len(store)):
                writer.add_document(schema.document(row, store.item(row)))
            writer.commit()
            writer.wait_merging_threads()
            for file in Path(scratch).glob("[!.]*"):
                shutil.copyfile(file, directory / file.name)
        schema.config.write(directory)
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
        schema = IndexSchema(LexicalConfig.read(directory))
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
        size = sum(path.stat().st_size for path in directory.iterdir())
        counts: Counter[str] = Counter()
        searcher = index.searcher()
        for field in schema.weights:
            try:
                counts.update(_terms(searcher, field, size // limits.BYTES_PER_TERM))
            except ValueError as error:
                raise InputError(f"{directory}: the field {field} has {error}") from None
        return cls(index, schema, searcher.num_docs, Vocabulary(counts))

    def __len__(self) -> int:
        return int(self._searcher.num_docs)

    def terms(self, query: str) -> list[str]:
        """Return the first `MAX_TERMS` distinct terms of `query`, in order."""
        return list(dict.fromkeys(self.schema.terms(query)))[:MAX_TERMS]

    def weighted_terms(self, query: str) -> dict[str, float]:
        """Return the terms that a search for `query` uses, each with its weight.

        Guesses replace a term that no item has. The last term is replaced by its completions or, if
        there are none, by its corrections. Other terms are replaced by their corrections. A term
        without guesses is left out.
        """
        terms = self.terms(query)
        weights = dict.fromkeys((term for term in terms if term in self.vocabulary), 1.0)
        unknown = [term for term in terms if term not in self.vocabulary]
        for term in unknown[:_MAX_GUESSED]:
            for guess in self.vocabulary.guesses(term, is_prefix=term is terms[-1]):
                weights.setdefault(guess, GUESS_WEIGHT)
        return weights

    def search(self, query: str, k: int) -> tuple[Int32[np.ndarray, "n"], Float32[np.ndarray, "n"]]:
        """Return the `k` best items that share at least one term with `query`.

        Args:
            query: Plain words. No character is an operator.
            k: The maximum number of items, at least 1.

        Returns:
            Item rows and their scores, best first; equal scores in row order. Both are empty if no
            item matches or the query has no term.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        terms = self.weighted_terms(query)
        if not terms:
            return np.empty(0, np.int32), np.empty(0, np.float32)
        return self._best(self._any_of(terms), max(1, min(k, len(self))))

    def scores(self, query: str, rows: Int32[np.ndarray, "n"]) -> Float32[np.ndarray, "n"]:
        """Return the scores that `search` gives the items in `rows`; 0 for items without a match.

        Args:
            query: Plain words, as for `search`.
            rows: Item rows, in any order; a row may occur twice.

        Raises:
            IndexError: a row is negative or beyond the last row.
        """
        if rows.size and (rows.min() < 0 or rows.max() >= self._rows):
            raise IndexError(f"rows must lie in [0, {self._rows})")
        terms = self.weighted_terms(query)
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

    def rows_with_all(
        self, text: str, k: int, *, among: int | None = None
    ) -> Int32[np.ndarray, " rows"]:
        """Return up to `k` rows of items that have every word of a text; none are guessed.

        Args:
            text: Plain words. A text without words has no rows.
            k: The maximum number of rows.
            among: The only row to look at; None: all rows.
        """
        terms = self.schema.terms(text)
        if not terms or any(term not in self.vocabulary for term in terms):
            return np.empty(0, np.int32)
        must = [(tantivy.Occur.Must, self._any_of({term: 1.0})) for term in dict.fromkeys(terms)]
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
                for field, field_weight in self.schema.weights.items()
            ]
        )

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


def _terms(searcher: tantivy.Searcher, field: str, most: int) -> dict[str, int]:
    """Return the terms of a field, each with its number of items.

    A dictionary of some kilobytes can have any number of long terms. So read a few terms first, and
    then four times as many in each step.

    Raises:
        ValueError: there are more than `most` terms, or a term is too long.
    """
    limit = _FIRST_TERMS
    while True:
        terms = dict(searcher.terms_with_prefix(field, "", limit=limit))
        if len(terms) > most:
            raise ValueError(f"more than {most:,} terms, which is too many for its files")
        if max(map(len, terms), default=0) > limits.TERM_CHARACTERS:
            raise ValueError(f"a term of more than {limits.TERM_CHARACTERS} characters")
        if len(terms) < limit:
            return terms
        limit *= 4
