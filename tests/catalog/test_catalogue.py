"""A catalogue that grows and changes, compared with a plain list of rows."""

import random
from dataclasses import replace

import numpy as np
import pytest

from catalog.catalogue import Catalogue
from catalog.facets import Facet
from catalog.filters import Interval, Range
from catalog.items import Item
from catalog.store import ItemStore


class Model:
    """A model of a catalogue: lists of each row's item, and of whether the row is alive."""

    def __init__(self, items: list[Item]) -> None:
        self.rows = list(items)
        self.alive = [True] * len(items)

    def add(self, items: list[Item]) -> None:
        ids = {item.item_id for item in items}
        self.alive = [
            a and i.item_id not in ids for i, a in zip(self.rows, self.alive, strict=True)
        ]
        self.rows += items
        self.alive += [True] * len(items)

    def living(self) -> dict[str, int]:
        return {i.item_id: row for row, i in enumerate(self.rows) if self.alive[row]}


def assert_same(catalogue: Catalogue, model: Model) -> None:
    every = np.arange(len(model.rows), dtype=np.int32)
    living = model.living()
    assert catalogue.rows_in_all == len(model.rows)
    assert len(catalogue) == len(living)
    assert [catalogue.item(row) for row in every.tolist()] == model.rows
    names = sorted({item.item_id for item in model.rows})
    assert catalogue.rows(names).tolist() == [living.get(name, -1) for name in names]
    prices = np.array([np.nan if i.price is None else i.price for i in model.rows], np.float32)
    backwards = every[::-1]
    np.testing.assert_array_equal(catalogue.numbers("price", backwards), prices[backwards])
    passed = catalogue.matching(Range("price", Interval(at_least=5)))
    assert np.flatnonzero(passed).tolist() == [r for r in living.values() if prices[r] >= 5]
    codes = catalogue.codes("brand").at(every).tolist()
    pairs = {(code, item.brand) for code, item in zip(codes, model.rows, strict=True)}
    assert len({code for code, _ in pairs}) == len({brand for _, brand in pairs}) == len(pairs)
    brands = [model.rows[row].brand for row in living.values()]
    facet = Facet("brand", max_values=100)
    expected = {brand: brands.count(brand) for brand in brands}
    assert dict(catalogue.count(facet).values) == expected
    selection = np.array(sorted(living.values()), np.int32)
    assert dict(catalogue.count(facet, selection).values) == expected
    compacted = catalogue.compacted()
    rows = range(len(compacted))
    assert [compacted.item(row) for row in rows] == [model.rows[row] for row in selection.tolist()]


@pytest.mark.parametrize("seed", range(3))
def test_changes_give_the_state_of_a_plain_list_and_leave_earlier_states_alone(seed):
    draw = random.Random(seed)

    def some(names: list[str]) -> list[Item]:
        return [
            Item(n, "t", brand=draw.choice("xyz"), price=float(draw.randrange(10))) for n in names
        ]

    first = some([f"base {n}" for n in range(draw.randrange(8))])
    model, catalogue = Model(first), Catalogue(ItemStore.of(first), part_rows=20)
    names = [f"base {n}" for n in range(8)] + [f"new {n}" for n in range(30)]
    earlier: list[tuple[Catalogue, list[Item], set[str]]] = []
    for _ in range(25):
        items = some(draw.sample(names, draw.randrange(7)))
        catalogue = catalogue.with_items(items)
        model.add(items)
        row = draw.randrange(len(model.rows) or 1)
        if row < len(model.rows):
            price = draw.choice([None, 7.5])
            catalogue = catalogue.with_numbers({"price": {row: price}})
            model.rows[row] = replace(model.rows[row], price=price)
            deleted = draw.randrange(len(model.rows))
            catalogue = catalogue.without([deleted])
            model.alive[deleted] = False
        assert_same(catalogue, model)
        earlier.append((catalogue, list(model.rows), set(model.living())))
    assert max(map(len, catalogue.added)) <= 20
    for before, rows, living in earlier:
        assert [before.item(row) for row in range(before.rows_in_all)] == rows
        alive = np.flatnonzero(before.all_alive).tolist()
        assert {before.id(row) for row in alive} == living


@pytest.mark.parametrize("row", [-1, 5, 6])
@pytest.mark.parametrize(
    "read",
    [
        lambda catalogue, rows: catalogue.numbers("price", rows),
        lambda catalogue, rows: catalogue.texts("title", rows),
        lambda catalogue, rows: catalogue.groups(rows),
        lambda catalogue, rows: catalogue.count(Facet("brand"), rows),
        lambda catalogue, rows: [catalogue.id(row) for row in rows.tolist()],
        lambda catalogue, rows: [catalogue.item(row) for row in rows.tolist()],
        lambda catalogue, rows: catalogue.with_numbers({"price": {int(rows[-1]): 1.0}}),
    ],
    ids=["numbers", "texts", "groups", "count", "id", "item", "with_numbers"],
)
def test_rows_that_do_not_exist_are_refused(read, row):
    catalogue = Catalogue.of(ItemStore.of([Item(name, "t", price=1.0) for name in "abc"]))
    catalogue = catalogue.with_items([Item("d", "t"), Item("e", "t")])
    with pytest.raises(IndexError, match="row"):
        read(catalogue, np.array([0, 3, row], np.int32))


def test_items_added_one_by_one_lie_in_few_parts_and_are_seldom_copied():
    catalogue, copied = Catalogue.of(ItemStore.of([])), 0
    for number in range(256):
        before = catalogue.added
        catalogue = catalogue.with_items([Item(str(number), "t")])
        new = [part for part in catalogue.added if not any(part is other for other in before)]
        copied += sum(map(len, new))
        assert len(catalogue.added) <= 1 + np.log2(number + 1)
    assert [catalogue.id(row) for row in range(256)] == [str(number) for number in range(256)]
    # If each change copied all rows, 256 * 128 rows would be copied.
    assert copied < 256 * 16
