"""The blend: weights that make right items likely, by the number of known actions."""

import numpy as np
import pytest
from scipy import optimize

from base.errors import InputError
from behaviour.recall.blend import GROUPS, Blend, Lists, group_of

CHANNELS = ("also_bought", "popular")


def lists(right_channel, actions, seed, users=200, candidates=20):
    """Make lists in which one channel draws the right item, and the other one is noise."""
    random = np.random.default_rng(seed)
    scores = random.random((users, candidates, 2)).astype(np.float32)
    logits = 8 * scores[..., right_channel] + random.gumbel(size=(users, candidates))
    targets = logits == logits.max(axis=1, keepdims=True)
    return Lists(scores, targets, np.ones_like(targets), np.full(users, actions))


def test_actions_are_grouped():
    assert group_of(np.array([0, 1, 2, 5, 6, 99])).tolist() == [0, 1, 2, 2, 3, 3]


def test_each_group_learns_the_channel_that_is_right_for_it():
    blend = Blend.fit(CHANNELS, [lists(1, 0, 0), lists(0, 9, 1)])
    new, known = blend.weights[0], blend.weights[-1]
    assert new[1] - new[0] > 2
    assert known[0] - known[1] > 2
    same = np.array([[[1, 0], [0, 1]]] * 2, np.float32)
    scores = blend.scores(same, np.array([0, 9]))
    assert scores[0, 1] > scores[0, 0]
    assert scores[1, 0] > scores[1, 1]


def test_a_group_without_lists_has_the_weights_of_all_users():
    blend = Blend.fit(CHANNELS, [lists(0, 9, 1)])
    np.testing.assert_array_equal(blend.weights[0], blend.weights[1])
    assert blend.weights[0, 0] > 2


def test_padding_and_lists_without_a_right_item_change_nothing():
    plain = lists(0, 9, 1)
    wide = Lists(
        np.concatenate([plain.scores, np.full((200, 3, 2), 9, np.float32)], axis=1),
        np.concatenate([plain.targets, np.ones((200, 3), bool)], axis=1),
        np.concatenate([plain.where, np.zeros((200, 3), bool)], axis=1),
        plain.actions,
    )
    empty = Lists(plain.scores, np.zeros_like(plain.targets), plain.where, plain.actions)
    expected = Blend.fit(CHANNELS, [plain]).weights
    np.testing.assert_allclose(Blend.fit(CHANNELS, [wide, empty]).weights, expected, atol=0.02)


def test_the_gradient_is_that_of_the_loss():
    from behaviour.recall.blend import _loss

    one = lists(0, 9, 1, users=5, candidates=6)
    weights = np.array([0.3, -0.2])
    numeric = optimize.approx_fprime(weights, lambda w: _loss(one, w)[0], 1e-3)
    np.testing.assert_allclose(_loss(one, weights)[1], numeric, atol=0.02)


def test_a_blend_is_saved_and_opened(tmp_path):
    blend = Blend(CHANNELS, np.arange(2 * len(GROUPS), dtype=np.float32).reshape(-1, 2))
    blend.save(tmp_path)
    np.testing.assert_array_equal(Blend.open(tmp_path, CHANNELS).weights, blend.weights)
    with pytest.raises(InputError, match="other channels"):
        Blend.open(tmp_path, ("popular", "also_bought"))
    (tmp_path / "blend.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be read"):
        Blend.open(tmp_path, CHANNELS)
