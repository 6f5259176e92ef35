"""Items that were never sold keep the ranks that recall gave them."""

import numpy as np

from rerank.recommend.recommender import with_kept_ranks


def test_some_candidates_keep_their_ranks_and_the_others_are_in_the_order_of_their_scores():
    random = np.random.default_rng(0)
    scores = random.normal(size=(200, 12)).astype(np.float32)
    is_ranked = random.random(scores.shape) < random.random((200, 1))
    lengths = random.integers(13, size=200)
    where = np.arange(12) < lengths[:, None]
    found = with_kept_ranks(scores, is_ranked, where)
    np.testing.assert_array_equal(found[is_ranked | ~where], scores[is_ranked | ~where])
    for user, length in enumerate(lengths):
        order = np.argsort(-found[user, :length], kind="stable")
        kept = np.flatnonzero(~is_ranked[user, :length])
        np.testing.assert_array_equal(np.flatnonzero(~is_ranked[user, order]), kept)
        np.testing.assert_array_equal(order[kept], kept)
        assert len(np.unique(found[user, :length])) == length


def test_without_such_candidates_the_scores_do_not_change():
    scores = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)
    ones = np.ones(scores.shape, np.bool_)
    np.testing.assert_array_equal(with_kept_ranks(scores, ones, ones), scores)
