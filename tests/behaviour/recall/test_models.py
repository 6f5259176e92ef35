"""The count channels together: scores from 0 to 1, candidate lists and files."""

import numpy as np
import pytest
from scipy import sparse

from base.errors import InputError
from behaviour.recall.candidates import candidate_lists
from behaviour.recall.models import RecallConfig, RecallModels
from tests.behaviour.models.histories import day, interactions

SHOP = interactions([[(0, [0, 1]), (8, [0, 2])], [(4, [1]), (6, [2])], [(9, [0])], []], items=5)
NOW = day(10)
VECTORS = np.eye(5, dtype=np.float32)[[0, 1, 2, 3, 3]]


def models():
    return RecallModels.fit(SHOP, NOW, RecallConfig(), VECTORS)


def test_scores_are_from_0_to_1_and_the_best_item_has_1():
    channels = models()
    scores = channels.scores(SHOP, NOW)
    assert scores.shape == (len(channels.names), 4, 5)
    assert scores.min() == 0
    assert scores.max() == 1
    by_name = dict(zip(channels.names, scores, strict=True))
    best, half = by_name["repeat"][0, [0, 1]]
    assert (best, half) == (1, pytest.approx(np.log1p(25) / np.log1p(50)))
    assert by_name["popular_3"][3].tolist() == by_name["popular_3"][0].tolist()
    assert not by_name["also_bought"][3].any()


def test_candidates_are_the_best_of_each_channel_without_excluded_items():
    channels = models()
    everything = candidate_lists(channels, SHOP, NOW, 5)
    assert everything.rows[2].tolist()[:3] == [0, 1, 2]
    excluded = sparse.csr_matrix(np.array([[0] * 5, [0] * 5, [1, 0, 0, 0, 0], [0] * 5]))
    lists = candidate_lists(channels, SHOP, NOW, 5, excluded)
    assert 0 not in lists.rows[2]
    first = candidate_lists(channels, SHOP, NOW, 1)
    scores = channels.scores(SHOP, NOW)
    for user, (rows, where) in enumerate(zip(first.rows, first.where, strict=True)):
        best = {int(s[user].argmax()) for s in scores if s[user].any()}
        assert best <= set(rows[where].tolist())
        np.testing.assert_array_equal(
            first.scores[user, : where.sum()], scores[:, user, rows[where]].T
        )


def test_similar_texts_recall_an_item_that_was_never_sold():
    history = interactions([[(9, [3])]], items=5)
    assert 4 in candidate_lists(models(), history, NOW, 5).rows[0]


def test_channels_are_saved_and_opened(tmp_path):
    channels = models()
    channels.save(tmp_path)
    opened = RecallModels.open(tmp_path, 5)
    assert opened.names == channels.names
    np.testing.assert_array_equal(opened.scores(SHOP, NOW), channels.scores(SHOP, NOW))
    with pytest.raises(InputError, match="starts has the shape"):
        RecallModels.open(tmp_path, 6)
    (tmp_path / "recall.json").write_text('{"item_to_item": ["../x"]}')
    with pytest.raises(InputError, match="a name of a channel is a path"):
        RecallModels.open(tmp_path, 5)
