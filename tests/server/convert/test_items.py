import datetime

import pytest
from google.type.date_pb2 import Date
from hypothesis import given
from hypothesis import strategies as st

from catalog.items import ITEM_FIELDS, Item, ItemField
from server.convert.items import item_message, item_record
from shortlist.v1.item_pb2 import Item as ItemMessage
from tests.server.convert.examples import BARE, WHOLE, refused_field

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
filled = texts.filter(str.strip)
optional_texts = st.none() | texts.filter(bool)
items = st.builds(
    Item,
    item_id=filled,
    title=filled,
    description=optional_texts,
    brand=optional_texts,
    category=optional_texts,
    group_id=optional_texts,
    price=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    rating=st.none() | st.floats(0, 5),
    rating_count=st.none() | st.integers(0, 2**63 - 1),
    released=st.none() | st.dates(),
    in_stock=st.none() | st.booleans(),
    image_url=optional_texts,
    attributes=st.dictionaries(
        texts, texts | st.lists(filled, min_size=2, max_size=3, unique=True).map(tuple), max_size=3
    ),
    identifiers=st.lists(filled, max_size=3).map(tuple),
    url=optional_texts,
    currency=optional_texts,
    sale_price=st.none() | st.floats(0, 1e9),
    language=st.none() | st.sampled_from(["en", "zh"]),
) | st.builds(Item, filled, filled, categories=st.lists(filled, max_size=3).map(tuple))


def test_the_contract_has_the_fields_of_the_table_in_its_order() -> None:
    fields = ItemMessage.DESCRIPTOR.fields
    # Attributes with several values have a field of their own.
    names = [field.name for field in ITEM_FIELDS]
    assert [field.name for field in fields] == [*names, "attribute_values"]


@pytest.mark.parametrize("field", ITEM_FIELDS, ids=lambda field: field.name)
def test_the_contract_has_the_types_of_the_table(field: ItemField) -> None:
    message = ItemMessage.DESCRIPTOR.fields_by_name[field.name]
    assert message.is_repeated == (field.type in (dict, tuple))
    if field.type is dict:
        assert message.message_type.GetOptions().map_entry
    elif field.type is datetime.date:
        assert message.message_type is Date.DESCRIPTOR
    else:
        kind = {
            str: message.TYPE_STRING,
            tuple: message.TYPE_STRING,
            float: message.TYPE_DOUBLE,
            int: message.TYPE_INT64,
            bool: message.TYPE_BOOL,
        }[field.type]
        assert message.type == kind
        assert message.has_presence == (field.type not in (str, tuple))


@pytest.mark.parametrize("item", [WHOLE, BARE], ids=["whole", "bare"])
def test_an_item_survives_the_round_trip(item: Item) -> None:
    sent = ItemMessage.FromString(item_message(item).SerializeToString())
    assert item_record(sent, "item") == item


@given(items)
def test_any_item_survives_the_round_trip(item: Item) -> None:
    sent = ItemMessage.FromString(item_message(item).SerializeToString())
    assert item_record(sent, "item") == item


def test_absent_numbers_are_absent_and_zeros_are_zeros() -> None:
    absent = item_message(BARE)
    zeros = item_message(Item("a", "b", price=0.0, rating=0.0, rating_count=0, in_stock=False))
    for field in ("price", "rating", "rating_count", "in_stock"):
        assert not absent.HasField(field)
        assert zeros.HasField(field)
    assert not absent.HasField("released")


@pytest.mark.parametrize(
    "released",
    [Date(year=2023, month=2, day=29), Date(year=2023), Date(year=-(2**31), month=1, day=1)],
)
def test_a_date_that_does_not_exist_is_refused(released: Date) -> None:
    message = ItemMessage(item_id="a", title="b", released=released)
    assert refused_field(item_record, message, "item") == "item.released"


def test_an_attribute_has_its_several_values_beside_single_ones() -> None:
    item = Item("a", "b", attributes={"size": ("S", "M"), "colour": "red"})
    message = item_message(item)
    assert dict(message.attributes) == {"colour": "red"}
    assert list(message.attribute_values["size"].values) == ["S", "M"]
    assert (
        item_message(item, frozenset({"attributes"})).attribute_values == message.attribute_values
    )


def test_empty_and_repeated_values_of_an_attribute_are_dropped() -> None:
    message = ItemMessage(item_id="a", title="b")
    for name, values in {"a": ["", "x", "y", "x"], "b": ["x", "x"], "c": []}.items():
        message.attribute_values[name].values.extend(values)
    assert item_record(message, "item").attributes == {"a": ("x", "y"), "b": "x"}


def test_an_attribute_that_is_given_twice_is_refused() -> None:
    message = ItemMessage(item_id="a", title="b", attributes={"size": "S"})
    message.attribute_values["size"].values.append("M")
    assert refused_field(item_record, message, "item") == "item.attribute_values"
