"""Item fields in the write-ahead log: their canonical form, and conversion to JSON and back."""

import datetime
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from base.errors import RequestError
from catalog.items import ID, ITEM_FIELDS, REQUIRED, all_values, check_value, one_or_several

# The type of each field of a write. The item id is not among them: `Write.item_id` has it.
FIELDS: Mapping[str, type] = MappingProxyType(
    {field.name: field.type for field in ITEM_FIELDS if field.name != ID}
)
# Of these two fields, canonical fields have only one, because the other follows from it.
_FOLLOWS = {"category": "categories", "categories": "category"}
_REQUIRED = sorted(REQUIRED - {ID})
_DATES = [name for name, kind in FIELDS.items() if kind is datetime.date]


def canonical(fields: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    """Return an upsert's fields in canonical form: equivalent upserts get equal fields.

    Args:
        fields: Valid values by field; None clears a field.
        whole: Whether the fields are the whole item. If so, cleared fields are left out.
    """
    typed = {name: _typed(name, value) for name, value in fields.items()}
    # Logs of earlier versions have only `category`. So a single category keeps this form.
    if len(categories := typed.get("categories", ())) > 1:
        typed.pop("category", None)
    elif "categories" in typed:
        del typed["categories"]
        typed["category"] = categories[0] if categories else typed.get("category")
    return set_fields(typed) if whole else typed


def set_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return only the fields that have a value."""
    return {name: value for name, value in fields.items() if value not in (None, {}, ())}


def merged(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the canonical fields of an item after a write of some of its fields."""
    replaced = {*after, *(_FOLLOWS[name] for name in _FOLLOWS if name in after)}
    return {name: v for name, v in before.items() if name not in replaced} | dict(after)


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
                raise ValueError(f"field {name}: {value!r} is not a date") from None
    fields = {name: _without_lists(value) for name, value in fields.items()}
    for name, value in fields.items():
        if name not in FIELDS:
            raise ValueError(f"field {name}: items have no such field")
        if value is not None:
            try:
                check_value(value, FIELDS[name], f"field {name}")
            except RequestError as error:
                raise ValueError(str(error)) from None
    for name in _REQUIRED:
        if (whole or name in fields) and not fields.get(name):
            raise ValueError(f"field {name}: every item needs one")
    return canonical(fields, whole=whole)


def _typed(name: str, value: Any) -> Any:
    """Return a valid value, converted to exactly the type of its field."""
    kind = FIELDS[name]
    if value is None:
        return kind() if kind in (dict, tuple) else None
    if kind is float:
        return float(value) + 0.0  # -0.0 becomes 0.0, so that equal numbers give equal text
    if kind is dict:
        values = {key: one_or_several(all_values(texts)) for key, texts in value.items()}
        return {key: texts for key, texts in values.items() if texts is not None}
    return tuple(dict.fromkeys(value)) if kind is tuple else value


def _without_lists(value: Any) -> Any:
    """Return a value of JSON with tuples instead of lists, as items have them."""
    if isinstance(value, dict):
        return {name: _without_lists(part) for name, part in value.items()}
    return tuple(value) if isinstance(value, list) else value
