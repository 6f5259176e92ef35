"""Calls that break a signature fail while tests run."""

from typing import Any

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from catalog.item_text import Segment, normalise_query
from search.pipeline.state import RerankScores
from tests.signatures import CHECKED_CALLS, first_calls
from train.evaluation.metrics import ndcg


def test_arguments_whose_shapes_differ_are_refused():
    gains = np.zeros((2, 3))
    assert ndcg.checked(gains, gains, 3).shape == (2,)
    with pytest.raises(TypeCheckError):
        ndcg.checked(gains, np.zeros((1, 3)), 3)
    made = object.__new__(RerankScores)
    with pytest.raises(TypeCheckError):
        RerankScores.__init__.checked(made, np.zeros((1, 1), np.float32), {})


def test_only_the_first_calls_are_checked():
    def checked(number: int) -> str:
        return f"checked {number}"

    called = first_calls(checked, lambda number: f"plain {number}")
    answers = [called(number) for number in range(CHECKED_CALLS + 1)]
    assert answers[0] == "checked 0"
    assert answers[-2:] == [f"checked {CHECKED_CALLS - 1}", f"plain {CHECKED_CALLS}"]


@pytest.mark.parametrize("broken", [lambda: normalise_query(Any), lambda: Segment(1, 2)])
def test_types_are_checked_in_signatures_without_shapes(broken):
    with pytest.raises(TypeError):
        broken()
