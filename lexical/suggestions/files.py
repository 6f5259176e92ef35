"""The files of suggestions, sorted so that a server can search them as they are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from base.errors import InputError
from base.untrusted.parquet import read_table
from lexical.suggestions.kinds import Kind, Suggestion
from lexical.suggestions.text import SCRIPTS, key_of, script_of

_SUGGESTIONS, _KEYS, _WORDS = "suggestions.parquet", "keys.parquet", "words.parquet"
SUGGESTIONS = pa.schema(
    [
        ("text", pa.string()),
        ("kind", pa.int8()),
        ("score", pa.float32()),
        ("row", pa.int32()),
        ("value", pa.string()),
    ]
)
# Keys are sorted by part, then by key. A part has one kind and one script. A suggestion of several
# words has a key for each word that a prefix may begin with.
KEYS = pa.schema(
    [("part", pa.int16()), ("key", pa.string()), ("start", pa.int16()), ("suggestion", pa.int32())]
)
WORDS = pa.schema([("word", pa.string()), ("score", pa.float32())])  # sorted by word


def part_of(kind: Kind, script: str) -> int:
    """Return the number of the part of a kind and a script."""
    return int(kind) * 100 + SCRIPTS.index(script)


def write_suggestions(directory: Path, suggestions: Sequence[Suggestion]) -> None:
    """Write suggestions, their sorted keys, and their words."""
    rows = [vars(suggestion) for suggestion in suggestions]
    keys: list[tuple[int, bytes, int, int]] = []
    words: dict[str, float] = {}
    for number, suggestion in enumerate(suggestions):
        key, part = key_of(suggestion.text), part_of(suggestion.kind, script_of(suggestion.text))
        starts = [0]
        # All phrases of titles are suggestions of their own, so only others have later starts.
        if suggestion.kind is not Kind.TITLE:
            starts += [i + 1 for i, char in enumerate(key) if char == " "]
        keys += [(part, key[start:].encode(), start, number) for start in starts]
        for word in key.split():
            words[word] = words.get(word, 0.0) + suggestion.score
    keys.sort()
    columns = [[part for part, *_ in keys], [key.decode() for _, key, *_ in keys]]
    columns += [[start for *_, start, _ in keys], [number for *_, number in keys]]
    for name, table in (
        (_SUGGESTIONS, pa.Table.from_pylist(rows, SUGGESTIONS)),
        (_KEYS, pa.table(columns, schema=KEYS)),
        (_WORDS, pa.table([sorted(words), [words[w] for w in sorted(words)]], schema=WORDS)),
    ):
        pq.write_table(table, directory / name, compression="zstd")


def read_tables(directory: Path, rows: int, most: int) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Read suggestions, keys and words.

    Args:
        directory: The directory of the files.
        rows: The number of items that suggestions may name.
        most: Maximum number of bytes of each decoded table.

    Raises:
        InputError: a file cannot be read, is too large, or does not fit the others.
    """
    try:
        tables = [
            read_table(directory / name, most).select(schema.names).cast(schema).combine_chunks()
            for name, schema in ((_SUGGESTIONS, SUGGESTIONS), (_KEYS, KEYS), (_WORDS, WORDS))
        ]
    except (pa.ArrowException, KeyError) as error:
        raise InputError(f"{directory}: the suggestions have other columns ({error})") from error
    suggestions, keys, words = tables
    numbers, items = keys["suggestion"].to_numpy(), suggestions["row"].to_numpy()
    nulls = sum(column.null_count for table in tables for column in table.columns)
    if nulls or (len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(suggestions)):
        raise InputError(f"{directory}: the keys do not fit the suggestions; build them again")
    if len(items) and not 0 <= items.min() <= items.max() < rows:
        raise InputError(f"{directory}: a suggestion is of an unknown item; build them again")
    kinds = np.unique(suggestions["kind"].to_numpy())
    if not set(kinds.tolist()) <= set(Kind):
        raise InputError(f"{directory}: a suggestion has an unknown kind; build them again")
    return suggestions, keys, words
