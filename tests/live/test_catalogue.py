"""Writes to a catalogue while it is searched: what searches find, and when."""

import random
from dataclasses import replace

import pytest

from base.errors import RequestError
from catalog.facets import Facet
from catalog.filters import Equals, Interval, Range
from catalog.items import Item
from lexical.highlights import Highlight
from search.errors import UnknownItemsError
from search.request import LEXICAL, EmbedRequest, RerankRequest, RetrieveRequest, SearchRequest
from tests.live.conftest import LAMP, found
from tests.tiny import tiny_items

ANY_STOCK = Range("price", Interval(at_least=0))


def test_a_new_item_is_found_by_words_and_by_vector_soon_after_acknowledgement(shop):
    shop.upsert(LAMP)
    shop.until(lambda: found(shop, "zyx reading lamp")[:1] == ["lamp"])
    vector = shop.engine.embed(EmbedRequest([LAMP])).vectors[0]
    assert (
        shop.engine.retrieve(RetrieveRequest(vector=vector, page_size=1)).hits[0].item_id == "lamp"
    )
    words = shop.engine.retrieve(RetrieveRequest("brass lamp", channels=(LEXICAL,))).hits
    assert [hit.item_id for hit in words] == ["lamp"]
    assert shop.live.report().freshness is not None


def test_new_words_are_completed_and_corrected_like_others(shop):
    shop.upsert(LAMP)
    shop.shown()
    for typed in ("reading lam", "raeding lamp"):
        words = shop.engine.retrieve(RetrieveRequest(typed, channels=(LEXICAL,))).hits
        assert [hit.item_id for hit in words] == ["lamp"]


def test_a_new_item_takes_part_in_filters_facets_groups_and_browsing(shop):
    shop.upsert(replace(LAMP, group_id="g", rating_count=1_000_000))
    shop.upsert(replace(LAMP, item_id="lamp-2", group_id="g", rating_count=999_999))
    shop.shown()
    result = shop.engine.search(
        SearchRequest(
            "", filter=Equals("brand", "Zyx"), facets=(Facet("brand"),), show_variants=True
        )
    )
    assert [hit.item_id for hit in result.hits] == ["lamp", "lamp-2"]
    assert result.matched == 2
    assert result.facets[0].values == (("Zyx", 2),)
    [one] = shop.engine.search(
        SearchRequest("lamps", filter=Equals("brand", "Zyx"), highlight=True)
    ).hits
    assert one.variant_count == 1
    assert one.highlights == (Highlight("title", "Zyx brass reading lamp", ((18, 22),)),)
    most = shop.engine.search(
        SearchRequest("", filter=ANY_STOCK, page_size=2, show_variants=True)
    ).hits
    assert [hit.item_id for hit in most] == ["lamp", "lamp-2"]
    brands = shop.engine.search(
        SearchRequest("", filter=ANY_STOCK, facets=(Facet("brand", 10),))
    ).facets[0]
    assert dict(brands.values) == {"Voltix": 16, "Ampere": 16, "Ohm & Co": 16, "Zyx": 2}


def test_price_and_stock_have_changed_once_a_write_is_acknowledged(shop):
    item = tiny_items()[0]
    shop.write(item.item_id, {"price": 99_000.0, "in_stock": True}, whole=False)
    assert shop.live.report().pending == 0  # no text changed, so nothing is encoded
    dear = Range("price", Interval(at_least=90_000))
    hit = shop.engine.search(SearchRequest("charger", filter=dear)).hits[0]
    assert hit.item == replace(item, price=99_000.0, in_stock=True)
    shop.write(item.item_id, {"price": None}, whole=False)
    assert found(shop, "charger", filter=dear) == []
    assert shop.engine.snapshot.catalogue.item(0).price is None


def test_a_deleted_item_is_gone_once_it_is_acknowledged(shop):
    first = found(shop, "voltix usb c charger 65 watt")[0]
    shop.write(first, None)
    count = len(tiny_items()) - 1
    recall = shop.engine.snapshot.channels
    # The first round may come before the lexical index is updated; the second comes after.
    for _ in range(2):
        assert len(found(shop, "voltix usb c charger 65 watt", page_size=100)) == count
        assert first not in found(shop, "voltix usb c charger 65 watt", page_size=100)
        hits = shop.engine.retrieve(RetrieveRequest("voltix charger", page_size=100)).hits
        assert first not in [hit.item_id for hit in hits]
        assert len(hits) == count
        assert first not in found(shop, "", filter=ANY_STOCK, page_size=100)
        with pytest.raises(UnknownItemsError):
            shop.engine.rerank(RerankRequest("charger", [first]))
        shop.until(lambda: shop.engine.snapshot.channels is not recall)


def test_an_item_deleted_before_it_was_shown_is_never_shown(shop):
    for number in range(20):
        shop.upsert(replace(LAMP, item_id=f"lamp-{number}"))
        shop.write(f"lamp-{number}", None)
        assert not [i for i in found(shop, "zyx lamp", page_size=100) if i.startswith("lamp")]
    shop.shown()
    assert not [i for i in found(shop, "zyx lamp", page_size=100) if i.startswith("lamp")]


def test_new_words_replace_the_old_ones(shop):
    item = tiny_items()[0]
    shop.write(item.item_id, {"title": "Zyx brass reading lamp"}, whole=False)
    shop.shown()
    words = shop.engine.retrieve(RetrieveRequest("brass lamp", channels=(LEXICAL,))).hits
    assert [hit.item_id for hit in words] == [item.item_id]
    assert shop.items()[item.item_id] == replace(item, title="Zyx brass reading lamp")
    assert len(shop.engine.snapshot.catalogue) == len(tiny_items())


def test_a_partial_write_to_an_unknown_item_is_refused_and_a_whole_one_is_not(shop):
    with pytest.raises(UnknownItemsError):
        shop.write("lamp", {"price": 1.0}, whole=False)
    shop.write("lamp", {"title": "A lamp"})
    shop.write("lamp", {"price": 1.0}, whole=False)
    shop.shown()
    assert shop.items()["lamp"] == Item("lamp", "A lamp", price=1.0)


def test_a_repeated_write_changes_nothing(shop):
    item = tiny_items()[0]
    first = shop.write(item.item_id, {"price": 5.0}, whole=False, request="a")
    shop.write(item.item_id, None, request="b")
    again = shop.write(item.item_id, {"price": 5.0}, whole=False, request="a")
    assert (again.sequence, again.repeated) == (first.sequence, True)
    assert item.item_id not in shop.items()
    with pytest.raises(RequestError, match="request_id"):
        shop.write(item.item_id, {"price": 6.0}, whole=False, request="a")


def test_a_restart_has_all_acknowledged_writes(opened):
    items = tiny_items()
    with opened() as shop:
        shop.upsert(LAMP)
        shop.write(items[0].item_id, {"price": 7.0}, whole=False)
        shop.write(items[1].item_id, None)
        shop.write("lamp", {"in_stock": False}, whole=False)
    with opened() as shop:
        now = shop.items()
        assert now["lamp"] == replace(LAMP, in_stock=False)
        assert now[items[0].item_id].price == 7.0
        assert items[1].item_id not in now
        assert found(shop, "zyx reading lamp", ignore_stock=True)[0] == "lamp"
        assert found(shop, "zyx reading lamp")[0] != "lamp"


def test_recall_is_that_of_an_exact_search(shop):
    shop.upsert(LAMP)
    for item in tiny_items()[:20]:
        shop.write(item.item_id, None)
    shop.shown()
    assert shop.engine.snapshot.recall_at_10() == 1.0  # a tiny bundle has an exact index


@pytest.mark.parametrize("seed", range(3))
def test_random_writes_leave_the_items_of_a_plain_dictionary(opened, seed):
    draw = random.Random(seed)
    model = {item.item_id: item for item in tiny_items()}
    names = [*list(model)[:6], "new-1", "new-2", "new-3"]
    for part in range(3):
        with opened() as shop:
            assert shop.items() == model
            for step in range(40):
                name = draw.choice(names)
                kind = draw.choice(["whole", "part", "part", "delete"])
                price = draw.choice([None, 1.0, 2.5])
                title = f"Thing {draw.randrange(5)}"
                if kind == "whole":
                    model[name] = Item(name, title, price=price)
                    shop.upsert(model[name])
                elif kind == "delete":
                    model.pop(name, None)
                    shop.write(name, None)
                elif name in model:
                    fields = draw.choice([{"price": price}, {"title": title, "price": price}])
                    model[name] = replace(model[name], **fields)
                    shop.write(name, fields, whole=False)
                if step == 20 and part == 1:
                    shop.live.compact()
            shop.shown()
            assert shop.items() == model
            words = shop.engine.retrieve(
                RetrieveRequest("thing", page_size=100, channels=(LEXICAL,))
            ).hits
            things = {name for name, item in model.items() if item.title.startswith("Thing")}
            assert {hit.item_id for hit in words} == things


def test_a_catalogue_without_items_is_written_to_and_measured(shop):
    for item in tiny_items():
        shop.write(item.item_id, None)
    assert shop.items() == {}
    assert found(shop, "usb c charger") == []
    assert shop.engine.snapshot.recall_at_10() == 1.0
    shop.upsert(LAMP)
    shop.until(lambda: found(shop, "zyx") == ["lamp"])
