"""Models of counts: values computed by hand or by another formula, and files."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from base.errors import InputError
from behaviour.interactions import SECONDS_PER_DAY, Interactions
from behaviour.models.cooccurrence import CooccurrenceConfig, fit_cooccurrence
from behaviour.models.ease import EaseConfig, ease_weights, fit_ease
from behaviour.models.item_to_item import HistoryDecay, ItemToItem, largest_of_rows
from behaviour.models.markov import MarkovConfig, fit_markov
from behaviour.models.popularity import Popularity
from behaviour.models.repeat import Repeat
from behaviour.models.similar_text import SimilarTextConfig, fit_similar_text
from behaviour.models.text_fill import TextFillConfig, text_fill
from catalog.events import EVENT_TYPES
from tests.behaviour.models.histories import day, interactions

NO_DECAY = HistoryDecay()
# Three users; day 10 is the time of all questions.
SHOP = interactions(
    [
        [(0, [0, 1]), (8, [0, 2])],
        [(4, [1]), (6, [2])],
        [(9, [0])],
    ]
)
NOW = day(10)


def test_popularity_counts_windows_and_decays():
    popularity = Popularity.fit(SHOP, NOW, 2.0, windows_days=(1.0, 4.0, 10.0))
    assert popularity.counts.tolist() == [[1, 0, 0, 0], [2, 0, 2, 0], [3, 2, 2, 0]]
    expected = [2**-5 + 2**-1 + 2**-0.5, 2**-5 + 2**-3, 2**-1 + 2**-2, 0]
    np.testing.assert_allclose(popularity.scores(SHOP, NOW), [expected] * 3, rtol=1e-6)
    assert popularity.window(4.0).tolist() == [2, 0, 2, 0]
    assert popularity.first.tolist() == [day(0), day(0), day(6), -1]
    assert popularity.last.tolist() == [day(9), day(4), day(8), -1]


def test_popularity_counts_only_events_before_now():
    assert Popularity.fit(SHOP, day(8), 2.0, windows_days=(30.0,)).counts.tolist() == [[1, 2, 1, 0]]


def test_repeat_scores_own_items_by_count_and_recency():
    assert Repeat().scores(SHOP, NOW)[0].tolist() == [2, 1, 1, 0]
    decayed = Repeat(half_life_days=2.0).scores(SHOP, NOW)
    np.testing.assert_allclose(decayed[0], [2**-5 + 2**-1, 2**-5, 2**-1, 0], rtol=1e-6)


def test_histories_decay_by_days_and_by_sessions():
    weights = HistoryDecay(half_life_days=4.0, half_life_sessions=2.0).matrix(SHOP, NOW).toarray()
    first, second = 2**-2.5 * 2**-0.5, 2**-0.5
    np.testing.assert_allclose(weights[0], [second, first, second, 0], rtol=1e-6)


def test_item_to_item_adds_the_weights_of_the_history():
    weights = sparse.csr_matrix(np.array([[0, 2, 3], [5, 0, 7], [0, 0, 0]], np.float32))
    histories = interactions([[(0, [0]), (1, [1])], []], items=3)
    model = ItemToItem(weights, HistoryDecay(half_life_sessions=1.0))
    assert model.scores(histories, day(1)).tolist() == [[5, 1, 8.5], [0, 0, 0]]


def test_only_the_largest_weights_of_a_row_are_kept():
    weights = sparse.csr_matrix(np.array([[1, -3, 2], [0, 0, 4]], np.float32))
    assert largest_of_rows(weights, 2).toarray().tolist() == [[0, -3, 2], [0, 0, 4]]


def test_ease_solves_its_least_squares_problem():
    # Each column of B minimises |X_j - X b|² + λ|b|² with b_j = 0: solve it column by column.
    x, penalty = np.random.default_rng(0).integers(0, 2, (9, 4)).astype(np.float32), 0.7
    expected = np.zeros((4, 4))
    for j in range(4):
        others = [i for i in range(4) if i != j]
        a = x[:, others]
        expected[others, j] = np.linalg.solve(a.T @ a + penalty * np.eye(3), a.T @ x[:, j])
    np.testing.assert_allclose(ease_weights(x.T @ x, penalty), expected, atol=1e-5)


def test_ease_refuses_a_penalty_that_is_too_small():
    with pytest.raises(InputError, match="give a larger one"):
        ease_weights(np.ones((3, 3), np.float32), 0.0)


def test_events_of_other_types_count_less_than_purchases_of_the_same_time():
    names = ("purchase", "view", "impression", "return", "add_to_cart")
    types = np.array([EVENT_TYPES.index(name) for name in names])
    numbers, now = np.arange(5), 10 * SECONDS_PER_DAY
    times = np.full(5, now - 7 * SECONDS_PER_DAY)
    history = Interactions.sorted_by_time(["u"], 5, numbers * 0, numbers, types, times, numbers * 0)
    matrix = HistoryDecay(half_life_days=14.0).matrix(history, now).toarray()[0]
    half = 2**-0.5  # of a week by the half-life of the history
    np.testing.assert_allclose(matrix, half * np.array([1, 0.15, 0, 0, 0.7 * 2 ** (-7 / 30)]), 1e-5)
    assert Repeat().scores(history, now)[0].tolist() == [1, 0, 0, 0, 0]


def test_items_without_events_count_like_items_with_similar_texts():
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1], [1, 0]], np.float32)
    config = TextFillConfig(neighbours=2, power=1.0, strength=0.5)
    fill = text_fill(vectors, np.array([True, True, True, False]), config)
    np.testing.assert_allclose(fill.toarray()[3], [0.5 / 1.8, 0.4 / 1.8, 0, 0], rtol=1e-5)
    assert fill[:3].nnz == 0
    weights = sparse.csr_matrix(np.array([[0, 2, 1, 0], [1, 0, 0, 0], *[[0] * 4] * 2], np.float32))
    scored = ItemToItem(weights, NO_DECAY).with_fill(fill).weights.toarray()
    np.testing.assert_allclose(scored[:2, 3], [0.8 / 1.8, 0.5 / 1.8], rtol=1e-5)
    np.testing.assert_array_equal(scored[:, :3], weights.toarray()[:, :3])
    shop = interactions([[(0, [0, 1]), (9, [0])]])
    popular = Popularity.fit(shop, NOW, 7.0, (28.0,))
    new = popular.with_fill(fill)
    logs = np.log1p(popular.counts[0])
    expected = np.expm1(0.5 / 1.8 * logs[0] + 0.4 / 1.8 * logs[1])
    np.testing.assert_allclose(new.counts[0], [2, 1, 0, expected], rtol=1e-5)
    mean = (popular.last[0] + 0.8 * popular.last[1]) / 1.8
    assert new.last[3] == pytest.approx(mean, abs=60)  # seconds
    grown = popular.extended(fill[3:])
    np.testing.assert_allclose(grown.counts[0, 4], expected, rtol=1e-5)


def test_ease_is_fitted_on_the_latest_decayed_events():
    config = EaseConfig(penalty=0.5, half_life_days=4.0, history=NO_DECAY)
    x = np.array([[2**-0.5, 2**-2.5, 2**-0.5], [0, 2**-1.5, 2**-1], [2**-0.25, 0, 0]], np.float32)
    fitted = fit_ease(SHOP, NOW, config).weights.toarray()
    np.testing.assert_allclose(fitted[:3, :3], ease_weights(x.T @ x, 0.5), atol=1e-6)
    assert not fitted[3].any()
    assert not fitted[:, 3].any()


def test_ease_has_weights_of_the_most_frequent_items_alone():
    fitted = fit_ease(SHOP, NOW, EaseConfig(half_life_days=None, max_items=2)).weights.toarray()
    assert (np.flatnonzero(fitted.any(axis=0)).tolist()) == [0, 1]


def test_cooccurrence_without_exponents_of_groups_is_the_cosine():
    config = CooccurrenceConfig("user", None, NO_DECAY, group_exponent=0.0, from_exponent=0.5)
    x = np.array([[1, 1, 1, 0], [0, 1, 1, 0], [1, 0, 0, 0]])
    unit = x / np.maximum(np.linalg.norm(x, axis=0), 1)
    expected = unit.T @ unit * (1 - np.eye(4))
    fitted = fit_cooccurrence(SHOP, NOW, config)
    np.testing.assert_allclose(fitted.weights.toarray(), expected, atol=1e-6)


def test_cooccurrence_in_sessions_divides_by_the_size_of_the_session():
    config = CooccurrenceConfig("session", 4.0, NO_DECAY, 1.0, 0.0, 0.0)
    fitted = fit_cooccurrence(SHOP, NOW, config).weights.toarray()
    # Each of two items of a session has the share 1/2.
    np.testing.assert_allclose(fitted[0, [1, 2]], [0.25, 0.25], rtol=1e-6)
    assert fitted[1, 2] == 0


def test_a_markov_counter_of_one_step_has_transition_probabilities():
    sequences = interactions([[(0, [0]), (1, [1]), (2, [2])], [(0, [0]), (1, [2])]], items=3)
    config = MarkovConfig(max_gap=1, row_exponent=1.0)
    weights = fit_markov(sequences, day(3), config).weights.toarray()
    np.testing.assert_allclose(weights, [[0, 0.5, 0.5], [0, 0, 1], [0, 0, 0]])


def test_a_markov_counter_weighs_gaps_directions_and_sizes():
    sequence = interactions([[(0, [0, 1]), (1, [2]), (2, [3])]])
    config = MarkovConfig(max_gap=2, backward=0.1, half_life_days=1.0, row_exponent=0.0)
    weights = fit_markov(sequence, day(3), config).weights.toarray()
    near, far, next_one = 2**-0.5 * 2**-2, 2**-0.5 * 2**-1 / 2, 2**-1
    np.testing.assert_allclose(weights[0], [0, 0, near, far], rtol=1e-6)
    np.testing.assert_allclose(weights[2], [0.1 * near, 0.1 * near, 0, next_one], rtol=1e-6)


def test_pairs_of_different_users_do_not_count():
    two = interactions([[(0, [0])], [(1, [1])]])
    assert fit_markov(two, day(2), MarkovConfig()).weights.nnz == 0


def test_similar_texts_are_powers_of_cosines():
    vectors = np.array([[1, 0], [0.6, 0.8], [-1, 0]], np.float32)
    weights = fit_similar_text(vectors, SimilarTextConfig(power=2.0)).weights.toarray()
    np.testing.assert_allclose(weights, [[0, 0.36, 0], [0.36, 0, 0], [0, 0, 0]], atol=1e-6)


def test_models_are_saved_and_opened(tmp_path):
    model = fit_markov(SHOP, NOW, MarkovConfig(history=HistoryDecay(5.0, None)))
    model.save(tmp_path / "markov.npz")
    opened = ItemToItem.open(tmp_path / "markov.npz", 4)
    assert opened.decay == model.decay
    np.testing.assert_array_equal(opened.scores(SHOP, NOW), model.scores(SHOP, NOW))
    popularity = Popularity.fit(SHOP, NOW, 7.0)
    popularity.save(tmp_path / "popularity.npz")
    opened = Popularity.open(tmp_path / "popularity.npz", 4)
    np.testing.assert_array_equal(opened.scores(SHOP, NOW), popularity.scores(SHOP, NOW))
    np.testing.assert_array_equal(opened.counts, popularity.counts)


def damaged(arrays, name, value):
    arrays = {**arrays, name: value}
    return {name: value for name, value in arrays.items() if value is not None}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("starts", np.array([0, 1, 1, 1], np.int32), "starts has the shape"),
        ("starts", np.array([0, 2, 1, 2, 2], np.int32), "no matrix of 4 items"),
        ("columns", np.array([0, 4], np.int32), "no matrix of 4 items"),
        ("data", np.array([1, np.nan], np.float32), "not finite"),
        ("data", None, "data"),
    ],
)
def test_damaged_files_are_refused(tmp_path, name, value, message):
    arrays = {
        "data": np.array([1, 2], np.float32),
        "columns": np.array([0, 1], np.int32),
        "starts": np.array([0, 1, 2, 2, 2], np.int32),
        "half_lives": np.zeros(2),
    }
    path = tmp_path / "model.npz"
    np.savez(path, **arrays)
    assert ItemToItem.open(path, 4).weights.nnz == 2
    np.savez(path, **damaged(arrays, name, value))
    with pytest.raises(InputError, match=message):
        ItemToItem.open(path, 4)
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        ItemToItem.open(path, 4)


def test_a_new_history_is_scored_without_fitting_again():
    model = fit_ease(SHOP, NOW, EaseConfig(penalty=0.5, half_life_days=None, history=NO_DECAY))
    live = interactions([[(10, [1])]])
    np.testing.assert_array_equal(model.scores(live, NOW)[0], model.weights.toarray()[1])
    assert replace(model, decay=HistoryDecay(1.0)).scores(live, day(11))[0] == pytest.approx(
        model.weights.toarray()[1] / 2
    )
