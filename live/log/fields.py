"""Item fields in the write-ahead log: their canonical form, and conversion to JSON and back."""

import datetime
import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from catalog.items import ID, ITEM_FIELDS

# The type of each field of a write. The item id is not among them: `Write.item_id` has it.
FIELDS: Mapping[str, type] = MappingProxyType(
    {field.name: field.type for field in ITEM_FIELDS if field.name != ID}
)
_REQUIRED = [field.name for field in ITEM_FIELDS if field.required and field.name != ID]
_DATES = [name for name, kind in FIELDS.items() if kind is datetime.date]

_INTEGER_LIMIT = 2**63  # the catalogue stores 64-bit integers


class FieldError(ValueError):
    """A field of a write is unknown or missing, or its value has the wrong type."""

    def __init__(self, field: str, problem: str):
        super().__init__(f"field {field}: {problem}")
        self.field = field
        self.problem = problem


def canonical(fields: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    """Return an upsert's fields in canonical form: equivalent upserts get equal fields.

    Args:
        fields: Values by field, typed as in `Item`; None clears a field.
        whole: Whether the fields are the whole item. If so, cleared fields are left out.

    Raises:
        FieldError: items have no such field, a value is not of the field's type, or the item would
            lack a required field.
    """
    typed = {name: _typed(name, value) for name, value in fields.items()}
    for name in _REQUIRED:
        if typed.get(name, None if whole else True) in (None, ""):
            raise FieldError(name, "every item needs one")
    return set_fields(typed) if whole else typed


def set_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return only the fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None and value != {}}


def to_json(fields: Mapping[str, Any]) -> str:
    """Return canonical fields as a JSON object; equal fields give equal text."""
    return json.dumps(
        fields,
        default=datetime.date.isoformat,
        ensure_ascii=False,
        sort_keys=True,
        separators=(",", ":"),
    )


def from_json(text: Any, *, whole: bool) -> dict[str, Any]:
    """Read the fields from text that `to_json` wrote.

    Raises:
        ValueError: `to_json` cannot have written the text.
    """
    if not isinstance(text, str):
        raise ValueError("fields: not text")
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"fields: not JSON ({error})") from error
    if not isinstance(fields, dict):
        raise ValueError("fields: not a JSON object")
    for name in _DATES:
        value = fields.get(name)
        if value is not None:
            try:
                fields[name] = datetime.date.fromisoformat(value)
            except (TypeError, ValueError):
                raise FieldError(name, f"{value!r} is not a date") from None
    return canonical(fields, whole=whole)


def is_text(value: Any) -> bool:
    """Return whether a value is text that UTF-8 can encode."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _typed(name: str, value: Any) -> Any:
    """Return a value, converted to exactly the type of its field.

    Raises:
        FieldError: there is no such field, or the value cannot be converted.
    """
    kind = FIELDS.get(name)
    if kind is None:
        raise FieldError(name, "items have no such field in the log")
    if value is None:
        return {} if kind is dict else None
    if kind is float and type(value) is int and abs(value) < _INTEGER_LIMIT:
        value = float(value)
    if type(value) is float:
        value += 0.0  # -0.0 becomes 0.0, so that equal numbers give equal text
    if kind is dict and isinstance(value, Mapping):
        value = dict(value)
    if type(value) is not kind or not _in_range(value):
        raise FieldError(name, f"{type(value).__name__} is not {kind.__name__}, or out of range")
    return value


def _in_range(value: Any) -> bool:
    match value:
        case str():
            return is_text(value)
        case float():
            return math.isfinite(value)
        case int():
            return -_INTEGER_LIMIT <= value < _INTEGER_LIMIT
        case dict():
            return all(is_text(key) and is_text(text) for key, text in value.items())
    return True
