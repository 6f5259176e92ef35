import numpy as np
import pytest

from search.ranking.ordering import rerank_order


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_the_head_is_ordered_by_logit_and_the_tail_follows_in_its_own_order():
    order, scores = rerank_order(floats(0.5, 2.0, -1.0), floats(0.9, 0.7, 0.4))
    assert order.tolist() == [1, 0, 2]
    # The tail begins 0.001 below the last logit and keeps its differences of score.
    np.testing.assert_allclose(scores, [2.0, 0.5, -1.0, -1.001, -1.201, -1.501], rtol=1e-6)


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        ([3, 3, 3], [0.5, 0.5]),
        ([-1000.5, 1000.5], [1, 0.999999, -1]),
        ([], [0.9, 0.9, 0.1]),
        ([0.2, 0.1], []),
        ([], []),
        ([7], [1]),
    ],
)
def test_scores_never_rise_along_the_list(head, tail):
    order, scores = rerank_order(floats(*head), floats(*tail))
    assert len(scores) == len(head) + len(tail)
    assert sorted(order.tolist()) == list(range(len(head)))
    assert (np.diff(scores) <= 0).all()
    if head and tail:
        assert scores[len(head)] < scores[len(head) - 1]


def test_equal_logits_stay_in_the_order_of_recall():
    assert rerank_order(floats(1, 2, 1, 2), floats())[0].tolist() == [1, 3, 0, 2]


def test_without_a_head_the_scores_are_the_cosines():
    assert rerank_order(floats(), floats(0.75, 0.5))[1].tolist() == [0.75, 0.5]
