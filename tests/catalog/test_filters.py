"""Filter masks, compared with a second implementation that tests items one by one."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.errors import RequestError
from catalog.fields import MAX_CACHED
from catalog.filters import (
    And,
    Equals,
    Exists,
    In,
    Interval,
    Not,
    Or,
    Prefix,
    Range,
    check,
    fields_of,
    matching,
    without_field,
)
from catalog.items import Item
from catalog.schema import ITEMS
from catalog.store import ItemStore
from tests.catalog.reference import passes
from tests.refusals.filters import invalid_filters

DAY = datetime.date(2024, 2, 29)
TEXTS = (
    "brand",
    "category",
    "title",
    "group_id",
    "identifiers",
    "categories",
    "attributes.colour",
    "attributes.watt",
)
NUMBERS = ("price", "sale_price", "rating", "rating_count", "attributes.watt")

words = st.sampled_from(
    ["red", "Red", "re", "ＲＥＤ", "65", "6", "-1.5", "65 W", "Ölé 🔌", "ÖLÉ", "Straße", "STRASSE"]
)
categories = st.sampled_from(["A", "A > B", "A > B > C", "A > Bad", "B", ""])
numbers = st.sampled_from([0.0, 1.0, 2.5, 19.99, 65.0])
dates = st.dates(DAY, DAY + datetime.timedelta(days=3))
stores = st.lists(
    st.builds(
        Item,
        item_id=st.just("replaced"),
        title=words,
        brand=st.none() | words | st.just(""),
        categories=st.lists(categories.filter(bool), max_size=3, unique=True).map(tuple),
        identifiers=st.lists(words, max_size=2).map(tuple),
        group_id=st.none() | words,
        price=st.none() | numbers,
        rating=st.none() | st.sampled_from([0.0, 1.0, 2.5]),
        rating_count=st.none() | st.integers(0, 3),
        released=st.none() | dates,
        in_stock=st.none() | st.booleans(),
        sale_price=st.none() | numbers,
        attributes=st.dictionaries(
            st.sampled_from(["colour", "watt", "x"]), words | st.tuples(words, words, words)
        ),
    ),
    max_size=12,
).map(lambda items: [Item(**{**vars(i), "item_id": str(n)}) for n, i in enumerate(items)])


def intervals(bounds):
    """Return a strategy for intervals that are valid for `check`."""
    low, high = st.sampled_from(["at_least", "above"]), st.sampled_from(["at_most", "below"])
    return (
        st.builds(lambda name, bound: Interval(**{name: bound}), low | high, bounds)
        | st.builds(
            lambda a, b, ends: Interval(**{a: min(ends), b: max(ends)}),
            low,
            high,
            st.tuples(bounds, bounds),
        )
    )  # fmt: skip


def kind(of: type, *fields):
    """Return a strategy for a filter's type and arguments, from which `built` makes the filter.

    The strategy cannot make filters, because the type checks of a new filter draw random numbers.
    """
    return st.tuples(st.just(of), *fields)


def some(inner):
    return st.lists(inner, min_size=1, max_size=3).map(tuple)


texts = words | categories.filter(bool)
comparisons = st.one_of(
    kind(Equals, st.sampled_from(TEXTS), texts, st.booleans()),
    kind(Equals, st.sampled_from(NUMBERS[:4]), numbers | st.integers(0, 3)),
    kind(Equals, st.just("in_stock"), st.booleans()),
    kind(Equals, st.just("released"), dates),
    kind(In, st.sampled_from(TEXTS), some(texts), st.booleans()),
    kind(In, st.just("price"), some(numbers)),
    kind(In, st.just("item_id"), some(st.sampled_from("0123"))),
    kind(Range, st.sampled_from(NUMBERS), intervals(numbers)),
    kind(Range, st.just("released"), intervals(dates)),
    kind(Exists, st.sampled_from([*TEXTS, *NUMBERS, "released", "in_stock", "image_url"])),
    kind(Prefix, st.sampled_from(TEXTS), texts, st.booleans()),
)
shapes = st.recursive(
    comparisons,
    lambda inner: kind(Not, inner) | kind(And, some(inner)) | kind(Or, some(inner)),
    max_leaves=5,
)


def built(shape):
    """Make a filter from the type and arguments that `kind` draws."""
    if isinstance(shape, tuple) and isinstance(shape[0], type):
        return shape[0](*map(built, shape[1:]))
    return tuple(map(built, shape)) if isinstance(shape, tuple) else shape


@given(stores, shapes)
def test_a_mask_equals_the_filter_applied_item_by_item(items, shape):
    tree = built(shape)
    check(tree, "filter")
    mask = matching(tree, ItemStore.of(items))
    assert mask.dtype == np.bool_
    assert mask.tolist() == [passes(tree, item) for item in items]


def store_of(*attributes) -> ItemStore:
    rows = [
        {"item_id": str(row), "title": "t", "attributes": pairs}
        for row, pairs in enumerate(attributes)
    ]
    return ItemStore(pa.Table.from_pylist(rows, schema=ITEMS.arrow))


def rows(tree, store) -> list[int]:
    return np.flatnonzero(matching(tree, store)).tolist()


def test_a_missing_value_passes_no_comparison_and_every_negation():
    store = ItemStore.of([Item("0", "t", price=5.0), Item("1", "t")])
    below = Range("price", Interval(below=10.0))
    assert (rows(below, store), rows(Not(below), store)) == ([0], [1])
    assert (rows(Exists("price"), store), rows(Not(Exists("price")), store)) == ([0], [1])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_list_passes_the_items_with_any_of_its_values(count):
    items = [
        Item(str(n), "t", brand=f"b{n}", price=float(n), attributes={"colour": f"c{n}"})
        for n in range(5)
    ]
    store, chosen = ItemStore.of(items), range(1, 1 + count)
    for tree in (
        In("brand", tuple(f"b{n}" for n in chosen)),
        In("price", tuple(float(n) for n in chosen)),
        In("attributes.colour", tuple(f"c{n}" for n in chosen)),
    ):
        assert rows(tree, store) == list(chosen)


def test_a_category_passes_itself_and_all_below_it():
    names = ["A > B", "A > B > C", "A > Bad", "A", "a > b", None]
    store = ItemStore.of([Item(str(n), "t", category=name) for n, name in enumerate(names)])
    assert rows(Prefix("category", "A > B"), store) == [0, 1]
    assert rows(Prefix("category", "A"), store) == [0, 1, 2, 3]


@pytest.mark.parametrize("field", ["title", "brand", "group_id", "attributes.colour"])
def test_other_texts_pass_by_their_first_characters(field):
    texts = ["red", "redder", "red > dark", "Red", "a red"]
    items = [
        Item(str(n), text, brand=text, group_id=text, attributes={"colour": text})
        for n, text in enumerate(texts)
    ]
    assert rows(Prefix(field, "red"), ItemStore.of(items)) == [0, 1, 2]


def test_prices_keep_their_cents():
    store = ItemStore.of([Item("0", "t", price=19.99), Item("1", "t", price=0.1)])
    assert rows(Range("price", Interval(at_least=19.99, at_most=19.99)), store) == [0]
    assert rows(Range("price", Interval(above=19.99)), store) == []
    assert rows(In("price", (0.1, 19.99)), store) == [0, 1]


def test_at_least_and_at_most_include_the_bound_and_above_and_below_do_not():
    store = ItemStore.of([Item(str(n), "t", rating_count=n) for n in range(5)])
    assert rows(Range("rating_count", Interval(at_least=1, at_most=3)), store) == [1, 2, 3]
    assert rows(Range("rating_count", Interval(above=1, below=3)), store) == [2]


@pytest.mark.parametrize("text", ["0", "65", "-1.5", "+2", "007", "1" * 30, "0." + "1" * 30])
def test_an_attribute_that_is_a_plain_number_lies_in_an_interval(text):
    exactly = Interval(at_least=float(text), at_most=float(text))
    assert rows(Range("attributes.watt", exactly), store_of({"watt": text})) == [0]


@pytest.mark.parametrize(
    "text", ["", " 65", "65 ", "65 W", "1e3", ".5", "5.", "1,5", "--1", "1" * 31, "٣", "nan", "inf"]
)
def test_an_attribute_that_is_not_a_plain_number_lies_in_no_interval(text):
    for interval in (Interval(at_least=-1e300), Interval(at_most=1e300)):
        assert rows(Range("attributes.watt", interval), store_of({"watt": text})) == []


def test_null_and_repeated_attributes_are_read_as_items_read_them():
    store = store_of([("c", "red"), ("c", "blue")], None, [("c", None)], [("d", "red")], [])
    assert store.item(0).attributes == {"c": ("red", "blue")}
    assert rows(Equals("attributes.c", "blue"), store) == [0]
    assert rows(Equals("attributes.c", "red"), store) == [0]
    assert rows(Exists("attributes.c"), store) == [0]
    assert rows(Exists("attributes.nobody has it"), store) == []


def test_part_of_a_table_is_filtered_by_its_own_attributes():
    whole = store_of(*([("c", str(row))] for row in range(6))).table
    store = ItemStore(whole.slice(2, 3))
    for row in range(3):
        assert rows(Equals("attributes.c", str(row + 2)), store) == [row]
    assert (
        rows(Equals("attributes.c", "0"), store) == rows(Equals("attributes.c", "5"), store) == []
    )


def test_an_empty_catalogue_passes_nothing():
    store = ItemStore.of([])
    for tree in (Equals("brand", "x"), Not(Exists("price")), Prefix("attributes.c", "x")):
        assert matching(tree, store).shape == (0,)


def test_more_attributes_than_the_cache_holds_are_read_correctly():
    names = [f"a{number}" for number in range(MAX_CACHED + 5)]
    store = store_of(*([(name, "x")] for name in names))
    for _ in range(2):
        for row, name in enumerate(names):
            assert rows(Equals(f"attributes.{name}", "x"), store) == [row]


def nested(levels: int, group=Not):
    tree = Exists("brand")
    for _ in range(levels - 1):
        tree = Not(tree) if group is Not else group((tree,))
    return tree


@pytest.mark.parametrize(
    ("error", "tree"), [(error, tree) for error, tree, _ in invalid_filters()], ids=str
)
def test_an_invalid_filter_is_refused_by_its_path(error, tree):
    with pytest.raises(RequestError) as refused:
        check(tree, "filter")
    assert str(refused.value) == error


def test_filters_at_their_limits_are_accepted():
    for group in (Not, And, Or):
        check(nested(8, group), "filter")
    check(In("brand", ("x",)), "filter")
    check(Range("price", Interval(at_least=1, at_most=1)), "filter")
    check(Equals("brand", "\ud7ff \ue000 \U0001f50c"), "filter")  # beside the surrogates
    check(Or((Exists("brand"),) * 99), "filter")
    check(In("brand", ("x",) * 1_000), "filter")


def test_texts_that_differ_only_in_case_or_width_are_equal_if_case_is_ignored():
    names = ["STRASSE 5", "Straße 5", "ｓｔｒａｓｓｅ 5", "strasse 6", "\u0130", None]
    store = ItemStore.of([Item(str(n), "t", brand=name) for n, name in enumerate(names)])
    assert rows(Equals("brand", "strasse 5", ignore_case=True), store) == [0, 1, 2]
    assert rows(In("brand", ("Strasse 6", "ﬆraße 5"), ignore_case=True), store) == [0, 1, 2, 3]
    assert rows(Prefix("brand", "straß", ignore_case=True), store) == [0, 1, 2, 3]
    assert rows(Equals("brand", "strasse 5"), store) == []
    assert rows(In("brand", ("strasse 5", "strasse 6")), store) == [3]
    assert rows(Prefix("brand", "strasse"), store) == [3]


def test_a_category_is_compared_by_level_if_case_is_ignored():
    names = ["Tools > SAWS", "tools > saws > Hand", "Tools > Sawsmen"]
    store = ItemStore.of([Item(str(n), "t", category=name) for n, name in enumerate(names)])
    assert rows(Prefix("category", "TOOLS > Saws", ignore_case=True), store) == [0, 1]


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (None, None),
        (Exists("brand"), None),
        (Exists("price"), Exists("price")),
        (Or((Equals("brand", "a"), Not(Equals("brand", "b")))), None),
        (Or((Equals("brand", "a"), Exists("price"))), Or((Equals("brand", "a"), Exists("price")))),
        (And((Exists("brand"), Exists("price"))), And((Exists("price"),))),
        (And((Exists("brand"), Not(Exists("brand")))), None),
        (And((And((Exists("brand"), Exists("price"))),)),) * 2,
    ],
)
def test_parts_on_one_field_only_are_left_out(tree, expected):
    assert without_field(tree, "brand") == expected


def test_fields_of_a_filter_have_their_paths():
    tree = And((Or((Exists("brand"),)), Not(In("price", (1.0,)))))
    assert list(fields_of(tree, "filter")) == [
        ("brand", "filter.and_group.filters[0].or_group.filters[0].exists.field"),
        ("price", "filter.and_group.filters[1].not_filter.in_list.field"),
    ]
