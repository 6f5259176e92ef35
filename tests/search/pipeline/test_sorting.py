"""Order, stock, groups and paging of searches, compared with an independent calculation."""

import datetime
import os
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from bert.numerics import choose_numerics
from catalog.filters import Exists, Interval, Prefix, Range
from catalog.items import Item
from search.config import EngineConfig
from search.engine import Engine
from search.request import RetrieveRequest, SearchRequest
from search.rules import Adjustment, Boost, Cap, Effect, Pin, Rules
from tests.search.pipeline.ruled import VOLTIX, ids, report
from tests.tiny import tiny_items, write_bundle

# More than the number in CI can be checked by hand.
REQUESTS = int(os.environ.get("SHORTLIST_RANDOM_SEARCHES", "300"))
QUERY = "usb c charger"
EVERYTHING = Exists("title")
FILTERS = {
    "everything": (EVERYTHING, lambda item: bool(item.title)),
    "chargers": (
        Prefix("category", "Electronics > Chargers"),
        lambda item: item.category == "Electronics > Chargers",
    ),
    "cheap": (
        Range("price", Interval(below=20.0)),
        lambda item: item.price is not None and item.price < 20,
    ),
}
# The sort keys, each with the numbers by which an item is sorted.
KEYS = {
    "price": lambda item: [item.price],
    "rating": lambda item: [item.rating],
    "released": lambda item: [item.released and item.released.toordinal()],
    "in_stock": lambda item: [item.in_stock],
    "popularity": lambda item: [item.rating_count, item.rating],
    "attributes.weight": lambda item: [
        float(text) if (text := item.attributes.get("weight", "")).isdigit() else None
    ],
}


def random_items() -> list[Item]:
    """Return 96 items with few distinct values, so that many are equal, and with missing values."""
    random = np.random.default_rng(5)

    def one_of(*values):
        return values[random.integers(len(values))]

    return [
        replace(
            item,
            item_id=f"{item.item_id}-{copy}",
            price=one_of(None, 5.0, 9.99, 19.99, 20.0, 35.5),
            rating=one_of(None, 2.0, 3.5, 5.0),
            rating_count=one_of(None, 0, 3, 8, 90),
            released=one_of(None, *(datetime.date(2024, 1, day) for day in (1, 2, 3))),
            in_stock=one_of(None, True, False),
            group_id=one_of(None, *(f"group {number}" for number in range(20))),
            attributes={"weight": one_of("5", "10", "9", "heavy")} if random.random() < 0.7 else {},
        )
        for item in tiny_items()
        for copy in range(2)
    ]


@pytest.fixture(scope="module")
def shop(tmp_path_factory, compilation_cache) -> Engine:
    directory = tmp_path_factory.mktemp("ordered") / "bundle"
    write_bundle(directory, random_items(), choose_numerics())
    return Engine.load(directory)


def relevant_items(shop: Engine, request: SearchRequest, passes) -> tuple[list[Item], list[Item]]:
    """Return the items that can be sorted, by relevance or popularity, and the items after them."""
    items = [shop.store.item(row) for row in range(len(shop.store))]
    passed = [item for item in items if passes(item)]
    if not request.query:
        return sorted(passed, key=lambda item: missing_last(KEYS["popularity"](item), True)), []
    found = shop.retrieve(
        RetrieveRequest(request.query, page_size=request.recall_depth, filter=request.filter)
    )
    by_id = {item.item_id: item for item in items}
    others = [item for item in passed if item.item_id not in set(ids(found))]
    cosines = shop.dense_scores(request.query, [item.item_id for item in others])
    order = np.argsort(-cosines, kind="stable")
    return [by_id[i] for i in ids(found)], [others[position] for position in order]


def missing_last(values, descending: bool):
    return [(value is None, (-(value or 0) if descending else value or 0)) for value in values]


def expected_list(shop: Engine, request: SearchRequest, passes) -> list[tuple[str, int]]:
    """Return the ids of the whole list and their variant counts."""
    relevant, others = relevant_items(shop, request, passes)
    if request.order_by:
        others = []
        for key in reversed(request.order_by.split(",")):
            field, _, direction = key.strip().partition(" ")
            relevant.sort(key=lambda item: missing_last(KEYS[field](item), direction == "desc"))
    elif not request.ignore_stock:
        relevant.sort(key=lambda item: item.in_stock is False)
    most = 1000 if request.show_variants else request.max_per_group or 1
    sizes, shown, result = Counter(item.group_id for item in relevant), Counter(), []
    for item in relevant + others:
        shown[item.group_id] += 1
        if item.group_id is None or shown[item.group_id] <= most:
            hidden = 0 if item.group_id is None else max(sizes[item.group_id] - most, 0)
            result.append((item.item_id, hidden))
    return result


def random_request(random: np.random.Generator) -> tuple[SearchRequest, object]:
    def one_of(*values):
        return values[random.integers(len(values))]

    fields = random.permutation(list(KEYS))[: random.integers(3)].tolist()
    order_by = ", ".join(field + one_of("", " desc") for field in fields)
    selected, passes = FILTERS[one_of(*FILTERS)]
    show_variants = bool(random.integers(2))
    return SearchRequest(
        one_of("", QUERY, "hdmi cable 10 metre", "voltix"),
        filter=selected,
        order_by=order_by,
        show_variants=show_variants,
        ignore_stock=bool(random.integers(2)),
        max_per_group=0 if show_variants else one_of(0, 1, 2, 3),
        recall_depth=one_of(1, 10, 40, 96),
        rerank_depth=one_of(0, None) if order_by else 0,
        page_size=one_of(7, 20, 33, 100),
    ), passes


def all_pages(shop: Engine, request: SearchRequest) -> list:
    """Return the hits of all pages."""
    hits, page = [], shop.search(request)
    hits += page.hits
    while page.has_more:
        page = shop.search(replace(request, offset=len(hits)))
        hits += page.hits
    return hits


def test_random_searches_equal_an_independent_calculation_on_all_pages(shop):
    random = np.random.default_rng(19)
    for number in range(REQUESTS):
        request, passes = random_request(random)
        hits = all_pages(shop, request)
        found = [(hit.item_id, hit.variant_count) for hit in hits]
        assert found == expected_list(shop, request, passes), (number, request)
        assert len({hit.item_id for hit in hits}) == len(hits)


def test_an_order_reranks_nothing_unless_the_request_sets_a_depth(shop):
    result = shop.search(SearchRequest(QUERY, order_by="price"))
    assert [stage.name for stage in result.stages] == ["encode", "recall", "sort"]
    assert (result.reranked, result.degradations) == (0, ())
    deep = shop.search(SearchRequest(QUERY, order_by="price", rerank_depth=10, page_size=96))
    assert deep.reranked == 10
    plain = shop.search(SearchRequest.by_score(QUERY, rerank_depth=10, page_size=96))
    positions = {item: position for position, item in enumerate(ids(plain))}
    prices = [(hit.item.price or np.inf, positions[hit.item_id]) for hit in deep.hits]
    assert prices == sorted(prices)


def test_out_of_stock_comes_last_among_recalled_items_and_says_so(shop):
    request = SearchRequest(QUERY, page_size=96, recall_depth=30, show_variants=True)
    hits = shop.search(request).hits
    is_out = [hit.item.in_stock is False for hit in hits[:30]]
    assert is_out == sorted(is_out)
    assert 0 < sum(is_out) < 30
    mark = (Adjustment("out_of_stock", Effect.OUT_OF_STOCK),)
    assert [hit.adjustments for hit in hits[:30]] == [mark if out else () for out in is_out]
    # Items beyond the recall depth do not move.
    assert any(hit.item.in_stock is False for hit in hits[30:-1])
    assert all(hit.adjustments == () for hit in hits[30:])


def test_the_defaults_of_groups_and_stock_are_settings(shop):
    config = EngineConfig(max_per_group=0, ignore_stock=True)
    other = Engine(shop.directory, shop.manifest, config, shop.models)
    plain = shop.search(SearchRequest.by_score(QUERY, page_size=96))
    assert ids(other.search(SearchRequest(QUERY, page_size=96))) == ids(plain)
    assert ids(shop.search(SearchRequest(QUERY, page_size=96))) != ids(plain)


def test_pins_are_not_moved_and_boosts_do_not_change_an_order(shop):
    options = {"page_size": 96, "recall_depth": 30, "show_variants": True}
    out = [h.item_id for h in shop.search(SearchRequest(QUERY, **options)).hits if h.adjustments]
    rules = Rules(boosts=(Boost(VOLTIX, 5.0),), pins=(Pin(out[0], 2),), diversity=0.5)
    result = shop.search(SearchRequest(QUERY, rules=rules, **options))
    assert result.hits[1].item_id == out[0]
    assert [a.effect for a in result.hits[1].adjustments if a.rule != "boosts[0]"] == [
        Effect.PINNED
    ]
    others = [hit for hit in result.hits[:30] if hit.item_id != out[0]]
    is_out = [hit.item.in_stock is False for hit in others]
    assert is_out == sorted(is_out)
    assert report(result, "out_of_stock").affected_count == sum(is_out) == len(out) - 1

    ordered = shop.search(SearchRequest(QUERY, order_by="price", rules=rules, **options))
    plain = shop.search(SearchRequest(QUERY, order_by="price", **options))
    without_pin = [name for name in ids(plain) if name != out[0]]
    assert ids(ordered) == [without_pin[0], out[0], *without_pin[1:]]
    assert "out_of_stock" not in {report.rule for report in ordered.rules}
    assert {hit.score - hit.base_score for hit in ordered.hits} == {0.0, 5.0}


def test_caps_keep_the_first_items_of_the_order(shop):
    rules = Rules(caps=(Cap("brand", 2),))
    request = SearchRequest(
        "", filter=EVERYTHING, order_by="price", rules=rules, show_variants=True
    )
    hits = shop.search(request).hits
    assert Counter(hit.item.brand for hit in hits) == {"Voltix": 2, "Ampere": 2, "Ohm & Co": 2}
    assert {hit.item.price for hit in hits} == {5.0}


def test_highlights_come_with_the_results_that_ask_for_them(shop):
    request = SearchRequest("usb chargers", page_size=96, highlight=True)
    hits = {hit.item_id: hit for hit in shop.search(request).hits}
    for hit in hits.values():
        words = {
            found.field: [found.snippet[begin:end] for begin, end in found.spans]
            for found in hit.highlights
        }
        is_charger = "charger" in hit.item.title
        assert words.get("title") == (["usb", "charger"] if is_charger else None)
        assert words.get("category") == (["Chargers"] if is_charger else None)
    plain = shop.search(replace(request, highlight=False))
    assert ids(plain) == list(hits)
    assert all(hit.highlights == () for hit in plain.hits)
    browsed = shop.search(SearchRequest("", filter=EVERYTHING, highlight=True))
    assert all(hit.highlights == () for hit in browsed.hits)
