"""Both stages: they learn from earlier windows only, and beat popularity."""

from dataclasses import replace

import numpy as np
import pytest

from base.errors import InputError
from behaviour.cases import cold_user_cases, window_case
from behaviour.interactions import SECONDS_PER_DAY, Interactions
from catalog.events import EVENT_TYPES
from train.evaluation.recommend.metrics import TargetRanks, recall
from train.evaluation.recommend.systems import baselines
from train.recommend.ranker import RankerFitConfig
from train.recommend.recommender import Choice, fit_recommender
from train.recommend.windows import Catalogue, RecommenderConfig, fit_window, window_cuts

ITEMS, TASTES, USERS, DAYS = 60, 6, 90, 100
CUT = 80 * SECONDS_PER_DAY
CONFIG = RecommenderConfig(
    ranker=RankerFitConfig(hidden=8, epochs=4), windows=2, window_days=20, stride_days=20, depth=20
)
CATALOGUE = Catalogue(np.linspace(1, 9, ITEMS).astype(np.float32))


@pytest.fixture(scope="module")
def shop():
    """Purchases of users who buy items of their own taste: the items with one remainder."""
    random = np.random.default_rng(0)
    rows = []
    for user in range(USERS):
        for session in range(8):
            # Users from 60 on are new on the days 20, 40, 60 and 80.
            day = int(random.integers(0 if user < 60 else 20 * (user % 4 + 1), DAYS))
            for _ in range(4):
                item = int(random.integers(ITEMS // TASTES)) * TASTES + user % TASTES
                rows.append((user, item, day, session))
    user, item, day, session = np.array(rows).T
    purchase = np.full(len(rows), EVENT_TYPES.index("purchase"))
    ids = [f"u{number:03}" for number in range(USERS)]
    times = day * SECONDS_PER_DAY
    return Interactions.sorted_by_time(ids, ITEMS, user, item, purchase, times, session)


def recall_at_10(case, scores):
    return np.nanmean(recall(TargetRanks.of(case.masked(scores), case.targets), 10))


@pytest.fixture(scope="module")
def recommender(shop):
    return fit_recommender(shop, CUT, CATALOGUE, CONFIG, new_items=True, seed=0)


def test_both_stages_find_the_taste_of_known_users(shop, recommender):
    case = window_case(shop, CUT, 20, first_basket=False, new_items=True)
    popular = recall_at_10(case, baselines(case)["popular_7_days"](case))
    for stage in (recommender.recall, recommender.recommend):
        scores = stage(case.histories, CUT, case.excluded).dense(ITEMS)
        assert recall_at_10(case, scores) > popular + 0.3


def test_one_item_of_a_new_user_is_enough(shop, recommender):
    nothing, one = cold_user_cases(shop, CUT, 20, (0, 1), seed=0)
    values = [
        recall_at_10(c, recommender.recommend(c.histories, CUT, c.excluded).dense(ITEMS))
        for c in (nothing, one)
    ]
    assert values[1] > values[0] + 0.3


def test_a_shop_of_single_items_ranks_new_users_by_the_blend_alone():
    random, rows = np.random.default_rng(1), []
    for user in range(60):
        for session in range(6):
            item = int(random.integers(ITEMS // TASTES)) * TASTES + user % TASTES
            rows.append((user, item, int(random.integers(DAYS)), session))
    user, item, day, session = np.array(rows).T
    purchase = np.full(len(rows), EVENT_TYPES.index("purchase"))
    ids = [f"u{number:03}" for number in range(60)]
    shop = Interactions.sorted_by_time(
        ids, ITEMS, user, item, purchase, day * SECONDS_PER_DAY, session
    )
    recommender = fit_recommender(shop, CUT, CATALOGUE, CONFIG, new_items=True, seed=0)
    assert recommender.stages.rankers[:-1] == (None, None, None)
    few = shop.before(CUT).select(shop.before(CUT).session % 6 == 0)
    recalled, ranked = recommender.recall(few, CUT), recommender.recommend(few, CUT)
    np.testing.assert_array_equal(ranked.scores, recalled.scores)


def test_people_without_events_are_never_ranked(recommender):
    assert recommender.stages.rankers[0] is None
    better = Choice(np.zeros(4), np.array([1.0, 1.0, 0.0, np.nan]))
    assert better.ranked.tolist() == [False, True, False, False]
    assert better.line() == (
        "recall alone orders the lists of users with 0 (0.0000, ranker 1.0000), "
        "2 to 5 (0.0000, ranker 0.0000), 6 or more (0.0000, ranker nan) events"
    )


def test_excluded_items_are_no_candidates(shop, recommender):
    case = window_case(shop, CUT, 20, first_basket=False, new_items=True)
    ranked = recommender.recommend(case.histories, CUT, case.excluded)
    for user, rows in enumerate(ranked.rows):
        assert not set(rows[rows >= 0]) & set(case.excluded[user].indices)
    assert np.isneginf(ranked.scores[ranked.rows < 0]).all()


def test_fitting_reads_no_event_after_now(shop, recommender):
    past = fit_recommender(shop.before(CUT), CUT, CATALOGUE, CONFIG, new_items=True, seed=0)
    case = window_case(shop, CUT, 20, first_basket=False, new_items=True)
    np.testing.assert_array_equal(
        past.recommend(case.histories, CUT).scores,
        recommender.recommend(case.histories, CUT).scores,
    )


def test_scores_of_a_user_do_not_depend_on_the_batch(shop, recommender):
    case = window_case(shop, CUT, 20, first_basket=False, new_items=False)
    together = recommender.recommend(case.histories, CUT).dense(ITEMS)
    alone = recommender.recommend(case.histories.of_users(np.array([3])), CUT)
    rows = alone.rows[0]
    np.testing.assert_allclose(alone.scores[0], together[3, rows], atol=1e-4)


def test_the_windows_of_another_cut_can_be_used_again(shop, recommender):
    starts = window_cuts(shop, CUT, CONFIG)
    assert starts == [60 * SECONDS_PER_DAY, 40 * SECONDS_PER_DAY]
    windows = [fit_window(shop, start, CATALOGUE, CONFIG, new_items=True) for start in starts]
    again = fit_recommender(shop, CUT, CATALOGUE, CONFIG, new_items=True, seed=0, windows=windows)
    np.testing.assert_array_equal(again.stages.blend.weights, recommender.stages.blend.weights)


def test_large_windows_are_sampled(shop):
    window = fit_window(shop, CUT, CATALOGUE, replace(CONFIG, max_users=7), new_items=True)
    assert all(len(lists.rows) <= 7 for lists in window.lists)
    assert len(window.lists[0].rows) == 7


def test_a_history_that_is_too_short_is_refused(shop):
    with pytest.raises(InputError, match="none is more than 20 days before the cut"):
        window_cuts(shop.since(CUT), CUT, CONFIG)
