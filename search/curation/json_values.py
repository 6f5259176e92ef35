"""Checks of values that come from JSON. Each error names the path of the value."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from base.errors import RequestError, check_text

Kind = TypeVar("Kind", str, int, float, bool)

_KINDS: Mapping[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def typed(value: Any, kind: type[Kind], path: str) -> Kind:
    """Return a value of a type; a whole number is also a number."""
    is_number = kind is float and type(value) is int
    if type(value) is not kind and not is_number:
        raise RequestError(path, f"is invalid; give {_KINDS[kind]}")
    if isinstance(value, str):
        check_text(value, path)
    try:
        return kind(value)
    except OverflowError:
        raise RequestError(path, "is too large; give a smaller number") from None


def list_of(value: Any, path: str) -> Sequence[Any]:
    """Return a list."""
    if not isinstance(value, list):
        raise RequestError(path, "is invalid; give a list")
    return value


def fields_of(
    value: Any, path: str, required: Sequence[str] = (), optional: Sequence[str] = ()
) -> Mapping[str, Any]:
    """Return an object that has all required names and no unknown names."""
    known = (*required, *optional)
    if not isinstance(value, dict):
        raise RequestError(path, f"is invalid; give an object with {', '.join(known)}")
    prefix = f"{path}." if path else ""
    for name in value:
        if name not in known:
            raise RequestError(f"{prefix}{name}", f"is unknown; give {', '.join(known)}")
    for name in required:
        if name not in value:
            raise RequestError(f"{prefix}{name}", "is missing; add it")
    return value
