"""Items pinned to positions, through the engine."""

import pytest

from catalog.filters import Equals, Or
from search.request import RetrieveRequest, SearchRequest
from search.rules import Adjustment, Cap, Effect, Pin, PinProblem, Rules
from tests.search.pipeline.ruled import CHARGERS, QUERY, ids, report


@pytest.mark.parametrize("query", [QUERY, ""])
def test_pins_are_where_they_were_put_and_the_others_keep_their_order(ruled, query):
    plain = ids(ruled.search(SearchRequest(query, page_size=48, filter=CHARGERS)))
    rules = Rules(pins=(Pin(plain[-1], 2), Pin(plain[0], 5), Pin(plain[7], 1)))
    result = ruled.search(SearchRequest(query, page_size=48, filter=CHARGERS, rules=rules))
    others = [name for name in plain if name not in {plain[-1], plain[0], plain[7]}]
    expected = [plain[7], plain[-1], *others[:2], plain[0], *others[2:]]
    assert ids(result) == expected
    pinned = result.hits[1]
    assert pinned.adjustments == (Adjustment("pins[0]", Effect.PINNED, to_position=2),)
    assert {r.rule: r.affected_count for r in result.rules} == {
        "pins[0]": 1,
        "pins[1]": 1,
        "pins[2]": 1,
    }


def test_what_recall_did_not_find_can_be_pinned_and_is_scored_like_the_rest(ruled):
    whole = ruled.search(SearchRequest(QUERY, page_size=48))
    by_id = {hit.item_id: hit for hit in whole.hits}
    few = ids(ruled.retrieve(RetrieveRequest(QUERY, page_size=5)))
    far = next(name for name in reversed(ids(whole)) if name not in few)
    result = ruled.search(
        SearchRequest(
            QUERY, page_size=3, recall_depth=5, rerank_depth=3, rules=Rules(pins=(Pin(far, 1),))
        )
    )
    assert ids(result)[0] == far
    assert (result.recalled, result.reranked) == (5, 4)
    pinned = result.hits[0]
    assert pinned.channel_ranks == {}
    for score in ("score", "base_score", "rerank_score", "channel_scores"):
        expected = "score" if score == "base_score" else score
        assert getattr(pinned, score) == pytest.approx(getattr(by_id[far], expected), abs=1e-4)
    alone = ruled.search(
        SearchRequest(
            QUERY, page_size=3, recall_depth=5, rerank_depth=0, rules=Rules(pins=(Pin(far, 1),))
        )
    )
    by_recall = {
        hit.item_id: hit
        for hit in ruled.search(SearchRequest(QUERY, page_size=48, rerank_depth=0)).hits
    }
    assert (alone.hits[0].rerank_score, alone.reranked) == (None, 0)
    assert alone.hits[0].score == pytest.approx(by_recall[far].score, abs=1e-5)


def test_pins_beyond_the_list_close_up(ruled):
    only = Equals("item_id", "Ch-5-voltix")
    two = Or((only, Equals("item_id", "Ca-5-voltix")))
    for query in (QUERY, ""):
        rules = Rules(pins=(Pin("Ca-5-voltix", 40),))
        result = ruled.search(SearchRequest(query, filter=two, rules=rules))
        assert ids(result) == ["Ch-5-voltix", "Ca-5-voltix"]
        assert result.hits[1].adjustments[-1].to_position == 2


def test_pins_that_cannot_be_are_left_out_with_a_reason(ruled):
    rules = Rules(
        excluded_item_ids=("Ch-5-voltix",),
        pins=(
            Pin("nothing", 1),
            Pin("Ca-5-voltix", 2),
            Pin("Ch-5-voltix", 3),
            Pin("Ch-1-voltix", 4),
        ),
    )
    for query in (QUERY, ""):
        result = ruled.search(SearchRequest(query, filter=CHARGERS, rules=rules))
        assert [report(result, f"pins[{n}]").pin_problem for n in range(4)] == [
            PinProblem.UNKNOWN_ITEM,
            PinProblem.FILTERED_OUT,
            PinProblem.EXCLUDED,
            None,
        ]
        assert ids(result)[3] == "Ch-1-voltix"
        assert len(result.hits) == 10


def test_pins_count_for_caps_and_are_never_left_out_by_one(ruled):
    pins = (Pin("Ca-5-voltix", 1), Pin("Ca-1-voltix", 3))
    for most, others in ((1, 0), (2, 0), (3, 1)):
        rules = Rules(caps=(Cap("brand", most),), pins=pins)
        result = ruled.search(SearchRequest(QUERY, page_size=48, rules=rules))
        voltix = [hit.item_id for hit in result.hits if hit.item.brand == "Voltix"]
        assert len(voltix) == 2 + others
        assert {"Ca-5-voltix", "Ca-1-voltix"} <= set(voltix)
