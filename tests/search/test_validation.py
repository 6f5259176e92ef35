import numpy as np
import pytest

from catalog.schema import Item
from search import validation
from search.result import RequestError


def refusal(check, *arguments, **options) -> str:
    with pytest.raises(RequestError) as caught:
        check(*arguments, **options)
    return str(caught.value)


@pytest.mark.parametrize("text", ["", " \t\n", "\u3000"])
def test_an_empty_query_is_refused(text):
    assert refusal(validation.query, text).startswith("query: is empty")


def test_a_query_may_be_long_but_no_document():
    validation.query("x" * 2_000)
    assert "has 10000 characters; at most 2000" in refusal(validation.query, "x" * 10_000)


@pytest.mark.parametrize(
    ("limit", "offset", "field"), [(0, 0, "limit"), (-1, 0, "limit"), (101, 0, "limit"),
                                   (10, -1, "offset"), (10, 1_001, "offset")]
)  # fmt: skip
def test_a_page_out_of_reach_is_refused_by_field(limit, offset, field):
    assert refusal(validation.page, limit, offset).startswith(f"{field}: is ")
    validation.page(100, 1_000)


def test_a_depth_left_out_is_the_default_and_others_have_limits():
    assert validation.depth("rerank_depth", None, 50, low=0) == 50
    assert validation.depth("rerank_depth", 0, 50, low=0) == 0
    assert "recall_depth: is 0" in refusal(validation.depth, "recall_depth", 0, 200, low=1)
    assert "is 1001" in refusal(validation.depth, "recall_depth", 1_001, 200, low=1)
    assert "limit: is 1001" in refusal(validation.retrieve_limit, 1_001)


def test_a_vector_is_brought_to_unit_length():
    unit = validation.vector(np.array([3, 4], np.float32), 2)
    np.testing.assert_allclose(unit, [0.6, 0.8], rtol=1e-6)
    huge = validation.vector(np.array([3e38, 3e38], np.float32), 2)
    np.testing.assert_allclose(huge, [0.5**0.5] * 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([1, 2, 3], "has 3 numbers; the index has 2"),
        ([], "has 0 numbers"),
        ([0, 0], "is zero"),
        ([float("nan"), 1], "not finite"),
        ([float("inf"), 1], "not finite"),
    ],
)
def test_a_vector_that_points_nowhere_is_refused(values, problem):
    assert problem in refusal(validation.vector, np.array(values, np.float32), 2)


def test_what_to_embed_is_counted_and_refused_by_place():
    assert "has 0 entries" in refusal(validation.inputs, [])
    assert "has 129 entries" in refusal(validation.inputs, ["x"] * 129)
    assert refusal(validation.inputs, ["x", " "]).startswith("inputs[1]: is empty")
    assert refusal(validation.inputs, ["x", Item("a", " ")]).startswith("inputs[1].title: is empty")
    lamp = Item("a", "Lamp")
    assert validation.inputs(["A  Lamp", lamp]) == ["a lamp", lamp]


def test_candidates_are_named_once_each_and_have_titles():
    validation.candidates(["a", Item("b", "lamp")])
    assert refusal(validation.candidates, ["a", Item("a", "lamp")]).startswith(
        "items[1]: comes twice"
    )
    assert refusal(validation.candidates, ["a", ""]).startswith("items[1].item_id: is empty")
    assert refusal(validation.candidates, [Item("a", "")]).startswith("items[0].title: is empty")
    assert "has 501 entries" in refusal(validation.candidates, [str(n) for n in range(501)])
    assert "has 0 entries" in refusal(validation.candidates, [])
