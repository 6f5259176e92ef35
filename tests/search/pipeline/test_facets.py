"""Facets of searches, compared with a count item by item."""

import random
from dataclasses import replace

import pytest

from bert.numerics import choose_numerics
from catalog.facets import Facet
from catalog.filters import And, Equals, Exists, In, Interval, Not, Or, Prefix, Range
from catalog.items import Item
from search.engine import Engine
from search.request import SearchRequest
from search.rules import Rules
from tests.catalog.reference import counted, passes, passes_facet
from tests.tiny import tiny_items, write_bundle

PATHS = ["A", "A > B", "A > B > C", "A > B > D", "A > Bad", "E", "E > B"]
SIZES = ["S", "M", "m", "L", "10", "10.5", "-2", "Größe", "GRÖSSE"]
BRANDS = ["Voltix", "VOLTIX", "Ampere"]
TEXTS = {"brand": BRANDS, "category": PATHS, "categories": PATHS, "attributes.size": SIZES}
EVERYTHING = Exists("title")
NUMBERS = ("price", "sale_price", "attributes.size")


@pytest.fixture(scope="module")
def varied(tmp_path_factory, compilation_cache) -> Engine:
    """An engine of the tiny items with several categories and sizes; some have none."""
    chance = random.Random(7)
    items = [
        Item(
            item.item_id,
            item.title,
            brand=chance.choice([*BRANDS, None]),
            categories=tuple(chance.sample(PATHS, chance.randint(0, 3))),
            price=chance.choice([1.0, 2.5, 10.0, None]),
            sale_price=chance.choice([1.0, None]),
            in_stock=chance.choice([True, False, None]),
            attributes=_sizes(chance),
        )
        for item in tiny_items()
    ]
    directory = tmp_path_factory.mktemp("varied") / "bundle"
    write_bundle(directory, items, choose_numerics())
    return Engine.load(directory)


def _sizes(chance: random.Random) -> dict:
    sizes = tuple(chance.sample(SIZES, chance.randint(0, 3)))
    return {"size": sizes if len(sizes) > 1 else sizes[0]} if sizes else {}


def random_interval(chance: random.Random) -> Interval:
    low, high = sorted(chance.sample([-2.0, 1.0, 2.5, 10.0, 10.5], 2))
    return chance.choice([Interval(at_least=low, below=high), Interval(above=low)])


def random_comparison(chance: random.Random):
    field = chance.choice(list(TEXTS))
    text, ignore_case = chance.choice(TEXTS[field]), chance.random() < 0.5
    return chance.choice(
        [
            Equals(field, text, ignore_case),
            In(field, tuple(chance.sample(TEXTS[field], 2)), ignore_case),
            Prefix(field, text, ignore_case),
            Exists(field),
            Range(chance.choice(NUMBERS), random_interval(chance)),
            Equals("in_stock", chance.random() < 0.5),
        ]
    )


def random_filter(chance: random.Random, depth: int = 0):
    if depth == 2 or chance.random() < 0.3:
        return random_comparison(chance)
    parts = tuple(random_filter(chance, depth + 1) for _ in range(chance.randint(1, 3)))
    return chance.choice([And(parts), And(parts), Or(parts), Not(parts[0])])


def random_facet(chance: random.Random) -> Facet:
    field = chance.choice([*TEXTS, "price", "in_stock"])
    return Facet(
        field,
        max_values=200,
        intervals=(random_interval(chance),) if field in NUMBERS else (),
        scope="matched",
        ignore_own_filter=chance.random() < 0.5,
        level=chance.randint(0, 3) if field.startswith("categor") else 0,
    )


def test_random_requests_are_answered_as_item_by_item(varied):
    chance, items = random.Random(11), [varied.store.item(row) for row in range(len(varied.store))]
    for _ in range(400):
        filter = random_filter(chance) if chance.random() < 0.9 else EVERYTHING
        excluded = random_comparison(chance) if chance.random() < 0.3 else None
        facets = tuple(random_facet(chance) for _ in range(3))
        result = varied.search(
            SearchRequest(
                "", filter=filter, facets=facets, rules=Rules(excluded=excluded), page_size=100
            )
        )
        left = [item for item in items if excluded is None or not passes(excluded, item)]
        matched = {item.item_id for item in left if passes(filter, item)}
        assert {hit.item_id for hit in result.hits} == matched
        for facet, counts in zip(facets, result.facets, strict=True):
            values, known, in_intervals, smallest, largest = counted(
                facet, [item for item in left if passes_facet(filter, facet, item)]
            )
            assert (counts.known_count, counts.interval_counts) == (known, in_intervals), facet
            if facet.field != "price":
                assert dict(counts.values) == values, (filter, facet)
            if facet.field in NUMBERS:
                assert (counts.smallest, counts.largest) == (smallest, largest)


def test_recalled_facets_without_their_own_filter_count_a_recall_without_it(varied):
    own, other = Equals("brand", "Voltix"), Exists("price")
    facet = Facet("brand", ignore_own_filter=True)
    for text in ("usb c charger", "hdmi"):
        request = SearchRequest(
            text, filter=And((own, other)), facets=(facet, Facet("brand")), recall_depth=10
        )
        wider, narrow = varied.search(request).facets
        assert wider == varied.search(replace(request, filter=other)).facets[1]
        assert len(wider.values) > len(narrow.values) == 1


def test_exclusions_apply_to_facets_that_ignore_their_own_filter(varied):
    facets = (Facet("brand", ignore_own_filter=True, scope="matched"),)
    rules = Rules(excluded=Equals("brand", "Ampere"))
    for filter in (None, Equals("brand", "Voltix")):
        [counts] = varied.search(
            SearchRequest("usb", filter=filter, facets=facets, rules=rules)
        ).facets
        assert {value for value, _ in counts.values} == {"Voltix", "VOLTIX"}
