"""A lexical index that takes updates: the files of a built index, plus later changes."""

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from base.errors import StorageError
from base.panics import panics_as_errors
from catalog.items import Item
from lexical.index import LexicalIndex

_WRITER_BYTES = 32 << 20  # memory limit of the writer; each update is small


class LiveLexicalIndex:
    """A `LexicalIndex` that takes updates, from one thread at a time.

    The files of the built index never change: tantivy writes to a temporary directory with links to
    these files. Updates are lost when the process ends. They can be repeated, because the
    write-ahead log (`live.log`) keeps all writes.

    After a failed update, close the object and open another one. A writer of tantivy that has
    failed once may lose later rows without an error.
    """

    def __init__(self, directory: Path, index: LexicalIndex, scratch: Path) -> None:
        """Start from a built index.

        Args:
            directory: The files of the built index.
            index: The index that `LexicalIndex.open` opened there.
            scratch: The parent of the temporary directory, created if it is missing. `close`
                removes the temporary directory; a killed process leaves it.

        Raises:
            StorageError: the temporary directory cannot be written.
            InputError: the index is damaged.
        """
        self._scratch = scratch
        self._schema = index.schema
        self._vocabulary = index.vocabulary
        with self._reporting():
            scratch.mkdir(mode=0o700, exist_ok=True)
            self._links = tempfile.TemporaryDirectory(
                prefix="lexical-", dir=scratch, ignore_cleanup_errors=True
            )
            try:
                self._index = self._schema.open_read_only(directory, Path(self._links.name))
                self._writer = self._index.writer(heap_size=_WRITER_BYTES, num_threads=1)
            except BaseException:
                self._links.cleanup()
                raise

    def update(self, added: Mapping[int, Item], removed: Iterable[int], rows: int) -> LexicalIndex:
        """Add and remove rows, and return the new index; earlier indexes do not change.

        Args:
            added: New items by row.
            removed: Rows to remove; rows that the index lacks are left out.
            rows: The number of rows after the update, including removed rows.

        Raises:
            StorageError: the files cannot be written.
        """
        counts: Counter[str] = Counter()
        with self._reporting():
            for row in removed:
                self._writer.delete_documents_by_query(self._schema.row_query(row))
        for row, item in added.items():
            document = self._schema.document(row, item)
            with self._reporting():
                self._writer.add_document(document)
            counts.update(self._schema.item_terms(item))
        with self._reporting():
            self._writer.commit()
            self._index.reload()
        self._vocabulary = self._vocabulary.extended(counts)
        return LexicalIndex(self._index, self._schema, rows, self._vocabulary)

    def close(self) -> None:
        """Stop the writer and remove its files; indexes from `update` can still be read."""
        # A failed writer raises its error again. The files are removed in any case.
        with suppress(Exception), panics_as_errors():
            self._writer.wait_merging_threads()
        self._links.cleanup()

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Turn errors of tantivy and of the file system into a StorageError."""
        try:
            yield
        except (ValueError, OSError) as error:
            raise StorageError(
                f"{self._scratch}: the index of written items cannot be stored ({error}); check "
                "the disk and its free space"
            ) from error
