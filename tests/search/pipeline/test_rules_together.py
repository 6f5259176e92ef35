"""Rules of all kinds at once, over pages."""

from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from catalog.filters import Equals, Exists, Not
from search.request import SearchRequest
from search.rules import Boost, Cap, Pin, Rules
from tests import tiny
from tests.search.pipeline.ruled import CHARGERS, QUERY, VOLTIX, ids, without_times

NAMES = [item.item_id for item in tiny.tiny_items()]
filters = st.sampled_from(
    [VOLTIX, CHARGERS, Not(VOLTIX), Exists("attributes.colour"), Equals("in_stock", False)]
)
# Strategies draw plain values, and the test makes rules of them. beartype draws random numbers when
# a record is made, which Hypothesis does not allow in strategies.
EXCLUDED = [None, Equals("brand", "Ampere"), Equals("in_stock", False)]
CAPS = [Cap("brand", 5), Cap("group_id", 1), Cap("attributes.colour", 4), Cap("category", 9)]
names = st.sampled_from([*NAMES, "?"])
rule_sets = st.fixed_dictionaries(
    {
        "excluded_item_ids": st.lists(names, max_size=4, unique=True),
        "excluded": st.sampled_from(EXCLUDED),
        "boosts": st.lists(
            st.tuples(filters, st.sampled_from([-10.0, -0.3, 0.2, 4.0])), max_size=2
        ),
        "diversity": st.sampled_from([0.0, 0.4, 1.0]),
        "caps": st.lists(st.sampled_from(CAPS), max_size=2, unique=True),
        "pins": st.lists(
            st.tuples(names, st.integers(1, 20)),
            max_size=4,
            unique_by=(lambda pin: pin[0], lambda pin: pin[1]),
        ),
    }
)


def rules_of(drawn) -> Rules:
    return Rules(
        tuple(drawn["excluded_item_ids"]),
        drawn["excluded"],
        tuple(Boost(*boost) for boost in drawn["boosts"]),
        drawn["diversity"],
        tuple(drawn["caps"]),
        tuple(Pin(*pin) for pin in drawn["pins"]),
    )


VALUES = {
    "brand": lambda item: item.brand,
    "group_id": lambda item: item.group_id,
    "category": lambda item: item.category,
    "attributes.colour": lambda item: item.attributes.get("colour"),
}


@settings(max_examples=20)
@given(
    rule_sets,
    st.sampled_from([QUERY, "hdmi", ""]),
    st.sampled_from([CHARGERS, Exists("price")]),
    st.integers(3, 11),
    st.sampled_from([(200, 50), (12, 5), (7, 0)]),
)
def test_rules_hold_on_every_page_and_pages_are_parts_of_one_list(
    ruled, drawn, query, filter, size, depths
):
    rules = rules_of(drawn)
    assume(rules != Rules())
    options = {"filter": filter, "recall_depth": depths[0], "rerank_depth": depths[1]}
    whole = ruled.search(SearchRequest(query, page_size=100, rules=rules, **options))
    again = ruled.search(SearchRequest(query, page_size=100, rules=rules, **options))
    assert without_times(again).hits == whole.hits
    paged: list = []
    offset, more = 0, True
    while more:
        page = ruled.search(
            SearchRequest(query, page_size=size, offset=offset, rules=rules, **options)
        )
        paged += page.hits
        offset, more = offset + size, page.has_more
        assert len(page.hits) == size or not more
    assert [hit.item_id for hit in paged] == ids(whole)
    assert [hit.adjustments for hit in paged] == [hit.adjustments for hit in whole.hits]
    assert len(set(ids(whole))) == len(whole.hits)

    skipped = {r.rule for r in whole.rules if r.pin_problem is not None}
    pinned = {
        p.item_id: p.position for n, p in enumerate(rules.pins) if f"pins[{n}]" not in skipped
    }
    assert set(pinned) <= set(ids(whole))
    for name, position in pinned.items():
        at = ids(whole).index(name) + 1
        # If the list is shorter than the position, the item is last or only pinned items follow.
        assert at == position or (at < position and set(ids(whole)[at:]) <= set(pinned))

    for hit in whole.hits:
        item = hit.item
        assert item.item_id not in rules.excluded_item_ids
        assert rules.excluded != Equals("brand", item.brand)
        assert rules.excluded != Equals("in_stock", item.in_stock)
        changes = sum(a.score_change for a in hit.adjustments)
        assert hit.score == pytest.approx(hit.base_score + changes)
    for cap in rules.caps:
        value = VALUES[cap.field]
        counts = Counter(value(hit.item) for hit in whole.hits if hit.item_id not in pinned)
        shown = Counter(value(hit.item) for hit in whole.hits if hit.item_id in pinned)
        for of, count in counts.items():
            assert of is None or count + shown[of] <= cap.max_results
    if not rules.diversity:
        scores = [hit.score for hit in whole.hits if hit.item_id not in pinned]
        assert scores == sorted(scores, reverse=True)
