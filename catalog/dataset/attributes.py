"""Convert attributes, in the forms that common tools write, to maps from text to text.

An attribute with several values becomes one entry per value.
"""

import datetime
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as is_a

from catalog.schema import ATTRIBUTES

_LARGEST_WHOLE = 1e15  # larger whole numbers keep their exponent
_ENTRY = ("key", "value")  # the fields of an entry, if a tool writes a map as a list of entries


class RepeatedKeys(dict[str, Any]):
    """A JSON object in which a key occurs more than once.

    The value of a repeated key is the list of its values.

    Attributes:
        repeated: The first repeated key.
    """

    repeated: str


def json_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object as a dict that keeps all values of repeated keys.

    Pass this function to `json.loads` as `object_pairs_hook`.
    """
    values = dict(pairs)
    if len(values) == len(pairs):
        return values
    counts = Counter(name for name, _ in pairs)
    repeated = RepeatedKeys(_grouped(pairs))
    repeated.repeated = next(name for name in values if counts[name] > 1)
    return repeated


def attributes_from_json(values: Sequence[dict[str, Any] | None]) -> pa.Array:
    """Convert decoded JSON objects to a column of maps.

    Raises:
        TypeError: a value has no text, such as an object within an object.
    """
    return _column(None if value is None else value.items() for value in values)


def attributes_from_arrow(values: pa.Array) -> pa.Array:
    """Convert a column of maps, structs or lists of `key` and `value`.

    Raises:
        TypeError: a value has no text.
    """
    kind = values.type
    if is_a.is_struct(kind):
        return _column(_struct_entries(values))
    if is_a.is_map(kind) and is_text(kind.item_type) and not _repeats_a_key(values):
        converted = values.cast(ATTRIBUTES)
        converted.validate(full=True)  # text in the file may not be UTF-8
        if not converted.items.null_count:
            return converted
    item_type = kind.item_type if is_a.is_map(kind) else kind.value_type.field("value").type
    return _column(
        None
        if row is None
        else [(key, _plain(value, item_type)) for key, value in map(_entry, row)]
        for row in values.to_pylist()
    )


def accepts_attributes(kind: pa.DataType) -> bool:
    """Return whether `attributes_from_arrow` converts a column of this type."""
    if is_a.is_struct(kind):
        return all(_has_text(field.type) for field in kind.fields)
    if is_a.is_map(kind):
        return is_text(kind.key_type) and _has_text(kind.item_type)
    if is_list(kind) and is_a.is_struct(kind.value_type):
        fields = {field.name: field.type for field in kind.value_type.fields}
        return tuple(sorted(fields)) == _ENTRY and is_text(fields["key"])
    return False


def attribute_texts(value: Any) -> list[str]:
    """Return the texts of a value; none for a missing value and for NaN.

    Numbers have their shortest form. Of several values, empty and repeated ones are left out.

    Raises:
        TypeError: the value is a map, or has another type without a text.
    """
    texts: list[str]
    match value:
        case None:
            texts = []
        case str():
            texts = [value]
        case bool():
            texts = ["true" if value else "false"]
        case float():
            is_whole = value.is_integer() and abs(value) < _LARGEST_WHOLE
            texts = [] if math.isnan(value) else [f"{value:.0f}" if is_whole else repr(value)]
        case int() | Decimal():
            texts = [str(value)]
        case datetime.date():
            texts = [value.isoformat()]
        case list():
            different = dict.fromkeys(chain.from_iterable(map(attribute_texts, value)))
            texts = [text for text in different if text]
        case _:
            raise TypeError(f"no text of {type(value).__name__}")
    return texts


def _column(rows: Iterable[Iterable[tuple[str, Any]] | None]) -> pa.Array:
    return pa.array([None if row is None else _entries(row) for row in rows], ATTRIBUTES)


def _entries(row: Iterable[tuple[str, Any]]) -> list[tuple[str, str]]:
    values = _grouped(row).items()
    return [(name, text) for name, value in values for text in attribute_texts(value)]


def _grouped(entries: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the entries as a map; the values of a repeated key become one list."""
    values: dict[str, Any] = {}
    repeated = set()
    for key, value in entries:
        if key not in values:
            values[key] = value
        elif key in repeated:
            values[key].append(value)
        else:
            values[key] = [values[key], value]
            repeated.add(key)
    return values


def _entry(entry: Any) -> tuple[str, Any]:
    return (entry["key"], entry["value"]) if isinstance(entry, dict) else entry


def _struct_entries(values: pa.Array) -> Iterable[Iterable[tuple[str, Any]] | None]:
    kinds = {field.name: field.type for field in values.type.fields}
    for row in values.to_pylist():
        yield row and [(name, _plain(value, kinds[name])) for name, value in row.items()]


def _plain(value: Any, kind: pa.DataType) -> Any:
    """Return a value whose floats are the doubles nearest to their shortest form."""
    if value is None:
        return value
    if is_a.is_float32(kind) or is_a.is_float16(kind):
        return float(str(kind.to_pandas_dtype()(value)))
    if is_list(kind):
        return [_plain(each, kind.value_type) for each in value]
    return value


def _repeats_a_key(values: pa.Array) -> bool:
    """Return whether any map of a column has a key twice."""
    offsets = np.asarray(values.offsets)
    entries = slice(offsets[0], offsets[-1])
    keys = np.asarray(values.keys.dictionary_encode().indices)[entries]
    rows = np.repeat(np.arange(len(values)), np.diff(offsets))
    pairs = rows * (int(keys.max(initial=0)) + 1) + keys
    return len(np.unique(pairs)) < len(pairs)


def is_list(kind: pa.DataType) -> bool:
    """Return whether an Arrow type is one of the types of lists."""
    return any(test(kind) for test in (is_a.is_list, is_a.is_large_list, is_a.is_fixed_size_list))


def is_text(kind: pa.DataType) -> bool:
    """Return whether an Arrow type is one of the types of text."""
    return any(test(kind) for test in (is_a.is_string, is_a.is_large_string, is_a.is_string_view))


def _has_text(kind: pa.DataType) -> bool:
    if is_a.is_dictionary(kind) or is_list(kind):
        return _has_text(kind.value_type)
    simple = (
        is_a.is_null,
        is_a.is_boolean,
        is_a.is_integer,
        is_a.is_floating,
        is_a.is_decimal,
        is_a.is_date,
    )
    return is_text(kind) or any(test(kind) for test in simple)
