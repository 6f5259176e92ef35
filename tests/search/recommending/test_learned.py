"""The recommender of a bundle: the server's list is the list that evaluation measures."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from base.errors import InputError
from behaviour.histories import PastEvent
from behaviour.interactions import Interactions
from rerank.recommend.recommender import open_recommenders
from search import bundle
from search.channels.base import AddedRows
from search.channels.fusion import ChannelsWriter
from search.engine import Engine
from search.people.person import Person, Recommending, Surface
from search.people.reasons import ReasonKind, Signal
from search.recommending.learned import RECOMMENDER
from search.request import SearchRequest
from search.rules import Pin, Promotion, Rules
from tests import shoppers
from tests.search.recommending.conftest import IDS, TASTES, USERS, purchases
from tests.shoppers import MICROSECONDS
from tests.tiny import BY_SCORE, tiny_items

SECONDS = MICROSECONDS // 1_000_000


@pytest.fixture(scope="module")
def engine(learned_bundle) -> Engine:
    return Engine.load(learned_bundle, BY_SCORE)


@pytest.fixture(scope="module")
def past() -> Interactions:
    return Interactions.of_events(shoppers.table(purchases()), IDS)


def history(past: Interactions, user: int, most: int) -> tuple[PastEvent, ...]:
    events = past.events_of(user)
    return tuple(
        PastEvent(int(past.time[e]) * 1_000_000, 0, "purchase", IDS[past.item[e]])
        for e in range(max(events.start, events.stop - most), events.stop)
    )


def home(engine, events, **fields):
    recommending = Recommending(
        Surface.HOME, bought_within_days=fields.pop("bought_within_days", 0)
    )
    person = Person(history=events, now=MICROSECONDS)
    return engine.search(SearchRequest(recommending=recommending, person=person, **fields))


@pytest.mark.parametrize("most", [0, 1, 3, 100])
@pytest.mark.parametrize("new_items", [False, True])
def test_the_served_list_is_the_list_that_evaluation_measures(
    learned_bundle, engine, past, most, new_items
):
    directory = learned_bundle / bundle.BEHAVIOUR / RECOMMENDER
    for user in range(0, USERS, 9):
        events = history(past, user, most)
        given = past.of_users(np.array([user]))
        given = given.select(np.arange(len(given)) >= len(given) - len(events))
        owned = given.matrix() if new_items and most else None
        recommender = open_recommenders(directory, len(IDS))[owned is not None]
        ranked = recommender.recommend(given, SECONDS, owned)
        rows = ranked.rows[0][np.argsort(-ranked.scores[0], kind="stable")]
        expected = [IDS[row] for row in rows[:20] if row >= 0]
        days = 365 if owned is not None else 0
        served = home(engine, events, page_size=20, bought_within_days=days)
        assert [hit.item_id for hit in served.hits] == expected


def test_the_taste_of_a_history_is_found_and_explained(engine, past):
    events = history(past, 5, 100)
    result = home(engine, events, page_size=6)
    assert {IDS.index(hit.item_id) % TASTES for hit in result.hits} == {5 % TASTES}
    kinds = {reason.kind for hit in result.hits for reason in hit.reasons}
    assert kinds & {ReasonKind.BOUGHT_TOGETHER, ReasonKind.REPEAT}
    assert Signal.HISTORY in result.signals
    assert all(0 < reason.share <= 1 for hit in result.hits for reason in hit.reasons)


def test_a_view_changes_the_list_and_its_removal_from_the_cart_takes_it_back(engine):
    seen = PastEvent(MICROSECONDS - 1, 0, "add_to_cart", IDS[5])
    removed = PastEvent(MICROSECONDS, 1, "remove_from_cart", IDS[5])
    unknown, one, none = (
        [hit.item_id for hit in home(engine, events, page_size=8).hits]
        for events in ((), (seen,), (seen, removed))
    )
    assert one != unknown
    assert sum(IDS.index(i) % TASTES == 5 for i in one) > 4
    assert none == unknown


def test_pinned_items_come_first_and_excluded_items_are_missing(engine, past):
    events = history(past, 5, 100)
    first, second, *_ = (hit.item_id for hit in home(engine, events).hits)
    rules = Rules(pins=(Pin(IDS[0], 1),), excluded_item_ids=(first,))
    ids = [hit.item_id for hit in home(engine, events, rules=rules, page_size=48).hits]
    assert ids[:2] == [IDS[0], second]
    assert first not in ids


def test_the_floor_of_a_promotion_is_a_ratio_of_predicted_probabilities(engine, past):
    """The scores of a ranker are logarithms of probabilities, up to a constant of the list."""
    events = history(past, 5, 100)
    best, *_, last = home(engine, events, page_size=6).hits
    assert None not in (best.rerank_score, last.rerank_score)
    ratio = np.exp(last.score - best.score)
    for floor, first in ((0.99 * ratio, last.item_id), (1.01 * ratio, best.item_id)):
        promotion = Promotion("ads", (last.item_id,), 10.0, min_relevance=floor)
        result = home(engine, events, rules=Rules(promotions=(promotion,)), active_promotions=1)
        assert result.hits[0].item_id == first


def test_an_item_that_is_new_to_the_models_counts_like_similar_items(
    learned_bundle, engine, past, tmp_path
):
    snapshot = engine.snapshot
    twin = snapshot.catalogue.row(IDS[5])
    item = replace(tiny_items()[5], item_id="new")
    vectors = snapshot.channels.vectors(np.array([twin], np.int32))
    writer = ChannelsWriter(snapshot.channels, learned_bundle, engine.manifest, tmp_path)
    channels = writer.extended(AddedRows(len(IDS), [item], vectors, []))
    writer.close()
    grown = snapshot.changed(snapshot.catalogue.with_items([item]), channels, [item])
    assert grown.learned is not None
    number = int(grown.learned.number_of[-1])
    assert number == len(IDS)
    events = history(past, 5, 100)
    given = grown.learned.interactions(engine_history(grown.catalogue, events))
    recommender = grown.learned.recommenders[False]
    scores = recommender.recall(given, SECONDS).dense(number + 1)[0]
    other = np.array([n for n in range(len(IDS)) if n % TASTES != 5])
    assert scores[number] > np.median(scores[other])
    orders = [recommender.recall(given, SECONDS), recommender.recommend(given, SECONDS)]
    rows = [order.rows[0][np.argsort(-order.scores[0], kind="stable")] for order in orders]
    before, after = (np.flatnonzero(of_order == number) for of_order in rows)
    assert len(before) == 1
    assert before == after  # the ranker does not move it
    viewed = PastEvent(MICROSECONDS, 0, "view", "new")
    given = grown.learned.interactions(engine_history(grown.catalogue, (viewed,)))
    seen = recommender.recall(given, SECONDS).dense(number + 1)[0]
    nothing = recommender.recall(given.select(np.zeros(1, bool)), SECONDS).dense(number + 1)[0]
    assert (seen != nothing).any()


def engine_history(catalogue, events):
    from search.people.history import History

    return History.of(events, catalogue, MICROSECONDS)


def test_a_recommender_of_other_items_or_channels_is_refused(learned_bundle, tmp_path):
    directory = tmp_path / "copy"
    shutil.copytree(learned_bundle / bundle.BEHAVIOUR / RECOMMENDER, directory)
    with pytest.raises(InputError, match="shape"):
        open_recommenders(directory, len(IDS) + 1)
    (directory / "all_items" / "stages.json").write_text('{"ranked": [1, 2]}')
    with pytest.raises(InputError, match="one truth value per group"):
        open_recommenders(directory, len(IDS))


def test_too_few_lists_leave_the_fixed_weights(people_bundle):
    assert Engine.load(people_bundle, BY_SCORE).snapshot.learned is None
