"""Parquet files that are read in bounded memory.

A parquet file of some kilobytes can decode to many gigabytes, in two ways. Its pages are
compressed, and a page with a dictionary repeats a value of any length in a few bits. The sizes in
the footer of the file can lie. `read_table` therefore checks these sizes before it decodes a table:

1. The sizes in the headers of all pages. A decoder allocates memory by these sizes.
2. The lengths of the values that the pages with dictionaries repeat. They are added up while the
   values are still numbers of entries of the dictionaries.
"""

import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from base.errors import InputError
from base.untrusted import limits
from base.untrusted.thrift import read_struct

# Memory of a number, a flag, a date, or the position of a text.
_VALUE_BYTES = 8
# Types of pages, and the field of their header that has the number and encoding of the values.
_DICTIONARY = 2
_DETAILS = {0: 5, _DICTIONARY: 7, 3: 8}
# The field of the encoding, in the details of each type of page.
_ENCODING = {0: 2, _DICTIONARY: 2, 3: 4}
# PLAIN, PLAIN_DICTIONARY, RLE and RLE_DICTIONARY. In other encodings, a value can repeat a part of
# the value before it, so the size of a page says nothing about the size of its values.
_ENCODINGS = (0, 2, 3, 8)
# Fields of the footer, and of the structs within it.
_ROW_GROUPS, _COLUMNS, _COLUMN_METADATA, _SIZE_STATISTICS = 4, 1, 3, 16
_HISTOGRAMS = (2, 3)  # of repetition levels and of definition levels
_TAIL = 8  # bytes after the footer: its length, and "PAR1"


class _Page(NamedTuple):
    type: int
    bytes: int  # after decompression
    values: int


def read_table(path: Path, most: int, before_step: Callable[[], object] = lambda: None) -> pa.Table:
    """Read a table.

    Args:
        path: The file.
        most: Maximum number of bytes of the decoded table.
        before_step: Called between steps. An exception that it raises ends the reading.

    Raises:
        InputError: the file cannot be read, or its table is larger than `most`.
    """
    try:
        with path.open("rb") as handle:
            _check_footer(handle)
            with pq.ParquetFile(handle) as file:
                _check_levels(handle, file.metadata)
                _check_pages(handle, file.metadata, most, before_step)
                _check_values(handle, file.metadata, most, before_step)
                return file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({_line(error.strerror or error)})") from error
    except (pa.ArrowException, ValueError, LookupError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: not a readable parquet file ({_line(error)})") from error


def _check_footer(handle: IO[bytes]) -> None:
    """Raise ValueError if the footer is larger than `limits.FOOTER_BYTES`."""
    handle.seek(max(0, os.fstat(handle.fileno()).st_size - _TAIL))
    footer = int.from_bytes(handle.read(4), "little")
    if footer > limits.FOOTER_BYTES:
        raise ValueError(f"its footer claims {footer:,} bytes")
    handle.seek(0)


def _check_levels(handle: IO[bytes], metadata: Any) -> None:
    """Raise ValueError if a column's histograms of levels do not fit the schema.

    Arrow ends the process when such a column is opened.
    """
    handle.seek(-_TAIL, os.SEEK_END)
    size = int.from_bytes(handle.read(4), "little")
    handle.seek(-_TAIL - size, os.SEEK_END)
    footer, _ = read_struct(handle.read(size), 0)
    handle.seek(0)
    for group in footer[_ROW_GROUPS]:
        for position, chunk in enumerate(group[_COLUMNS]):
            column = metadata.schema.column(position)
            sizes = chunk.get(_COLUMN_METADATA, {}).get(_SIZE_STATISTICS, {})
            levels = (column.max_repetition_level, column.max_definition_level)
            for field, level in zip(_HISTOGRAMS, levels, strict=True):
                if len(sizes.get(field, ())) not in (0, level + 1):
                    raise ValueError(f"column {column.path} has a histogram of other levels")


def _check_pages(
    handle: IO[bytes], metadata: Any, most: int, before_step: Callable[[], object]
) -> None:
    """Raise ValueError if the pages are too large, or do not have the values that the footer names.

    Also refuse pages in an encoding whose size is unknown.
    """
    decoded = 0
    compressed = 0
    with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            decoded += limits.ROW_BYTES * group.num_rows
            for position in range(group.num_columns):
                column = group.column(position)
                if column.physical_type == "FIXED_LEN_BYTE_ARRAY":
                    raise ValueError(f"column {column.path_in_schema} has values of a fixed length")
                compressed += column.total_compressed_size
                if compressed > len(content):
                    raise ValueError("its columns are larger than the file")
                values = 0
                for page in _pages(content, column):
                    before_step()
                    values += page.values if page.type != _DICTIONARY else 0
                    decoded += page.bytes + _VALUE_BYTES * page.values
                    if decoded > most:
                        raise ValueError(_too_large(most))
                if not group.num_rows <= values == column.num_values:
                    raise ValueError(f"column {column.path_in_schema} has {values:,} values")


def _pages(content: mmap.mmap, column: Any) -> Iterator[_Page]:
    """Yield the pages of a part of a column; raise ValueError if they do not fill the part."""
    offsets = (column.dictionary_page_offset, column.data_page_offset)
    start = min(filter(None, offsets), default=0)
    end = start + column.total_compressed_size
    while start < end:
        header, start = read_struct(content, start)
        kind, size, compressed = header[1], header[2], header[3]
        if kind not in _DETAILS:
            raise ValueError(f"it has a page of the type {kind}")
        details = header[_DETAILS[kind]]
        values, encoding = details[1], details[_ENCODING[kind]]
        if encoding not in _ENCODINGS:
            raise ValueError(f"it has a page of the encoding {encoding}")
        if min(size, compressed, values) < 0:
            raise ValueError("it has a page of a negative size")
        yield _Page(kind, size, values)
        start += compressed
    if start != end:
        raise ValueError(f"the pages of column {column.path_in_schema} do not fit its size")


def _check_values(
    handle: IO[bytes], metadata: Any, most: int, before_step: Callable[[], object]
) -> None:
    """Raise ValueError if the values of the table have more than `most` bytes."""
    columns = [metadata.schema.column(number) for number in range(len(metadata.schema))]
    texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
    decoded = 0
    handle.seek(0)
    file = pq.ParquetFile(handle, metadata=metadata, read_dictionary=texts)
    # Arrow cannot combine the dictionaries of several row groups within a map.
    for group in range(metadata.num_row_groups):
        for batch in file.iter_batches(row_groups=[group]):
            before_step()
            decoded += limits.ROW_BYTES * len(batch) + sum(map(_decoded_bytes, batch.columns))
            if decoded > most:
                raise ValueError(_too_large(most))


def _decoded_bytes(array: pa.Array) -> int:
    """Return the memory of an array after its dictionaries are decoded."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        lengths = pc.binary_length(array.dictionary)
        total: int = pc.sum(lengths.take(array.indices)).as_py() or 0
        return total + _VALUE_BYTES * len(array)
    if pa.types.is_struct(kind):
        return sum(_decoded_bytes(array.field(number)) for number in range(kind.num_fields))
    if pa.types.is_map(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        first, last = array.offsets[0].as_py(), array.offsets[-1].as_py()
        values = array.values.slice(first, last - first)
        return _decoded_bytes(values) + _VALUE_BYTES * len(array)
    if pa.types.is_nested(kind):
        raise ValueError(f"it has a column of the type {kind}")
    return int(array.nbytes)


def _line(error: object) -> str:
    """Return the text of an error in one line; Arrow's texts may have several."""
    return " ".join(str(error).split())


def _too_large(most: int) -> str:
    return f"its table decodes to more than {most:,} bytes"
