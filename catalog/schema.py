"""The tables of a dataset directory: columns, types and limits."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from catalog.attribute_roles import ALL_READ, AttributeRoles
from catalog.events import EVENT_FIELDS
from catalog.items import ID, ITEM_FIELDS

TEXT = pa.large_string()
NUMBER = pa.float64()
WHOLE = pa.int64()
FLAG = pa.bool_()
DATE = pa.date32()
TIME = pa.timestamp("us", "UTC")
TEXTS = pa.list_(TEXT)
# An attribute with several values has one entry per value.
ATTRIBUTES = pa.map_(TEXT, TEXT)
VECTOR = pa.list_(pa.float32())

SPLITS = ("train", "dev", "test")

# A description of each type for error messages.
TYPE_HELP: Mapping[pa.DataType, str] = {
    TEXT: "text",
    NUMBER: "a number such as 12.5",
    WHOLE: "a whole number such as 3",
    FLAG: "true or false",
    DATE: "a date such as 2024-01-31",
    TIME: "a UTC time such as 2024-01-31T09:30:00Z",
    TEXTS: 'a list of texts such as ["a", "b"]',
    ATTRIBUTES: 'a map from text to text such as {"colour": "red"}',
    VECTOR: "a list of numbers such as [0.1, -0.2]",
}


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    type: pa.DataType
    required: bool = False  # the column must exist, and none of its values is missing or blank
    minimum: float | None = None  # smallest allowed value
    maximum: float | None = None  # largest allowed value
    choices: tuple[str, ...] = ()  # allowed values; if empty, every value is allowed
    form: str | None = None  # regular expression that a whole text must match; None: any text
    form_help: str = ""  # a description of the form for error messages


@dataclass(frozen=True)
class Schema:
    """One table of a dataset directory."""

    name: str  # the file's name without its extension
    columns: tuple[Column, ...]
    key: str | None = None  # the column whose values are unique
    extensible: bool = False  # True: other columns are kept. False: they are reported as unknown

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def arrow(self) -> pa.Schema:
        """The columns as an Arrow schema."""
        return pa.schema([(column.name, column.type) for column in self.columns])


# The Arrow type of the column of a field of items or events, by the field's Python type.
_FIELD_TYPES: Mapping[type, pa.DataType] = {
    str: TEXT,
    float: NUMBER,
    int: WHOLE,
    bool: FLAG,
    datetime.date: DATE,
    datetime.datetime: TIME,
    tuple: TEXTS,
    dict: ATTRIBUTES,
}

ITEMS = Schema(
    "items",
    (
        *(
            Column(
                f.name,
                _FIELD_TYPES[f.type],
                f.required,
                f.minimum,
                f.maximum,
                form=f.form,
                form_help=f.form_help,
            )
            for f in ITEM_FIELDS
        ),
        Column("embedding", VECTOR),  # a precomputed vector; all vectors have the same width
    ),
    key=ID,
)
JUDGMENTS = Schema(
    "judgments",
    (
        Column("query", TEXT, required=True),
        Column("item_id", TEXT, required=True),
        Column("grade", NUMBER, required=True),  # higher is better
        Column("query_id", TEXT),
        Column("split", TEXT, choices=SPLITS),
    ),
)
EVENTS = Schema(
    "events",
    tuple(
        Column(f.name, _FIELD_TYPES[f.type], f.required, f.minimum, f.maximum, f.choices)
        for f in EVENT_FIELDS
    ),
    key="event_id",
)
USERS = Schema(
    "users",
    (Column("user_id", TEXT, required=True),),
    key="user_id",
    extensible=True,
)
SCHEMAS = (ITEMS, JUDGMENTS, EVENTS, USERS)


@dataclass(frozen=True)
class DatasetInfo:
    """The settings of `dataset.json`, with defaults filled in."""

    name: str  # default: the directory's name
    grade_min: float  # a grade's gain is grade - grade_min
    relevant_from: float  # the lowest grade that counts as relevant
    roles: AttributeRoles = ALL_READ  # of the attributes of items
