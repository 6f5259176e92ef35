"""Recommendations: which items, why, and from which signals."""

import time
from pathlib import Path

import pytest

from behaviour.config import FeedbackConfig
from behaviour.events import Event
from behaviour.feedback import Feedback
from catalog.facets import Facet
from catalog.filters import Equals, Prefix
from search.engine import Engine
from search.errors import DeadlineExceededError, NotSupportedError, UnknownItemsError
from search.people.live import LivePeople
from search.people.person import Person, Recommending, Surface
from search.people.reasons import Cause, ReasonKind, Signal
from search.request import ProfileRequest, SearchRequest
from search.rules import Cap, Pin, Rules
from tests.shoppers import MICROSECONDS, POPULAR, POPULAR_IN_FRANCE, A, B, C, past
from tests.tiny import BY_SCORE


@pytest.fixture(scope="module")
def engine(people_bundle: Path) -> Engine:
    return Engine.load(people_bundle, BY_SCORE)


def recommend(
    engine: Engine, surface: Surface = Surface.HOME, *item_ids: str, history=(), **fields
):
    recommending = {
        name: fields.pop(name)
        for name in ("bought_within_days", "seen_within_days")
        if name in fields
    }
    request = SearchRequest(
        recommending=Recommending(surface, item_ids, **recommending),
        person=Person(history=tuple(history), now=MICROSECONDS),
        **fields,
    )
    return engine.search(request)


def ids(result) -> list[str]:
    return [hit.item_id for hit in result.hits]


def test_an_unknown_person_gets_what_most_people_bought(engine):
    result = recommend(engine, page_size=48)
    assert ids(result)[:2] == [POPULAR, POPULAR_IN_FRANCE]
    assert set(ids(result)[2:4]) == {A, C}
    assert len(result.hits) == 48  # all other items follow, by their number of ratings
    assert [reason.kind for reason in result.hits[0].reasons] == [ReasonKind.POPULAR]
    bought = {POPULAR, POPULAR_IN_FRANCE, A, C}
    assert {hit.item_id for hit in result.hits if hit.reasons} == bought
    assert result.signals == (Signal.POPULARITY,)
    assert Signal.HISTORY in result.missing


@pytest.mark.parametrize(
    "history", [[past(A, "impression")], [past(A, "purchase", 1), past(A, "return")]]
)
def test_events_that_do_not_count_are_no_history(engine, history):
    result = recommend(engine, history=history)
    assert result.signals == (Signal.POPULARITY,)
    assert Signal.HISTORY in result.missing


def test_a_profile_shows_what_recommendations_are_based_on(engine):
    """The item was bought, sent back and then viewed: only the view counts."""
    history = (past(A, "purchase", 60), past(A, "return", 1), past(A), past(B, "click", 7))
    person = Person(history=history, now=MICROSECONDS)
    profile = engine.profile(ProfileRequest(person)).believed
    weights = {"Voltix": 0.3, "Ampere": 0.15}  # the half-life of a click is 7 days
    assert profile.brands == pytest.approx({name: w / 0.45 for name, w in weights.items()})
    assert len(profile.events) == 4
    returned = Person(history=history[:2], now=MICROSECONDS)
    assert engine.profile(ProfileRequest(returned)).believed.brands == {}


def test_the_context_decides_what_is_popular(engine):
    result = recommend(engine, context={"country": "France", "device": "phone"})
    assert ids(result)[0] == POPULAR_IN_FRANCE
    assert Signal.CONTEXT in result.signals
    unknown = recommend(engine, context={"country": "Chile"})
    assert ids(unknown)[0] == POPULAR
    assert Signal.CONTEXT in unknown.missing


def test_a_view_brings_similar_items_and_items_bought_together(engine):
    result = recommend(engine, history=[past(A)], rules=Rules(excluded_item_ids=(A,)))
    hits = {hit.item_id: hit for hit in result.hits}
    assert ids(result)[0] == C
    assert hits[C].reasons[0].kind is ReasonKind.BOUGHT_TOGETHER
    [cause] = hits[C].reasons[0].causes
    assert (cause.item_id, cause.title, cause.event_type) == (
        A,
        "Voltix usb c charger 65 watt",
        "view",
    )
    similar = [hit for hit in result.hits if hit.reasons[0].kind is ReasonKind.SIMILAR]
    assert similar
    assert result.signals == (Signal.HISTORY, Signal.BOUGHT_TOGETHER, Signal.POPULARITY)


def test_what_was_bought_before_comes_again_unless_it_is_left_out(engine):
    history = [past(A, "purchase", days_ago=3)]
    result = recommend(engine, history=history)
    assert A in ids(result)[:2]
    [repeat] = [
        reason
        for hit in result.hits
        if hit.item_id == A
        for reason in hit.reasons
        if reason.kind is ReasonKind.REPEAT
    ]
    assert [cause.item_id for cause in repeat.causes] == [A]
    assert A not in ids(recommend(engine, history=history, bought_within_days=3, page_size=48))
    assert A in ids(recommend(engine, history=history, bought_within_days=2, page_size=48))
    assert A in ids(recommend(engine, history=history, seen_within_days=3, page_size=48))
    viewed = [past(A, "view", days_ago=3)]
    assert A not in ids(recommend(engine, history=viewed, seen_within_days=3, page_size=48))


def test_the_items_of_the_page_decide_and_are_never_recommended(engine):
    product = recommend(engine, Surface.PRODUCT, A, page_size=48)
    assert C in ids(product)[:2]
    assert A not in ids(product)
    basket = recommend(engine, Surface.BASKET, A, "unknown", page_size=48)
    assert ids(basket)[0] == C
    assert A not in ids(basket)
    assert Signal.ITEMS in basket.signals
    [reason] = [r for r in basket.hits[0].reasons if r.kind is ReasonKind.BOUGHT_TOGETHER]
    assert reason.causes == (Cause(A, "Voltix usb c charger 65 watt", ""),)


def test_similar_items_are_those_with_the_nearest_vectors(engine):
    result = recommend(engine, Surface.SIMILAR, A, page_size=5)
    channels = engine.snapshot.channels
    vector = channels.vector(engine.snapshot.catalogue.row(A))
    nearest = channels.nearest(vector, 6).rows[1:]
    assert ids(result) == [engine.snapshot.catalogue.id(int(row)) for row in nearest]


@pytest.mark.parametrize("surface", [Surface.SIMILAR, Surface.COMPLEMENTARY])
def test_what_was_bought_is_left_out_of_similar_items_but_does_not_decide(engine, surface):
    history = [past(C, "purchase", 3), past(B, "purchase", 3), past(POPULAR, "purchase", 3)]
    usual = recommend(engine, surface, A, page_size=48)
    assert ids(recommend(engine, surface, A, history=history, page_size=48)) == ids(usual)
    left = recommend(engine, surface, A, history=history, page_size=48, bought_within_days=5)
    assert ids(left) == [i for i in ids(usual) if i not in (B, C, POPULAR)]
    assert ids(left) != ids(usual)


def test_complementary_items_are_never_substitutes(engine, tmp_path, tiny_bundle):
    from tests import shoppers

    assert ids(recommend(engine, Surface.COMPLEMENTARY, A)) == [C]
    assert ids(recommend(engine, Surface.COMPLEMENTARY, POPULAR)) == []
    # B is of the same category as A, so it is a substitute even if many buy both.
    together = [
        row
        for number in range(9)
        for item_id in (A, B)
        for row in [shoppers.purchase(f"both-{number}", item_id)]
    ]
    directory = tmp_path / "bundle"
    shoppers.write_people_bundle(directory, tiny_bundle, [*shoppers.purchases(), *together])
    other = Engine.load(directory, BY_SCORE)
    assert ids(recommend(other, Surface.BASKET, A))[0] == B
    assert ids(recommend(other, Surface.COMPLEMENTARY, A)) == [C]


def test_filters_rules_facets_and_pages_apply(engine):
    chargers = Prefix("category", "Electronics > Chargers")
    history = [past(A)]
    first = recommend(engine, history=history, filter=chargers, page_size=10)
    assert all(hit.item.category == "Electronics > Chargers" for hit in first.hits)
    assert first.matched == 24
    assert first.has_more
    rest = recommend(engine, history=history, filter=chargers, page_size=20, offset=10)
    assert not rest.has_more
    assert len({*ids(first), *ids(rest)}) == 24
    pinned = recommend(
        engine,
        history=history,
        rules=Rules(pins=(Pin("Ca-100-voltix", 2),), caps=(Cap("category", 2),), diversity=0.5),
        facets=(Facet("brand"),),
        filter=Equals("brand", "Voltix"),
    )
    assert ids(pinned)[1] == "Ca-100-voltix"
    assert len(pinned.hits) == 4
    assert sum(count for _, count in pinned.facets[0].values) == 16


def event(item_id: str, number: int, kind: str = "view", **who: str) -> Event:
    return Event(f"e-{number}", int(time.time() * 1e6), kind, item_id, **who)


def test_the_events_of_the_server_are_read_at_once(engine, tmp_path):
    feedback = Feedback.open(tmp_path)
    people = LivePeople(feedback)
    request = SearchRequest(recommending=Recommending(Surface.HOME), person=Person("u-1"))
    assert ids(engine.search(request, people=people))[0] == POPULAR
    feedback.record([event(A, 0, user_id="u-1")]).result(30)
    result = engine.search(request, people=people)
    assert ids(result)[0] == C
    assert Signal.HISTORY in result.signals
    feedback.close()


def test_what_is_popular_now_counts_once_there_are_enough_events(engine, tmp_path):
    feedback = Feedback.open(tmp_path, FeedbackConfig(popular_seconds=3_600.0))
    people = LivePeople(feedback)
    request = SearchRequest(recommending=Recommending(Surface.HOME))

    def sell(item_id: str, count: int) -> None:
        number = feedback.sequence
        bought = [
            event(item_id, number + n, "purchase", user_id=f"u-{number + n}") for n in range(count)
        ]
        feedback.record(bought).result(30)

    assert ids(engine.search(request, people=people))[0] == POPULAR
    sell(B, 2)
    feedback.counters.recount()
    assert ids(engine.search(request, people=people))[0] == POPULAR
    sell(B, 500)
    assert B not in ids(engine.search(request, people=people))[:2]  # not counted yet
    feedback.counters.recount()
    assert B in ids(engine.search(request, people=people))[:2]
    feedback.close()


def test_a_bundle_without_counts_cannot_recommend(tiny_bundle):
    old = Engine.load(tiny_bundle, BY_SCORE)
    with pytest.raises(NotSupportedError, match="cannot recommend"):
        recommend(old)


def test_unknown_items_of_the_page_are_refused(engine):
    with pytest.raises(UnknownItemsError):
        recommend(engine, Surface.PRODUCT, "unknown")


def test_no_work_is_done_after_the_deadline(engine):
    with pytest.raises(DeadlineExceededError):
        recommend(engine, deadline=time.monotonic() - 1)
