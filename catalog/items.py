"""The item record and the one table of its fields.

To add a field, add an attribute to `Item`, a row to `ITEM_FIELDS` and a field of the same name to
`shortlist/v1/item.proto`. The dataset schema, the contract's converters, the write-ahead log,
filters, facets and the item text all follow the table.

The write-ahead log reads the table, and it runs without Arrow and NumPy, so types are Python's.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Item:
    """One product, as the catalogue or a caller describes it. None means not known."""

    item_id: str
    title: str
    description: str | None = None
    brand: str | None = None
    category: str | None = None  # "A > B > C"
    group_id: str | None = None  # variants of one product share it
    price: float | None = None  # currency units
    rating: float | None = None  # stars, 0 to 5
    rating_count: int | None = None
    released: datetime.date | None = None
    in_stock: bool | None = None
    image_url: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ItemField:
    """What the rest of the program needs to know about one field of items."""

    name: str
    # str, float, int, bool, datetime.date, or dict for a map from text to text. The type decides
    # how the dataset, the contract and the log represent a value, and how filters compare it.
    type: type
    required: bool = False  # every item has a value that is not blank
    minimum: float | None = None  # smallest allowed number
    maximum: float | None = None  # largest allowed number
    limits_in_requests: bool = True  # False: only datasets are held to the limits
    # Position in the item text, which the models read, from 1; None: no model reads the field.
    # Text and attributes only. A change to the item text calls for new training.
    text_position: int | None = None
    distinct: bool = False  # nearly every item has its own value: filters take it, facets do not


ID = "item_id"  # the field that tells items apart

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
)
