"""Candidate lists: the items that any channel recalls, to learn the weights of channels from."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32
from scipy import sparse

from behaviour.interactions import Interactions
from behaviour.recall.models import RecallModels

_BATCH = 256  # histories scored at a time


@dataclass(frozen=True)
class CandidateLists:
    """The items that the channels recall for each user.

    Attributes:
        rows: Item rows of each user's list, in ascending order; -1 is padding.
        scores: The channels' scores of these items; 0 for padding.
    """

    rows: Int32[np.ndarray, "users candidates"]
    scores: Float32[np.ndarray, "users candidates channels"]

    @property
    def where(self) -> Bool[np.ndarray, "users candidates"]:
        """False for padding."""
        return self.rows >= 0

    def of_users(self, users: Int[np.ndarray, " batch"]) -> "CandidateLists":
        """Return the lists of some users."""
        return CandidateLists(self.rows[users], self.scores[users])


def candidate_lists(
    models: RecallModels,
    histories: Interactions,
    now: int,
    depth: int,
    excluded: sparse.csr_matrix | None = None,
) -> CandidateLists:
    """Join the `depth` best items of every channel, except for items with score 0.

    Args:
        models: The channels.
        histories: The histories to recall for.
        now: The time of the recall, in seconds since 1970.
        depth: Number of items that each channel recalls.
        excluded: Items that are not recalled, as a users × items matrix; None excludes no item.
    """
    rows, values = [], []
    for start in range(0, histories.users, _BATCH):
        batch = range(start, min(start + _BATCH, histories.users))
        scores = models.scores(histories.of_users(np.array(batch)), now)
        for place, user in enumerate(batch):
            masked = scores[:, place]
            if excluded is not None:
                masked = masked.copy()
                masked[:, excluded[user].indices] = 0
            few = min(depth, histories.items)
            best = np.argpartition(-masked, few - 1, axis=1)[:, :few]
            chosen = np.unique(best[np.take_along_axis(masked, best, axis=1) > 0])
            rows.append(chosen.astype(np.int32))
            values.append(scores[:, place, chosen].T)
    width = max(map(len, rows), default=0)
    padded = np.full((histories.users, width), -1, np.int32)
    padded_scores = np.zeros((histories.users, width, len(models.names)), np.float32)
    for number, (own, value) in enumerate(zip(rows, values, strict=True)):
        padded[number, : len(own)] = own
        padded_scores[number, : len(own)] = value
    return CandidateLists(padded, padded_scores)
