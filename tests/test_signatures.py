"""Calls that break a signature fail while tests run."""

from typing import Any

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from catalog.item_text import Segment, normalise_query
from search.pipeline.state import RerankScores
from train.evaluation.metrics import ndcg


def test_arguments_whose_shapes_differ_are_refused():
    gains = np.zeros((2, 3))
    assert ndcg(gains, gains, 3).shape == (2,)
    with pytest.raises(TypeCheckError):
        ndcg(gains, np.zeros((1, 3)), 3)
    with pytest.raises(TypeCheckError):
        RerankScores(np.zeros((1, 1), np.float32), {})


@pytest.mark.parametrize("broken", [lambda: normalise_query(Any), lambda: Segment(1, 2)])
def test_types_are_checked_in_signatures_without_shapes(broken):
    with pytest.raises(TypeError):
        broken()
