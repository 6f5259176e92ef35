"""A lexical index that goes on changing: the files of one, and what came and went since."""

import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path

from catalog.schema import Item
from lexical.index import LexicalIndex

_WRITER_BYTES = 32 << 20  # a bound: what is added at a time is small


class LiveLexicalIndex:
    """The items of a `LexicalIndex` and of every update. One thread may update at a time.

    The index's own files are never changed: tantivy writes to a temporary directory that links to
    them. Nothing here is of use to another process, which has a log of the writes elsewhere.
    """

    def __init__(self, directory: Path, opened: LexicalIndex, scratch: Path) -> None:
        """Go on from what `LexicalIndex.open` opened in a directory.

        Args:
            directory: Where it lies.
            opened: What was opened there.
            scratch: A directory for the temporary one, which `close` removes and a kill leaves.

        Raises:
            InputError: the index there is damaged.
        """
        self._links = tempfile.TemporaryDirectory(
            prefix="lexical-", dir=scratch, ignore_cleanup_errors=True
        )
        self._schema = opened.schema
        self._index = self._schema.open_read_only(directory, Path(self._links.name))
        self._writer = self._index.writer(heap_size=_WRITER_BYTES, num_threads=1)
        self._vocabulary = opened.vocabulary
        self._behind = len(opened)  # the row behind the last one that any update had

    def update(self, added: Mapping[int, Item], removed: Iterable[int], rows: int) -> LexicalIndex:
        """The index with some rows more and some less; what was opened before stays as it was.

        Args:
            added: Items by row; a row is given twice only where its update, or what its caller made
                of it, failed. What such an update had beyond `rows` is removed.
            removed: Rows that are no longer found.
            rows: The row behind the last one.
        """
        left_by_failed = range(rows, self._behind)
        self._behind = max(self._behind, rows)
        for row in chain(removed, left_by_failed):
            self._writer.delete_documents_by_query(self._schema.row_query(row))
        counts: Counter[str] = Counter()
        for row, item in added.items():
            self._writer.delete_documents_by_query(
                self._schema.row_query(row)
            )  # left by one that failed
            self._writer.add_document(self._schema.document(row, item))
            counts.update(self._schema.item_terms(item))
        self._writer.commit()
        self._index.reload()
        self._vocabulary = self._vocabulary.extended(counts)
        return LexicalIndex(self._index, self._schema, rows, self._vocabulary)

    def close(self) -> None:
        """Stop the writer and remove what it wrote; indexes that were opened can still be read."""
        self._writer.wait_merging_threads()
        self._links.cleanup()
