"""Stage 1: channels, joined and extended, on a catalogue small enough to work out by hand."""

import numpy as np
import pytest

from catalog.schema import Item
from catalog.store import ItemStore
from lexical.index import LexicalIndex
from search.growing import Growing
from search.ranking import lexical_shares
from search.recall import Recall
from search.records import Channel
from towers.exact import ExactIndex

TITLES = ("red lamp", "blue lamp", "oak desk", "DCD771C2 drill", "wool rug", "red rug", "pine desk")
WEIGHT = 0.4


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
    return Recall(ExactIndex(vectors), vectors, Growing(vectors[:0]), lexical)


@pytest.mark.parametrize("query", ["red lamp", "dcd771c2", "desk of oak"])
@pytest.mark.parametrize("depth", [2, 4, len(TITLES)])
def test_the_joined_order_is_that_of_both_scores(recall, vectors, lexical, query, depth):
    vector = unit(np.random.default_rng(1).normal(size=8))
    found = recall.joined(query, vector, depth, WEIGHT)
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
    found = recall.joined("DCD771C2", away, 3, WEIGHT)
    assert drill not in recall.nearest(away, 3).rows
    assert recall.matching("DCD771C2", away, 3).rows.tolist() == [drill]
    everything = recall.joined("DCD771C2", away, len(TITLES), WEIGHT)
    place = everything.rows.tolist().index(drill)
    assert everything.channels(place) == {Channel.DENSE: len(TITLES), Channel.LEXICAL: 1}
    assert len(found) == 3


def test_a_query_without_known_words_is_left_to_the_vectors(recall, vectors):
    found = recall.joined("zebra", vectors[0], 4, WEIGHT)
    dense = recall.nearest(vectors[0], 4)
    assert found.rows.tolist() == dense.rows.tolist()
    np.testing.assert_array_equal(found.scores, dense.scores)
    assert not found.ranks[Channel.LEXICAL].any()
    assert len(recall.matching("zebra", vectors[0], 4)) == 0


def test_a_weight_of_nothing_leaves_the_words_out(recall, vectors):
    found = recall.joined("red lamp", vectors[4], 5, 0.0)
    assert found.rows.tolist() == recall.nearest(vectors[4], 5).rows.tolist()
    assert set(found.ranks) == {Channel.DENSE}


def test_extending_keeps_the_head_and_adds_every_other_item_once(recall, vectors):
    found = recall.joined("red lamp", vectors[2], 3, WEIGHT)
    for depth in (3, 5, len(TITLES), 100):
        longer = recall.extended(found, vectors[2], depth)
        assert longer.rows[:3].tolist() == found.rows.tolist()
        assert len(set(longer.rows.tolist())) == len(longer) == min(depth, len(TITLES))
        assert (np.diff(longer.scores) <= 0).all()
        for place in range(3, len(longer)):
            assert set(longer.channels(place)) == {Channel.DENSE}


def test_within_a_filter_both_channels_find_only_what_passes(recall, vectors, lexical):
    allowed = np.array([title != "red lamp" for title in TITLES])
    vector = vectors[0]
    found = recall.joined("red lamp", vector, len(TITLES), WEIGHT, allowed)
    everything = recall.joined("red lamp", vector, len(TITLES), WEIGHT)
    assert found.rows.tolist() == [row for row in everything.rows.tolist() if allowed[row]]
    # A share is of the best item of all, so that a filter changes no score.
    scores = dict(zip(everything.rows.tolist(), everything.scores.tolist(), strict=True))
    np.testing.assert_allclose(
        found.scores, [scores[row] for row in found.rows.tolist()], atol=1e-6
    )
    assert recall.matching("red lamp", vector, 5, allowed).rows.tolist() == [
        row for row in recall.matching("red lamp", vector, 5).rows.tolist() if allowed[row]
    ]


@pytest.mark.parametrize("indexed", [len(TITLES), 4, 0])
def test_vectors_and_scores_of_rows_are_those_of_the_items_added_ones_too(
    vectors, lexical, indexed
):
    old, added = vectors[:indexed], vectors[indexed:]
    parts = Recall(ExactIndex(vectors), old, Growing(added), lexical)
    rows = np.array([5, 0, 6, 3], np.int32)
    np.testing.assert_array_equal(parts.vectors(rows), vectors[rows])
    vector = unit(np.random.default_rng(1).normal(size=8))
    shares = lexical_shares(lexical, "red lamp", rows)
    np.testing.assert_allclose(
        parts.scores("red lamp", vector, rows, WEIGHT),
        vectors[rows] @ vector + WEIGHT * shares,
        atol=1e-6,
    )
    np.testing.assert_allclose(
        parts.scores("red lamp", vector, rows, 0.0), vectors[rows] @ vector, atol=1e-6
    )
    assert parts.scores("red lamp", vector, rows[:0], WEIGHT).shape == (0,)
