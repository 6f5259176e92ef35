"""A catalogue that is written to gets another bundle: a compacted one, or one that was given."""

import os
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from bert.numerics import choose_numerics
from lexical.config import LexicalConfig
from live.catalogue import open_newest
from live.compaction import CompactionError
from live.write_ahead_log import WriteLog
from search import bundle
from search.bundle import Manifest
from search.config import EngineConfig, LiveConfig
from search.engine import Engine
from tests.live.conftest import LAMP, SECONDS, found
from tests.tiny import tiny_items, write_bundle
from towers.index import IndexConfig, index_config
from towers.vectors import Bfloat16Vectors, open_vectors


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


def test_a_catalogue_of_bfloat16_vectors_is_written_to_and_keeps_them_when_compacted(
    opened, tmp_path
):
    root = tmp_path / "root"
    config = IndexConfig(vectors="bfloat16")
    write_bundle(root, tiny_items(), choose_numerics(), index=config)
    with opened(root=root) as shop:
        shop.upsert(LAMP)
        shop.write(tiny_items()[1].item_id, None)
        shop.shown()
        before = {h.item_id: h.dense_score for h in shop.engine.retrieve("lamp", limit=100).hits}
        assert "lamp" in before
        shop.live.compact()
        made = shop.engine.directory / bundle.INDEX
        assert made.parent != root
        assert index_config(made) == config
        assert isinstance(open_vectors(made), Bfloat16Vectors)
        after = {h.item_id: h.dense_score for h in shop.engine.retrieve("lamp", limit=100).hits}
        # The new item's vector is rounded now; the others were before.
        assert after.pop("lamp") == pytest.approx(before.pop("lamp"), abs=2**-9)
        assert after == pytest.approx(before, abs=1e-6)
    with opened(root=root) as shop:
        assert shop.engine.directory == made.parent
        assert found(shop, "zyx reading lamp")[0] == "lamp"


def test_a_compaction_keeps_the_config_of_the_lexical_index(opened, tmp_path):
    root = tmp_path / "root"
    config = LexicalConfig(field_weights={"title": 2.0, "brand": 1.0})
    write_bundle(root, tiny_items(), choose_numerics(), lexical=config)
    with opened(root=root) as shop:
        shop.upsert(LAMP)
        shop.shown()
        shop.live.compact()
        assert shop.engine.directory != root
        assert LexicalConfig.read(shop.engine.directory / bundle.LEXICAL) == config


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
    command = (sys.executable, "-m", "live.index_build", tmp_path, tiny_bundle)
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
        assert shop.live.report().recall == 1.0  # the tiny index is exact
        shop.until(lambda: shop.live.report().pending == 0)
        assert len(shop.items()) == len(tiny_items()) + 30


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
