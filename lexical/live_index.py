"""A lexical index that takes updates: the files of a built index, plus what changed since."""

import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path

from catalog.items import Item
from lexical.index import LexicalIndex

_WRITER_BYTES = 32 << 20  # a limit; each update is small


class LiveLexicalIndex:
    """The items of a `LexicalIndex` and of every update. One thread may update at a time.

    The index's files never change: tantivy writes to a temporary directory that links to them.
    Nothing is kept for another process; the write-ahead log is elsewhere (`live.log`).
    """

    def __init__(self, directory: Path, index: LexicalIndex, scratch: Path) -> None:
        """Start from a built index.

        Args:
            directory: The files of the built index.
            index: What `LexicalIndex.open` opened there.
            scratch: The parent of the temporary directory. `close` removes the temporary directory;
                a killed process leaves it.

        Raises:
            InputError: the index there is damaged.
        """
        self._links = tempfile.TemporaryDirectory(
            prefix="lexical-", dir=scratch, ignore_cleanup_errors=True
        )
        self._schema = index.schema
        self._index = self._schema.open_read_only(directory, Path(self._links.name))
        self._writer = self._index.writer(heap_size=_WRITER_BYTES, num_threads=1)
        self._vocabulary = index.vocabulary
        self._max_rows = len(index)  # the most rows of any update, failed updates included

    def update(self, added: Mapping[int, Item], removed: Iterable[int], rows: int) -> LexicalIndex:
        """Add and remove rows, and return the changed index; indexes returned before do not change.

        An update may be repeated with other items if it, or what its caller did next, failed. Rows
        that a failed update added are then replaced, or removed if they are not below `rows`.

        Args:
            added: New items by row.
            removed: Rows that no search returns any more.
            rows: The number of rows, removed ones included.
        """
        rows_of_failed = range(rows, self._max_rows)
        self._max_rows = max(self._max_rows, rows)
        for row in chain(removed, rows_of_failed):
            self._writer.delete_documents_by_query(self._schema.row_query(row))
        counts: Counter[str] = Counter()
        for row, item in added.items():
            # A failed update may have left another item there.
            self._writer.delete_documents_by_query(self._schema.row_query(row))
            self._writer.add_document(self._schema.document(row, item))
            counts.update(self._schema.item_terms(item))
        self._writer.commit()
        self._index.reload()
        self._vocabulary = self._vocabulary.extended(counts)
        return LexicalIndex(self._index, self._schema, rows, self._vocabulary)

    def close(self) -> None:
        """Stop the writer and remove its files; indexes returned before can still be read."""
        self._writer.wait_merging_threads()
        self._links.cleanup()
