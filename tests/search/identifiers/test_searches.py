"""Searches for codes: an exact code comes first, and an unknown code marks results as guesses."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bert.numerics import choose_numerics
from catalog.filters import Equals
from catalog.items import Item
from live.indexing.delta_index import DeltaIndex
from live.log.write_ahead_log import Write
from search.engine import Engine
from search.exploration.request import Exploration, Method
from search.request import SearchRequest
from search.rules import Pin, Rules
from search.understanding.interpretation import EVERYTHING
from tests.live.faults import Faults, FaultyIndex
from tests.tiny import BY_SCORE, tiny_items, write_bundle

CODED, TWICE, PART = 30, (7, 40), 21


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, compilation_cache) -> Path:
    items = tiny_items()
    items[CODED] = replace(
        items[CODED], identifiers=("978-0-100038-22-8", "65"), attributes={"mpn": "QX-40872-B"}
    )
    for row in TWICE:
        items[row] = replace(items[row], identifiers=("ZZ 99-881",))
    items[PART] = replace(items[PART], item_id="RN-77123-K")
    directory = tmp_path_factory.mktemp("coded") / "bundle"
    write_bundle(directory, items, choose_numerics())
    return directory


@pytest.fixture(scope="module")
def coded(bundle) -> Engine:
    return Engine.load(bundle, BY_SCORE)


def first(engine: Engine, query: str, count: int = 1, **options) -> list[int]:
    """Return the rows of the first results, and check that they are no guesses."""
    hits = engine.search(SearchRequest(query, page_size=count, **options)).hits
    assert not any(hit.guessed for hit in hits)
    return [engine.snapshot.catalogue.row(hit.item_id) for hit in hits]


@pytest.mark.parametrize(
    ("query", "row"),
    [
        ("978-0-100038-22-8", CODED),
        ("9780100038228", CODED),
        ("qx 40872 b", CODED),
        ("qx40872b usb c charger", CODED),
        ("usb c charger QX 40872 B", CODED),
        ("40872", CODED),
        ("RN-77123-K", PART),
        ("rn77123k", PART),
        ("rn 77123", PART),
        ("77123", PART),
    ],
)
def test_an_exact_code_comes_first_in_both_stages(coded: Engine, query: str, row: int):
    assert first(coded, query) == [row]
    assert first(coded, query, rerank_depth=0) == [row]


def test_all_items_of_a_code_come_first_with_falling_scores(coded: Engine):
    hits = coded.search(SearchRequest("zz99881", page_size=48)).hits
    rows = [coded.snapshot.catalogue.row(hit.item_id) for hit in hits]
    assert set(rows[:2]) == set(TWICE)
    assert len(set(rows)) == len(rows) == 48
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)


def test_an_item_that_recall_does_not_find_becomes_a_candidate(coded: Engine):
    assert first(coded, "hdmi cable qx40872b", recall_depth=1) == [CODED]


def test_filters_and_pins_go_before_codes(coded: Engine):
    brand = coded.store.item(CODED).brand
    other = next(row for row in range(48) if coded.store.item(row).brand != brand)
    filter = Equals("brand", coded.store.item(other).brand)
    assert CODED not in first(coded, "qx40872b", 48, filter=filter)
    pin = Rules(pins=(Pin(coded.store.ids[other], 1),))
    assert first(coded, "qx40872b", 2, rules=pin) == [other, CODED]


@pytest.mark.parametrize("query", ["65", "usb c charger 65 watt", "2x4"])
def test_a_short_number_of_other_items_and_sizes_are_no_codes(coded: Engine, query: str):
    # The identifier 65 is also a number in the texts of other items.
    codes = coded.snapshot.codes(query, str.isalpha)
    assert not len(codes.rows)
    assert not codes.unknown


@pytest.mark.parametrize(
    "query", ["QX-40879-B", "qx 40879 b", "charger qx40879b", "USB-078N", "123456789", "55321"]
)
def test_results_for_a_code_that_no_item_has_are_guesses(coded: Engine, query: str):
    hits = coded.search(SearchRequest(query)).hits
    assert hits
    assert all(hit.guessed for hit in hits)


@pytest.mark.parametrize(
    "query", ["usb c charger", "usb c charger 65 watt", "5000 btu", "2 x 4", "3cable hdmi"]
)
def test_queries_without_codes_are_no_guesses(coded: Engine, query: str):
    assert not any(hit.guessed for hit in coded.search(SearchRequest(query)).hits)


def test_a_request_can_switch_codes_off(coded: Engine):
    off = replace(EVERYTHING, codes=False)
    hits = coded.search(SearchRequest("QX-40879-B", understanding=off)).hits
    assert not any(hit.guessed for hit in hits)
    typed = coded.search(SearchRequest("hdmi cable RN-77123-K", understanding=off)).hits
    assert typed[0].item_id != "RN-77123-K"


@pytest.fixture
def live(bundle: Path, tmp_path: Path) -> Iterator[DeltaIndex]:
    index = FaultyIndex(Engine.load(bundle), tmp_path, Faults())
    yield index
    index.close()


def test_codes_of_written_and_deleted_items_follow(live: DeltaIndex):
    added = Item("NEW-55667", "Usb c charger", identifiers=("KL-2290-7",))
    fields = {"title": added.title, "identifiers": added.identifiers}
    live.apply([(1, Write("a", added.item_id, fields))])
    live.show(10)
    row = live.engine.snapshot.catalogue.row(added.item_id)
    assert first(live.engine, "kl22907") == first(live.engine, "new55667") == [row]
    live.apply([(2, Write("b", "RN-77123-K", None))])
    assert all(hit.guessed for hit in live.engine.search(SearchRequest("RN-77123-K")).hits)


def test_exploration_moves_no_item_with_a_code_of_the_query(coded):
    for seed in range(10):
        exploration = Exploration(Method.EPSILON_GREEDY, 0.2, seed)
        [first, *others] = coded.search(SearchRequest("RN-77123-K", exploration=exploration)).hits
        assert (first.item_id, first.propensity) == ("RN-77123-K", 1.0)
        assert any(hit.exploring for hit in others)
