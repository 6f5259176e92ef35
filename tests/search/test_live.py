"""A catalogue that is written to while it is searched."""

import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from bert.numerics import choose_numerics
from catalog.facets import Facet
from catalog.filters import Equals, Interval, Range
from catalog.log import Write, WriteLog
from catalog.schema import Item
from search import bundle, generations
from search import live as live_module
from search.bundle import Manifest
from search.compaction import CompactionError
from search.config import EngineConfig, LiveConfig
from search.engine import Engine
from search.live import LiveCatalogue, open_newest
from search.overlay import Overlay
from search.records import Channel, ClosedError, RequestError, UnknownItemsError
from search.slot import Slot
from search.view import View
from tests.tiny import tiny_items, write_bundle

SECONDS = 30.0
NEVER = LiveConfig(compact_from=1_000_000)
ANY_STOCK = Range("price", Interval(at_least=0))


class Shop:
    """A live catalogue with what the tests ask of it."""

    def __init__(self, slot: Slot, live: LiveCatalogue) -> None:
        self.slot = slot
        self.live = live
        self._requests = 0

    @property
    def engine(self) -> Engine:
        return self.slot.engine

    def write(self, item_id: str, fields: dict | None, *, whole: bool = True, request: str = ""):
        self._requests += 1
        request = request or f"r{time.monotonic_ns()}-{self._requests}"
        return self.live.write(Write(request, item_id, fields, whole)).result(SECONDS)

    def upsert(self, item: Item):
        values = asdict(item)
        return self.write(values.pop("item_id"), {k: v for k, v in values.items() if v is not None})

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + SECONDS
        while not holds():
            assert time.monotonic() < end, "it never came true"
            time.sleep(0.01)

    def shown(self) -> None:
        self.until(lambda: self.live.report().pending == 0)

    def items(self) -> dict[str, Item]:
        catalogue = self.engine.view.catalogue
        rows = catalogue.all_alive.nonzero()[0].tolist()
        return {item.item_id: item for item in map(catalogue.item, rows)}


@pytest.fixture
def opened(tiny_bundle: Path, tmp_path: Path) -> Callable[..., object]:
    @contextmanager
    def opened(config: LiveConfig = NEVER, root: Path = tiny_bundle) -> Iterator[Shop]:
        state = tmp_path / "state"
        log = WriteLog.open(state)
        bundles = state / "bundles"
        state_of_log = generations.State(log.id, log.sequence)
        slot = Slot(generations.newest(root, bundles, state_of_log, Engine.load))
        live = LiveCatalogue(slot, log, bundles, config)
        try:
            yield Shop(slot, live)
        finally:
            live.close()

    return opened


@pytest.fixture
def shop(opened) -> Iterator[Shop]:
    with opened() as shop:
        yield shop


LAMP = Item("lamp", "Zyx brass reading lamp", brand="Zyx", price=20.0, in_stock=True)


def found(shop: Shop, query: str, **options: object) -> list[str]:
    return [hit.item_id for hit in shop.engine.search(query, **options).hits]


def test_a_new_item_is_found_by_words_and_by_vector_soon_after_it_was_acknowledged(shop):
    shop.upsert(LAMP)
    shop.until(lambda: found(shop, "zyx reading lamp")[:1] == ["lamp"])
    vector = shop.engine.embed_items([LAMP])[0]
    assert shop.engine.retrieve(vector, limit=1).hits[0].item_id == "lamp"
    words = shop.engine.retrieve("brass lamp", channels=[Channel.LEXICAL]).hits
    assert [hit.item_id for hit in words] == ["lamp"]
    assert shop.live.report().freshness is not None


def test_a_write_on_disk_that_could_not_be_applied_is_before_it_is_acknowledged(shop, monkeypatch):
    item_id = tiny_items()[0].item_id
    with monkeypatch.context() as failing:
        failing.setattr(View, "changed", Mock(side_effect=MemoryError))
        with pytest.raises(MemoryError):
            shop.write(item_id, None, request="deletion")
    assert item_id in shop.items()  # nobody was told otherwise
    before = shop.live.report().visible_sequence
    assert before < shop.live.report().sequence  # so no bundle is said to have it
    assert shop.write(item_id, None, request="deletion").repeated
    assert item_id not in shop.items()
    # The same where another write comes in between.
    others = [item.item_id for item in tiny_items()[1:3]]
    with monkeypatch.context() as failing:
        failing.setattr(View, "changed", Mock(side_effect=MemoryError))
        with pytest.raises(MemoryError):
            shop.write(others[0], None)
    shop.write(others[1], None)
    assert not shop.items().keys() & {item_id, *others}
    # And where what comes next changes a part of what nobody sees.
    with monkeypatch.context() as failing:
        failing.setattr(Overlay, "apply", Mock(side_effect=MemoryError))
        with pytest.raises(MemoryError):
            shop.upsert(LAMP)
    shop.write(LAMP.item_id, {"price": 7.0}, whole=False)
    shop.shown()
    assert shop.items()[LAMP.item_id] == replace(LAMP, price=7.0)
    assert shop.live.report().visible_sequence == shop.live.report().sequence


def test_new_words_are_completed_and_corrected_like_others(shop):
    shop.upsert(LAMP)
    shop.shown()
    for typed in ("reading lam", "raeding lamp"):
        words = shop.engine.retrieve(typed, channels=[Channel.LEXICAL]).hits
        assert [hit.item_id for hit in words] == ["lamp"]


def test_a_new_item_takes_part_in_filters_facets_groups_and_browsing(shop):
    shop.upsert(replace(LAMP, group_id="g", rating_count=1_000_000))
    shop.upsert(replace(LAMP, item_id="lamp-2", group_id="g", rating_count=999_999))
    shop.shown()
    result = shop.engine.search("", filter=Equals("brand", "Zyx"), facets=[Facet("brand")])
    assert [hit.item_id for hit in result.hits] == ["lamp", "lamp-2"]
    assert result.matched == 2
    assert result.facets[0].values == (("Zyx", 2),)
    one = shop.engine.search("lamp", filter=Equals("brand", "Zyx"), max_per_group=1).hits
    assert len(one) == 1
    most = shop.engine.search("", filter=ANY_STOCK, limit=2).hits
    assert [hit.item_id for hit in most] == ["lamp", "lamp-2"]
    brands = shop.engine.search("", filter=ANY_STOCK, facets=[Facet("brand", 10)]).facets[0]
    assert dict(brands.values) == {"Voltix": 16, "Ampere": 16, "Ohm & Co": 16, "Zyx": 2}


def test_a_price_and_the_stock_have_changed_once_it_is_acknowledged(shop):
    item = tiny_items()[0]
    shop.write(item.item_id, {"price": 99_000.0, "in_stock": True}, whole=False)
    assert shop.live.report().pending == 0  # nothing to encode
    dear = Range("price", Interval(at_least=90_000))
    hit = shop.engine.search("charger", filter=dear).hits[0]
    assert hit.item == replace(item, price=99_000.0, in_stock=True)
    shop.write(item.item_id, {"price": None}, whole=False)
    assert found(shop, "charger", filter=dear) == []
    assert shop.engine.view.catalogue.item(0).price is None


def test_a_deleted_item_is_gone_once_it_is_acknowledged(shop):
    first = found(shop, "voltix usb c charger 65 watt")[0]
    shop.write(first, None)
    count = len(tiny_items()) - 1
    for _ in range(2):  # before the lexical index has heard of it, and after
        assert len(found(shop, "voltix usb c charger 65 watt", limit=100)) == count
        assert first not in found(shop, "voltix usb c charger 65 watt", limit=100)
        hits = shop.engine.retrieve("voltix charger", limit=100).hits
        assert first not in [hit.item_id for hit in hits]
        assert len(hits) == count
        assert first not in found(shop, "", filter=ANY_STOCK, limit=100)
        with pytest.raises(UnknownItemsError):
            shop.engine.rerank("charger", [first])
        time.sleep(0.5)


def test_an_item_deleted_before_it_was_shown_is_never_shown(shop):
    for number in range(20):
        shop.upsert(replace(LAMP, item_id=f"lamp-{number}"))
        shop.write(f"lamp-{number}", None)
        assert not [i for i in found(shop, "zyx lamp", limit=100) if i.startswith("lamp")]
    shop.shown()
    assert not [i for i in found(shop, "zyx lamp", limit=100) if i.startswith("lamp")]


def test_other_words_take_the_place_of_the_old_ones(shop):
    item = tiny_items()[0]
    shop.write(item.item_id, {"title": "Zyx brass reading lamp"}, whole=False)
    shop.shown()
    words = shop.engine.retrieve("brass lamp", channels=[Channel.LEXICAL]).hits
    assert [hit.item_id for hit in words] == [item.item_id]
    assert shop.items()[item.item_id] == replace(item, title="Zyx brass reading lamp")
    assert len(shop.engine.view.catalogue) == len(tiny_items())


def test_some_fields_of_an_unknown_item_are_refused_and_a_whole_one_is_not(shop):
    with pytest.raises(UnknownItemsError):
        shop.write("lamp", {"price": 1.0}, whole=False)
    shop.write("lamp", {"title": "A lamp"})
    shop.write("lamp", {"price": 1.0}, whole=False)
    shop.shown()
    assert shop.items()["lamp"] == Item("lamp", "A lamp", price=1.0)


def test_a_write_that_is_sent_again_changes_nothing(shop):
    item = tiny_items()[0]
    first = shop.write(item.item_id, {"price": 5.0}, whole=False, request="a")
    shop.write(item.item_id, None, request="b")
    again = shop.write(item.item_id, {"price": 5.0}, whole=False, request="a")
    assert (again.sequence, again.repeated) == (first.sequence, True)
    assert item.item_id not in shop.items()
    with pytest.raises(RequestError, match="request_id"):
        shop.write(item.item_id, {"price": 6.0}, whole=False, request="a")


def test_a_write_that_would_have_to_wait_is_not_queued_unless_it_may(shop, monkeypatch):
    monkeypatch.setattr(shop.live._queue, "maxsize", 3)
    queued = []
    with shop.live._writing:  # the writer is stuck with what it took first
        for number in range(20):
            write = Write(f"soon-{number}", f"soon-{number}", {"title": "Brass lamp"}, whole=True)
            queued.append(shop.live.write_soon(write))
    assert queued[0] is not None
    assert queued[-1] is None
    done = [future.result(SECONDS).sequence for future in queued if future is not None]
    assert done == list(range(done[0], done[0] + len(done)))
    shop.shown()
    found = {item_id for item_id in shop.items() if item_id.startswith("soon-")}
    assert found == {f"soon-{n}" for n, future in enumerate(queued) if future is not None}


def test_a_restart_has_everything_that_was_acknowledged(opened):
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
        assert found(shop, "zyx reading lamp")[0] == "lamp"


def test_compaction_answers_as_before_and_a_restart_begins_with_it(opened, tmp_path, tiny_bundle):
    with opened() as shop:
        shop.engine.config = EngineConfig(rerank_depth=7)
        shop.upsert(LAMP)
        shop.write(tiny_items()[0].item_id, {"price": 7.0, "in_stock": None}, whole=False)
        shop.write(tiny_items()[1].item_id, None)
        shop.shown()
        items = shop.items()
        hits = shop.engine.search("zyx reading lamp", limit=100).hits
        models, config = shop.engine.models, shop.engine.config
        shop.live.compact()
        assert shop.engine.models is models
        assert shop.engine.config is config
        assert config.rerank_depth == 7  # other than what golden queries are asked with
        assert shop.live.report().added == shop.live.report().dead == 0
        after = shop.engine.search("zyx reading lamp", limit=100).hits
        # Words are worth a little less or more with the statistics of other items.
        assert {hit.item_id for hit in after} == {hit.item_id for hit in hits}
        assert after[0].item == hits[0].item
        assert shop.items() == items
        assert Manifest.read(shop.engine.directory).root == Manifest.read(tiny_bundle).bundle_id
        shop.write("lamp", {"price": 1.5}, whole=False)
        built = shop.engine.directory
    with opened() as shop:
        assert shop.engine.directory == built
        assert shop.items() == items | {"lamp": replace(LAMP, price=1.5)}
        shop.live.compact()
        assert [p.name for p in sorted((tmp_path / "state" / "bundles").iterdir())] == [
            shop.engine.directory.name
        ]
    damaged = shop.engine.directory / "items.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with opened() as shop:  # the bundle that was given and the log have all of it
        assert shop.engine.directory == tiny_bundle
        assert shop.items() == items | {"lamp": replace(LAMP, price=1.5)}


def test_a_bundle_that_answers_otherwise_is_passed_over_by_a_start(opened, tmp_path, tiny_bundle):
    with opened() as shop:
        shop.upsert(LAMP)
        shop.shown()
        shop.live.compact()
        built = shop.engine.directory
    state = tmp_path / "state"
    with WriteLog.open(state) as log:
        assert open_newest(tiny_bundle, log, state / "bundles", EngineConfig()).directory == built
        golden = built / bundle.GOLDEN
        golden.write_text(re.sub(r'"(Ch|Ca)-', r'"X\1-', golden.read_text()))
        Manifest.read(built).with_files(bundle.list_files(built)).write(built)
        engine = open_newest(tiny_bundle, log, state / "bundles", EngineConfig())
        assert engine.directory == tiny_bundle


def test_no_bundle_is_made_of_models_that_are_not_those_that_are_served(opened, tmp_path):
    root = tmp_path / "root"
    write_bundle(root, tiny_items()[:5], choose_numerics())
    with opened(root=root) as shop:
        shop.upsert(LAMP)
        config = root / bundle.TOWERS / "config.json"
        config.write_text(config.read_text() + " ")  # as if another had taken its place
        with pytest.raises(CompactionError, match="no longer the bundle that is served"):
            shop.live.compact()
        assert list((tmp_path / "state" / "bundles").iterdir()) == []
        shop.shown()
        assert found(shop, "zyx reading lamp")[0] == "lamp"


def test_a_process_that_builds_an_index_ends_with_its_server(tiny_bundle, tmp_path):
    shutil.copy(tiny_bundle / bundle.ITEMS, tmp_path / bundle.ITEMS)
    (tmp_path / bundle.INDEX).mkdir()
    shutil.copy(tiny_bundle / bundle.INDEX / "vectors.npy", tmp_path / bundle.INDEX)
    command = (sys.executable, "-m", "search.compaction", tmp_path, tiny_bundle / bundle.INDEX)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, env=environment, check=False)
    assert ended.returncode == 1
    assert [path.name for path in (tmp_path / bundle.INDEX).iterdir()] == ["vectors.npy"]


def test_another_bundle_gets_all_that_was_written(opened, tiny_bundle, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(tiny_bundle, other)
    with opened() as shop:
        shop.upsert(LAMP)
        shop.write(tiny_items()[1].item_id, None)
        shop.shown()
        engine = Engine.load(other, models=shop.engine.models)
        before = shop.engine
        assert shop.live.adopt(engine) is before
        assert shop.engine is engine
        assert found(shop, "zyx reading lamp")[0] == "lamp"
        assert tiny_items()[1].item_id not in shop.items()


def test_much_change_is_compacted_and_measured_by_itself(opened):
    with opened(LiveConfig(compact_from=10, compact_share=0.1)) as shop:
        for number in range(30):
            shop.upsert(replace(LAMP, item_id=f"lamp-{number}", title=f"Lamp number {number}"))
        shop.until(lambda: shop.live.report().compactions >= 1)
        shop.until(lambda: shop.live.report().pending == 0)
        assert len(shop.items()) == len(tiny_items()) + 30


def test_recall_is_that_of_an_exact_search(shop):
    shop.upsert(LAMP)
    for item in tiny_items()[:20]:
        shop.write(item.item_id, None)
    shop.shown()
    assert shop.engine.view.recall_at_10() == 1.0  # the tiny index is exact


@pytest.mark.parametrize("seed", range(3))
def test_any_writes_leave_what_a_plain_dictionary_would_have(opened, seed):
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
            words = shop.engine.retrieve("thing", limit=100, channels=[Channel.LEXICAL]).hits
            things = {name for name, item in model.items() if item.title.startswith("Thing")}
            assert {hit.item_id for hit in words} == things


def test_an_answer_begun_on_a_replaced_bundle_has_no_item_deleted_since(shop, monkeypatch):
    query = "voltix usb c charger 65 watt"
    first = found(shop, query)[0]
    before = shop.engine
    encode = before._queries.vector

    def meanwhile(*given: object) -> object:
        monkeypatch.undo()
        shop.live.adopt(Engine.load(before.directory, models=before.models))
        shop.write(first, None)
        return encode(*given)

    monkeypatch.setattr(before._queries, "vector", meanwhile)
    hits = before.search(query).hits
    assert shop.engine is not before
    assert hits
    assert first not in [hit.item_id for hit in hits]


def test_a_catalogue_without_items_is_written_to_and_measured(shop):
    for item in tiny_items():
        shop.write(item.item_id, None)
    assert shop.items() == {}
    assert found(shop, "usb c charger") == []
    assert shop.engine.view.recall_at_10() == 1.0
    shop.upsert(LAMP)
    shop.until(lambda: found(shop, "zyx") == ["lamp"])


def test_an_update_that_fails_is_made_again_and_no_item_is_found_twice(shop, monkeypatch):
    overlay = shop.live._overlay
    update = overlay._lexical.update
    failures = []

    def failing(*given: object) -> object:
        index = update(*given)
        if not failures:
            failures.append(index)
            raise OSError("no space left on device")
        return index

    monkeypatch.setattr(overlay._lexical, "update", failing)
    shop.upsert(LAMP)
    shop.write(tiny_items()[0].item_id, None)
    shop.until(lambda: bool(failures) and shop.live.report().pending == 0)
    words = shop.engine.retrieve("zyx brass", channels=[Channel.LEXICAL]).hits
    assert [hit.item_id for hit in words] == ["lamp"]


@contextmanager
def nothing_encoded(shop: Shop, monkeypatch) -> Iterator[None]:
    """Items wait for the encoder while it runs."""
    encoder, may = shop.engine.models.encoder, threading.Event()
    encode = encoder.items
    monkeypatch.setattr(encoder, "items", lambda texts: may.wait(SECONDS) and encode(texts))
    try:
        yield
    finally:
        may.set()


def test_a_price_changes_at_once_while_more_wait_for_the_encoder_than_may(shop, monkeypatch):
    monkeypatch.setattr(live_module, "_MAX_PENDING", 50)
    first, second, third = tiny_items()[:3]
    dear = Range("price", Interval(at_least=90_000))
    with nothing_encoded(shop, monkeypatch):
        for number in range(51):
            shop.upsert(replace(LAMP, item_id=f"lamp-{number}"))
        assert shop.live.write_soon(Write("full", "lamp", {"title": "Brass lamp"})) is None
        change = Write("text", second.item_id, {"title": "Zyx"}, whole=False)
        assert shop.live.write_soon(change) is None
        # Whatever does not make one more item wait is taken, and what need not wait is found.
        shop.write(first.item_id, {"price": 99_000.0}, whole=False)
        assert found(shop, "charger", filter=dear) == [first.item_id]
        shop.upsert(replace(second, price=98_000.0))
        assert set(found(shop, "charger", filter=dear)) == {first.item_id, second.item_id}
        shop.write(third.item_id, None)
        assert third.item_id not in shop.items()
        shop.write("lamp-3", {"title": "Zyx copper lamp", "price": 5.0})
        assert shop.live.report().pending == 51
    shop.until(lambda: shop.live.write_soon(change) is not None)
    shop.shown()
    assert shop.items()["lamp-3"] == Item("lamp-3", "Zyx copper lamp", price=5.0)
    assert shop.items()[second.item_id].title == "Zyx"


def test_what_waits_for_the_encoder_goes_on_waiting_in_another_bundle(shop, monkeypatch):
    shop.upsert(LAMP)
    shop.shown()
    engine = Engine.load(shop.engine.directory, models=shop.engine.models)
    encode, texts = shop.engine.models.encoder.items, []

    def meanwhile(given: list[str]) -> object:
        texts.extend(given)
        if len(texts) == 1:  # while the other bundle takes in the first change
            shop.write("lamp", {"title": "Zyx steel lamp"}, whole=False)
            shop.write(tiny_items()[0].item_id, {"price": 99_000.0}, whole=False)
        return encode(given)

    with shop.live._showing:  # the indexer waits, so that the other bundle comes first
        shop.write("lamp", {"title": "Zyx copper lamp"}, whole=False)
        monkeypatch.setattr(shop.engine.models.encoder, "items", meanwhile)
        adopting = threading.Thread(target=shop.live.adopt, args=(engine,))
        adopting.start()
        shop.until(lambda: len(texts) == 1)
        shop.until(lambda: shop.live.report().sequence == 4)
    adopting.join(SECONDS)
    assert shop.engine is engine
    assert shop.items()[tiny_items()[0].item_id].price == 99_000.0
    shop.shown()
    assert shop.items()["lamp"] == replace(LAMP, title="Zyx steel lamp")


def failing_at(word: str, encode: Callable) -> Callable:
    """An encoder that fails at texts with a word."""

    def items(texts: Sequence[str]) -> np.ndarray:
        if any(word in text for text in texts):
            raise ValueError(f"cannot encode {texts}")
        return encode(texts)

    return items


def test_an_item_that_cannot_be_encoded_is_set_aside_and_the_others_are_found(
    shop, opened, monkeypatch, caplog
):
    encoder = shop.engine.models.encoder
    old, healthy = tiny_items()[0], encoder.items
    monkeypatch.setattr(encoder, "items", failing_at("cursed", healthy))
    shop.upsert(replace(LAMP, item_id="bad", title="A cursed lamp"))
    shop.write(old.item_id, {"title": "A cursed charger"}, whole=False)
    for number in range(5):
        shop.upsert(replace(LAMP, item_id=f"lamp-{number}"))
    shop.until(lambda: shop.live.report().pending == 0)
    assert {f"lamp-{number}" for number in range(5)} <= shop.items().keys()
    assert "bad" not in shop.items()
    assert shop.items()[old.item_id] == old  # as it was found before
    shop.write(old.item_id, {"price": 1.25}, whole=False)
    assert shop.items()[old.item_id] == replace(old, price=1.25)
    report = shop.live.report()
    assert (report.set_aside, report.pending, report.visible_sequence) == (2, 0, 0)
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert sorted(told) == [
        f"item {name!r} cannot be encoded, and stays as it is found so far"
        for name in sorted(["bad", old.item_id])
    ]
    assert "cursed" not in caplog.text

    shop.write("bad", {"title": "A good lamp"}, whole=False)  # another text is tried again
    shop.shown()
    assert shop.items()["bad"] == replace(LAMP, item_id="bad", title="A good lamp")
    shop.write(old.item_id, None)
    assert shop.live.report().set_aside == 0
    shop.upsert(replace(LAMP, item_id="later", title="A cursed lamp"))
    shop.until(lambda: shop.live.report().set_aside == 1)
    shop.live.close()
    with opened() as again:  # its encoder is whole
        assert again.items()["later"].title == "A cursed lamp"


def test_nothing_is_set_aside_while_the_encoder_fails_at_everything(shop, monkeypatch):
    monkeypatch.setattr(live_module, "_LOOK_SECONDS", 0.01)
    encoder = shop.engine.models.encoder
    healthy, calls = encoder.items, []

    def broken_twice(texts: Sequence[str]) -> np.ndarray:
        calls.append(texts)
        if len(calls) <= 4:
            raise RuntimeError("out of memory")
        return healthy(texts)

    monkeypatch.setattr(encoder, "items", broken_twice)
    shop.upsert(LAMP)
    shop.until(lambda: "lamp" in shop.items())
    assert shop.live.report().set_aside == 0


def test_what_a_killed_process_left_is_removed_and_nothing_is_left_by_a_stop(opened, tmp_path):
    scratch = tmp_path / "state" / "scratch"
    left = scratch / "lexical-left"
    left.mkdir(parents=True)
    (left / "link").symlink_to(tmp_path)
    with opened() as shop:
        assert not left.exists()
        [own] = scratch.iterdir()
        shop.live.adopt(Engine.load(shop.engine.directory, models=shop.engine.models))
        [other] = scratch.iterdir()
        assert own != other
    assert not scratch.exists()
    assert tmp_path.exists()


def test_closing_does_not_wait_for_what_is_pending(opened, monkeypatch):
    monkeypatch.setattr(live_module, "_MAX_PENDING", 0)
    refused = []

    def one_more() -> None:
        try:
            shop.live.write(Write("r2", "lamp-2", {"title": "A lamp"}))
        except ClosedError as error:
            refused.append(error)

    with opened() as shop:
        monkeypatch.setattr(shop.live._overlay, "show", lambda *_: 0)  # nothing is ever shown
        shop.write("lamp-1", {"title": "A lamp"})
        waiting = threading.Thread(target=one_more)
        waiting.start()
    waiting.join(SECONDS)
    assert len(refused) == 1
    with opened() as shop:
        assert "lamp-1" in shop.items()
        assert "lamp-2" not in shop.items()
