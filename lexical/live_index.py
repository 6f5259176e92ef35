"""A lexical index that takes updates: the files of a built index, plus later changes."""

import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path

from catalog.items import Item
from lexical.index import LexicalIndex

_WRITER_BYTES = 32 << 20  # memory limit of the writer; each update is small


class LiveLexicalIndex:
    """A `LexicalIndex` that takes updates, from one thread at a time.

    The files of the built index never change: tantivy writes to a temporary directory with links to
    these files. Updates are lost when the process ends. They can be repeated, because the
    write-ahead log (`live.log`) keeps all writes.
    """

    def __init__(self, directory: Path, index: LexicalIndex, scratch: Path) -> None:
        """Start from a built index.

        Args:
            directory: The files of the built index.
            index: The index that `LexicalIndex.open` opened there.
            scratch: The parent of the temporary directory. `close` removes the temporary directory;
                a killed process leaves it.

        Raises:
            InputError: the index is damaged.
        """
        self._links = tempfile.TemporaryDirectory(
            prefix="lexical-", dir=scratch, ignore_cleanup_errors=True
        )
        self._schema = index.schema
        self._index = self._schema.open_read_only(directory, Path(self._links.name))
        self._writer = self._index.writer(heap_size=_WRITER_BYTES, num_threads=1)
        self._vocabulary = index.vocabulary
        self._max_rows = len(index)  # largest number of rows of any update, even a failed one

    def update(self, added: Mapping[int, Item], removed: Iterable[int], rows: int) -> LexicalIndex:
        """Add and remove rows, and return the new index; earlier indexes do not change.

        If an update fails, or the caller's next step fails, the caller may repeat the update with
        other items. The new update then replaces the rows of the failed update; it removes them if
        their row number is `rows` or more.

        Args:
            added: New items by row.
            removed: Rows to remove.
            rows: The number of rows after the update, including removed rows.
        """
        rows_of_failed = range(rows, self._max_rows)
        self._max_rows = max(self._max_rows, rows)
        for row in chain(removed, rows_of_failed):
            self._writer.delete_documents_by_query(self._schema.row_query(row))
        counts: Counter[str] = Counter()
        for row, item in added.items():
            # A failed update may have left another item in this row.
            self._writer.delete_documents_by_query(self._schema.row_query(row))
            self._writer.add_document(self._schema.document(row, item))
            counts.update(self._schema.item_terms(item))
        self._writer.commit()
        self._index.reload()
        self._vocabulary = self._vocabulary.extended(counts)
        return LexicalIndex(self._index, self._schema, rows, self._vocabulary)

    def close(self) -> None:
        """Stop the writer and remove its files; indexes from `update` can still be read."""
        self._writer.wait_merging_threads()
        self._links.cleanup()
