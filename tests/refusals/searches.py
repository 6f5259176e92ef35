"""Searches that break a limit, but for filters."""

import datetime
import math
from collections.abc import Iterator
from functools import partial
from typing import Any

from catalog.facets import Facet
from catalog.filters import Equals, Interval, Not
from search.request import SearchRequest
from search.rules import Boost, Cap, Pin, Promotion, Rules
from shortlist import filters
from shortlist.rules import category_cap, rules
from shortlist.v1 import facet_pb2, rules_pb2, search_service_pb2
from tests.refusals.refusal import COLUMNS, Refusal

DAY = datetime.date(2024, 2, 29)
VOLTIX = Equals("brand", "Voltix")
VOLTIX_MESSAGE = filters.equals("brand", "Voltix")


def search_refusals() -> Iterator[Refusal]:
    def refusal(error: str, message: dict[str, Any] | None, query: str = "q", **fields: Any):
        python = partial(SearchRequest, query, **fields)
        if message is None:
            return Refusal(error, python, None)
        return Refusal(error, python, search_service_pb2.SearchRequest(query=query, **message))

    def same(error: str, query: str = "q", **fields: Any):
        return refusal(error, fields, query, **fields)

    yield same("query: is empty; give the words to search for", query="\u3000\t")
    yield same("query: has 2,001 characters; give 1 to 2,000", query="x" * 2_001)
    # The normal form of this ligature has eighteen characters.
    yield same("query: has 36,000 characters; give 1 to 2,000", query="\ufdfa" * 2_000)
    yield same("page_size: is -1; give 1 to 100", page_size=-1)
    yield refusal("page_size: is 101; give 1 to 100", None, page_size=101)
    yield refusal("offset: is -1; give 0 to 1,000", None, offset=-1)
    yield refusal("offset: is 1,001; give 0 to 1,000", None, offset=1_001)
    yield same("recall_depth: is -1; give 1 to 1,000", recall_depth=-1)
    yield refusal("recall_depth: is 1,001; give 1 to 1,000", None, recall_depth=1_001)
    yield same("rerank_depth: is -1; give 0 to 500", rerank_depth=-1)
    yield refusal("rerank_depth: is 501; give 0 to 500", None, rerank_depth=501)
    yield refusal("rerank_limit: is -1; give 0 to 1,000", None, rerank_limit=-1)
    yield refusal("rerank_limit: is 1,001; give 0 to 1,000", None, rerank_limit=1_001)
    yield same("max_per_group: is -1; give 0 to 100", max_per_group=-1)
    yield same("min_relevance: is -0.1; give 0 to 1", min_relevance=-0.1)
    yield same("min_relevance: is 1.1; give 0 to 1", min_relevance=1.1)
    yield same("min_relevance: is nan; give 0 to 1", min_relevance=math.nan)
    yield refusal("max_per_group: is 101; give 0 to 100", None, max_per_group=101)
    yield same("language: is no language tag; give a tag such as en or pt-BR", language="e n")
    yield same(
        "show_variants: is set beside max_per_group; give one of them",
        show_variants=True,
        max_per_group=1,
    )
    for order in ("title", "attributes.", "price up", "price,", " ", "price desc desc"):
        yield same(
            "order_by: names no field with an order; give price, rating, rating_count, released, "
            'in_stock, sale_price, popularity, attributes.NAME, each alone or followed by " desc"',
            order_by=order,
        )
    yield same("order_by: has 4 keys; give at most 3", order_by="price,rating,released,popularity")


def facet_refusals() -> Iterator[Refusal]:
    brand = facet_pb2.Facet(field="brand")
    yield Refusal(
        "facets: has 21 entries; give at most 20",
        partial(SearchRequest, "q", facets=(Facet("brand"),) * 21),
        search_service_pb2.SearchRequest(query="q", facets=[brand] * 21),
    )
    for error, facet, message in invalid_facets():
        python = partial(SearchRequest, "q", facets=(Facet("brand"), facet))
        asked = search_service_pb2.SearchRequest(query="q", facets=[brand, message or brand])
        yield Refusal(error, python, asked if message else None)


def invalid_facets() -> Iterator[tuple[str, Facet, facet_pb2.Facet | None]]:
    """Yield an error, a facet, and the message of the facet, if the server does not coerce it."""

    def refusal(error: str, facet: Facet, **fields: Any):
        message = facet_pb2.Facet(**{"field": facet.field} | fields)
        return f"facets[1].{error}", facet, message

    yield refusal(f"field: names no field of items; give {COLUMNS}, attributes.NAME", Facet("shoe"))
    yield refusal("field: has a different value for each item; give another field", Facet("title"))
    yield refusal("max_values: is -1; give 1 to 200", Facet("brand", -1), max_values=-1)
    yield "facets[1].max_values: is 201; give 1 to 200", Facet("brand", 201), None
    below, below_message = Interval(below=1), filters.interval(below=1)
    yield refusal(
        "intervals: has 51 entries; give at most 50",
        Facet("price", intervals=(below,) * 51),
        intervals=[below_message] * 51,
    )
    for field in ("brand", "in_stock"):
        yield refusal(
            "intervals: need a field with an order; give a number, a date or an attribute",
            Facet(field, intervals=(below,)),
            intervals=[below_message],
        )
    for level in (-1, 21):
        error = f"level: is {level}; give 0 to 20"
        yield refusal(error, Facet("categories", level=level), level=level)
    for field in ("brand", "price", "attributes.category"):
        yield refusal(
            "level: is 1; give 0, or the field category or categories",
            Facet(field, level=1),
            level=1,
        )
    yield refusal(
        "intervals[1].below: is invalid; give a date",
        Facet("released", intervals=(Interval(below=DAY), below)),
        intervals=[filters.interval(below=DAY), below_message],
    )


def rule_refusals() -> Iterator[Refusal]:
    def refusal(error: str, record: Rules, message: rules_pb2.Rules | None):
        python = partial(SearchRequest, "q", rules=record)
        asked = search_service_pb2.SearchRequest(query="q", rules=message)
        return Refusal(f"rules.{error}", python, None if message is None else asked)

    yield refusal(
        "excluded_item_ids: has 1,001 entries; give at most 1,000",
        Rules(excluded_item_ids=("a",) * 1_001),
        rules(exclude=["a"] * 1_001),
    )
    yield refusal(
        "excluded_item_ids[1]: is empty; give a value",
        Rules(excluded_item_ids=("a", "")),
        rules(exclude=["a", ""]),
    )
    yield refusal(
        "excluded.not_filter.equals.value: is invalid; give text",
        Rules(excluded=Not(Equals("brand", 3))),
        rules(exclude=filters.negate(filters.equals("brand", 3))),
    )
    yield refusal(
        "boosts: has 21 entries; give at most 20",
        Rules(boosts=(Boost(VOLTIX, 1.0),) * 21),
        rules(boosts=[(VOLTIX_MESSAGE, 1.0)] * 21),
    )
    yield refusal(
        "boosts[0].filter.equals.value: is invalid; give text",
        Rules(boosts=(Boost(Equals("brand", 3), 1.0),)),
        rules(boosts=[(filters.equals("brand", 3), 1.0)]),
    )
    for strength, problem in (
        (0.0, "is 0; give a number other than 0"),
        (-10.5, "is -10.5; give -10 to 10"),
        (math.nan, "is nan; give -10 to 10"),
    ):
        yield refusal(
            f"boosts[1].strength: {problem}",
            Rules(boosts=(Boost(VOLTIX, 1.0), Boost(VOLTIX, strength))),
            rules(boosts=[(VOLTIX_MESSAGE, 1.0), (VOLTIX_MESSAGE, strength)]),
        )
    for diversity in (1.5, -0.5, math.nan):
        yield refusal(
            f"diversity: is {diversity}; give 0 to 1",
            Rules(diversity=diversity),
            rules(diversity=diversity),
        )
    yield refusal(
        "caps: has 11 entries; give at most 10",
        Rules(caps=(Cap("brand", 1),) * 11),
        rules(caps=[rules_pb2.Cap(field="brand", max_results=1)] * 11),
    )
    for field in ("title", "price", "categories", "language"):
        yield refusal(
            "caps[0].field: cannot be capped; give brand, category, group_id or an attribute",
            Rules(caps=(Cap(field, 1),)),
            rules(caps={field: 1}),
        )
    yield refusal(
        f"caps[0].field: names no field of items; give {COLUMNS}, attributes.NAME",
        Rules(caps=(Cap("colour", 1),)),
        rules(caps={"colour": 1}),
    )
    for most in (0, 101):
        yield refusal(
            f"caps[0].max_results: is {most}; give 1 to 100",
            Rules(caps=(Cap("brand", most),)),
            rules(caps={"brand": most}),
        )
    yield refusal(
        "caps[0].category_level: is 1; give 0, or the field category",
        Rules(caps=(Cap("brand", 1, 1),)),
        rules(caps=[rules_pb2.Cap(field="brand", max_results=1, category_level=1)]),
    )
    yield refusal(
        "caps[0].category_level: is 21; give 0 to 20",
        Rules(caps=(Cap("category", 1, 21),)),
        rules(caps=[category_cap(1, level=21)]),
    )
    yield refusal(
        "pins: has 51 entries; give at most 50",
        Rules(pins=tuple(Pin(str(position), position) for position in range(51))),
        rules(pins={str(position): position for position in range(51)}),
    )
    for position in (0, 51):
        yield refusal(
            f"pins[0].position: is {position}; give 1 to 50",
            Rules(pins=(Pin("a", position),)),
            rules(pins={"a": position}),
        )
    yield refusal(
        "pins[0].item_id: is empty; give a value", Rules(pins=(Pin("", 1),)), rules(pins={"": 1})
    )
    yield refusal(
        "pins[1].item_id: is in an earlier pin; give each item once",
        Rules(pins=(Pin("a", 1), Pin("a", 2))),
        rules_pb2.Rules(
            pins=[rules_pb2.Pin(item_id="a", position=position) for position in (1, 2)]
        ),
    )
    yield refusal(
        "pins[1].position: is in an earlier pin; give each position once",
        Rules(pins=(Pin("a", 1), Pin("b", 1))),
        rules(pins={"a": 1, "b": 1}),
    )


def promotion_refusals() -> Iterator[Refusal]:
    """Yield searches whose promotions break a limit."""

    def refusal(error: str, *promotions: dict[str, Any], share: float = 0.0):
        valid = {"promotion_id": "ads", "item_ids": ("a",), "daily_budget": 1.0}
        records = tuple(Promotion(**{**valid, **fields}) for fields in promotions)
        messages = [
            rules_pb2.Promotion(
                **{
                    **valid,
                    **fields,
                    **({"charged": "EVENT_TYPE_VIEW"} if "charged" in fields else {}),
                }
            )
            for fields in promotions
        ]
        return Refusal(
            f"rules.{error}",
            partial(SearchRequest, "q", rules=Rules(promotions=records, promoted_share=share)),
            search_service_pb2.SearchRequest(
                query="q", rules=rules(promotions=messages, promoted_share=share)
            ),
        )

    first = "promotions[0]"
    yield refusal("promotions: has 21 entries; give at most 20", *[{}] * 21)
    yield refusal("promoted_share: is 0.6; give 0 to 0.5", share=0.6)
    yield refusal(f"{first}.promotion_id: is empty; give a value", {"promotion_id": ""})
    yield refusal(
        f"{first}.promotion_id: has 65 characters; give at most 64", {"promotion_id": "x" * 65}
    )
    yield refusal(
        "promotions[1].promotion_id: is in an earlier promotion; give each id once", {}, {}
    )
    yield refusal(f"{first}.item_ids: has 0 entries; give 1 to 100", {"item_ids": ()})
    yield refusal(f"{first}.item_ids: has 101 entries; give 1 to 100", {"item_ids": ("a",) * 101})
    yield refusal(f"{first}.item_ids[1]: is empty; give a value", {"item_ids": ("a", "")})
    yield refusal(f"{first}.min_relevance: is 1.1; give 0 to 1", {"min_relevance": 1.1})
    for name, value in (("daily_budget", 0.0), ("daily_budget", math.nan), ("cost", -1.0)):
        problem = f"is {value}; give a number above 0, and at most 10^12"
        yield refusal(f"{first}.{name}: {problem}", {name: value})
    yield refusal(f"{first}.charged: is unknown; give impression or click", {"charged": "view"})
