"""Fusion and extension of channels, on a catalogue that is small enough for paper."""

import numpy as np
import pytest

from catalog.items import Item
from catalog.store import ItemStore
from lexical.index import LexicalIndex
from lexical.live_index import LiveLexicalIndex
from search.bundle import Manifest, list_files
from search.channels.append_buffer import AppendBuffer
from search.channels.base import AddedRows, ChannelHits, MemoryWriter, Query
from search.channels.dense import DenseChannel
from search.channels.fusion import Channels, ChannelsWriter, recall_scores
from search.channels.lexical import LexicalChannel, LexicalWriter
from search.request import DENSE, LEXICAL
from towers.exact import ExactIndex

TITLES = ("red lamp", "blue lamp", "oak desk", "DCD771C2 drill", "wool rug", "red rug", "pine desk")
WEIGHT = 0.4
WEIGHTS = {DENSE: 1.0, LEXICAL: WEIGHT}
WORDS = (LEXICAL,)


def unit(rows):
    vectors = np.asarray(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture
def vectors():
    return unit(np.random.default_rng(0).normal(size=(len(TITLES), 8)))


@pytest.fixture
def lexical(tmp_path):
    items = [Item(f"i{row}", title) for row, title in enumerate(TITLES)]
    return LexicalIndex.build(ItemStore.of(items), tmp_path / "lexical")


@pytest.fixture
def channels(vectors, lexical):
    dense = DenseChannel(ExactIndex(vectors), vectors, AppendBuffer(vectors[:0]))
    return Channels([dense, LexicalChannel(lexical)])


def lexical_shares(lexical, query, rows):
    """Return the BM25 of rows, divided by the best BM25 of all rows."""
    _, best = lexical.search(query, 1)
    return lexical.scores(query, rows) / (best[0] if len(best) else 1)


def totals(channels, query, rows, weights):
    return recall_scores(channels.scores(query, rows), weights)


@pytest.mark.parametrize("query", ["red lamp", "dcd771c2", "desk of oak"])
@pytest.mark.parametrize("depth", [2, 4, len(TITLES)])
def test_the_joined_order_is_that_of_both_scores(channels, vectors, lexical, query, depth):
    vector = unit(np.random.default_rng(1).normal(size=8))
    found = channels.recall(Query(query, vector), depth, WEIGHTS)
    everything = np.arange(len(TITLES), dtype=np.int32)
    scores = vectors @ vector + WEIGHT * lexical_shares(lexical, query, everything)
    assert len(found) == depth
    np.testing.assert_allclose(found.recall_scores, scores[found.rows], atol=1e-6)
    np.testing.assert_allclose(
        found.channel_scores[DENSE], (vectors @ vector)[found.rows], atol=1e-6
    )
    assert (np.diff(found.recall_scores) <= 0).all()
    if depth == len(TITLES):
        assert found.rows.tolist() == np.argsort(-scores, kind="stable").tolist()


def test_an_exact_word_is_found_where_the_vectors_point_elsewhere(channels, vectors):
    drill = 3
    away = -vectors[drill]
    assert channels.nearest(away, len(TITLES)).rows[-1] == drill
    found = channels.recall(Query("DCD771C2", away), 3, WEIGHTS)
    assert drill not in channels.nearest(away, 3).rows
    assert channels.recall(Query("DCD771C2", away), 3, WEIGHTS, WORDS).rows.tolist() == [drill]
    everything = channels.recall(Query("DCD771C2", away), len(TITLES), WEIGHTS)
    place = everything.rows.tolist().index(drill)
    assert everything.ranks_at(place) == {DENSE: len(TITLES), LEXICAL: 1}
    assert len(found) == 3


def test_a_query_without_known_words_is_left_to_the_vectors(channels, vectors):
    found = channels.recall(Query("zebra", vectors[0]), 4, WEIGHTS)
    dense = channels.nearest(vectors[0], 4)
    assert found.rows.tolist() == dense.rows.tolist()
    np.testing.assert_array_equal(found.recall_scores, dense.recall_scores)
    assert not found.ranks[LEXICAL].any()
    assert len(channels.recall(Query("zebra", vectors[0]), 4, WEIGHTS, WORDS)) == 0


def test_a_weight_of_nothing_leaves_the_words_out(channels, vectors):
    found = channels.recall(Query("red lamp", vectors[4]), 5, WEIGHTS | {LEXICAL: 0.0})
    assert found.rows.tolist() == channels.nearest(vectors[4], 5).rows.tolist()
    assert set(found.ranks) == {DENSE}


def test_extending_keeps_the_head_and_adds_every_other_item_once(channels, vectors):
    query = Query("red lamp", vectors[2])
    found = channels.recall(query, 3, WEIGHTS)
    for depth in (3, 5, len(TITLES), 100):
        longer = channels.deepened(found, query, depth)
        assert longer.rows[:3].tolist() == found.rows.tolist()
        assert len(set(longer.rows.tolist())) == len(longer) == min(depth, len(TITLES))
        assert (np.diff(longer.recall_scores) <= 0).all()
        for place in range(3, len(longer)):
            assert set(longer.ranks_at(place)) == {DENSE}


def test_within_a_filter_both_channels_find_only_what_passes(channels, vectors, lexical):
    allowed = np.array([title != "red lamp" for title in TITLES])
    query = Query("red lamp", vectors[0])
    found = channels.recall(query, len(TITLES), WEIGHTS, allowed=allowed)
    everything = channels.recall(query, len(TITLES), WEIGHTS)
    assert found.rows.tolist() == [row for row in everything.rows.tolist() if allowed[row]]
    # A lexical score is divided by the best score of all items, also of items that do not pass.
    # So a filter changes no score.
    scores = dict(zip(everything.rows.tolist(), everything.recall_scores.tolist(), strict=True))
    np.testing.assert_allclose(
        found.recall_scores, [scores[row] for row in found.rows.tolist()], atol=1e-6
    )
    words = channels.recall(query, 5, WEIGHTS, WORDS)
    assert channels.recall(query, 5, WEIGHTS, WORDS, allowed).rows.tolist() == [
        row for row in words.rows.tolist() if allowed[row]
    ]


@pytest.mark.parametrize("indexed", [len(TITLES), 4, 0])
def test_vectors_and_scores_of_rows_are_those_of_the_items_added_ones_too(
    vectors, lexical, indexed
):
    old, added = vectors[:indexed], vectors[indexed:]
    dense = DenseChannel(ExactIndex(vectors), old, AppendBuffer(added))
    parts = Channels([dense, LexicalChannel(lexical)])
    rows = np.array([5, 0, 6, 3], np.int32)
    np.testing.assert_array_equal(parts.vectors(rows), vectors[rows])
    query = Query("red lamp", unit(np.random.default_rng(1).normal(size=8)))
    cosines = vectors[rows] @ query.vector
    shares = lexical_shares(lexical, query.text, rows)
    np.testing.assert_allclose(
        totals(parts, query, rows, WEIGHTS), cosines + WEIGHT * shares, atol=1e-6
    )
    alone = {DENSE: 1.0, LEXICAL: 0.0}
    np.testing.assert_allclose(totals(parts, query, rows, alone), cosines, atol=1e-6)
    assert totals(parts, query, rows[:0], WEIGHTS).shape == (0,)
    known = {DENSE: cosines + 1, LEXICAL: np.full(4, np.nan, np.float32)}
    scores = parts.scores(query, rows, known)
    np.testing.assert_array_equal(scores[DENSE], cosines + 1)  # not computed again
    np.testing.assert_array_equal(scores[LEXICAL], shares)


SHARES = np.array([0, 0.1, 0.9, 0, 1, 0.8, 0], np.float32)


class Popular:
    """A third channel, which scores items by popularity, whatever the query is."""

    name = "popular"
    default_weight = 1.0

    def __init__(self, shares):
        self.shares = shares

    @classmethod
    def open(cls, _bundle, _catalogue):
        return cls(SHARES)

    def search(self, _query, depth, allowed=None):
        rows = np.argsort(-self.shares, kind="stable").astype(np.int32)
        rows = rows[self.shares[rows] > 0]
        rows = (rows if allowed is None else rows[allowed[rows]])[:depth]
        return ChannelHits(rows, self.shares[rows])

    def scores(self, _query, rows):
        return self.shares[rows]

    def writer(self, *_):
        return MemoryWriter(self)

    def extended(self, added):
        # The popularity of an added item is a fifth of its rating.
        more = [item.rating / 5 for item in added.items]
        return Popular(np.append(self.shares, more).astype(np.float32))

    def warm_up(self, _depth):
        pass


@pytest.mark.parametrize("depth", [2, len(TITLES)])
def test_a_third_channel_is_joined_like_the_two(vectors, lexical, depth):
    dense = DenseChannel(ExactIndex(vectors), vectors, AppendBuffer(vectors[:0]))
    three = Channels([dense, LexicalChannel(lexical), Popular(SHARES)])
    query, weights = Query("red lamp", vectors[3]), WEIGHTS | {Popular.name: 2.0}
    everything = np.arange(len(TITLES), dtype=np.int32)
    shares = lexical_shares(lexical, query.text, everything)
    scores = vectors @ query.vector + WEIGHT * shares + 2.0 * SHARES
    np.testing.assert_allclose(totals(three, query, everything, weights), scores, atol=1e-6)
    best = np.argsort(-scores, kind="stable").tolist()
    found = three.recall(query, depth, weights)
    # This also holds at depth 2, because the two best items are the two most popular ones.
    assert found.rows.tolist() == best[:depth]
    np.testing.assert_allclose(found.recall_scores, scores[found.rows], atol=1e-6)
    assert found.ranks_at(0)[Popular.name] == 1
    for name, ranks in found.ranks.items():
        alone = three.recall(query, depth, weights, (name,)).rows.tolist()
        expected = [alone.index(row) + 1 if row in alone else 0 for row in found.rows.tolist()]
        assert ranks.tolist() == expected
    assert set(found.ranks) == {DENSE, LEXICAL, Popular.name}
    both = three.recall(query, depth, weights, (LEXICAL, Popular.name))
    np.testing.assert_allclose(
        both.channel_scores[DENSE], (vectors @ query.vector)[both.rows], atol=1e-6
    )
    assert set(both.ranks) == {LEXICAL, Popular.name}


def test_added_rows_reach_every_channel(vectors, lexical, tmp_path):
    dense = DenseChannel(ExactIndex(vectors), vectors, AppendBuffer(vectors[:0]))
    three = Channels([dense, LexicalChannel(lexical), Popular(SHARES)])
    added = [Item("i7", "copper kettle", rating=5.0), Item("i8", "tin kettle", rating=0.0)]
    titles = [*TITLES, *(item.title for item in added)]
    store = ItemStore.of([Item(f"i{row}", title) for row, title in enumerate(titles)])
    longer_index = LexicalIndex.build(store, tmp_path / "longer")
    more = unit(np.random.default_rng(2).normal(size=(2, 8)))
    manifest = Manifest(
        "", "2024-01-31T09:30:00Z", None, "float32", {}, {}, {}, list_files(tmp_path)
    )
    writer = ChannelsWriter(three, tmp_path, manifest, tmp_path / "scratch")
    grown = writer.extended(AddedRows(len(TITLES), added, more, []))
    writer.close()

    query, weights = Query("kettle", more[0]), WEIGHTS | {Popular.name: 2.0}
    rows = np.arange(len(titles), dtype=np.int32)
    shares = np.append(SHARES, [1.0, 0.0])
    words = lexical_shares(longer_index, "kettle", rows)
    scores = np.concatenate([vectors, more]) @ more[0] + WEIGHT * words + 2.0 * shares
    np.testing.assert_allclose(totals(grown, query, rows, weights), scores, atol=1e-6)
    found = grown.recall(query, len(titles), weights)
    assert found.rows.tolist() == np.argsort(-scores, kind="stable").tolist()
    assert found.ranks_at(0) == {DENSE: 1, LEXICAL: 1, Popular.name: 2}
    # The channels before the extension do not have the added rows.
    assert len(three.recall(query, 100, weights)) == len(TITLES)


def test_the_lexical_index_drops_dead_rows_also_among_the_added_ones(lexical, tmp_path):
    writer = LexicalWriter(LiveLexicalIndex(tmp_path / "lexical", lexical, tmp_path / "scratch"))
    added = [Item("i7", "copper lamp"), Item("i8", "tin lamp")]
    none = np.zeros((2, 8), np.float32)
    grown = writer.extended(AddedRows(len(TITLES), added, none, [0, len(TITLES) + 1]))
    writer.close()
    assert sorted(grown.index.search("lamp", 9)[0].tolist()) == [1, len(TITLES)]
    assert sorted(lexical.search("lamp", 9)[0].tolist()) == [0, 1]
