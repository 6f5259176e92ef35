"""Requests about people that break a limit."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

from behaviour.histories import PastEvent
from search.exploration.request import Exploration, Method
from search.people.person import PRESENT, Person, Recommending, Surface
from search.request import ProfileRequest, QuestionsRequest, SearchRequest
from shortlist.v1 import (
    context_pb2,
    event_pb2,
    exploration_pb2,
    recommend_service_pb2,
    search_service_pb2,
)
from tests.refusals.refusal import Refusal

_TYPES = (
    "impression, view, click, add_to_cart, remove_from_cart, purchase, return"  # in their order
)


def person_refusals() -> Iterator[Refusal]:
    """Yield searches and profiles of people that break a limit."""

    def refusal(error: str, person: Person, message: context_pb2.Person):
        search = partial(SearchRequest, "q", person=person)
        yield Refusal(error, search, search_service_pb2.SearchRequest(query="q", person=message))

    long = "x" * 129
    for name in ("user_id", "session_id"):
        yield from refusal(
            f"person.{name}: has 129 characters; give at most 128",
            Person(**{name: long}),
            context_pb2.Person(**{name: long}),
        )
    event = PastEvent(PRESENT, 0, "view", "a")
    view = context_pb2.PastEvent(item_id="a", type=event_pb2.EVENT_TYPE_VIEW)
    yield from refusal(
        "person.history: has 1,001 entries; give at most 1,000",
        Person(history=(event,) * 1_001),
        context_pb2.Person(history=[view] * 1_001),
    )
    yield from refusal(
        "person.history[1].item_id: is empty; give a value",
        Person(history=(event, event._replace(item_id=""))),
        context_pb2.Person(history=[view, context_pb2.PastEvent(type=view.type)]),
    )
    yield from refusal(
        f"person.history[1].type: is unknown; give {_TYPES}",
        Person(history=(event, event._replace(type=""))),
        context_pb2.Person(history=[view, context_pb2.PastEvent(item_id="a")]),
    )
    yield Refusal(
        "person: names nobody; give a user_id, a session_id or a history",
        partial(ProfileRequest, Person()),
        recommend_service_pb2.GetProfileRequest(),
    )
    yield Refusal(
        "page_size: is -1; give 1 to 12",
        partial(QuestionsRequest, page_size=-1),
        recommend_service_pb2.GetQuestionsRequest(page_size=-1),
    )


def context_refusals() -> Iterator[Refusal]:
    """Yield searches in contexts that break a limit."""
    for attributes, error in (
        ({str(number): "" for number in range(33)}, "has 33 entries; give at most 32"),
        ({"": "x"}, "has an empty name; give a name"),
        ({"country": "x" * 257}, "has 257 characters in a text; give at most 256"),
    ):
        yield Refusal(
            f"context.attributes: {error}",
            partial(SearchRequest, "q", context=attributes),
            search_service_pb2.SearchRequest(query="q", context={"attributes": attributes}),
        )


def recommend_refusals() -> Iterator[Refusal]:
    """Yield requests for recommendations that break a limit."""

    def refusal(error: str, surface: Surface, *item_ids: str, **fields: Any):
        asked = recommend_service_pb2.RecommendRequest(
            surface=f"SURFACE_{surface.name}", item_ids=item_ids, **fields
        )
        return Refusal(error, partial(Recommending, surface, item_ids, **fields), asked)

    yield refusal("item_ids: has 1 entries; give 0 to 0", Surface.HOME, "a")
    yield refusal("item_ids: has 2 entries; give 1 to 1", Surface.PRODUCT, "a", "b")
    yield refusal("item_ids: has 0 entries; give 1 to 100", Surface.BASKET)
    yield refusal("item_ids: has 101 entries; give 1 to 100", Surface.BASKET, *["a"] * 101)
    yield refusal("item_ids[1]: is empty; give a value", Surface.BASKET, "a", "")
    for name in ("bought_within_days", "seen_within_days"):
        for days in (-1, 3_651):
            error = f"{name}: is {days:,}; give 0 to 3,650"
            yield refusal(error, Surface.HOME, **{name: days})
    yield Refusal(
        "item_id: is empty; give a value",
        partial(Recommending, Surface.SIMILAR, ("",)),
        recommend_service_pb2.RecommendServiceSimilarItemsRequest(),
    )
    yield Refusal(
        "item_ids: has 0 entries; give 1 to 100",
        partial(Recommending, Surface.COMPLEMENTARY),
        recommend_service_pb2.ComplementaryItemsRequest(),
    )
    size = partial(SearchRequest, recommending=Recommending(Surface.HOME), page_size=-1)
    message = recommend_service_pb2.RecommendRequest(page_size=-1)
    yield Refusal("page_size: is -1; give 1 to 100", size, message)


def exploration_refusals() -> Iterator[Refusal]:
    """Yield searches with explorations that break a limit."""

    def refusal(error: str, share: float, seed: int = 0):
        python = partial(Exploration, Method.EPSILON_GREEDY, share, seed)
        message = exploration_pb2.Exploration(
            method=exploration_pb2.EXPLORATION_METHOD_EPSILON_GREEDY, share=share, seed=seed
        )
        return Refusal(
            error, python, search_service_pb2.SearchRequest(query="q", exploration=message)
        )

    for share in (0.0, -0.1, 1.1, math.nan):
        error = f"exploration.share: is {share}; give a number above 0, and at most 1"
        yield refusal(error, share)
    yield refusal("exploration.seed: is -1; give 0 to 9,223,372,036,854,775,807", 0.1, -1)
    greedy = Exploration(Method.EPSILON_GREEDY, 0.1)
    message = exploration_pb2.Exploration(
        method=exploration_pb2.EXPLORATION_METHOD_EPSILON_GREEDY, share=0.1
    )
    yield Refusal(
        "exploration: is set beside order_by; give one of them",
        partial(SearchRequest, "q", exploration=greedy, order_by="price"),
        search_service_pb2.SearchRequest(query="q", exploration=message, order_by="price"),
    )
