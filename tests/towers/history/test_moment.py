"""Features of items at a moment, from the events before it."""

import numpy as np

from tests.towers.history.examples import NO_PRICES, at, bought, unit_vectors
from towers.history.moment import FEATURES, WINDOW_DAYS, MomentFeatures, similar_items

ALL, AGE, LAST, PRICE, SOLD = range(len(WINDOW_DAYS), FEATURES)
EVENTS = ((0, 0, 1), (1, 0, 5), (0, 1, 5.5), (1, 2, 9))
ROWS = np.arange(4)


def features(day, *, events=EVENTS, prices=NO_PRICES, rows=ROWS, cold=None):
    moments = MomentFeatures.of(bought(*events), unit_vectors(), prices)
    return moments.features(at(day), rows, cold)


def test_features_are_log_counts_in_windows_and_log_days():
    values = features(6)[0]
    # At day 6, item 0 was sold on day 1 and day 5.
    counts = [1, *[2] * (len(WINDOW_DAYS) - 1)]
    np.testing.assert_allclose(values[: len(WINDOW_DAYS)], np.log1p(counts) / 2, rtol=1e-6)
    expected = [np.log1p(2) / 3, np.log1p(5) / 3, np.log1p(1) / 3, 0, 1]
    np.testing.assert_allclose(values[[ALL, AGE, LAST, PRICE, SOLD]], expected, rtol=1e-6)


def test_an_event_at_the_moment_itself_does_not_count():
    assert features(1)[0, SOLD] == 0
    assert features(1.001)[0, SOLD] == 1


def test_later_events_do_not_change_features():
    later = (*EVENTS, (0, 0, 6), (1, 3, 7))
    np.testing.assert_array_equal(features(6), features(6, events=later))


def test_an_unsold_item_has_the_weighted_mean_of_similar_items_and_its_own_price():
    values = features(6, prices=np.array([1, 1, 1, np.e**2], np.float32))
    text = unit_vectors()
    weights = np.maximum(text[3] @ text[:2].T, 0) ** 8
    expected = weights / weights.sum() @ values[:2]
    np.testing.assert_allclose(values[3, :PRICE], expected[:PRICE], rtol=1e-5)
    np.testing.assert_allclose(values[3, [PRICE, SOLD]], [2, 0], rtol=1e-5)


def test_a_hidden_item_has_the_features_of_an_unsold_one():
    hidden = features(6, cold=np.array([True, False, False, False]))
    without = features(6, events=[event for event in EVENTS if event[1] != 0])
    np.testing.assert_allclose(hidden, without, rtol=1e-5)


def test_features_of_some_rows_are_those_rows_of_all_features():
    rows = np.array([3, 1, 1])
    np.testing.assert_array_equal(features(6, rows=rows), features(6)[rows])


def test_similar_items_are_the_nearest_others():
    text = np.array([[1, 0], [0.8, 0.6], [0, 1], [-1, 0]], np.float32)
    rows, weights = similar_items(text, 2)
    assert [set(row) for row in rows] == [{1, 2}, {0, 2}, {1, 0}, {2, 1}]
    np.testing.assert_allclose(sorted(weights[0]), [0, 0.8**8], atol=1e-6)


def test_one_item_has_no_similar_ones():
    rows, weights = similar_items(np.ones((1, 1), np.float32))
    assert rows.shape == weights.shape == (1, 0)
