"""Convert the values of a file to columns of the schema's types.

Arrow converts whole batches. If a batch fails, the values that are clearly wrong are picked out
first, and the batch is halved until the other wrong values stand alone.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as is_a

from base.halving import apply_in_halves
from catalog.schema import ATTRIBUTES, DATE, FLAG, NUMBER, TEXT, TIME, VECTOR, WHOLE

# What Arrow and Python raise for a value of the wrong type. AttributeError is raised when a value
# for `attributes` is not a map.
_REFUSALS = (
    ValueError,
    TypeError,
    AttributeError,
    RecursionError,
    OverflowError,
    pa.ArrowException,
)

_ZONED = r":\d\d(\.\d+)?([Zz]|[+-]\d\d(:?\d\d)?)$"

_JSON_TYPES: Mapping[pa.DataType, tuple[type, ...]] = {
    TEXT: (str,),
    NUMBER: (int, float),
    WHOLE: (int, float),
    FLAG: (bool,),
    DATE: (str,),
    TIME: (str,),
    ATTRIBUTES: (dict,),
    VECTOR: (list,),
}
_NUMBER_FORM = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(?i:nan|inf|infinity)")
_FORMS: Mapping[pa.DataType, re.Pattern[str]] = {
    NUMBER: _NUMBER_FORM,
    WHOLE: _NUMBER_FORM,
    FLAG: re.compile(r"(?i:true|false)|0|1"),
    DATE: re.compile(r"\d{4}-\d\d-\d\d"),
    TIME: re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d(:\d\d){0,2}(\.\d+)?([Zz]|[+-]\d\d(:?\d\d)?)?)?"),
}

# Takes a batch (a list of csv cells or of JSON values, or an Arrow array) and the target type.
Converter = Callable[[Any, pa.DataType], pa.Array]


def convert(values: Any, kind: pa.DataType, converter: Converter) -> tuple[pa.Array, list[int]]:
    """Convert a batch; a value that cannot be converted becomes null.

    Args:
        values: The batch, as the converter takes it.
        kind: The target type.
        converter: `from_text`, `from_json` or `from_arrow`.

    Returns:
        The column, and the ascending indices of the values that could not be converted.
    """
    try:
        return converter(values, kind), []
    except _REFUSALS:
        wrong = _clearly_wrong(values, kind, converter)
    if wrong:
        values = list(values)
        for row in wrong:
            values[row] = None
    columns, others = apply_in_halves(
        lambda part: converter(part, kind),
        values,
        substitute=pa.nulls(1, kind),
        errors=_REFUSALS,
    )
    return pa.concat_arrays(columns), sorted(wrong + others)


def _clearly_wrong(values: Any, kind: pa.DataType, converter: Converter) -> list[int]:
    """Return the rows whose Python type or written form is wrong: most of the wrong rows."""
    types = _JSON_TYPES[kind] if converter is from_json else (str,)
    form = _FORMS.get(kind)
    if converter is from_arrow or (converter is from_text and form is None):
        return []
    rows = []
    for row, value in enumerate(values):
        if value is None:
            continue
        text = value.strip() if form and isinstance(value, str) else ""
        if type(value) not in types or (form and text and not form.fullmatch(text)):
            rows.append(row)
    return rows


def from_text(values: Sequence[str | None], kind: pa.DataType) -> pa.Array:
    """Convert csv cells; an empty cell is a missing value, a map or list is JSON text."""
    if kind in (ATTRIBUTES, VECTOR):
        return from_json(
            [json.loads(value) if value and value.strip() else None for value in values], kind
        )
    text = pa.array(values, TEXT)
    if kind == TEXT:
        return _without_empty(text)
    text = _without_empty(pc.utf8_trim_whitespace(text))
    if kind == WHOLE:
        return _as_whole(text.cast(NUMBER))
    if kind == TIME:
        return _as_time(text)
    return _without_nan(text.cast(kind))


def from_json(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Convert decoded JSON values; null is a missing value, dates and times are ISO 8601 text."""
    if kind in (NUMBER, WHOLE):
        _only(values, int, float)  # Arrow takes true for 1
        numbers = pa.array(values, NUMBER)
        return _as_whole(numbers) if kind == WHOLE else _without_nan(numbers)
    if kind == DATE:
        return pa.array(values, TEXT).cast(DATE)
    if kind == TIME:
        return _as_time(pa.array(values, TEXT))
    if kind == ATTRIBUTES:
        return pa.array([None if v is None else list(v.items()) for v in values], ATTRIBUTES)
    if kind == VECTOR:
        _only(values, list)  # Arrow takes "" for a list without numbers
        _only(chain.from_iterable(v for v in values if v is not None), int, float)
    return pa.array(values, kind)


def from_arrow(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Convert a parquet column whose type passes `accepts`."""
    if is_a.is_null(values.type):
        return pa.nulls(len(values), kind)
    if kind == WHOLE and is_a.is_floating(values.type):
        return _as_whole(values.cast(NUMBER))
    if kind == TIME and values.type.tz is None:
        # `safe` would refuse nanoseconds, because microseconds lose their last digits.
        return pc.assume_timezone(values.cast(pa.timestamp("us"), safe=False), "UTC")
    converted = values.cast(kind, safe=kind == WHOLE)
    converted.validate(full=True)  # text in the file may not be UTF-8
    return _without_nan(converted)


def accepts(actual: pa.DataType, kind: pa.DataType) -> bool:
    """Return whether `from_arrow` converts a parquet column of type `actual` to type `kind`."""
    if is_a.is_dictionary(actual):
        actual = actual.value_type
    return is_a.is_null(actual) or any(test(actual) for test in _ACCEPTED[kind])


def _is_text_map(kind: pa.DataType) -> bool:
    return is_a.is_map(kind) and accepts(kind.key_type, TEXT) and accepts(kind.item_type, TEXT)


def _is_number_list(kind: pa.DataType) -> bool:
    lists = (is_a.is_list, is_a.is_large_list, is_a.is_fixed_size_list)
    return any(test(kind) for test in lists) and accepts(kind.value_type, NUMBER)


_ACCEPTED: Mapping[pa.DataType, tuple[Callable[[pa.DataType], bool], ...]] = {
    TEXT: (is_a.is_string, is_a.is_large_string, is_a.is_string_view),
    NUMBER: (is_a.is_integer, is_a.is_floating, is_a.is_decimal),
    WHOLE: (is_a.is_integer, is_a.is_floating),
    FLAG: (is_a.is_boolean,),
    DATE: (is_a.is_date, is_a.is_timestamp),
    TIME: (is_a.is_timestamp,),
    ATTRIBUTES: (_is_text_map,),
    VECTOR: (_is_number_list,),
}


def _only(values: Any, *types: type) -> None:
    others = set(map(type, values)) - {*types, type(None)}
    if others:
        raise TypeError(f"values of other types: {others}")


def _without_empty(text: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, TEXT), text)


def _without_nan(values: pa.Array) -> pa.Array:
    """Replace NaN, which data frames write for a missing number, by null."""
    if values.type != NUMBER:
        return values
    return pc.if_else(pc.is_nan(values), pa.scalar(None, NUMBER), values)


def _as_whole(numbers: pa.Array) -> pa.Array:
    """Convert to whole numbers; refuse 3.5, but take 3.0, which data frames write beside gaps."""
    return _without_nan(numbers).cast(WHOLE)


def _as_time(text: pa.Array) -> pa.Array:
    """Parse ISO 8601; a time without a zone is UTC."""
    zoned = pc.match_substring_regex(text, _ZONED)
    none = pa.scalar(None, TEXT)
    # Parse as nanoseconds, because Arrow refuses more digits than the unit holds.
    with_zone = pc.if_else(zoned, text, none).cast(pa.timestamp("ns", "UTC"))
    without = pc.if_else(zoned, none, text).cast(pa.timestamp("ns"))
    return pc.coalesce(with_zone, pc.assume_timezone(without, "UTC")).cast(TIME, safe=False)
