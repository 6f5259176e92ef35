"""A bundle is searched with the channels that existed when it was built."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from base.errors import RequestError, StorageError
from live.log.write_ahead_log import Write
from search.bundle import BundleError, Manifest
from search.channels import CHANNELS
from search.channels.base import ChannelHits, MemoryWriter
from search.config import EngineConfig
from search.engine import Engine
from search.request import DENSE, LEXICAL, RetrieveRequest, SearchRequest
from tests.live.faults import Faults, FaultyIndex, raising

QUERY = "usb c charger"


class LastItem:
    """A third channel, which finds only the last item."""

    name = "last"
    default_weight = 2.0

    def __init__(self, size):
        self.size = size

    @classmethod
    def open(cls, _bundle, catalogue):
        return cls(len(catalogue))

    def search(self, _query, _depth, allowed=None):
        rows = np.array([self.size - 1], np.int32)
        rows = rows if allowed is None else rows[allowed[rows]]
        return ChannelHits(rows, np.ones(len(rows), np.float32))

    def scores(self, _query, rows):
        return (rows == self.size - 1).astype(np.float32)

    def writer(self, *_):
        return MemoryWriter(self)

    def extended(self, added):
        return LastItem(self.size + len(added.items))

    def warm_up(self, _depth):
        pass


def engine_of_later_version(directory):
    """Open a bundle with an engine that has a third channel, as a later version might."""
    channels = (*CHANNELS, LastItem)
    return Engine(directory, Manifest.read(directory), EngineConfig(), channels=channels)


@pytest.fixture
def with_last(tiny_bundle, tmp_path):
    """The tiny bundle, with a manifest of the version that has the third channel."""
    directory = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, directory)
    manifest = replace(Manifest.read(directory), channels=(DENSE, LEXICAL, LastItem.name))
    replace(manifest, bundle_id=manifest.identity()).write(directory)
    return directory


def test_a_bundle_of_before_a_channel_existed_loads_and_answers_as_before(tiny_bundle, engine):
    loaded = engine_of_later_version(tiny_bundle)
    request = SearchRequest.by_score(QUERY, rerank_depth=0)
    assert loaded.search(request).hits == engine.search(request).hits
    error = r"^channels\[0\]: names no channel of this bundle; give dense, lexical$"
    with pytest.raises(RequestError, match=error):
        loaded.retrieve(RetrieveRequest(QUERY, channels=(LastItem.name,)))


def test_a_bundle_with_the_channel_asks_it(with_last):
    engine = engine_of_later_version(with_last)
    last = engine.store.item(len(engine.store) - 1).item_id
    [alone] = engine.retrieve(RetrieveRequest(QUERY, channels=(LastItem.name,))).hits
    assert alone.item_id == last
    # The last item is first, because its channel has the weight 2.
    assert engine.retrieve(RetrieveRequest(QUERY)).hits[0].item_id == last


def test_written_items_reach_a_third_channel_also_after_a_failed_write(with_last, tmp_path):
    engine = engine_of_later_version(with_last)
    delta_index = FaultyIndex(engine, tmp_path / "scratch", Faults())

    def last() -> list[str]:
        hits = engine.retrieve(RetrieveRequest(QUERY, channels=(LastItem.name,))).hits
        return [hit.item_id for hit in hits]

    delta_index.apply([(1, Write("a", "one", {"title": "One"}))])
    delta_index.show(100)
    assert last() == ["one"]
    delta_index.apply([(2, Write("b", "two", {"title": "Two"}))])
    full = raising(StorageError("scratch: the disk is full"))
    with delta_index.faults.of(after_rows_are_added=full), pytest.raises(StorageError):
        delta_index.show(100)
    assert last() == ["one"]
    delta_index.show(100)
    assert last() == ["two"]
    delta_index.close()


def test_a_channel_that_this_version_lacks_is_refused(with_last):
    with pytest.raises(BundleError, match="channels last, which this version lacks"):
        Engine.load(with_last)


def test_the_id_of_a_bundle_depends_on_its_channels(tiny_bundle, with_last):
    assert Manifest.read(with_last).bundle_id != Manifest.read(tiny_bundle).bundle_id
