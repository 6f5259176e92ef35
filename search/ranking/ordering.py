"""Order results by falling score: reranked candidates first (head), then the others (tail)."""

import numpy as np
from jaxtyping import Float32, Int64

# Difference between the last score of the head and the first score of the tail.
_GAP = 1e-3


def rerank_order(
    scores: Float32[np.ndarray, "head"], tail: Float32[np.ndarray, "tail"]
) -> tuple[Int64[np.ndarray, "head"], Float32[np.ndarray, "items"]]:
    """Sort the head by score; the tail follows in recall order.

    Args:
        scores: Scores of the reranked candidates, in any order.
        tail: Recall scores of the other candidates; falling.

    Returns:
        The order of the head, and the falling scores of the whole list. In the head, items with
        equal scores keep the recall order. The scores of the tail are shifted below the last score
        of the head.
    """
    order = np.argsort(-scores, kind="stable")
    head = scores[order]
    return order, np.concatenate([head, scores_behind(head, tail)]).astype(np.float32)


def scores_before(
    head: Float32[np.ndarray, "head"], others: Float32[np.ndarray, "others"]
) -> Float32[np.ndarray, "head"]:
    """Raise the scores of a head by a constant, to above all other scores, if necessary."""
    if not len(head) or not len(others) or head.min() > others.max():
        return head
    raised: Float32[np.ndarray, "head"] = head + (others.max() - head.min() + np.float32(_GAP))
    return raised


def scores_behind(
    head: Float32[np.ndarray, "head"], tail: Float32[np.ndarray, "tail"]
) -> Float32[np.ndarray, "tail"]:
    """Shift the falling scores of a tail by a constant, to below the last score of the head."""
    if not len(head) or not len(tail):
        return tail
    moved: Float32[np.ndarray, "tail"] = tail - tail[0] + head[-1] - np.float32(_GAP)
    return moved
