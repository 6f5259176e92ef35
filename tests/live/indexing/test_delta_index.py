"""Writes that are applied while earlier writes are encoded and indexed."""

import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from catalog.items import Item
from live.indexing.delta_index import DeltaIndex
from live.log.write_ahead_log import Write
from search import bundle
from search.bundle import BundleError
from search.engine import Engine
from search.request import RetrieveRequest, SearchRequest
from search.understanding.interpretation import Interpretation
from tests.live.faults import Encode, Faults, FaultyIndex, nothing
from tests.tiny import tiny_items


@pytest.fixture
def delta_index(tiny_bundle: Path, tmp_path: Path) -> Iterator[FaultyIndex]:
    delta_index = FaultyIndex(Engine.load(tiny_bundle), tmp_path, Faults())
    yield delta_index
    delta_index.close()


def visible(delta_index: DeltaIndex) -> dict[str, Item]:
    catalogue = delta_index.engine.snapshot.catalogue
    rows = catalogue.all_alive.nonzero()[0].tolist()
    return {item.item_id: item for item in map(catalogue.item, rows)}


def current(delta_index: DeltaIndex, item_id: str) -> Item | None:
    """Return an item as it was last written, even if that version is not visible yet."""
    waiting = delta_index.pending.get(item_id) or delta_index.aside.get(item_id)
    item = waiting.item if waiting else visible(delta_index).get(item_id)
    assert delta_index.has(item_id) == (item is not None)
    return item


def words(delta_index: DeltaIndex) -> set[str]:
    hits = delta_index.engine.retrieve(RetrieveRequest("thing", page_size=100)).hits
    return {hit.item_id for hit in hits}


def test_an_item_that_is_changed_back_while_it_is_shown_stays(delta_index: FaultyIndex):
    item = tiny_items()[0]
    delta_index.apply([(1, Write("a", item.item_id, {"title": "Thing"}, whole=False))])
    back = (2, Write("b", item.item_id, {"title": item.title}, whole=False))
    delta_index.faults.before_vectors = lambda: delta_index.apply([back])
    delta_index.show(100)
    assert item.item_id in visible(delta_index)
    delta_index.faults.before_vectors = nothing
    delta_index.show(100)
    assert delta_index.pending == {}
    assert visible(delta_index)[item.item_id] == item
    assert delta_index.visible_sequence() == 2


@pytest.mark.parametrize("seed", range(4))
def test_writes_while_items_are_shown_lose_no_item_and_bring_none_back(
    delta_index: FaultyIndex, seed: int
):
    draw = random.Random(seed)
    model = {item.item_id: item for item in tiny_items()}
    # With only three ids, a batch often has several writes of the same item.
    names = [*list(model)[:2], "new"]
    sequence = 0

    def write() -> None:
        nonlocal sequence
        batch = []
        for _ in range(draw.randrange(4)):
            sequence += 1
            name, title, price = draw.choice(names), f"Thing {draw.randrange(2)}", draw.random()
            fields = draw.choice(
                [{"title": title}, {"price": price}, {"title": title, "price": 1.0}]
            )
            if draw.random() < 0.25:
                model.pop(name, None)
                batch.append((sequence, Write("r", name, None)))
            elif name in model and draw.random() < 0.7:
                model[name] = replace(model[name], **fields)
                batch.append((sequence, Write("r", name, fields, whole=False)))
            else:
                model[name] = Item(name, title)
                batch.append((sequence, Write("r", name, {"title": title})))
        delta_index.apply(batch)
        assert {name: current(delta_index, name) for name in names} == {
            name: model.get(name) for name in names
        }

    delta_index.faults.before_vectors = write
    for _ in range(25):
        write()
        known = visible(delta_index).keys()
        delta_index.show(draw.choice([1, 100]))
        now = visible(delta_index).keys()
        assert now <= model.keys()
        # An existing item that is no longer visible was deleted and written again.
        assert (known & model.keys()) - now <= delta_index.pending.keys()
    delta_index.faults.before_vectors = nothing
    while delta_index.pending:
        delta_index.show(100)
    assert visible(delta_index) == model
    things = {name for name, item in model.items() if item.title.startswith("Thing")}
    assert things <= words(delta_index)


def test_writes_to_items_set_aside_leave_the_items_of_a_plain_dictionary(
    delta_index: FaultyIndex,
):
    tried = []

    def items(encode: Encode, texts: Sequence[str]) -> np.ndarray:
        tried.append(texts)
        if any("cursed" in text for text in texts):
            raise ValueError
        return encode(texts)

    delta_index.faults.encode = items
    model = {item.item_id: item for item in tiny_items()}
    draw, names = random.Random(0), [*list(model)[:3], "new 1", "new 2"]
    for sequence in range(1, 200):
        name = draw.choice(names)
        title = draw.choice(["A thing", "Another thing", "A cursed thing", "The most cursed thing"])
        fields = draw.choice([{"title": title}, {"price": draw.random()}])
        if draw.random() < 0.1:
            model.pop(name, None)
            delta_index.apply([(sequence, Write("r", name, None))])
        elif name in model:
            model[name] = replace(model[name], **fields)
            delta_index.apply([(sequence, Write("r", name, fields, whole=False))])
        elif "title" in fields:
            model[name] = Item(name, title)
            delta_index.apply([(sequence, Write("r", name, fields))])
        assert {each: current(delta_index, each) for each in names} == {
            each: model.get(each) for each in names
        }
        if draw.random() < 0.7:
            delta_index.show(100)
            assert delta_index.pending == {}
            cursed = {each for each, item in model.items() if "cursed" in item.title}
            assert delta_index.aside.keys() == cursed
            shown, wanted = visible(delta_index), model.items()
            assert {i: item for i, item in shown.items() if i not in cursed} == {
                i: item for i, item in wanted if i not in cursed
            }
            assert shown.keys() - model.keys() == set()
            # A visible item that cannot be encoded has its old text, but its new numbers.
            for each in cursed & shown.keys():
                assert "cursed" not in shown[each].title
                assert shown[each].price == model[each].price
            count = len(tried)
            assert delta_index.show(100) == 0
            assert len(tried) == count
            assert (delta_index.visible_sequence() == delta_index.applied) == (not cursed)


def test_the_oldest_wait_is_that_of_the_first_pending_write(tiny_bundle: Path, tmp_path: Path):
    now = 10.0
    delta_index = DeltaIndex(Engine.load(tiny_bundle), tmp_path, clock=lambda: now)
    assert delta_index.oldest_wait() == 0.0
    delta_index.apply([(1, Write("a", "one", {"title": "One"}))])
    now = 15.0
    delta_index.apply([(2, Write("b", "two", {"title": "Two"}))])
    delta_index.apply([(3, Write("c", "one", {"title": "One again"}))])
    now = 18.0
    assert delta_index.oldest_wait() == 8.0
    delta_index.apply([(4, Write("d", "one", None))])
    assert delta_index.oldest_wait() == 3.0
    delta_index.show(100)
    assert delta_index.oldest_wait() == 0.0
    delta_index.close()


def test_a_bundle_that_changed_since_it_was_loaded_is_not_indexed_again(
    tiny_bundle: Path, tmp_path: Path
):
    directory = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, directory)
    delta_index = DeltaIndex(Engine.load(directory), tmp_path / "scratch")
    (directory / bundle.LEXICAL / "new-file").touch()
    delta_index.apply([(1, Write("a", "one", {"title": "One"}))])
    with pytest.raises(BundleError, match=f"^{directory} is no longer the bundle"):
        delta_index.show(100)
    assert delta_index.visible_sequence() == 0


def test_queries_are_understood_with_the_words_and_brands_of_shown_items(delta_index: FaultyIndex):
    def understood() -> Interpretation | None:
        return delta_index.engine.search(SearchRequest("red zepelin by plumbob")).interpretation

    fields = {"title": "Zeppelin", "brand": "Plumbob"}
    delta_index.apply([(1, Write("a", "new", fields, whole=True))])
    before = understood()
    assert before is not None
    assert "zeppelin" not in before.text
    delta_index.show(100)
    after = understood()
    assert after is not None
    assert after.text == "red zeppelin by plumbob"
    assert [(v.field, v.value) for v in after.values] == [("brand", "Plumbob")]
