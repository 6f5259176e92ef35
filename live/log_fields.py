"""Fields of items as the write log keeps them: which there are, and to JSON and back.

The table repeats `schema.ITEMS` in Python's own types, so that the log needs no Arrow.
"""

import datetime
import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

FIELDS: Mapping[str, type] = MappingProxyType(
    {
        "title": str,
        "description": str,
        "brand": str,
        "category": str,
        "group_id": str,
        "price": float,
        "rating": float,
        "rating_count": int,
        "released": datetime.date,
        "in_stock": bool,
        "image_url": str,
        "attributes": dict,  # text to text
    }
)
REQUIRED = "title"  # every item has it

_WHOLE_LIMIT = 2**63  # of the catalogue's whole numbers


class FieldError(ValueError):
    """A field that items do not have, or a value that is not of its type."""

    def __init__(self, field: str, problem: str):
        super().__init__(f"field {field}: {problem}")
        self.field = field
        self.problem = problem


def canonical(fields: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    """The fields of an upsert such that upserts which mean the same are equal.

    Args:
        fields: Columns of `schema.ITEMS`, as `schema.Item` has them; None is not set.
        whole: They are an item's only fields, so that those not set can be left out.

    Raises:
        FieldError: items have no such field, a value is not of the field's type, or an item would
            be left without a title.
    """
    typed = {name: _typed(name, value) for name, value in fields.items()}
    if typed.get(REQUIRED, None if whole else True) in (None, ""):
        raise FieldError(REQUIRED, "every item needs one")
    return set_fields(typed) if whole else typed


def set_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None and value != {}}


def to_json(fields: Mapping[str, Any]) -> str:
    """Canonical fields as a JSON object, always the same text for the same fields."""
    return json.dumps(
        fields,
        default=datetime.date.isoformat,
        ensure_ascii=False,
        sort_keys=True,
        separators=(",", ":"),
    )


def from_json(text: Any, *, whole: bool) -> dict[str, Any]:
    """The fields that `to_json` wrote.

    Raises:
        ValueError: it wrote nothing like this.
    """
    if not isinstance(text, str):
        raise ValueError("fields: not text")
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"fields: not JSON ({error})") from error
    if not isinstance(fields, dict):
        raise ValueError("fields: not a JSON object")
    released = fields.get("released")
    if released is not None:
        try:
            fields["released"] = datetime.date.fromisoformat(released)
        except (TypeError, ValueError):
            raise FieldError("released", f"{released!r} is no date") from None
    return canonical(fields, whole=whole)


def is_text(value: Any) -> bool:
    """Whether a value is text that can be written as UTF-8."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _typed(name: str, value: Any) -> Any:
    """A value with exactly the type of its field."""
    kind = FIELDS.get(name)
    if kind is None:
        raise FieldError(name, "items have no such field in the log")
    if value is None:
        return {} if kind is dict else None
    if kind is float and type(value) is int and abs(value) < _WHOLE_LIMIT:
        value = float(value)
    if type(value) is float:
        value += 0.0  # -0.0 becomes 0.0: the same number in other words
    if kind is dict and isinstance(value, Mapping):
        value = dict(value)
    if type(value) is not kind or not _sound(value):
        raise FieldError(name, f"{type(value).__name__} is not {kind.__name__}, or out of range")
    return value


def _sound(value: Any) -> bool:
    match value:
        case str():
            return is_text(value)
        case float():
            return math.isfinite(value)
        case int():
            return -_WHOLE_LIMIT <= value < _WHOLE_LIMIT
        case dict():
            return all(is_text(key) and is_text(text) for key, text in value.items())
    return True
