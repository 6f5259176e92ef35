"""Filters and facets as messages: round trips, refusals by path, and over a real channel."""

import datetime
from typing import Any

import grpc
import pytest
from google.type.date_pb2 import Date

from base.errors import RequestError
from catalog import filters as catalog_filters
from catalog.facets import Facet, FacetCounts
from catalog.filters import And, Equals, Exists, In, Interval, Not, Or, Prefix, Range
from search.engine import Engine
from search.request import SearchRequest
from server.convert import search as search_messages
from server.convert.filters import facet_message, facet_records, filter_record
from shortlist import filters
from shortlist.client import Client, ShortlistError
from shortlist.v1 import search_service_pb2
from shortlist.v1.facet_pb2 import (
    FACET_SCOPE_MATCHED,
    FACET_SCOPE_RECALLED,
    FACET_SCOPE_UNSPECIFIED,
)
from shortlist.v1.facet_pb2 import Facet as FacetMessage
from shortlist.v1.filter_pb2 import EqualsFilter, Filter, FilterGroup, InListFilter, Value
from shortlist.v1.rules_pb2 import Rules
from tests.server.convert.manifests import manifest

DAY = datetime.date(2024, 1, 10)
CHARGERS = filters.prefix("category", "Electronics > Chargers")

EVERY_KIND = filters.all_of(
    filters.equals("brand", "Voltix"),
    filters.negate(filters.in_list("in_stock", [True])),
    filters.any_of(
        filters.between("price", at_least=10, below=20.5),
        filters.between("released", above=DAY, at_most=DAY),
        filters.exists("attributes.watt"),
    ),
    filters.prefix("title", "usb"),
    filters.equals("released", DAY),
    filters.equals("rating_count", 3),
)


def refused_field(convert: object, *arguments: object, **named: object) -> str:
    assert callable(convert)
    with pytest.raises(RequestError) as refused:
        convert(*arguments, **named)
    return refused.value.field


def violation_of(call: object, *arguments: object, **named: object) -> str:
    """Return the field in the error of a refused call; the error must name exactly one field."""
    assert callable(call)
    with pytest.raises(ShortlistError) as failed:
        call(*arguments, **named)
    assert failed.value.code == grpc.StatusCode.INVALID_ARGUMENT
    [violation] = failed.value.field_violations
    return violation.field


# ---- messages


def test_every_kind_of_filter_becomes_what_it_says() -> None:
    sent = Filter.FromString(EVERY_KIND.SerializeToString())
    record = filter_record(sent, "filter")
    catalog_filters.check(record, "filter")
    assert record == And(
        (
            Equals("brand", "Voltix"),
            Not(In("in_stock", (True,))),
            Or(
                (
                    Range("price", Interval(at_least=10.0, below=20.5)),
                    Range("released", Interval(above=DAY, at_most=DAY)),
                    Exists("attributes.watt"),
                )
            ),
            Prefix("title", "usb"),
            Equals("released", DAY),
            Equals("rating_count", 3.0),
        )
    )


def test_texts_are_compared_without_case_if_the_message_says_so() -> None:
    message = filters.all_of(
        filters.equals("brand", "a", ignore_case=True),
        filters.in_list("brand", ["a"], ignore_case=True),
        filters.prefix("brand", "a", ignore_case=True),
    )
    assert filter_record(message, "filter") == And(
        (Equals("brand", "a", True), In("brand", ("a",), True), Prefix("brand", "a", True))
    )


def test_a_zero_and_a_false_are_values() -> None:
    assert filter_record(filters.equals("price", 0), "filter") == Equals("price", 0.0)
    assert filter_record(filters.equals("in_stock", False), "filter") == Equals("in_stock", False)


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (Filter(), "filter"),
        (filters.all_of(CHARGERS, Filter()), "filter.and_group.filters[1]"),
        (filters.any_of(filters.negate(Filter())), "filter.or_group.filters[0].not_filter"),
        (Filter(equals=EqualsFilter(field="brand")), "filter.equals.value"),
        (
            Filter(in_list=InListFilter(field="brand", values=[Value(text="a"), Value()])),
            "filter.in_list.values[1]",
        ),
        (
            Filter(equals=EqualsFilter(field="released", value=Value(date=Date(year=2024)))),
            "filter.equals.value.date",
        ),
    ],
)
def test_a_filter_of_no_shape_is_refused_by_its_place(message: Filter, path: str) -> None:
    assert refused_field(filter_record, message, "filter") == path


def test_facets_have_defaults_and_limits() -> None:
    interval = filters.interval(below=20)
    given = [
        FacetMessage(field="brand"),
        FacetMessage(field="price", max_values=999, intervals=[interval]),
        FacetMessage(field="brand", scope=FACET_SCOPE_MATCHED),
        FacetMessage(field="categories", ignore_own_filter=True, level=2),
    ]
    assert facet_records(given) == (
        Facet("brand", 10),
        Facet("price", 200, (Interval(below=20.0),)),
        Facet("brand", 10, scope="matched"),
        Facet("categories", 10, ignore_own_filter=True, level=2),
    )


def test_counts_are_told_with_values_of_their_type() -> None:
    text = facet_message(FacetCounts("brand", "recalled", 3, (("Voltix", 2), ("Ohm", 1))))
    assert [(v.value.text, v.count) for v in text.values] == [("Voltix", 2), ("Ohm", 1)]
    assert (text.scope, text.known_count) == (FACET_SCOPE_RECALLED, 3)
    assert not text.HasField("smallest")
    flag = facet_message(FacetCounts("in_stock", "matched", 1, ((False, 1),)))
    assert flag.values[0].value == Value(flag=False)
    date = facet_message(FacetCounts("released", "matched", 1, (), (1, 0), DAY, DAY))
    assert date.smallest.date == date.largest.date == Date(year=2024, month=1, day=10)
    assert list(date.interval_counts) == [1, 0]


def test_an_interval_with_two_lower_bounds_is_never_built() -> None:
    with pytest.raises(ValueError, match="not both"):
        filters.between("price", above=1, at_least=1)
    with pytest.raises(ValueError, match="not both"):
        filters.interval(below=1, at_most=1)


def request_of(**fields: Any) -> SearchRequest:
    message = search_service_pb2.SearchRequest(**fields)
    return search_messages.search_request(message, manifest(), None)


def test_a_query_may_be_empty_only_with_a_filter() -> None:
    assert request_of(query=" ", filter=CHARGERS).filter == Prefix(
        "category", "Electronics > Chargers"
    )
    assert refused_field(request_of, query=" ") == "query"
    assert refused_field(request_of, query="x" * 2_001, filter=CHARGERS) == "query"


# ---- what the comments of the contract promise


def refusal_of(**given: Any) -> str | None:
    """Return the error of an invalid search, or None if the search is valid."""
    try:
        request_of(query="q", **given)
    except RequestError as refused:
        return str(refused)
    return None


def nested(levels: int) -> Filter:
    filter = filters.exists("brand")
    for _ in range(levels - 1):
        filter = filters.negate(filter)
    return filter


@pytest.mark.parametrize(
    "filter",
    [
        nested(8),
        filters.any_of(*[filters.exists("brand")] * 99),
        filters.in_list("brand", ["a"] * 1_000),
        filters.exists("attributes.a.b c"),
        filters.equals("attributes.watt", "65"),
        filters.between("attributes.watt", above=1),
        filters.between("price", above=5, below=5),
    ],
    ids=["levels", "filters", "values", "name of an attribute", "an attribute is text",
         "bounds of an attribute", "an interval that holds nothing"],
)  # fmt: skip
def test_a_filter_is_taken_up_to_its_limits(filter: Filter) -> None:
    assert refusal_of(filter=filter) is None
    assert refusal_of(rules=Rules(excluded=filter)) is None


def test_a_filter_may_have_256_kibibytes() -> None:
    most = filters.equals("brand", "x" * (2**18 - 19))
    assert most.ByteSize() == 2**18
    assert refusal_of(filter=most) is None
    more = filters.equals("brand", "x" * (2**18 - 18))
    error = "filter: has 262,145 bytes; give at most 262,144"
    assert refusal_of(filter=more) == error
    assert refusal_of(rules=Rules(excluded=more)) == f"rules.excluded{error[6:]}"


@pytest.mark.parametrize(
    ("year", "month", "day", "there"),
    [(1, 1, 1, True), (9999, 12, 31, True), (2024, 2, 29, True), (2023, 2, 29, False),
     (0, 1, 1, False), (10_000, 1, 1, False), (2024, 0, 1, False), (2024, 1, 0, False)],
)  # fmt: skip
def test_dates_are_those_of_the_calendar(year: int, month: int, day: int, there: bool) -> None:
    value = Value(date=Date(year=year, month=month, day=day))
    filter = Filter(equals=EqualsFilter(field="released", value=value))
    error = "filter.equals.value.date: is not a date; give a year, month and day that exist"
    assert refusal_of(filter=filter) == (None if there else error)


@pytest.mark.parametrize(
    "facet",
    [
        FacetMessage(field="attributes.nobody"),
        FacetMessage(field="attributes.a", intervals=[filters.interval(below=1)]),
        FacetMessage(field="price", max_values=2**31 - 1),
        FacetMessage(field="brand", scope=FACET_SCOPE_UNSPECIFIED),
    ],
)
def test_a_facet_is_taken_as_the_contract_says(facet: FacetMessage) -> None:
    # Two facets may have the same field.
    assert refusal_of(facets=[facet] * 2) is None


def test_an_unknown_scope_is_refused() -> None:
    facet = FacetMessage(field="brand", scope=99)  # type: ignore[arg-type]  # no scope
    assert refusal_of(facets=[facet]) == "facets[0].scope: is 99; give a value of FacetScope"


# ---- over a real channel


def test_a_tree_too_deep_to_be_read_is_malformed(address: str) -> None:
    tree = nested(90).SerializeToString()
    # Nest the filter deeper than Python can build messages.
    for _ in range(10):
        size = len(tree)
        tree = b"\x1a" + bytes([size & 127 | 128, size >> 7]) + tree
    request = b"\x0a\x01q\x32" + bytes([len(tree) & 127 | 128, len(tree) >> 7]) + tree
    with grpc.insecure_channel(address) as channel:
        method = channel.unary_unary("/shortlist.v1.SearchService/Search")
        with pytest.raises(grpc.RpcError) as failed:
            method(request, timeout=30)
    assert isinstance(failed.value, grpc.Call)
    error = ShortlistError(failed.value)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")


def test_a_filtered_search_answers_as_the_engine_does(client: Client, engine: Engine) -> None:
    facets = [
        FacetMessage(field="brand", scope=FACET_SCOPE_MATCHED),
        FacetMessage(field="price", intervals=[filters.interval(below=20)]),
    ]
    response = client.search(
        "usb c charger", filter=CHARGERS, facets=facets, page_size=30, ignore_stock=True
    )
    record = Prefix("category", "Electronics > Chargers")
    expected = engine.search(
        SearchRequest(
            "usb c charger",
            page_size=30,
            filter=record,
            facets=(
                Facet("brand", scope="matched"),
                Facet("price", intervals=(Interval(below=20),)),
            ),
        )
    )
    assert [r.item_id for r in response.results] == [hit.item_id for hit in expected.hits]
    assert response.matched_count == expected.matched == len(response.results) == 24
    brand, price = response.facets
    assert [(v.value.text, v.count) for v in brand.values] == list(expected.facets[0].values)
    assert tuple(price.interval_counts) == expected.facets[1].interval_counts
    assert (price.smallest.number, price.largest.number) == (11.0, 110.0)
    assert {stage.name: stage.plan for stage in response.stages}["recall"] == "scan"
    retrieved = client.retrieve("usb c charger", filter=CHARGERS)
    assert {r.item_id for r in retrieved.results} == {r.item_id for r in response.results}


def test_browsing_pages_through_everything_that_matches(client: Client) -> None:
    seen: list[str] = []
    token = ""
    while token or not seen:
        page = client.search("", filter=CHARGERS, page_size=10, page_token=token, ignore_stock=True)
        seen += [r.item_id for r in page.results]
        token = page.next_page_token
    assert len(set(seen)) == len(seen) == page.matched_count == 24
    counts = [client.get_item(item_id).rating_count for item_id in seen]
    assert counts == sorted(counts, reverse=True)
    assert [stage.name for stage in page.stages] == ["filter", "browse"]


def test_without_a_filter_nothing_is_said_about_matches(client: Client) -> None:
    response = client.search("usb c charger")
    assert not response.HasField("matched_count")
    assert not response.facets
    assert {stage.plan for stage in response.stages} == {""}


def test_a_page_token_fits_only_its_own_filter_facets_and_groups(client: Client) -> None:
    options: dict[str, Any] = {
        "filter": CHARGERS,
        "facets": [FacetMessage(field="brand")],
        "max_per_group": 2,
    }
    token = client.search("usb", page_size=2, **options).next_page_token
    assert client.search("usb", page_size=2, page_token=token, **options).results
    for name, other in {
        "filter": filters.negate(CHARGERS),
        "facets": [FacetMessage(field="category")],
        "max_per_group": 3,
    }.items():
        changed = {**options, name: other}
        assert violation_of(client.search, "usb", page_token=token, **changed) == "page_token"
        left_out = {key: value for key, value in options.items() if key != name}
        assert violation_of(client.search, "usb", page_token=token, **left_out) == "page_token"


def test_an_unspecified_scope_counts_what_was_recalled(client: Client) -> None:
    facet = FacetMessage(field="brand", scope=FACET_SCOPE_UNSPECIFIED)
    [counts] = client.search("usb", recall_depth=12, facets=[facet]).facets
    assert (counts.scope, counts.known_count) == (FACET_SCOPE_RECALLED, 12)


def test_long_lists_are_refused_before_they_are_converted() -> None:
    """An entry behind the limit is malformed, so its conversion would give another error."""
    brands = [Value(text="a")] * 1_000 + [Value()]
    in_list = Filter(in_list=InListFilter(field="brand", values=brands))
    assert refused_field(filter_record, in_list, "filter") == "filter.in_list.values"
    parts = [filters.exists("brand")] * 99 + [Filter()]
    group = Filter(and_group=FilterGroup(filters=parts))
    with pytest.raises(RequestError, match="is filter 101; give at most 100") as refused:
        filter_record(Filter(not_filter=group), "filter")
    assert refused.value.field == "filter.not_filter.and_group.filters[98]"
    facets = [FacetMessage(field="brand")] * 20 + [FacetMessage(scope=9)]  # type: ignore[arg-type]
    assert refused_field(facet_records, facets) == "facets"
