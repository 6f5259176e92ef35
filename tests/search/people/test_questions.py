"""Preference questions of an engine, and a history that follows from the answers."""

from pathlib import Path

import pytest

from catalog.filters import Equals
from search.engine import Engine
from search.errors import NotSupportedError
from search.people.person import Person, Recommending, Surface
from search.request import QuestionsRequest, SearchRequest
from tests.shoppers import MICROSECONDS, POPULAR, POPULAR_IN_FRANCE, A, C, past
from tests.tiny import BY_SCORE


@pytest.fixture(scope="module")
def people_engine(people_bundle: Path) -> Engine:
    return Engine.load(people_bundle, BY_SCORE)


def ids(engine: Engine, **fields) -> list[str]:
    return [each.item.item_id for each in engine.questions(QuestionsRequest(**fields)).questions]


def test_of_two_items_that_people_have_together_one_is_asked_about_first(people_engine: Engine):
    found = people_engine.questions(QuestionsRequest(page_size=3)).questions
    asked = {each.item.item_id for each in found}
    assert {POPULAR, POPULAR_IN_FRANCE} <= asked
    assert len(asked & {A, C}) == 1
    gains = [each.information for each in found]
    assert gains == sorted(gains, reverse=True)
    assert 0 < gains[0] <= 1
    again = people_engine.questions(QuestionsRequest(page_size=3)).questions
    assert again == found


def test_an_answer_is_the_start_of_a_history(people_engine: Engine):
    [answer] = {A, C} & set(ids(people_engine, page_size=3))
    [other] = {A, C} - {answer}
    person = Person(history=(past(answer, "click"),), now=MICROSECONDS)
    home = Recommending(Surface.HOME)
    found = people_engine.search(SearchRequest(recommending=home, person=person))
    unknown = people_engine.search(SearchRequest(recommending=home, person=Person()))
    place = [hit.item_id for hit in found.hits].index(other)
    assert place < [hit.item_id for hit in unknown.hits].index(other)


def test_a_filter_limits_the_items_that_are_asked_about(people_engine: Engine):
    [brand] = {people_engine.store.item(people_engine.store.row(A)).brand}
    found = people_engine.questions(QuestionsRequest(filter=Equals("brand", brand))).questions
    assert found
    assert {each.item.brand for each in found} == {brand}
    assert not people_engine.questions(QuestionsRequest(filter=Equals("brand", "?"))).questions


def test_a_bundle_without_counts_has_no_questions(engine: Engine):
    with pytest.raises(NotSupportedError, match="cannot recommend"):
        engine.questions(QuestionsRequest())
