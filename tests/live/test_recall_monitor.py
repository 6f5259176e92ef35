"""Recall of the index in use: its first value, and the changes after which it is measured."""

from dataclasses import replace

import numpy as np
import pytest

from bert.numerics import choose_numerics
from live.errors import ClosedError
from live.recall_monitor import RecallMonitor
from search import bundle
from search.bundle import Manifest
from search.bundle.building import HELD_OUT, open_held_out
from search.request import RetrieveRequest
from tests.live.conftest import LAMP, Shop
from tests.tiny import HELD_OUT_QUERIES, tiny_items, write_bundle
from tests.towers.examples import needs_scann
from towers.index import IndexConfig

GIVEN = 0.125  # lower than any measured recall in these tests


def found_of_nearest(shop: Shop) -> float:
    """Return the mean share of the 10 nearest items that a search finds, without the monitor."""
    snapshot, shares = shop.engine.snapshot, []
    rows = np.flatnonzero(snapshot.catalogue.all_alive).astype(np.int32)
    vectors = snapshot.channels.vectors(rows)
    for query in open_held_out(shop.engine.directory / bundle.INDEX):
        nearest = rows[np.argsort(-(vectors @ query), kind="stable")[:10]]
        found = {
            hit.item_id
            for hit in shop.engine.retrieve(RetrieveRequest(vector=query, page_size=10)).hits
        }
        shares.append(len(found & {snapshot.catalogue.id(row) for row in nearest.tolist()}) / 10)
    return float(np.mean(shares))


@needs_scann
def test_recall_comes_from_the_manifest_until_enough_rows_change(opened, tmp_path):
    root = tmp_path / "root"
    # With these settings, a search compares very few items, so recall is below 1.
    index = IndexConfig("scann", recall_target=0.1, depth=1)
    write_bundle(root, tiny_items(), choose_numerics(), index=index)
    told = {"towers": {"pairs": 3}, "index": {"recall@10": GIVEN, "truncated": 1}}
    replace(Manifest.read(root), reports=told).write(root)
    with opened(root=root) as shop:
        assert shop.live.report().recall == GIVEN
        # Three rows are more than a twentieth of 48 items.
        for number in range(3):
            shop.upsert(replace(LAMP, item_id=f"lamp-{number}"))
        shop.until(lambda: shop.live.report().recall != GIVEN)
        measured = shop.live.report().recall
        assert measured == pytest.approx(found_of_nearest(shop))
        assert GIVEN < measured < 1
        shop.live.compact()
        assert shop.live.report().recall == pytest.approx(found_of_nearest(shop), abs=1e-4)
        manifest = Manifest.read(shop.engine.directory)
        assert manifest.reports["towers"] == {"pairs": 3}
        built = manifest.reports["index"]
        assert built["recall@10"] == shop.live.report().recall
        assert (built["kind"], built["items"], built["effort"]["reorder"]) == ("scann", 51, 1)
        size = sum(
            manifest.files[path]["size"] for path in manifest.files if path.startswith("index/")
        )
        assert built["bytes_per_item"] == round(size / 51)
        assert 0 <= built["build_seconds"] < 60  # rounded to a tenth of a second
        # This number counts texts of the root bundle, so the compacted bundle must not repeat it.
        assert "truncated" not in built
        compacted, given = (d / bundle.INDEX / HELD_OUT for d in (shop.engine.directory, root))
        assert compacted.read_bytes() == given.read_bytes()


def test_recall_is_measured_again_once_a_twentieth_of_the_rows_has_changed(shop):
    told = {"index": {"recall@10": GIVEN}}
    recall_monitor = RecallMonitor(replace(shop.engine.manifest, reports=told))
    shares = []
    # After three changes, more than a twentieth of 48 rows has changed: the fourth round measures.
    for item in tiny_items()[:4]:
        recall_monitor.update(shop.engine.snapshot, lambda: None)
        shares.append(recall_monitor.share)
        shop.write(item.item_id, None)
    assert shares == [GIVEN, GIVEN, GIVEN, 1.0]


@pytest.mark.parametrize("reports", [{}, {"index": None}, {"index": {}}])
def test_recall_missing_in_the_manifest_is_measured_at_once(shop, reports):
    recall_monitor = RecallMonitor(replace(shop.engine.manifest, reports=reports))
    assert recall_monitor.share is None
    recall_monitor.update(shop.engine.snapshot, lambda: None)
    assert recall_monitor.share == 1.0


def test_measuring_gives_way_at_each_step_and_can_be_ended(shop):
    steps = []
    RecallMonitor(shop.engine.manifest).update(shop.engine.snapshot, lambda: steps.append(1))
    # A step is a search of one query, or the comparison with one block of vectors.
    assert len(steps) == HELD_OUT_QUERIES + 1

    def closed() -> None:
        raise ClosedError("nobody wants it any more")

    recall_monitor = RecallMonitor(shop.engine.manifest)
    with pytest.raises(ClosedError):
        recall_monitor.update(shop.engine.snapshot, closed)
    assert recall_monitor.share is None
