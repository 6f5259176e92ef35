import random
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from base.errors import InputError
from base.untrusted.parquet import read_table
from catalog.store import ItemStore
from tests.tiny import tiny_items

MIB = 2**20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.parquet"


def write(path: Path, table: pa.Table, **options: Any) -> Path:
    pq.write_table(table, path, compression="zstd", **options)
    return path


def repeated(value: str, rows: int) -> pa.Table:
    """A table of a repeated text, which takes no more memory than one text."""
    codes = pa.array([0] * rows, pa.int32())
    return pa.table({"text": pa.DictionaryArray.from_arrays(codes, pa.array([value]))})


def refusal(path: Path, most: int = 100 * MIB) -> str:
    with pytest.raises(InputError) as refused:
        read_table(path, most)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)
    return str(refused.value)


def padded_varint(number: int, size: int) -> bytes:
    """A number of Thrift's compact protocol, in `size` bytes."""
    twice = 2 * number
    groups = [(twice >> 7 * group & 0x7F) | 0x80 for group in range(size)]
    groups[-1] &= 0x7F
    return bytes(groups)


def lie(path: Path, number: int, claimed: int) -> None:
    """Replace a number in the footer of a file, wherever the footer has it."""
    content = path.read_bytes()
    [footer] = struct.unpack("<i", content[-8:-4])
    start = len(content) - 8 - footer
    size = max(1, -(-(2 * number).bit_length() // 7))
    old = padded_varint(number, size)
    assert old in content[start:]
    changed = content[start:].replace(old, padded_varint(claimed, size))
    path.write_bytes(content[:start] + changed)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_dictionary": False},
        {"data_page_version": "2.0"},
        {"row_group_size": 7},
        {"dictionary_pagesize_limit": 64},  # some pages of a column have no dictionary
        {"write_statistics": False},
    ],
)
def test_a_table_of_items_is_read_as_it_was_written(path, options):
    table = ItemStore.of(tiny_items()).table
    assert read_table(write(path, table, **options), MIB).equals(table)


def test_an_empty_table_is_read(path):
    table = ItemStore.of([]).table
    assert read_table(write(path, table), MIB).equals(table)


def test_a_text_that_is_repeated_a_million_times_is_refused(path):
    write(path, repeated("x" * 1_000, 1_000_000))
    assert path.stat().st_size < 200_000
    assert f"decodes to more than {100 * MIB:,} bytes" in refusal(path)
    small = write(path, repeated("x" * 1_000, 10_000))
    assert read_table(small, 20 * MIB)["text"].to_pylist() == ["x" * 1_000] * 10_000


def test_repeated_texts_in_a_map_are_refused(path):
    text = repeated("x" * 1_000, 200_000)["text"].combine_chunks()
    pairs = pa.MapArray.from_arrays(pa.array([0, 100_000, 200_000], pa.int32()), text, text)
    write(path, pa.table({"attributes": pairs}))
    assert "decodes to more than" in refusal(path)
    assert len(read_table(path, 1_000 * MIB)) == 2


def test_a_compressed_page_is_refused_before_it_is_decompressed(path):
    write(path, pa.table({"text": ["x" * 50 * MIB]}), use_dictionary=False)
    assert path.stat().st_size < 10_000
    assert "decodes to more than" in refusal(path, 40 * MIB)
    assert len(read_table(path, 60 * MIB)) == 1


def test_the_sizes_in_the_footer_are_not_believed(path):
    write(path, pa.table({"text": ["x" * 50 * MIB]}), use_dictionary=False)
    size = pq.read_metadata(path).row_group(0).column(0).total_uncompressed_size
    lie(path, size, 100)
    assert pq.read_metadata(path).row_group(0).column(0).total_uncompressed_size == 100
    assert "decodes to more than" in refusal(path, 40 * MIB)


def test_more_rows_than_the_pages_have_are_refused(path):
    write(path, pa.table({"number": range(1_000)}))
    lie(path, 1_000, 1_023)
    assert pq.read_metadata(path).num_rows == 1_023
    assert "column number has 1,000 values" in refusal(path)


def test_millions_of_missing_values_are_refused(path):
    write(path, pa.table({"text": pa.nulls(10_000_000, pa.large_string())}))
    assert path.stat().st_size < 100_000
    assert "decodes to more than" in refusal(path)


def test_a_row_with_millions_of_values_is_refused(path):
    numbers = pa.ListArray.from_arrays(pa.array([0, 10**7], pa.int32()), pa.nulls(10**7, pa.int8()))
    write(path, pa.table({"embedding": numbers}))
    assert path.stat().st_size < 2_000
    assert "decodes to more than" in refusal(path, 50 * MIB)


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_encodings_whose_size_is_unknown_are_refused(path, encoding):
    table = pa.table({"text": ["same"] * 9})
    write(path, table, use_dictionary=False, column_encoding={"text": encoding})
    assert "a page of the encoding" in refusal(path)


def test_values_of_a_fixed_length_are_refused(path):
    write(path, pa.table({"text": pa.array([b"x" * 9], pa.binary(9))}))
    assert "column text has values of a fixed length" in refusal(path)


def test_a_footer_that_claims_too_many_bytes_is_refused(path):
    path.write_bytes(b"PAR1" + (2**31 - 1).to_bytes(4, "little") + b"PAR1")
    assert "its footer claims 2,147,483,647 bytes" in refusal(path)


def test_a_reading_stops_between_steps(path):
    write(path, ItemStore.of(tiny_items()).table)

    def stop() -> None:
        raise StopIteration

    with pytest.raises(StopIteration):
        read_table(path, MIB, stop)


def test_damaged_files_are_refused_or_read_but_never_fail_otherwise(path):
    write(path, ItemStore.of(tiny_items()).table)
    valid, chance = path.read_bytes(), random.Random(3)
    messages = []
    for _ in range(400):
        content = bytearray(valid)
        for _ in range(chance.randint(1, 3)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        try:
            read_table(path, MIB)
        except InputError as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert not [message for message in messages if "\n" in message]
