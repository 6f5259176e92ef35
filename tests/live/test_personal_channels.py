"""Channels of recommendations after writes: new items, changed items and compactions."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from live.indexing.delta_index import DeltaIndex
from live.log.write_ahead_log import Write
from search.engine import Engine
from search.people.person import Person, Recommending, Surface
from search.request import SearchRequest
from tests.shoppers import MICROSECONDS, POPULAR, A, B, C, past
from tests.tiny import BY_SCORE, tiny_items


@pytest.fixture
def delta_index(people_bundle: Path, tmp_path: Path) -> Iterator[DeltaIndex]:
    delta_index = DeltaIndex(Engine.load(people_bundle, BY_SCORE), tmp_path)
    yield delta_index
    delta_index.close()


def recommended(engine: Engine, surface: Surface, *item_ids: str, history=()) -> dict[str, set]:
    """Return the channels that found each recommended item."""
    request = SearchRequest(
        recommending=Recommending(surface, item_ids),
        person=Person(history=tuple(history), now=MICROSECONDS),
        page_size=48,
    )
    return {hit.item_id: set(hit.channel_ranks) for hit in engine.search(request).hits}


def test_a_new_item_is_found_from_its_text_at_once(delta_index):
    engine = delta_index.engine
    title = engine.snapshot.catalogue.item(engine.snapshot.catalogue.row(A)).title
    delta_index.apply([(1, Write("r", "new", {"title": title, "rating_count": 7}))])
    assert "new" not in recommended(engine, Surface.HOME, history=[past(A)])
    delta_index.show(10)
    assert "history" in recommended(engine, Surface.HOME, history=[past(A)])["new"]
    assert "new" in recommended(engine, Surface.SIMILAR, A)


def test_counts_follow_an_item_that_was_written_again(delta_index):
    engine = delta_index.engine
    texts = {name: {"title": f"Another {name}"} for name in (A, C, POPULAR)}
    delta_index.apply(
        [
            (number, Write(str(number), name, fields, whole=False))
            for number, (name, fields) in enumerate(texts.items(), start=1)
        ]
    )
    delta_index.show(10)
    catalogue = engine.snapshot.catalogue
    assert catalogue.row(A) >= len(catalogue.base)
    assert "also_bought" in recommended(engine, Surface.BASKET, A)[C]
    assert next(iter(recommended(engine, Surface.HOME))) == POPULAR


def test_a_deleted_item_is_not_recommended(delta_index):
    delta_index.apply([(1, Write("1", C, None)), (2, Write("2", B, None))])
    found = recommended(delta_index.engine, Surface.PRODUCT, A, history=[past(C), past(B)])
    assert found
    assert not {A, B, C} & found.keys()


def test_a_compacted_bundle_recommends_as_before(opened, people_bundle):
    with opened(root=people_bundle) as shop:
        shop.upsert(replace(tiny_items()[0], title="Another charger"))
        shop.write(B, None)
        shop.shown()
        history = [past(A), past(C, "purchase")]
        before = recommended(shop.engine, Surface.HOME, history=history)
        shop.live.compact()
        assert len(shop.engine.snapshot.catalogue.base) == len(tiny_items()) - 1
        assert list(recommended(shop.engine, Surface.HOME, history=history)) == list(before)
        assert recommended(shop.engine, Surface.COMPLEMENTARY, A).keys() == {C}
