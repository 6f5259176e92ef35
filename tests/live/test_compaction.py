"""A live catalogue changes to another bundle: a compacted one, or one that it adopts."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bert.numerics import choose_numerics
from catalog.items import Item
from lexical.config import LexicalConfig
from live import compaction
from live.catalogue import open_newest
from live.compaction import CompactionError
from live.config import LiveConfig
from live.log.write_ahead_log import WriteLog
from search import bundle
from search.bundle import Manifest
from search.config import EngineConfig
from search.engine import Engine
from search.request import RetrieveRequest, SearchRequest, SuggestRequest
from search.understanding.synonyms import SYNONYMS_FILE
from tests.live.conftest import LAMP, SECONDS, found
from tests.live.faults import Encode
from tests.small_disk import small_disk
from tests.tiny import tiny_items, write_bundle, write_manifest
from towers.index import IndexConfig, index_config
from towers.vectors import Bfloat16Vectors, Int8Vectors, open_vectors


def test_a_compacted_bundle_gives_the_same_results_and_is_loaded_by_a_restart(
    opened, tmp_path, tiny_bundle
):
    with opened() as shop:
        shop.engine.config = EngineConfig(rerank_depth=7)
        shop.upsert(LAMP)
        shop.write(tiny_items()[0].item_id, {"price": 7.0, "in_stock": None}, whole=False)
        shop.write(tiny_items()[1].item_id, None)
        shop.shown()
        items = shop.items()
        hits = shop.engine.search(SearchRequest("zyx reading lamp", page_size=100)).hits
        models, config = shop.engine.models, shop.engine.config
        shop.live.compact()
        assert shop.engine.models is models
        assert shop.engine.config is config
        assert config.rerank_depth == 7  # the depth of golden queries is not kept
        assert shop.live.report().added == shop.live.report().dead == 0
        after = shop.engine.search(SearchRequest("zyx reading lamp", page_size=100)).hits
        # Scores may change a little, because term statistics depend on all items; so compare ids.
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
    # The compacted bundle is damaged, but the root bundle and the log still hold all items.
    with opened() as shop:
        assert shop.engine.directory == tiny_bundle
        assert shop.items() == items | {"lamp": replace(LAMP, price=1.5)}


@pytest.mark.parametrize(
    ("stored", "kind", "error"),
    [("bfloat16", Bfloat16Vectors, 2**-9), ("int8", Int8Vectors, 1 / 100)],
)
def test_a_catalogue_of_compressed_vectors_is_written_to_and_keeps_them_when_compacted(
    opened, tmp_path, stored, kind, error
):
    root = tmp_path / "root"
    config = IndexConfig(vectors=stored)
    write_bundle(root, tiny_items(), choose_numerics(), index=config)
    with opened(root=root) as shop:
        shop.upsert(LAMP)
        shop.write(tiny_items()[1].item_id, None)
        shop.shown()
        before = {
            h.item_id: h.channel_scores["dense"]
            for h in shop.engine.retrieve(RetrieveRequest("lamp", page_size=100)).hits
        }
        assert "lamp" in before
        shop.live.compact()
        made = shop.engine.directory / bundle.INDEX
        assert made.parent != root
        assert index_config(made) == config
        assert isinstance(open_vectors(made), kind)
        after = {
            h.item_id: h.channel_scores["dense"]
            for h in shop.engine.retrieve(RetrieveRequest("lamp", page_size=100)).hits
        }
        # Only the new item's vector changes: compaction rounds it. The others were already rounded.
        assert after.pop("lamp") == pytest.approx(before.pop("lamp"), abs=error)
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


def test_a_compaction_keeps_the_synonyms(opened, tmp_path):
    root = tmp_path / "root"
    write_bundle(root, tiny_items(), choose_numerics())
    (root / bundle.UNDERSTANDING).mkdir()
    (root / bundle.UNDERSTANDING / SYNONYMS_FILE).write_text("plug, charger\n")
    write_manifest(root, choose_numerics())
    with opened(root=root) as shop:
        shop.upsert(LAMP)
        shop.shown()
        shop.live.compact()
        assert shop.engine.directory != root
        synonyms = shop.engine.search(SearchRequest("plug")).interpretation.synonyms
        assert [synonym.alternative for synonym in synonyms] == ["charger"]


def test_a_start_passes_over_a_bundle_whose_results_changed(opened, tmp_path, tiny_bundle):
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


def test_compaction_refuses_model_files_that_changed_since_they_were_loaded(opened, tmp_path):
    root = tmp_path / "root"
    write_bundle(root, tiny_items()[:5], choose_numerics())
    with opened(root=root) as shop:
        shop.upsert(LAMP)
        config = root / bundle.TOWERS / "config.json"
        config.write_text(config.read_text() + " ")  # another bundle replaces it
        with pytest.raises(CompactionError, match="no longer the bundle that is served"):
            shop.live.compact()
        assert list((tmp_path / "state" / "bundles").iterdir()) == []
        shop.shown()
        assert found(shop, "zyx reading lamp")[0] == "lamp"


def test_a_compaction_without_room_is_refused_in_one_line_and_tried_again(opened, tmp_path, caplog):
    bundles = tmp_path / "state" / "bundles"
    build = partial(compaction.build, free_bytes=lambda _: 1_000_000)
    often = LiveConfig(
        compact_from=1, compact_share=0.001, check_seconds=0.01, retry_build_seconds=0.01
    )
    with opened(often, build_bundle=build) as shop:
        needed = compaction.room_needed(shop.engine, shop.engine.snapshot) / 1e6
        shop.upsert(LAMP)
        shop.until(lambda: shop.live.report().failed_compactions >= 3)
        reason = shop.live.report().compaction_failure.reason
        assert "lamp" in shop.items()
    assert reason == (
        f"{bundles}: a new bundle needs about {needed:.0f} MB, and the disk has 1 MB free; free "
        "space, or move the state to a larger disk"
    )
    [logged] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert logged.getMessage() == f"no new bundle was built, all writes are kept: reason={reason!r}"
    assert not bundles.exists()


def test_a_compaction_is_made_once_there_is_room(opened):
    free = 1_000_000
    with opened(build_bundle=partial(compaction.build, free_bytes=lambda _: free)) as shop:
        shop.upsert(LAMP)
        shop.shown()
        with pytest.raises(CompactionError, match="1 MB free"):
            shop.live.compact()
        assert shop.live.report().compaction_failure is not None
        free = 10**12
        shop.live.compact()
        report = shop.live.report()
        assert (report.compactions, report.failed_compactions) == (1, 1)
        assert report.compaction_failure is None
        assert "lamp" in shop.items()


def test_room_needed_grows_with_the_items_and_not_with_the_models(engine, tmp_path):
    def room(directory: Path) -> int:
        opened = Engine.load(directory, models=engine.models)
        return compaction.room_needed(opened, opened.snapshot)

    files = engine.manifest.files
    total = sum(entry["size"] for entry in files.values())
    snapshot = engine.snapshot
    assert compaction.room_needed(engine, snapshot) == int(1.1 * total)
    more = [Item(f"lamp-{number}", "A lamp") for number in range(len(snapshot.catalogue))]
    twice = replace(snapshot, catalogue=snapshot.catalogue.with_items(more))
    models = sum(
        entry["size"]
        for path, entry in files.items()
        if path.startswith(("towers/", "rerank/", "tokenizer/"))
    )
    assert compaction.room_needed(engine, twice) == int(1.1 * (models + 2 * (total - models)))
    config = IndexConfig(vectors="bfloat16")
    write_bundle(tmp_path / "short", tiny_items(), choose_numerics(), index=config)
    manifest = Manifest.read(tmp_path / "short")
    stored = sum(entry["size"] for entry in manifest.files.values())
    floats = len(tiny_items()) * snapshot.sample.shape[1] * 4
    assert room(tmp_path / "short") == int(1.1 * stored + floats)


def test_a_compaction_fits_in_the_room_that_it_needs_and_leaves_nothing_in_less(
    opened, engine, tmp_path
):
    needed = compaction.room_needed(engine, engine.snapshot)
    build = partial(compaction.build, free_bytes=lambda _: 10**12)  # begins in any case
    for size, fits in ((needed // 2, False), (needed, True)):
        with (
            small_disk(tmp_path / "state", str(size + 2**20)) as disk,  # a MiB for the log
            opened(build_bundle=build) as shop,
        ):
            shop.upsert(LAMP)
            shop.shown()
            before = shop.engine.directory
            if fits:
                shop.live.compact()
                assert shop.engine.directory.is_relative_to(disk.path)
            else:
                with pytest.raises(CompactionError, match="No space left"):
                    shop.live.compact()
                assert list((disk.path / "bundles").iterdir()) == []
                assert shop.engine.directory == before
            assert "lamp" in shop.items()
        disk.path.rmdir()


def test_modules_in_the_working_directory_do_not_replace_ours(shop, tmp_path):
    for name in ("base", "live", "search"):
        (tmp_path / "user" / name).mkdir(parents=True)
        (tmp_path / "user" / name / "__init__.py").write_text("raise SystemExit('hostile')")
    (tmp_path / "user" / "json.py").write_text("raise SystemExit('hostile')")
    shop.upsert(LAMP)
    shop.shown()
    with contextlib.chdir(tmp_path / "user"):
        shop.live.compact()
    assert "lamp" in shop.items()
    assert shop.live.report().added == 0


def test_the_index_build_process_ends_with_its_server(tiny_bundle, tmp_path):
    shutil.copy(tiny_bundle / bundle.ITEMS, tmp_path / bundle.ITEMS)
    (tmp_path / bundle.INDEX).mkdir()
    shutil.copy(tiny_bundle / bundle.INDEX / "vectors.npy", tmp_path / bundle.INDEX)
    command = (sys.executable, "-m", "live.index_build", tmp_path, tiny_bundle)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, env=environment, check=False)
    assert ended.returncode == 1
    assert [path.name for path in (tmp_path / bundle.INDEX).iterdir()] == ["vectors.npy"]


def test_an_adopted_bundle_has_all_writes(opened, tiny_bundle, tmp_path):
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


def test_many_changes_trigger_a_compaction_and_a_measurement(opened):
    with opened(LiveConfig(compact_from=10, compact_share=0.1)) as shop:
        for number in range(30):
            shop.upsert(replace(LAMP, item_id=f"lamp-{number}", title=f"Lamp number {number}"))
        shop.until(lambda: shop.live.report().compactions >= 1)
        assert shop.live.report().recall == 1.0  # a tiny bundle has an exact index
        shop.until(lambda: shop.live.report().pending == 0)
        assert len(shop.items()) == len(tiny_items()) + 30


def test_a_search_on_a_replaced_bundle_omits_items_deleted_since(shop):
    query = "voltix usb c charger 65 watt"
    first = found(shop, query)[0]
    before = shop.engine

    def meanwhile(_: object) -> None:
        shop.live.adopt(Engine.load(before.directory, models=before.models))
        shop.write(first, None)

    hits = before.search(SearchRequest(query), meanwhile).hits
    assert shop.engine is not before
    assert hits
    assert first not in [hit.item_id for hit in hits]


def test_pending_items_stay_pending_in_an_adopted_bundle(shop):
    shop.upsert(LAMP)
    shop.shown()
    engine = Engine.load(shop.engine.directory, models=shop.engine.models)
    texts: list[str] = []
    adopting, may = (
        threading.Thread(daemon=True, target=shop.live.adopt, args=(engine,)),
        threading.Event(),
    )

    def indexer_waits() -> None:
        if threading.current_thread() is not adopting:
            assert may.wait(SECONDS)

    def meanwhile(encode: Encode, given: Sequence[str]) -> np.ndarray:
        texts.extend(given)
        # Two more writes come while `adopt` encodes the copper lamp for the other bundle.
        if len(texts) == 1:
            shop.write("lamp", {"title": "Zyx steel lamp"}, whole=False)
            shop.write(tiny_items()[0].item_id, {"price": 99_000.0}, whole=False)
        return encode(given)

    # The indexer waits, so the other bundle is adopted before the copper lamp becomes visible.
    shop.faults.before_show = indexer_waits
    shop.write("lamp", {"title": "Zyx copper lamp"}, whole=False)
    shop.faults.encode = meanwhile
    adopting.start()
    shop.until(lambda: len(texts) == 1)
    shop.until(lambda: shop.live.report().sequence == 4)
    may.set()
    adopting.join(SECONDS)
    assert shop.engine is engine
    assert shop.items()[tiny_items()[0].item_id].price == 99_000.0
    shop.shown()
    assert shop.items()["lamp"] == replace(LAMP, title="Zyx steel lamp")


def test_a_start_removes_the_scratch_files_of_a_killed_process_and_a_stop_its_own(opened, tmp_path):
    scratch = tmp_path / "state" / "scratch"
    left = scratch / "lexical-left"
    left.mkdir(parents=True)
    (left / "link").symlink_to(tmp_path)
    with opened() as shop:
        assert not left.exists()
        assert not scratch.exists()  # nothing is written before there is an item to index
        shop.upsert(LAMP)
        shop.shown()
        [own] = scratch.iterdir()
        shop.live.adopt(Engine.load(shop.engine.directory, models=shop.engine.models))
        [other] = scratch.iterdir()
        assert own != other
    assert not scratch.exists()
    assert tmp_path.exists()


def test_a_compaction_suggests_from_past_queries_and_current_items(opened):
    def suggested(shop, prefix: str) -> list[str]:
        found = shop.engine.suggest(SuggestRequest(prefix)).suggestions
        return [suggestion.text for suggestion in found]

    with opened() as shop:
        for number in range(3):
            title = f"Brass reading lamp {number}"
            shop.upsert(Item(f"lamp-{number}", title, brand="Zyx", category="Home > Lamps"))
        shop.shown()
        assert suggested(shop, "zy") == suggested(shop, "brass") == []
        shop.live.compact()
        assert suggested(shop, "zy") == ["Zyx"]
        assert "brass reading lamp" in suggested(shop, "brass")
        assert "usb c charger" in suggested(shop, "usb")
