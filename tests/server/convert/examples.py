"""Items that tests of the converters share."""

import datetime

import pytest

from base.errors import RequestError
from catalog.items import Item

WHOLE = Item(
    item_id="b-7",
    title="Ladegerät 65 W 充電器 🔌",
    description="Charges a laptop.",
    brand="Voltix",
    category="Electronics > Chargers",
    group_id="voltix-65",
    price=39.9,
    rating=4.5,
    rating_count=12,
    released=datetime.date(2024, 2, 29),
    in_stock=False,
    image_url="https://example.com/b-7.jpg",
    attributes={"colour": "black", "ports": ("USB-A", "USB-C")},
    identifiers=("4006381333931", "VX-65"),
    categories=("Electronics > Chargers", "Travel"),
    url="https://example.com/b-7",
    currency="EUR",
    sale_price=29.9,
    language="de",
)
BARE = Item(item_id="a-1", title="Cable")


def refused_field(convert: object, *arguments: object, **named: object) -> str:
    assert callable(convert)
    with pytest.raises(RequestError) as refused:
        convert(*arguments, **named)
    return refused.value.field
