"""Read the cell of each rule into the value of its field."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from numbers import Number
from typing import Any

from catalog.dataset.decimal_commas import NumberForms
from catalog.dataset.problems import quote
from catalog.importing.cleaning import values
from catalog.importing.cleaning.html_text import plain_text
from catalog.importing.rules import (
    ATTRIBUTE,
    ATTRIBUTES,
    CONTEXT,
    IMAGES,
    LIST_PRICE,
    SALE_END,
    SALE_START,
    Repeated,
    Rule,
)
from catalog.schema import DATE, EVENTS, FLAG, ITEMS, JUDGMENTS, NUMBER, TEXT, TIME, WHOLE

_TYPES = {c.name: c.type for schema in (EVENTS, JUDGMENTS, ITEMS) for c in schema.columns}
PRICES = ("price", "sale_price", LIST_PRICE)
_NUMERIC = {*PRICES, *(name for name, kind in _TYPES.items() if kind in (NUMBER, WHOLE))}
_CODES = ("item_id", "group_id", "query_id", "session_id", "user_id")
_LINKS = ("image_url", "url")
# Fields whose values from several columns are joined. Other fields take the first value.
_LISTS = frozenset(("identifiers", "categories", IMAGES))


@dataclass(frozen=True)
class Reading:
    """What decides how numbers and prices are read from text."""

    price_comma: bool  # whether commas are decimal in prices
    decimal_comma: bool  # whether commas are decimal in other numbers
    currency: str  # of prices that name none; "": not known


def is_numeric(rule: Rule) -> bool:
    """Return whether the field of a rule is a number."""
    return rule.target in _NUMERIC


def add_number_forms(rule: Rule, cell: Any, currency: str, forms: NumberForms) -> None:
    """Take the form of a cell's number; `currency` is that of prices that name none."""
    if isinstance(cell, str) and cell not in rule.values:
        try:
            written, signs = values.price_parts(cell)
            if not (rule.target in PRICES and values.has_no_decimals(written, signs, currency)):
                forms.add([written])
        except ValueError:
            return  # `read` reports the cell


def read(rule: Rule, cell: Any, reading: Reading, row: dict[str, Any]) -> bool:
    """Read a cell, and add its value to the values of a row.

    Args:
        rule: Names the field.
        cell: The cell, which is not blank.
        reading: How to read numbers.
        row: The values of the row so far, by field; changed. Attributes are a map from names to
            lists of texts, and lists are Python lists.

    Returns:
        Whether the cell gave a value.

    Raises:
        ValueError: the cell has no value of the field's type; the message describes the value.
    """
    name = rule.target
    if name == ATTRIBUTES:
        return _read_attributes(rule, cell, row)
    if name == CONTEXT:
        row[name] = {label: texts[0] for label, texts in _named_texts(rule, cell) if texts}
        return bool(row[name])
    if isinstance(cell, Number):  # the text that Python makes of it has a decimal point
        reading = replace(reading, price_comma=False, decimal_comma=False)
    texts = _texts(rule, cell)
    if name.startswith(ATTRIBUTE):
        found = _add_attribute(row, name.removeprefix(ATTRIBUTE), map(plain_text, texts))
    elif name in _LISTS:
        several = [value for text in texts for value in _several(rule, text)]
        row.setdefault(name, []).extend(several)
        found = bool(several)
    elif name == "description":
        new = " ".join(filter(None, map(plain_text, texts)))
        if new and new not in row.get(name, ""):
            row[name] = f"{row[name]} {new}" if name in row else new
        found = bool(new)
    else:
        found = name not in row and bool(texts) and _set_value(rule, cell, texts[0], reading, row)
    return found


def _set_value(rule: Rule, cell: Any, text: str, reading: Reading, row: dict[str, Any]) -> bool:
    """Set a field of one value from a text of a cell; return whether the text has a value."""
    name = rule.target
    if isinstance(cell, Repeated):
        raise ValueError(f"occurs several times, with {quote(cell[0])} and {quote(cell[1])}")
    if name in PRICES:
        row[name], currency = values.price(text, reading.price_comma, reading.currency)
        if currency:
            row.setdefault("currency", currency)
        return True
    reader = _READERS.get(name) or _READERS[_TYPES[name]]
    value = reader(text, rule, reading)
    if value is None or value == "":
        return False
    row[name] = value
    return True


def _texts(rule: Rule, cell: Any) -> list[str]:
    """Return the texts of a cell that are not blank, after the rule's split and table of values."""
    texts = [part for text in values.texts(cell) for part in values.split(text, rule.split)]
    if rule.values:
        texts = [rule.values.get(text.strip(), text) for text in texts]
    return [text for text in texts if text.strip()]


def _read_attributes(rule: Rule, cell: Any, row: dict[str, Any]) -> bool:
    found = False
    for label, texts in _named_texts(rule, cell):
        found |= _add_attribute(row, label, texts)
    return found


def _named_texts(rule: Rule, cell: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield the names of a map, each with its texts as plain text."""
    if not isinstance(cell, Mapping):
        raise ValueError("is not a map from names to values")
    for name, value in cell.items():
        if label := plain_text(str(name)):
            yield label, [plain_text(text) for text in _texts(rule, value)]


def _add_attribute(row: dict[str, Any], name: str, texts: Iterable[str]) -> bool:
    new = [text for text in texts if text]
    if new:
        row.setdefault(ATTRIBUTES, {}).setdefault(name, []).extend(new)
    return bool(new)


def _several(rule: Rule, text: str) -> list[str]:
    if rule.target == "categories":
        return values.categories(text, rule.levels)
    return [text.strip()] if rule.target == IMAGES else [values.code(text)]


def _category(text: str, rule: Rule, _: Reading) -> str | None:
    return next(iter(values.categories(text, rule.levels)), None)


def _currency(text: str, _: Rule, reading: Reading) -> str | None:
    return values.currency(values.price_parts(f"1 {text}")[1], reading.currency) or None


# How the first text of a cell is read, by the name or the type of the field.
_READERS: Mapping[Any, Callable[[str, Rule, Reading], Any]] = {
    **dict.fromkeys(_CODES, lambda text, *_: values.code(text)),
    **dict.fromkeys(_LINKS, lambda text, *_: text.strip()),
    SALE_START: lambda text, *_: values.time(text),
    SALE_END: lambda text, *_: values.end_of(text),
    TIME: lambda text, *_: values.time(text),
    "category": _category,
    "currency": _currency,
    "language": lambda text, *_: values.language(text),
    TEXT: lambda text, *_: plain_text(text),
    NUMBER: lambda text, _, reading: values.number(plain_text(text), reading.decimal_comma),
    WHOLE: lambda text, _, reading: values.whole(plain_text(text), reading.decimal_comma),
    FLAG: lambda text, *_: values.availability(text),
    DATE: lambda text, *_: values.date(text),
}
