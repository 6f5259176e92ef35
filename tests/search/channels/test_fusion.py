"""Stage 1: channels, joined and extended, on a catalogue small enough to work out by hand."""

import numpy as np
import pytest

from catalog.schema import Item
from catalog.store import ItemStore
from lexical.index import LexicalIndex
from search.channels.append_buffer import AppendBuffer
from search.channels.base import Query, Ranked
from search.channels.dense import Dense
from search.channels.fusion import Recall
from search.channels.lexical import Lexical
from search.result import Channel
from search.signals import lexical_shares
from towers.exact import ExactIndex

TITLES = ("red lamp", "blue lamp", "oak desk", "DCD771C2 drill", "wool rug", "red rug", "pine desk")
WEIGHT = 0.4
WEIGHTS = {Channel.DENSE: 1.0, Channel.LEXICAL: WEIGHT}
WORDS = (Channel.LEXICAL,)


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
def recall(vectors, lexical):
    return Recall(Dense(ExactIndex(vectors), vectors, AppendBuffer(vectors[:0])), Lexical(lexical))


@pytest.mark.parametrize("query", ["red lamp", "dcd771c2", "desk of oak"])
@pytest.mark.parametrize("depth", [2, 4, len(TITLES)])
def test_the_joined_order_is_that_of_both_scores(recall, vectors, lexical, query, depth):
    vector = unit(np.random.default_rng(1).normal(size=8))
    found = recall.find(Query(query, vector), depth, WEIGHTS)
    everything = np.arange(len(TITLES), dtype=np.int32)
    scores = vectors @ vector + WEIGHT * lexical_shares(lexical, query, everything)
    assert len(found) == depth
    np.testing.assert_allclose(found.scores, scores[found.rows], atol=1e-6)
    np.testing.assert_allclose(found.cosines, (vectors @ vector)[found.rows], atol=1e-6)
    assert (np.diff(found.scores) <= 0).all()
    if depth == len(TITLES):
        assert found.rows.tolist() == np.argsort(-scores, kind="stable").tolist()


def test_an_exact_word_is_found_where_the_vectors_point_elsewhere(recall, vectors):
    drill = 3
    away = -vectors[drill]
    assert recall.nearest(away, len(TITLES)).rows[-1] == drill
    found = recall.find(Query("DCD771C2", away), 3, WEIGHTS)
    assert drill not in recall.nearest(away, 3).rows
    assert recall.find(Query("DCD771C2", away), 3, WEIGHTS, WORDS).rows.tolist() == [drill]
    everything = recall.find(Query("DCD771C2", away), len(TITLES), WEIGHTS)
    place = everything.rows.tolist().index(drill)
    assert everything.channels(place) == {Channel.DENSE: len(TITLES), Channel.LEXICAL: 1}
    assert len(found) == 3


def test_a_query_without_known_words_is_left_to_the_vectors(recall, vectors):
    found = recall.find(Query("zebra", vectors[0]), 4, WEIGHTS)
    dense = recall.nearest(vectors[0], 4)
    assert found.rows.tolist() == dense.rows.tolist()
    np.testing.assert_array_equal(found.scores, dense.scores)
    assert not found.ranks[Channel.LEXICAL].any()
    assert len(recall.find(Query("zebra", vectors[0]), 4, WEIGHTS, WORDS)) == 0


def test_a_weight_of_nothing_leaves_the_words_out(recall, vectors):
    found = recall.find(Query("red lamp", vectors[4]), 5, WEIGHTS | {Channel.LEXICAL: 0.0})
    assert found.rows.tolist() == recall.nearest(vectors[4], 5).rows.tolist()
    assert set(found.ranks) == {Channel.DENSE}


def test_extending_keeps_the_head_and_adds_every_other_item_once(recall, vectors):
    query = Query("red lamp", vectors[2])
    found = recall.find(query, 3, WEIGHTS)
    for depth in (3, 5, len(TITLES), 100):
        longer = recall.extended(found, query, depth)
        assert longer.rows[:3].tolist() == found.rows.tolist()
        assert len(set(longer.rows.tolist())) == len(longer) == min(depth, len(TITLES))
        assert (np.diff(longer.scores) <= 0).all()
        for place in range(3, len(longer)):
            assert set(longer.channels(place)) == {Channel.DENSE}


def test_within_a_filter_both_channels_find_only_what_passes(recall, vectors, lexical):
    allowed = np.array([title != "red lamp" for title in TITLES])
    query = Query("red lamp", vectors[0])
    found = recall.find(query, len(TITLES), WEIGHTS, allowed=allowed)
    everything = recall.find(query, len(TITLES), WEIGHTS)
    assert found.rows.tolist() == [row for row in everything.rows.tolist() if allowed[row]]
    # A share is of the best item of all, so that a filter changes no score.
    scores = dict(zip(everything.rows.tolist(), everything.scores.tolist(), strict=True))
    np.testing.assert_allclose(
        found.scores, [scores[row] for row in found.rows.tolist()], atol=1e-6
    )
    words = recall.find(query, 5, WEIGHTS, WORDS)
    assert recall.find(query, 5, WEIGHTS, WORDS, allowed).rows.tolist() == [
        row for row in words.rows.tolist() if allowed[row]
    ]


@pytest.mark.parametrize("indexed", [len(TITLES), 4, 0])
def test_vectors_and_scores_of_rows_are_those_of_the_items_added_ones_too(
    vectors, lexical, indexed
):
    old, added = vectors[:indexed], vectors[indexed:]
    parts = Recall(Dense(ExactIndex(vectors), old, AppendBuffer(added)), Lexical(lexical))
    rows = np.array([5, 0, 6, 3], np.int32)
    np.testing.assert_array_equal(parts.vectors(rows), vectors[rows])
    query = Query("red lamp", unit(np.random.default_rng(1).normal(size=8)))
    cosines = vectors[rows] @ query.vector
    shares = lexical_shares(lexical, query.text, rows)
    np.testing.assert_allclose(
        parts.scores(query, rows, WEIGHTS), cosines + WEIGHT * shares, atol=1e-6
    )
    alone = {Channel.DENSE: 1.0, Channel.LEXICAL: 0.0}
    np.testing.assert_allclose(parts.scores(query, rows, alone), cosines, atol=1e-6)
    assert parts.scores(query, rows[:0], WEIGHTS).shape == (0,)


class Popular:
    """A third channel: the same items for every query."""

    name = "popular"
    shares = np.array([0, 0.1, 0.9, 0, 1, 0.8, 0], np.float32)

    def search(self, _query, depth, allowed=None):
        rows = np.argsort(-self.shares, kind="stable").astype(np.int32)
        rows = rows[self.shares[rows] > 0]
        rows = (rows if allowed is None else rows[allowed[rows]])[:depth]
        return Ranked(rows, self.shares[rows])

    def scores(self, _query, rows):
        return self.shares[rows]


@pytest.mark.parametrize("depth", [2, len(TITLES)])
def test_a_third_channel_is_joined_like_the_two(vectors, lexical, depth):
    dense = Dense(ExactIndex(vectors), vectors, AppendBuffer(vectors[:0]))
    three = Recall(dense, Lexical(lexical), Popular())
    query, weights = Query("red lamp", vectors[3]), WEIGHTS | {Popular.name: 2.0}
    everything = np.arange(len(TITLES), dtype=np.int32)
    shares = lexical_shares(lexical, query.text, everything)
    scores = vectors @ query.vector + WEIGHT * shares + 2.0 * Popular.shares
    np.testing.assert_allclose(three.scores(query, everything, weights), scores, atol=1e-6)
    best = np.argsort(-scores, kind="stable").tolist()
    found = three.find(query, depth, weights)
    # At depth 2 as well: the best two by all scores are the most popular two.
    assert found.rows.tolist() == best[:depth]
    np.testing.assert_allclose(found.scores, scores[found.rows], atol=1e-6)
    assert found.channels(0)[Popular.name] == 1
    for name, ranks in found.ranks.items():
        alone = three.find(query, depth, weights, (name,)).rows.tolist()
        expected = [alone.index(row) + 1 if row in alone else 0 for row in found.rows.tolist()]
        assert ranks.tolist() == expected
    assert set(found.ranks) == {*Channel, Popular.name}
    both = three.find(query, depth, weights, (Channel.LEXICAL, Popular.name))
    np.testing.assert_allclose(both.cosines, (vectors @ query.vector)[both.rows], atol=1e-6)
    assert set(both.ranks) == {Channel.LEXICAL, Popular.name}
    grown = three.extended_by(vectors[:0], lexical).find(query, depth, weights)
    assert grown.rows.tolist() == found.rows.tolist()
