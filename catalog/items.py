"""The item record, and the table of its fields.

To add a field, add an attribute to `Item`, a row to `ITEM_FIELDS` and a field of the same name to
`shortlist/v1/item.proto`. The dataset schema, the gRPC converters, the write-ahead log, filters,
facets and the item text all use this table.

The types in the table are Python types, so that the write-ahead log needs no Arrow and NumPy.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Item:
    """One product, as the catalogue or a caller describes it. None: the value is not known."""

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
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ItemField:
    """The properties of one field of items."""

    name: str
    # str, float, int, bool, datetime.date, or dict for a map from text to text. The type decides
    # how the dataset, the gRPC API and the log store a value, and how filters compare it.
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
)
