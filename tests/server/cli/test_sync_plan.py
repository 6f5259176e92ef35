"""The plan of a synchronisation: what differs, in which order it is written, what is refused."""

from dataclasses import replace

import pytest

from base.errors import InputError
from catalog.items import MAX_ITEM_CHARACTERS, Item
from catalog.store import ItemStore
from server.cli.sync_plan import compare, cut

LAMP = Item("a", "Lamp", brand="Lux", price=5.0, rating=4.0, attributes={"colour": ("red", "blue")})
DESK = Item("b", "Desk", price=50.0, in_stock=True, categories=("Office > Desks", "Desks"))


def test_writes_without_model_work_come_first_and_new_items_last() -> None:
    exported = [
        Item("new", "Sofa"),
        replace(LAMP, title="Small lamp", price=4.0),
        replace(DESK, in_stock=False),
    ]
    plan = compare(ItemStore.of(exported), [LAMP, DESK])
    assert plan.writes == [("b", ("in_stock",)), ("a", ("title", "price")), ("new", ())]
    assert (plan.exported, plan.served, plan.missing) == (3, 2, [])


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"attributes": {"colour": ("blue", "red")}}, ("attributes",)),
        ({"attributes": {"colour": "red"}}, ("attributes",)),
        ({"attributes": {}}, ("attributes",)),
        ({"brand": None}, ("brand",)),
        ({"brand": ""}, ("brand",)),
        ({"categories": ("Lamps",)}, ("categories",)),
        ({}, ()),
    ],
    ids=str,
)
def test_each_field_is_compared_by_its_value(change: dict[str, object], names: object) -> None:
    # The second item has a value in every field, so that every field is compared.
    other = Item("z", "Z", brand="B", category="C", attributes={"colour": "red"})
    exported = ItemStore.of([LAMP.changed(change), other])
    assert [each for _, each in compare(exported, [LAMP, other]).changed] == (
        [names] if names else []
    )


def test_what_the_export_does_not_have_is_left_alone() -> None:
    bare = Item("a", "Lamp", price=5.0)
    plan = compare(ItemStore.of([bare]), [LAMP])
    assert plan.changed == []
    assert plan.fields == ("title", "price", "sale_price")


def test_the_largest_share_may_be_lost_but_no_more() -> None:
    served = [Item(str(number), "Lamp", price=1.0) for number in range(20)]
    whole = ItemStore.of(
        [replace(item, price=None) if item.item_id == "0" else item for item in served]
    )
    compare(whole, served).check(0.05)
    compare(ItemStore.of(served[1:]), served).check(0.05)
    for exported in (ItemStore.of(served[2:]), whole):
        with pytest.raises(InputError, match=r"the export lacks . of the server's 20 "):
            compare(exported, served).check(0.049)
    compare(ItemStore.of(served), []).check(0.0)


FULL = Item(
    "0",
    "Lamp",
    attributes={"colour": "red", "material": "oak", "more images": ("a", "b")},
    identifiers=("4006381333931", "LAMP-1"),
)


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        ({"attributes": {"colour": "red", "more images": "b"}}, "values of attributes.material"),
        ({"attributes": {"colour": "red", "material": "oak"}}, "values of attributes.more images"),
        ({"identifiers": ("LAMP-1",)}, "whole lists of identifiers"),
    ],
)
def test_an_attribute_or_the_rest_of_a_list_counts_as_lost(
    change: dict[str, object], lost: str
) -> None:
    served = [replace(FULL, item_id=str(number)) for number in range(40)]
    few = [item.changed(change) if number < 5 else item for number, item in enumerate(served)]
    compare(ItemStore.of(few), served).check(0.05)  # 5% of 100: few items decide nothing
    plan = compare(ItemStore.of([item.changed(change) for item in served]), served)
    with pytest.raises(InputError, match=f"lacks 40 of the server's 40 {lost} "):
        plan.check(0.05)
    assert f"  fewer values of {lost.rpartition('of ')[2]}: 40" in plan.lines(delete=False)


def test_what_cannot_be_read_is_not_removed() -> None:
    exported = ItemStore.of([replace(LAMP, title="Lantern", price=None), replace(DESK, price=1.0)])
    plan = compare(exported, [LAMP, DESK, FULL], {"a": {"price"}, "0": set()})
    assert plan.changed == [("a", ("title",)), ("b", ("price",))]
    assert (plan.missing, plan.unclear) == ([], ["0"])
    assert compare(exported, [LAMP, DESK, FULL], {"": set()}).unclear == ["0"]
    with pytest.raises(InputError, match="lacks 1 of the server's 3 items"):
        plan.check(0.05)


def test_only_the_description_is_cut_to_the_limit_of_a_server() -> None:
    long = replace(DESK, description="x" * (2 * MAX_ITEM_CHARACTERS))
    other = sum(map(len, ("b", "Desk", "Office > Desks", "Desks")))
    assert cut(long) == replace(long, description="x" * (MAX_ITEM_CHARACTERS - other))
    assert cut(DESK) is DESK
