"""Convert the values of a file to columns of the schema's types.

Arrow converts whole batches. If a batch has wrong values, the conversion fails. Then the clearly
wrong values are replaced by null, and the batch is halved until each other wrong value is alone.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as is_a

from base.halving import apply_in_halves
from catalog.dataset.attributes import (
    RepeatedKeys,
    accepts_attributes,
    attributes_from_arrow,
    attributes_from_json,
    is_list,
    is_text,
    json_object,
)
from catalog.dataset.texts import texts_from_arrow, texts_from_json
from catalog.schema import ATTRIBUTES, DATE, FLAG, NUMBER, TEXT, TEXTS, TIME, VECTOR, WHOLE

# Exceptions of Arrow and Python for a value of the wrong type. AttributeError is raised if a value
# of `attributes` is not a map.
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
    TEXT: (str, int),
    NUMBER: (int, float),
    WHOLE: (int, float),
    FLAG: (bool, int),
    DATE: (str,),
    TIME: (str,),
    TEXTS: (list, str, int),
    ATTRIBUTES: (dict, RepeatedKeys),
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

# The range of dates in days since 1970, and of times in microseconds since 1970. The upper limits
# are excluded.
_DAYS = (-719_162, 2_932_897)
_YEARS: Mapping[pa.DataType, tuple[int, int]] = {
    DATE: _DAYS,
    TIME: (_DAYS[0] * 86_400_000_000, _DAYS[1] * 86_400_000_000),
}

# A function that converts a batch to a type. The batch is a list of csv cells or of JSON values, or
# an Arrow array.
Converter = Callable[[Any, pa.DataType], pa.Array]


def convert(values: Any, kind: pa.DataType, converter: Converter) -> tuple[pa.Array, list[int]]:
    """Convert a batch; a value that cannot be converted becomes null.

    Args:
        values: The batch, in a form that the converter accepts.
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
    """Return the rows whose value has a wrong Python type or text form: most of the wrong rows."""
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
    """Convert csv cells. An empty cell is a missing value; a map or list is JSON text.

    A cell of a column of several texts that does not begin with a bracket is one text.
    """
    if kind in (ATTRIBUTES, VECTOR):
        return from_json([_decoded(value) for value in values], kind)
    if kind == TEXTS:
        cells = [v if v is None or not v.lstrip().startswith("[") else _decoded(v) for v in values]
        return from_json(cells, kind)
    text = pa.array(values, TEXT)
    if kind == TEXT:
        return _without_empty(text)
    return _FROM_TEXT[kind](_without_empty(pc.utf8_trim_whitespace(text)))


def from_json(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Convert decoded JSON values. null is a missing value; dates and times are ISO 8601 text."""
    return _FROM_JSON[kind](values)


def from_arrow(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Convert a parquet column whose type passes `accepts`."""
    if is_a.is_dictionary(values.type):
        values = values.dictionary_decode()
    if is_a.is_null(values.type):
        return pa.nulls(len(values), kind)
    return _FROM_ARROW[kind](values)


def accepts(actual: pa.DataType, kind: pa.DataType) -> bool:
    """Return whether `from_arrow` converts a parquet column of type `actual` to type `kind`."""
    if is_a.is_dictionary(actual):
        actual = actual.value_type
    return is_a.is_null(actual) or any(test(actual) for test in _ACCEPTED[kind])


def _is_number_list(kind: pa.DataType) -> bool:
    return is_list(kind) and accepts(kind.value_type, NUMBER)


def _is_text_list(kind: pa.DataType) -> bool:
    return is_list(kind) and accepts(kind.value_type, TEXT)


_ACCEPTED: Mapping[pa.DataType, tuple[Callable[[pa.DataType], bool], ...]] = {
    TEXT: (is_text, is_a.is_integer),
    NUMBER: (is_a.is_integer, is_a.is_floating, is_a.is_decimal),
    WHOLE: (is_a.is_integer, is_a.is_floating, is_a.is_decimal),
    FLAG: (is_a.is_boolean, is_a.is_integer, is_a.is_floating),
    DATE: (is_a.is_date, is_a.is_timestamp),
    TIME: (is_a.is_timestamp,),
    TEXTS: (is_text, is_a.is_integer, _is_text_list),
    ATTRIBUTES: (accepts_attributes,),
    VECTOR: (_is_number_list,),
}


def _decoded(cell: str | None) -> Any:
    """Return the JSON value of a csv cell; None for an empty cell."""
    return json.loads(cell, object_pairs_hook=json_object) if cell and cell.strip() else None


def _only(values: Iterable[Any], *types: type) -> None:
    others = set(map(type, values)) - {*types, type(None)}
    if others:
        raise TypeError(f"values of other types: {others}")


def _text_of_json(values: Sequence[Any]) -> pa.Array:
    _only(values, str, int)  # ids and codes may be whole numbers
    return pa.array([str(v) if isinstance(v, int) else v for v in values], TEXT)


def _text_of_arrow(values: pa.Array) -> pa.Array:
    text = values.cast(TEXT)
    text.validate(full=True)  # the file may contain invalid UTF-8
    return text


def _without_empty(text: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, TEXT), text)


def _numbers_of_text(text: pa.Array) -> pa.Array:
    return _without_nan(text.cast(NUMBER))


def _numbers_of_json(values: Sequence[Any]) -> pa.Array:
    _only(values, int, float)  # Arrow would convert true to 1
    return _without_nan(pa.array(values, NUMBER))


def _numbers_of_arrow(values: pa.Array) -> pa.Array:
    """Convert numbers to float64; convert decimals and smaller floats through their text.

    In this way, a decimal 19.99 and a float32 19.99 both become the float64 19.99. Arrow's direct
    cast of the float32 would give 19.989999771118164. Its direct cast of the decimal would divide
    by a power of ten, which may round differently.
    """
    if is_a.is_float16(values.type):
        values = values.cast(pa.float32())
    if is_a.is_decimal(values.type) or is_a.is_float32(values.type):
        values = values.cast(pa.string())
    return _without_nan(values.cast(NUMBER, safe=False))


def _without_nan(numbers: pa.Array) -> pa.Array:
    """Replace NaN, which data frames write for a missing number, by null."""
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, NUMBER), numbers)


def _wholes(numbers: pa.Array) -> pa.Array:
    """Convert 3.0 to 3, because data frames write 3.0 if other values are missing; refuse 3.5."""
    return _without_nan(numbers).cast(WHOLE)


def _wholes_of_text(text: pa.Array) -> pa.Array:
    digits = pc.match_substring_regex(text, r"^-?\d+$")
    none = pa.scalar(None, TEXT)
    exact = pc.if_else(digits, text, none).cast(WHOLE)  # float64 is exact only up to 2**53
    return pc.coalesce(exact, _wholes(pc.if_else(digits, none, text).cast(NUMBER)))


def _wholes_of_json(values: Sequence[Any]) -> pa.Array:
    if set(map(type, values)) <= {int, type(None)}:
        return pa.array(values, WHOLE)  # not through float64, which is exact only up to 2**53
    return _wholes(_numbers_of_json(values))


def _wholes_of_arrow(values: pa.Array) -> pa.Array:
    if is_a.is_integer(values.type):
        return values.cast(WHOLE)
    return _wholes(_numbers_of_arrow(values))


def _flags(numbers: pa.Array) -> pa.Array:
    """Convert 0 and 1 to false and true; refuse other numbers."""
    known = pc.is_in(numbers, value_set=pa.array([0, 1, None], WHOLE))
    if not pc.all(known, min_count=0).as_py():
        raise ValueError("a flag that is neither 0 nor 1")
    return numbers.cast(FLAG)


def _flags_of_json(values: Sequence[Any]) -> pa.Array:
    _only(values, bool, int)
    return _flags(pa.array([None if v is None else int(v) for v in values], WHOLE))


def _flags_of_arrow(values: pa.Array) -> pa.Array:
    return values if is_a.is_boolean(values.type) else _flags(_wholes_of_arrow(values))


def _dates_of_text(text: pa.Array) -> pa.Array:
    return _within_years(text.cast(DATE))


def _dates_of_arrow(values: pa.Array) -> pa.Array:
    return _within_years(values.cast(DATE, safe=False))  # `safe=True` would refuse a time of day


def _times_of_text(text: pa.Array) -> pa.Array:
    """Parse ISO 8601; a time without a zone is UTC."""
    zoned = pc.match_substring_regex(text, _ZONED)
    null = pa.scalar(None, TEXT)
    # Parse as nanoseconds, because Arrow refuses a text with more decimals than the unit has.
    with_zone = pc.if_else(zoned, text, null).cast(pa.timestamp("ns", "UTC"))
    without_zone = pc.if_else(zoned, null, text).cast(pa.timestamp("ns"))
    times = pc.coalesce(with_zone, pc.assume_timezone(without_zone, "UTC"))
    return _within_years(times.cast(TIME, safe=False))


def _times_of_arrow(values: pa.Array) -> pa.Array:
    # `safe=True` would refuse times that are not a whole number of microseconds.
    times = values.cast(pa.timestamp("us", values.type.tz), safe=values.type.unit != "ns")
    return _within_years(
        pc.assume_timezone(times, "UTC") if values.type.tz is None else times.cast(TIME)
    )


def _within_years(values: pa.Array) -> pa.Array:
    """Refuse dates and times outside of the years 1 to 9999, which Python cannot represent."""
    first, end = _YEARS[values.type]
    limits = pc.min_max(values.view(pa.int32() if values.type == DATE else pa.int64()))
    low, high = limits["min"].as_py(), limits["max"].as_py()
    if low is not None and not first <= low <= high < end:
        raise ValueError("a date outside of the years 1 to 9999")
    return values


def _vectors_of_json(values: Sequence[Any]) -> pa.Array:
    _only(values, list)  # Arrow would convert "" to an empty list
    _only(chain.from_iterable(v for v in values if v is not None), int, float)
    return pa.array(values, VECTOR)


def _vectors_of_arrow(values: pa.Array) -> pa.Array:
    vectors = values.cast(VECTOR, safe=False)
    vectors.validate(full=True)
    return vectors


_FROM_TEXT: Mapping[pa.DataType, Callable[[pa.Array], pa.Array]] = {
    NUMBER: _numbers_of_text,
    WHOLE: _wholes_of_text,
    FLAG: lambda text: text.cast(FLAG),
    DATE: _dates_of_text,
    TIME: _times_of_text,
}
_FROM_JSON: Mapping[pa.DataType, Callable[[Sequence[Any]], pa.Array]] = {
    TEXT: _text_of_json,
    NUMBER: _numbers_of_json,
    WHOLE: _wholes_of_json,
    FLAG: _flags_of_json,
    DATE: lambda values: _dates_of_text(pa.array(values, TEXT)),
    TIME: lambda values: _times_of_text(pa.array(values, TEXT)),
    TEXTS: texts_from_json,
    ATTRIBUTES: attributes_from_json,
    VECTOR: _vectors_of_json,
}
_FROM_ARROW: Mapping[pa.DataType, Callable[[pa.Array], pa.Array]] = {
    TEXT: _text_of_arrow,
    NUMBER: _numbers_of_arrow,
    WHOLE: _wholes_of_arrow,
    FLAG: _flags_of_arrow,
    DATE: _dates_of_arrow,
    TIME: _times_of_arrow,
    TEXTS: texts_from_arrow,
    ATTRIBUTES: attributes_from_arrow,
    VECTOR: _vectors_of_arrow,
}
