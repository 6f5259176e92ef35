"""People through a real server: recommendations follow events, and a deleted user is gone."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import grpc
import pytest

from server.config import ServerConfig
from shortlist import filters
from shortlist.client import Client, ShortlistError
from shortlist.events import event, event_of
from shortlist.v1 import (
    context_pb2,
    coverage_pb2,
    event_pb2,
    exploration_pb2,
    recommend_service_pb2,
)
from tests.server.conftest import Running
from tests.shoppers import POPULAR, POPULAR_IN_FRANCE, A, B, C

USER = "shopper-4711-of-the-test"


@pytest.fixture
def people(
    config: ServerConfig,
    people_bundle: Path,
    tmp_path: Path,
    serving: Callable[..., AbstractContextManager[Running]],
) -> Iterator[Client]:
    """A client of a server of the bundle with counts; its state is in `tmp_path`/state."""
    settings = dataclasses.replace(config, bundle=people_bundle, state=tmp_path / "state")
    with serving(settings) as running, Client(running.address, timeout_seconds=30) as client:
        yield client


def record(client: Client, item_id: str, kind: str = "view", **who: str) -> None:
    client.record_events([event(kind, item_id, **who)])


def ids(response) -> list[str]:
    return [result.item_id for result in response.results]


def home(client: Client, user_id: str = USER, **options):
    return client.recommend(person=context_pb2.Person(user_id=user_id), **options)


def test_the_next_recommendation_reflects_an_event_and_a_deleted_user_is_gone(people, tmp_path):
    before = home(people)
    assert ids(before)[0] == POPULAR
    assert before.coverage.missing_signals == [
        context_pb2.SIGNAL_HISTORY,
        context_pb2.SIGNAL_BOUGHT_TOGETHER,
    ]
    record(people, A, user_id=USER)
    after = home(people, page_size=20, ignore_stock=True)
    found = {result.item_id: result for result in after.results}
    nearest = ids(people.similar_items(A, page_size=3))
    assert {C, *nearest} <= found.keys()
    reason = found[C].reasons[0]
    assert reason.kind == context_pb2.REASON_KIND_BOUGHT_TOGETHER
    assert reason.causes[0].item_id == A
    assert reason.causes[0].title == "Voltix usb c charger 65 watt"
    assert reason.causes[0].event_type == event_pb2.EVENT_TYPE_VIEW
    similar = {reason.kind for reason in found[nearest[0]].reasons}
    assert context_pb2.REASON_KIND_SIMILAR in similar
    assert context_pb2.SIGNAL_HISTORY in after.coverage.signals

    profile = people.get_profile(context_pb2.Person(user_id=USER))
    assert [(brand.value, brand.share) for brand in profile.brands] == [("Voltix", 1.0)]
    assert [category.value for category in profile.categories] == ["Electronics > Chargers"]
    assert (profile.price_band.low, profile.price_band.high) == (75.0, 75.0)
    assert [event.item_id for event in profile.events] == [A]
    assert profile.event_count == 1
    assert profile.last_event_time == profile.events[0].time

    record(people, B, session_id="visit-of-the-test")
    people.join_session("visit-of-the-test", USER)
    assert files_with(tmp_path, USER)
    deleted = people.delete_user(USER)
    assert (deleted.deleted_event_count, deleted.deleted_session_count) == (2, 1)
    assert deleted.scanned_byte_count > 0
    gone = people.get_profile(context_pb2.Person(user_id=USER))
    assert not gone.brands
    assert not gone.events
    assert gone.event_count == 0
    assert not gone.HasField("last_event_time")
    assert ids(home(people)) == ids(before)
    assert files_with(tmp_path, USER) == []
    assert files_with(tmp_path, "visit-of-the-test") == []


def files_with(directory: Path, text: str) -> list[Path]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return [path for path in files if text.encode() in path.read_bytes()]


def test_the_answer_to_a_question_starts_a_history(people):
    answer = people.get_questions(page_size=3)
    assert len(answer.questions) == 3
    assert answer.bundle_id
    assert answer.questions[0].information > 0
    liked = answer.questions[0].item
    assert liked.title
    record(people, liked.item_id, kind="click", user_id=USER)
    assert context_pb2.SIGNAL_HISTORY in home(people).coverage.signals
    only = filters.equals("brand", liked.brand)
    brands = {each.item.brand for each in people.get_questions(filter=only).questions}
    assert brands == {liked.brand}


def test_a_user_who_opted_out_has_no_history(people):
    people.set_opt_out(USER)
    record(people, A, user_id=USER)
    profile = people.get_profile(context_pb2.Person(user_id=USER))
    assert profile.opted_out
    assert profile.event_count == 0
    people.set_opt_out(USER, opted_out=False)
    record(people, A, user_id=USER)
    assert people.get_profile(context_pb2.Person(user_id=USER)).event_count == 1


def test_the_events_of_a_session_become_those_of_its_user(people):
    record(people, A, session_id="visit")
    anonymous = people.recommend(person=context_pb2.Person(session_id="visit"))
    assert context_pb2.SIGNAL_HISTORY in anonymous.coverage.signals
    assert people.get_profile(context_pb2.Person(user_id=USER)).event_count == 0
    people.join_session("visit", USER)
    assert people.get_profile(context_pb2.Person(user_id=USER)).event_count == 1
    with pytest.raises(ShortlistError) as refused:
        people.join_session("visit", "another")
    assert refused.value.code == grpc.StatusCode.INVALID_ARGUMENT


def test_pages_filters_and_context_apply(people):
    france = context_pb2.Context(attributes={"country": "France"})
    french = people.recommend(context=france, ignore_stock=True)
    assert ids(french)[0] == POPULAR_IN_FRANCE
    chargers = filters.prefix("category", "Electronics > Chargers")
    first = people.recommend(filter=chargers, page_size=15)
    second = people.recommend(filter=chargers, page_size=15, page_token=first.next_page_token)
    assert second.next_page_token == ""
    assert [result.rank for result in second.results] == list(range(16, 25))
    assert len({*ids(first), *ids(second)}) == 24
    with pytest.raises(ShortlistError) as refused:
        people.recommend(page_token=first.next_page_token)
    assert refused.value.reason == "PAGE_TOKEN_MISMATCH"


def test_similar_items_and_complements(people):
    surface = recommend_service_pb2.SURFACE_BASKET
    assert ids(people.recommend(surface=surface, item_ids=[A]))[0] == C
    assert ids(people.complementary_items([A])) == [C]
    nearest = people.similar_items(A, page_size=5)
    assert ids(people.recommend_similar(A, page_size=5, ignore_stock=True)) == ids(nearest)
    with pytest.raises(ShortlistError) as refused:
        people.recommend_similar("unknown")
    assert refused.value.code == grpc.StatusCode.NOT_FOUND


def test_events_name_the_recommendation_that_they_follow_from(people):
    surface = recommend_service_pb2.SURFACE_BASKET
    answers = [
        people.recommend(surface=surface, item_ids=[A], request_id="basket-1"),
        people.recommend_similar(A, request_id="basket-1"),
        people.complementary_items([A], request_id="basket-1"),
    ]
    for answer in answers:
        click = event_of("click", answer, answer.results[0], user_id=USER)
        assert (click.request_id, click.position) == ("basket-1", 1)
        assert click.bundle_id == answer.bundle_id != ""


def test_the_pages_of_a_list_with_a_drawn_seed_are_parts_of_one_list(people):
    exploration = exploration_pb2.Exploration(
        method=exploration_pb2.EXPLORATION_METHOD_EPSILON_GREEDY, share=0.2
    )
    for ask in (people.recommend, partial(people.search, "usb c charger", person=None)):
        first = ask(exploration=exploration, page_size=10)
        second = ask(exploration=exploration, page_size=10, page_token=first.next_page_token)
        results = [*first.results, *second.results]
        assert len({result.item_id for result in results}) == 20
        assert sum(result.exploring for result in results) == 4
        impression = event_of("impression", second, second.results[0])
        assert impression.propensity == second.results[0].propensity > 0
        lists = {tuple(ids(ask(exploration=exploration))) for _ in range(5)}
        assert len(lists) > 1
        exploration.seed = 17
        assert ids(ask(exploration=exploration)) == ids(ask(exploration=exploration))
        exploration.seed = 0


def test_a_search_with_a_history_gains_the_scores_of_its_channels(people):
    plain = people.search("usb c charger", page_size=20)
    assert not plain.coverage.signals
    unknown = people.search(
        "usb c charger", page_size=20, person=context_pb2.Person(user_id="nobody")
    )
    assert ids(unknown) == ids(plain)
    assert unknown.coverage.missing_signals[0] == context_pb2.SIGNAL_HISTORY
    record(people, B, kind="purchase", user_id=USER)
    known = people.search("usb c charger", page_size=20, person=context_pb2.Person(user_id=USER))
    assert context_pb2.SIGNAL_HISTORY in known.coverage.signals
    [result] = [result for result in known.results if result.item_id == B]
    [earlier] = [result for result in plain.results if result.item_id == B]
    gained = result.recall_score - earlier.recall_score
    assert gained == pytest.approx(0.1 * 1.0 + 0.1 * 1.0, abs=0.02)  # history and repeat


def test_an_earlier_bundle_cannot_recommend_and_its_searches_say_so(address):
    person = context_pb2.Person(user_id=USER)
    with Client(address, timeout_seconds=30) as client:
        with pytest.raises(ShortlistError) as refused:
            client.recommend(person=person)
        assert refused.value.code == grpc.StatusCode.FAILED_PRECONDITION
        assert refused.value.reason == "NOT_SUPPORTED"
        answer = client.search("hdmi cable", person=person)
        assert answer.coverage == coverage_pb2.Coverage(
            rerank_target_count=answer.coverage.rerank_target_count,
            missing_signals=[context_pb2.SIGNAL_HISTORY],
        )
        assert ids(answer) == ids(client.search("hdmi cable"))


def test_a_server_without_a_state_keeps_nothing_of_people(config, people_bundle, serving):
    history = [context_pb2.PastEvent(item_id=A, type=event_pb2.EVENT_TYPE_PURCHASE)]
    settings = dataclasses.replace(config, bundle=people_bundle)
    with serving(settings) as running, Client(running.address, timeout_seconds=30) as client:
        answer = client.recommend(person=context_pb2.Person(history=history))
        assert context_pb2.SIGNAL_HISTORY in answer.coverage.signals
        for call in (
            lambda: client.get_profile(context_pb2.Person(user_id=USER)),
            lambda: client.delete_user(USER),
            lambda: client.set_opt_out(USER),
            lambda: client.join_session("visit", USER),
        ):
            with pytest.raises(ShortlistError) as refused:
                call()
            assert refused.value.reason == "READ_ONLY"
