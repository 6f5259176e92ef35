"""Searches with the rules of a curation, alone and together with rules of the request."""

from collections.abc import Callable, Iterator

import pytest

from catalog.facets import Facet
from catalog.filters import Equals
from search.curation.curation import Curation, QueryRules
from search.engine import Engine
from search.request import SearchRequest
from search.rules import Adjustment, Boost, Cap, Effect, Pin, PinProblem, Rules
from search.understanding.interpretation import NOTHING, Understanding
from tests.search.pipeline.ruled import CHARGERS, QUERY, VOLTIX, ids

Curate = Callable[..., None]


@pytest.fixture
def curate(ruled: Engine) -> Iterator[Curate]:
    """Return a function that sets the live rules of the engine for QUERY until the test ends."""
    before = ruled.snapshot

    def curate(query: str = QUERY, **rules: object) -> None:
        curation = Curation("c", QueryRules((query,), Rules(**rules)))  # type: ignore[arg-type]
        ruled.snapshot = before.curated(before.curations.with_live([curation]))

    yield curate
    ruled.snapshot = before


def reports(result) -> list[tuple[str, str, int]]:
    return [(r.curation_id, r.rule, r.affected_count) for r in result.rules]


def plain(result):
    """Return a result without the names of rules, and without times."""
    hits = tuple((h.item_id, h.score, h.base_score) for h in result.hits)
    return hits, [(r.rule, r.affected_count) for r in result.rules], result.matched, result.facets


@pytest.mark.parametrize(
    "rules",
    [
        {"pins": (Pin("Ch-5-ampere", 2), Pin("nobody", 3))},
        {"excluded": VOLTIX, "excluded_item_ids": ("Ch-5-ampere",)},
        {"boosts": (Boost(VOLTIX, 3.0), Boost(Equals("in_stock", True), -1.0))},
        {"diversity": 0.5, "caps": (Cap("brand", 2),)},
    ],
    ids=["pins", "exclusions", "boosts", "diversity and caps"],
)
def test_rules_of_a_curation_work_as_those_of_a_request(ruled, curate, rules):
    facets = (Facet("brand", scope="matched"), Facet("brand", scope="recalled"))
    same = {"page_size": 20, "filter": CHARGERS, "facets": facets}
    by_request = ruled.search(SearchRequest(QUERY, rules=Rules(**rules), **same))
    curate(**rules)
    by_curation = ruled.search(SearchRequest(QUERY, **same))
    assert plain(by_curation) == plain(by_request)
    assert {r.curation_id for r in by_curation.rules} - {""} == {"c"}
    assert by_curation.interpretation.curation_id == "c"
    assert by_request.interpretation.curation_id == ""


@pytest.mark.parametrize("query", [f"  {QUERY.upper()} ", "ｕｓｂ c\tcharger", "usb c chargr"])
def test_case_width_white_space_and_typos_make_no_difference(ruled, curate, query):
    curate(pins=(Pin("Ca-5-voltix", 1),))
    result = ruled.search(SearchRequest(query))
    assert ids(result)[0] == "Ca-5-voltix"
    assert result.hits[0].adjustments == (
        Adjustment("pins[0]", Effect.PINNED, to_position=1, curation_id="c"),
    )


@pytest.mark.parametrize("query", ["usb charger", f"{QUERY} c", "charger", ""])
def test_another_query_has_no_rules(ruled, curate, query):
    before = ruled.search(SearchRequest(query, filter=CHARGERS))
    curate(pins=(Pin("Ca-5-voltix", 1),), boosts=(Boost(VOLTIX, 3.0),))
    after = ruled.search(SearchRequest(query, filter=CHARGERS))
    assert plain(after) == plain(before)


def test_the_query_as_typed_comes_before_the_corrected_query(ruled):
    before = ruled.snapshot
    pin = [Rules(pins=(Pin("Ca-5-voltix", position),)) for position in (1, 2)]
    ruled.snapshot = before.curated(
        before.curations.with_live(
            [
                Curation("typed", QueryRules(("usb c chargr",), pin[0])),
                Curation("meant", QueryRules((QUERY,), pin[1])),
            ]
        )
    )
    try:
        typed = ruled.search(SearchRequest("usb c chargr"))
        assert typed.interpretation.curation_id == "typed"
        assert ids(typed)[0] == "Ca-5-voltix"
        unread = SearchRequest("usb c chargr", understanding=Understanding(curated_rules=False))
        assert ruled.search(unread).interpretation.curation_id == ""
    finally:
        ruled.snapshot = before


def test_a_request_and_the_settings_can_turn_the_rules_off(ruled, curate):
    before = ruled.search(SearchRequest(QUERY, understanding=NOTHING))
    curate(excluded=VOLTIX)
    after = ruled.search(SearchRequest(QUERY, understanding=NOTHING))
    assert plain(after) == plain(before)
    usual = ruled.config
    ruled.config = usual.__class__(**{**vars(usual), "use_curated_rules": False})
    try:
        result = ruled.search(SearchRequest(QUERY))
        assert (result.rules, result.interpretation.curation_id) == ((), "")
    finally:
        ruled.config = usual


def test_a_curation_without_effect_is_reported_and_costs_no_stage(ruled, curate):
    curate()
    result = ruled.search(SearchRequest(QUERY))
    assert result.interpretation.curation_id == "c"
    assert (result.rules, result.hits[0].base_score) == ((), None)
    assert "rules" not in [stage.name for stage in result.stages]


def test_exclusions_boosts_and_caps_of_both_apply(ruled, curate):
    curate(
        excluded_item_ids=("Ch-5-ampere",), boosts=(Boost(VOLTIX, 1.0),), caps=(Cap("brand", 3),)
    )
    rules = Rules(
        excluded=Equals("item_id", "Ch-10-ampere"),
        boosts=(Boost(VOLTIX, 0.5),),
        caps=(Cap("brand", 5),),
    )
    result = ruled.search(SearchRequest(QUERY, rules=rules, page_size=48))
    assert not {"Ch-5-ampere", "Ch-10-ampere"} & {*ids(result)}
    boosted = next(hit for hit in result.hits if hit.item.brand == "Voltix")
    assert boosted.score == pytest.approx(boosted.base_score + 1.5)
    assert [(a.curation_id, a.rule, a.score_change) for a in boosted.adjustments] == [
        ("", "boosts[0]", 0.5),
        ("c", "boosts[0]", 1.0),
    ]
    brands = [hit.item.brand for hit in result.hits]
    assert max(map(brands.count, brands)) == 3
    assert [(curation, rule) for curation, rule, _ in reports(result)] == [
        ("", "excluded"),
        ("c", "excluded_item_ids"),
        ("", "boosts[0]"),
        ("c", "boosts[0]"),
        ("", "caps[0]"),
        ("c", "caps[0]"),
    ]


def test_a_pin_of_the_request_replaces_a_pin_with_its_item_or_position(ruled, curate):
    one, two, three, four = ids(ruled.search(SearchRequest(QUERY, page_size=20)))[10:14]
    curate(pins=(Pin(one, 1), Pin(two, 2), Pin(three, 3)))
    rules = Rules(pins=(Pin(one, 4), Pin(four, 2), Pin("nobody", 3)))
    result = ruled.search(SearchRequest(QUERY, rules=rules))
    assert ids(result)[1:4] == [four, three, one]
    problems = {(r.curation_id, r.rule): r.pin_problem for r in result.rules}
    assert problems == {
        ("", "pins[0]"): None,
        ("", "pins[1]"): None,
        ("", "pins[2]"): PinProblem.UNKNOWN_ITEM,
        ("c", "pins[0]"): PinProblem.REPLACED,
        ("c", "pins[1]"): PinProblem.REPLACED,
        ("c", "pins[2]"): None,
    }


@pytest.mark.parametrize(("of_request", "source"), [(0.3, ""), (0.0, "c")])
def test_the_diversity_of_the_request_comes_first(ruled, curate, of_request, source):
    rules = Rules(diversity=of_request, boosts=(Boost(VOLTIX, 0.1),))
    effective = Rules(diversity=of_request or 0.8, boosts=(Boost(VOLTIX, 0.1),))
    expected = ids(ruled.search(SearchRequest(QUERY, rules=effective, page_size=20)))
    curate(diversity=0.8)
    result = ruled.search(SearchRequest(QUERY, rules=rules, page_size=20))
    assert ids(result) == expected
    assert [r.curation_id for r in result.rules if r.rule == "diversity"] == [source]
