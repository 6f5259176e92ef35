"""The lexical index: weighted BM25 over item fields, on tantivy.

tantivy (Rust, through tantivy-py) rather than bm25s, because of what this index is for: a channel
of recall, a feature of the reranker and a source of hard negatives.

* Field weights: a query is a tree of term queries, each with a boost of its own, and the score is
  the boosted sum. bm25s has one field per index.
* Updates: documents are added to an existing index and deleted from it by query (deleting by term,
  tantivy-py 0.27 quietly deletes nothing in a whole-number field). bm25s is rebuilt.
* The term dictionary can be read, with the number of items of each term: what mistyped and
  unfinished words are guessed from (`lexical.vocabulary`).
* On disk: plain files, mapped into memory when opened; nothing is unpickled or read ahead.
* BM25 in Rust, k1 = 1.2, b = 0.75, with early termination: tenths of a millisecond a query over
  50,000 items, with the lock of the Python interpreter held only to build the query.

Two properties of tantivy to know. A field's length is stored in one byte, exact up to 40 terms and
rounded down to the next step beyond. And opening a directory creates a lock file in it; a bundle
must not change, so `LexicalIndex.open` opens a directory of links instead (see there).
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import tantivy
from jaxtyping import Float32, Int32

from base.errors import InputError
from catalog.item_text import field_text
from catalog.schema import Item
from catalog.store import ItemStore
from lexical.analysis import words
from lexical.vocabulary import MEANT_WEIGHT, Vocabulary

FIELD_WEIGHTS: Mapping[str, float] = {
    "title": 1.0,  # the unit the others are measured in
    "brand": 0.5,  # mostly repeats a word of the title
    "category": 0.5,  # names the kind of thing where the title does not
    "attributes": 0.3,  # many values, few of them what a query means
    "description": 0.3,  # long and mentions other products
}
MAX_TERMS = 64
"""Distinct terms of a query that count, in its order; a 10 kB query costs no more than these."""

# Rows that are scored in one go: beyond a thousand what tantivy keeps for each no longer fits the
# processor's cache, and a row takes five microseconds instead of two.
_SCORED_AT_ONCE = 512
_MAX_GUESSED = 8  # unknown terms of a query that are guessed at: each costs a walk over all terms
ANALYSER = "shortlist_en_2"  # stored in the index; renamed when the analyser below changes
_MAX_TERM_BYTES = 100
# A bound, not an allocation. Up to it (over a million items) the index is one segment; beyond,
# scores stay the same, and only which of several equal scores falls to a cut may differ.
_WRITER_BYTES = 1 << 30
_ROW = "row"


class LexicalIndex:
    """BM25 over the items of one store, read-only and safe to use from several threads.

    The score of an item is the sum, over its fields and the distinct terms of the query, of
    `FIELD_WEIGHTS[field] * BM25(term, field)` with the statistics of that field over all items.
    Terms are runs of letters and digits, lower-cased, folded to ASCII and stemmed (English), with
    sizes and codes whole beside their parts (`lexical.analysis`). A term of a query that no item
    has stands for what it may have been meant to be, at a lower weight; see `understood`.
    """

    def __init__(self, index: tantivy.Index, rows: int, vocabulary: Vocabulary) -> None:
        """Take an index as it is now; see `open`.

        Args:
            index: With the analyser registered.
            rows: The row behind the last one.
            vocabulary: Of the terms in the index.
        """
        self._schema = index.schema
        self._searcher = index.searcher()
        self._analyser = analyser()
        self._rows = rows
        self.vocabulary = vocabulary

    @classmethod
    def build(cls, store: ItemStore, directory: Path) -> "LexicalIndex":
        """Index every item of `store` into `directory`, created if needed, and open it.

        One writer thread adds the items in row order, so two builds from the same items give the
        same scores (the file names differ: tantivy draws them at random).

        Raises:
            InputError: `directory` already holds something.
        """
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise InputError(
                f"{directory}: not empty; a lexical index is written once: delete it or name "
                "another directory"
            )
        # tantivy watches the directory it writes to and puts locks there at moments of its own, so
        # it writes elsewhere and only its plain files are taken.
        with tempfile.TemporaryDirectory(
            prefix="shortlist-lexical-", ignore_cleanup_errors=True
        ) as scratch:
            index = tantivy.Index(schema(), path=scratch)
            index.register_tokenizer(ANALYSER, analyser())
            writer = index.writer(heap_size=_WRITER_BYTES, num_threads=1)
            for row in range(len(store)):
                writer.add_document(document(row, store.item(row)))
            writer.commit()
            writer.wait_merging_threads()
            for file in Path(scratch).glob("[!.]*"):
                shutil.copyfile(file, directory / file.name)
        return cls.open(directory)

    @classmethod
    def open(cls, directory: Path) -> "LexicalIndex":
        """Open the index in `directory` without writing there.

        It is opened through a temporary directory of links (see `open_links`). Opening maps every
        file into memory, so that directory can go at once, and the files are read where they lie.

        Raises:
            InputError: there is no index, or it is damaged or of another format.
        """
        # tantivy may put its lock there while the directory is being removed, which then stays.
        with tempfile.TemporaryDirectory(
            prefix="shortlist-lexical-", ignore_cleanup_errors=True
        ) as links:
            index = open_links(directory, Path(links))
        counts: Counter[str] = Counter()
        searcher = index.searcher()
        for field in FIELD_WEIGHTS:
            counts.update(dict(searcher.terms_with_prefix(field, "")))
        return cls(index, searcher.num_docs, Vocabulary(counts))

    def __len__(self) -> int:
        return int(self._searcher.num_docs)

    def terms(self, query: str) -> list[str]:
        """The distinct terms of `query` in its order, at most `MAX_TERMS`."""
        return list(dict.fromkeys(self._analyser.analyze(words(query))))[:MAX_TERMS]

    def understood(self, query: str) -> dict[str, float]:
        """The terms that are searched for `query`, and what a match of each is worth.

        A term that no item has is replaced by what it may have been meant to be: the last word by
        terms that begin with it, any other, or where none does, by terms that it is a misspelling
        of. Where there is no such term it is left out.
        """
        terms = self.terms(query)
        understood = dict.fromkeys((term for term in terms if term in self.vocabulary), 1.0)
        unknown = [term for term in terms if term not in self.vocabulary]
        for term in unknown[:_MAX_GUESSED]:
            for meant in self.vocabulary.meant(term, unfinished=term is terms[-1]):
                understood.setdefault(meant, MEANT_WEIGHT)
        return understood

    def search(self, query: str, k: int) -> tuple[Int32[np.ndarray, "n"], Float32[np.ndarray, "n"]]:
        """The `k` best items that share at least one term with `query`.

        Args:
            query: Plain words. No character is an operator.
            k: The most items to return, at least 1.

        Returns:
            Item rows and their scores, falling; equal scores in row order. Both are empty when
            nothing matches or the query has no term.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        terms = self.understood(query)
        if not terms:
            return np.empty(0, np.int32), np.empty(0, np.float32)
        return self._ranked(self._any_of(terms), max(1, min(k, len(self))))

    def scores(self, query: str, rows: Int32[np.ndarray, "n"]) -> Float32[np.ndarray, "n"]:
        """The scores that `search` gives the items in `rows`, and 0 where it would not list them.

        Args:
            query: Plain words, as for `search`.
            rows: Item rows, in any order; a row may occur twice.

        Raises:
            IndexError: A row is negative or beyond the last item.
        """
        if rows.size and (rows.min() < 0 or rows.max() >= self._rows):
            raise IndexError(f"rows must lie in [0, {self._rows})")
        terms = self.understood(query)
        scores = np.zeros(len(rows), np.float32)
        if not terms or not rows.size:
            return scores
        wanted, position = np.unique(rows, return_inverse=True)
        by_wanted, any_of = np.zeros(len(wanted), np.float32), self._any_of(terms)
        for start in range(0, len(wanted), _SCORED_AT_ONCE):
            part = wanted[start : start + _SCORED_AT_ONCE]
            found, found_scores = self._ranked(_among(part, any_of), len(part))
            by_wanted[start + np.searchsorted(part, found)] = found_scores
        return by_wanted[position]

    def _any_of(self, terms: Mapping[str, float]) -> tantivy.Query:
        # One flat disjunction of boosted terms: the shape that tantivy's early termination knows.
        return tantivy.Query.boolean_query(
            [
                (
                    tantivy.Occur.Should,
                    tantivy.Query.boost_query(
                        tantivy.Query.term_query(self._schema, field, term, "freq"),
                        worth * weight,
                    ),
                )
                for term, worth in terms.items()
                for field, weight in FIELD_WEIGHTS.items()
            ]
        )

    def _ranked(
        self, query: tantivy.Query, k: int
    ) -> tuple[Int32[np.ndarray, "n"], Float32[np.ndarray, "n"]]:
        hits = self._searcher.search(query, limit=k, count=False).hits
        rows = np.array(
            self._searcher.fast_field_values(_ROW, [address for _, address in hits]), np.int32
        )
        scores = np.array([score for score, _ in hits], np.float32)
        order = np.lexsort((rows, -scores))
        return rows[order], scores[order]


def _among(rows: Int32[np.ndarray, "n"], query: tantivy.Query) -> tantivy.Query:
    """The same query, restricted to some rows."""
    # Single-term queries: four times faster here than one query for the set of terms.
    allowed = [(tantivy.Occur.Should, row_query(row)) for row in rows.tolist()]
    unscored = tantivy.Query.const_score_query(tantivy.Query.boolean_query(allowed), 0.0)
    return tantivy.Query.boolean_query(
        [(tantivy.Occur.Must, query), (tantivy.Occur.Must, unscored)]
    )


def open_links(directory: Path, links: Path) -> tantivy.Index:
    """Open the index in `directory` through links to its files, made in another directory.

    tantivy creates a lock file in any directory it opens, and fails where it may not.

    Raises:
        InputError: there is no index, or it is damaged or of another format.
    """
    if not (directory / "meta.json").is_file():
        raise InputError(
            f"{directory}: no lexical index there (meta.json is missing); build it with "
            "`python -m train index`"
        )
    for file in directory.iterdir():
        (links / file.name).symlink_to(file.resolve())
    try:
        index = tantivy.Index(schema(), path=str(links))  # refuses a different schema
        index.config_reader(reload_policy="manual")
    except (ValueError, OSError) as error:
        raise InputError(
            f"{directory}: the lexical index cannot be opened ({error}); build it again "
            "with `python -m train index`"
        ) from error
    index.register_tokenizer(ANALYSER, analyser())
    return index


@cache
def schema() -> tantivy.Schema:
    """The fields of an item, and its row."""
    builder = tantivy.SchemaBuilder()
    for field in FIELD_WEIGHTS:
        builder.add_text_field(field, tokenizer_name=ANALYSER, index_option="freq")
    builder.add_unsigned_field(_ROW, indexed=True, fast=True)
    return builder.build()


def row_query(row: int) -> tantivy.Query:
    """What finds the item of a row."""
    return tantivy.Query.term_query(schema(), _ROW, row, "basic")


def document(row: int, item: Item) -> tantivy.Document:
    """An item as it is indexed."""
    return tantivy.Document.from_dict({_ROW: row, **dict(field_texts(item))}, schema())


def analyser() -> tantivy.TextAnalyzer:
    """What makes terms of the text of items and queries."""
    return (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        .filter(tantivy.Filter.remove_long(_MAX_TERM_BYTES))
        .filter(tantivy.Filter.lowercase())
        .filter(tantivy.Filter.ascii_fold())
        .filter(tantivy.Filter.stemmer("english"))
        .build()
    )


def field_texts(item: Item) -> Iterator[tuple[str, str]]:
    """The text of an item by field, blank ones left out."""
    yield "title", words(item.title)
    rest = {
        "brand": item.brand,
        "category": item.category,
        "attributes": field_text(item, "attributes"),
        "description": item.description,
    }
    yield from ((field, words(text)) for field, text in rest.items() if text)
