from dataclasses import replace

import numpy as np
import pytest

from search.channels.base import Query
from train.data.candidates import CandidatesConfig, dev_lists, training_lists, unjudged_negatives
from train.data.mine import MinedCandidates
from train.data.relevance import Relevance

CONFIG = CandidatesConfig(candidates=6, unjudged=2, margin=0.1, unjudged_weight=0.25)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_an_unjudged_item_counts_only_beyond_the_margin_below_the_positives():
    # The positive has the cosine 0.8, so unjudged items from 0.72 on may also be relevant.
    rows, cosines = ints(9, 3, 7, 5, 1, 2), floats(0.9, 0.75, 0.72, 0.71, 0.6, 0.5)
    assert unjudged_negatives(rows, cosines, ints(), 0.8, CONFIG).tolist() == [3, 4]
    assert unjudged_negatives(rows, cosines, ints(5, 9), 0.8, CONFIG).tolist() == [4, 5]
    assert unjudged_negatives(rows, cosines, ints(), 0.5, CONFIG).tolist() == []


def test_the_margin_lies_below_the_positives_also_where_their_cosine_is_negative():
    found = unjudged_negatives(ints(0, 1, 2), floats(-0.5, -0.54, -0.56), ints(), -0.5, CONFIG)
    assert found.tolist() == [2]


# Queries a, c and d are train queries, and b is a dev query. Query d has no relevant item.
# Item vectors are axes, so a query's vector consists of its cosines with items 0 to 7.
RELEVANCE = Relevance(
    queries=("a", "b", "c", "d"),
    splits=("train", "dev", "train", "train"),
    query=ints(0, 0, 1, 1, 2, 3, 3),
    item=ints(0, 1, 2, 6, 5, 0, 1),
    grade=floats(3, 1, 2, 3, 3, 1, 1),
    grade_min=1.0,
    relevant_from=2.0,
)
VECTORS = np.eye(8, dtype=np.float32)
QUERIES = np.array(
    [
        [0.8, 0.3, 0.75, 0.7, 0.5, 0.4, 0.2, 0.1],
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8],
        [0.9, 0.1, 0.1, 0.1, 0.1, 0.2, 0.1, 0.1],
        [0.9, 0.8, 0.1, 0.1, 0.1, 0.2, 0.1, 0.1],
    ],
    np.float32,
)
DEPTH = 6
ORDER = np.argsort(-QUERIES, axis=1, kind="stable")[:, :DEPTH].astype(np.int32)
RECALLED = MinedCandidates(ORDER, np.take_along_axis(QUERIES, ORDER, axis=1))


TEXTS = [f"item {row}" for row in range(8)]


def as_queries(vectors):
    return [Query("", vector) for vector in vectors]


def lists_of(config=CONFIG, relevance=RELEVANCE, seed=0, texts=TEXTS):
    return training_lists(relevance, RECALLED, VECTORS, as_queries(QUERIES), texts, config, seed)


def test_a_training_list_is_the_judged_items_and_the_hardest_safe_others():
    found = lists_of()
    assert found.query.tolist() == [0, 2]  # only a and c
    assert found.start.tolist() == [0, 4, 7]
    # Query a: the positive has the cosine 0.8. So items 3 (0.70) and 4 (0.50) are safe negatives,
    # but item 2 (0.75) is not.
    assert found.row[:4].tolist() == [0, 1, 3, 4]
    np.testing.assert_allclose(found.cosine[:4], [0.8, 0.3, 0.7, 0.5])
    np.testing.assert_allclose(found.gain[:4], [2, 0, 0, 0])
    np.testing.assert_allclose(found.weight[:4], [1, 1, 0.25, 0.25])
    assert found.judged[:4].tolist() == [True, True, False, False]
    # Query c: the positive, item 5, has the cosine 0.2. Item 0 (0.9) is above it, so it is no safe
    # negative; items 1 and 2 (0.1) are.
    assert found.row[4:].tolist() == [5, 1, 2]


def test_an_item_that_reads_like_a_judged_one_is_no_negative():
    texts = list(TEXTS)
    texts[3] = texts[0]
    assert lists_of(texts=texts).row[:4].tolist() == [0, 1, 4, 5]


def test_a_list_of_one_teaches_nothing_and_is_left_out():
    assert lists_of(replace(CONFIG, unjudged=0)).query.tolist() == [0]


def test_a_long_list_keeps_the_best_half_and_a_random_rest():
    judged = 20
    relevance = Relevance(
        queries=("a",), splits=("train",), query=ints(*[0] * judged),
        item=np.arange(judged, dtype=np.int32), grade=np.arange(judged, dtype=np.float32),
        grade_min=0.0, relevant_from=10.0,
    )  # fmt: skip
    vectors = np.eye(judged, dtype=np.float32)
    queries = np.ones((1, judged), np.float32)
    recalled = MinedCandidates(np.zeros((1, 0), np.int32), np.zeros((1, 0), np.float32))
    texts = [f"item {row}" for row in range(judged)]
    lists = [
        training_lists(relevance, recalled, vectors, as_queries(queries), texts, CONFIG, seed)
        for seed in range(8)
    ]
    kept = {tuple(found.row.tolist()) for found in lists}
    assert {rows[:3] for rows in kept} == {(19, 18, 17)}
    assert all(len(rows) == len(set(rows)) == 6 for rows in kept)
    assert len(kept) > 1


def test_so_many_queries_are_chosen_by_seed():
    chosen = {
        tuple(lists_of(replace(CONFIG, max_queries=1), seed=n).query.tolist()) for n in range(9)
    }
    # There is no list if the chosen query, d, has no relevant item.
    assert chosen == {(0,), (2,), ()}


def test_dev_lists_are_what_serving_would_rerank():
    found = dev_lists(RELEVANCE, RECALLED, queries=10, depth=4, seed=0)
    assert found.query.tolist() == [1]
    assert found.row.tolist() == [7, 6, 5, 4]
    # Item 2 is judged, but not recalled, so it is not in the list.
    np.testing.assert_allclose(found.gain, [0, 2, 0, 0])
    np.testing.assert_allclose(found.weight, 1)


@pytest.mark.parametrize("splits", [("test",) * 4, ("dev",) * 4])
def test_without_training_queries_there_are_no_lists(splits):
    found = lists_of(relevance=replace(RELEVANCE, splits=splits))
    assert len(found) == 0
    assert found.start.tolist() == [0]
    assert (found.row.dtype, found.cosine.dtype) == (np.int32, np.float32)
    if splits[0] == "test":
        assert len(dev_lists(RELEVANCE.only("train"), RECALLED, queries=3, depth=2, seed=0)) == 0


def test_what_was_mined_reads_back(tmp_path):
    RECALLED.write(tmp_path)
    again = MinedCandidates.read(tmp_path)
    np.testing.assert_array_equal(again.rows, RECALLED.rows)
    np.testing.assert_array_equal(again.cosines, RECALLED.cosines)
