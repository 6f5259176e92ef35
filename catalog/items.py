"""The item record, the table of its fields, and the checks of items in requests.

To add a field, add an attribute to `Item`, a row to `ITEM_FIELDS` and a field of the same name to
`shortlist/v1/item.proto`. The dataset schema, the gRPC converters, the write-ahead log, filters,
facets and the item text all use this table.

The types in the table are Python types, so that the write-ahead log needs no Arrow and NumPy.
"""

import datetime
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, TypeAlias

from base.errors import RequestError, check_count, check_range, check_text

# The value of an attribute: one text, or two or more different texts.
AttributeValue: TypeAlias = str | tuple[str, ...]


@dataclass(frozen=True)
class Item:
    """One product, as the catalogue or a caller describes it. None: the value is not known.

    The category is the first of the categories. If only one of the two fields is given, the other
    follows from it.
    """

    item_id: str
    title: str
    description: str | None = None
    brand: str | None = None
    category: str | None = None  # "A > B > C"
    group_id: str | None = None  # the same for all variants of one product
    price: float | None = None  # currency units
    rating: float | None = None  # stars, 0 to 5
    rating_count: int | None = None
    released: datetime.date | None = None
    in_stock: bool | None = None
    image_url: str | None = None
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    identifiers: tuple[str, ...] = ()  # codes of the product, such as GTIN, MPN and SKU
    categories: tuple[str, ...] = ()  # all category paths, the most important first
    url: str | None = None  # page of the product
    currency: str | None = None  # of `price` and `sale_price`, such as EUR
    sale_price: float | None = None  # currency units
    language: str | None = None  # of the texts: a BCP 47 primary tag, such as en

    def __post_init__(self) -> None:
        """Complete `category` and `categories` from each other."""
        if self.category and not self.categories:
            object.__setattr__(self, "categories", (self.category,))
        elif self.categories and not self.category:
            object.__setattr__(self, "category", self.categories[0])

    def changed(self, values: Mapping[str, Any]) -> "Item":
        """Return the item with other values in some fields.

        If only one of `category` and `categories` changes, the other follows.
        """
        values = dict(values)
        if "category" in values:
            values.setdefault("categories", ())
        elif "categories" in values:
            values["category"] = None
        return replace(self, **values)


@dataclass(frozen=True)
class ItemField:
    """The properties of one field of items."""

    name: str
    # str, float, int, bool, datetime.date, tuple for several texts, or dict for a map from text to
    # one or several texts. The type decides how the dataset, the gRPC API and the log store a
    # value, and how filters compare it.
    type: type
    required: bool = False  # True: every item must have a value that is not blank
    minimum: float | None = None  # smallest allowed number
    maximum: float | None = None  # largest allowed number
    limits_in_requests: bool = True  # False: the limits apply only to datasets
    # Position of the field, from 1, in the item text that models read. None: no model reads the
    # field. Only for text and attributes. If the item text changes, train the models again.
    text_position: int | None = None
    # True: nearly all items have different values, so filters may use the field, but facets not
    distinct: bool = False
    # The form of a text, as a regular expression that the whole text matches. None: any text.
    form: str | None = None
    form_help: str = ""  # a description of the form for error messages


ID = "item_id"  # the field that identifies an item

ITEM_FIELDS = (
    ItemField(ID, str, required=True, distinct=True),
    ItemField("title", str, required=True, text_position=1, distinct=True),
    ItemField("description", str, text_position=5, distinct=True),
    ItemField("brand", str, text_position=2),
    ItemField("category", str, text_position=3),
    ItemField("group_id", str),
    ItemField("price", float, minimum=0.0, limits_in_requests=False),
    ItemField("rating", float, minimum=0.0, maximum=5.0),
    ItemField("rating_count", int, minimum=0.0),
    ItemField("released", datetime.date),
    ItemField("in_stock", bool),
    ItemField("image_url", str, distinct=True),
    ItemField("attributes", dict, text_position=4),
    ItemField("identifiers", tuple, distinct=True),
    ItemField("categories", tuple),
    ItemField("url", str, distinct=True),
    ItemField("currency", str),
    ItemField("sale_price", float, minimum=0.0, limits_in_requests=False),
    ItemField(
        "language",
        str,
        form="[a-z]{2,3}",
        form_help="a language tag of two or three lower-case letters, such as en",
    ),
)

REQUIRED = frozenset(field.name for field in ITEM_FIELDS if field.required)

MAX_ITEM_CHARACTERS = 50_000  # in all texts of an item together
_INTEGER_LIMIT = 2**63  # the catalogue stores 64-bit integers

_EMPTY = "is empty; give a value"
_VALUES: Mapping[type, str] = {
    str: "text",
    float: "a finite number",
    int: "a whole number of 64 bits",
    bool: "true or false",
    datetime.date: "a date",
    tuple: "a list of texts",
    dict: "a map from text to one or several texts",
}


def check_id(item_id: str, path: str) -> None:
    """Refuse an id that is empty or that UTF-8 cannot encode."""
    if not item_id:
        raise RequestError(path, _EMPTY)
    check_text(item_id, path)


def check_value(value: Any, kind: type, path: str) -> None:
    """Refuse a value that is not of a type of `ITEM_FIELDS`."""
    if not _suits(value, kind):
        raise RequestError(path, f"is invalid; give {_VALUES[kind]}")
    for text in _texts(value):
        check_text(text, path)


def check_item(item: Item, path: str, required: Collection[str] = REQUIRED) -> None:
    """Refuse an item that lacks a required field, or has an invalid value."""
    check_fields(vars(item), path, required)


def check_fields(values: Mapping[str, Any], path: str, required: Collection[str]) -> None:
    """Refuse values of item fields, by name, that break a rule of `ITEM_FIELDS`.

    Args:
        values: The values; None for a field without a value.
        path: The path of the item in the request, for the error.
        required: Fields that must have a value.
    """
    characters = 0
    for row in ITEM_FIELDS:
        value, field_path = values.get(row.name), f"{path}.{row.name}"
        if value is not None:
            check_value(value, row.type, field_path)
        if row.name in required and not (value or "").strip():
            raise RequestError(field_path, _EMPTY)
        if row.limits_in_requests and value is not None and row.type in (float, int):
            check_range(value, field_path, row.minimum, row.maximum)
        if row.form is not None and value and not re.fullmatch(row.form, value):
            raise RequestError(field_path, f"is invalid; give {row.form_help}")
        if row.type is tuple:
            for index, text in enumerate(value or ()):
                if not text.strip():
                    raise RequestError(f"{field_path}[{index}]", _EMPTY)
        characters += sum(map(len, _texts(value)))
    category, categories = values.get("category"), values.get("categories")
    if category and categories:
        if category != categories[0]:
            raise RequestError(
                f"{path}.category", "is not the first of `categories`; give one of the two fields"
            )
        characters -= len(category)  # the same text in both fields counts once
    check_count(characters, path, None, MAX_ITEM_CHARACTERS, "characters of text")


def one_or_several(values: Iterable[str]) -> AttributeValue | None:
    """Return the different values of an attribute in the form of an `Item`; None for no value.

    Of several values, those that are empty are left out.
    """
    different = tuple(dict.fromkeys(values))
    if len(different) > 1:
        different = tuple(filter(None, different))
    return different if len(different) > 1 else next(iter(different), None)


def all_values(value: AttributeValue) -> tuple[str, ...]:
    """Return the one or several values of an attribute."""
    return (value,) if isinstance(value, str) else value


def _suits(value: Any, kind: type) -> bool:
    if kind is dict:
        return isinstance(value, Mapping) and _all_text(_texts(value))
    if kind is tuple:
        return isinstance(value, tuple) and _all_text(value)
    if kind is float and isinstance(value, float):
        return math.isfinite(value)
    if kind in (float, int):
        return (
            isinstance(value, int)
            and not isinstance(value, bool)
            and -_INTEGER_LIMIT <= value < _INTEGER_LIMIT
        )
    # A datetime is a date in Python, but its time would be lost.
    return isinstance(value, kind) and not isinstance(value, datetime.datetime)


def _all_text(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _texts(value: Any) -> Collection[Any]:
    """Return the texts of a value: a text, several texts, or the names and values of a map."""
    if isinstance(value, Mapping):
        values = (v if isinstance(v, tuple) else (v,) for v in value.values())
        return (*value.keys(), *chain.from_iterable(values))
    if isinstance(value, tuple):
        return value
    return (value,) if isinstance(value, str) else ()
