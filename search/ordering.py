"""One falling order of scores: a reranked head, and a tail that stays behind it."""

import numpy as np
from jaxtyping import Float32, Int64

# The first score behind a list lies this far below the last score of the list.
_GAP = 1e-3


def rerank_order(
    scores: Float32[np.ndarray, "head"], tail: Float32[np.ndarray, "tail"]
) -> tuple[Int64[np.ndarray, "head"], Float32[np.ndarray, "items"]]:
    """Order the reranked head by score and leave the tail behind it in recall order.

    Args:
        scores: Scores of the first candidates, in any order.
        tail: Recall scores of the other candidates; falling.

    Returns:
        The order of the head (equal scores stay in recall order), and scores that fall along the
        whole list: those of the head, and those of the tail moved below the last of the head.
    """
    order = np.argsort(-scores, kind="stable")
    head = scores[order]
    return order, np.concatenate([head, scores_behind(head, tail)]).astype(np.float32)


def scores_behind(
    head: Float32[np.ndarray, "head"], tail: Float32[np.ndarray, "tail"]
) -> Float32[np.ndarray, "tail"]:
    """Return the falling scores of a tail, moved as a whole below the last score of the head."""
    if not len(head) or not len(tail):
        return tail
    moved: Float32[np.ndarray, "tail"] = tail - tail[0] + head[-1] - np.float32(_GAP)
    return moved
