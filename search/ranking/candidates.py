"""The candidates of recall, with the scores and ranks that the channels give them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32, Int32, Int64

from catalog.catalogue import Catalogue
from search.result import Hit

# Scores of some items in several channels, by channel name; NaN if not computed.
ChannelScores: TypeAlias = Mapping[str, Float32[np.ndarray, " items"]]


@dataclass(frozen=True)
class Candidates:
    """The candidates of recall, best first.

    Attributes:
        rows: Rows of the items.
        recall_scores: The recall scores of the items; falling.
        channel_scores: Each channel's scores of the items, by channel name; NaN if not computed.
            The dense channel always has scores of all items.
        ranks: The rank of each item in each channel, by channel name. Ranks start at 1; 0 means
            that the channel did not find the item.
        plan: How the dense channel searched within a filter (see `filtered.Plan`); "" otherwise.
    """

    rows: Int32[np.ndarray, " candidates"]
    recall_scores: Float32[np.ndarray, " candidates"]
    channel_scores: ChannelScores
    ranks: Mapping[str, Int32[np.ndarray, " candidates"]]
    plan: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def hits(self, catalogue: Catalogue, *, with_items: bool = False) -> tuple[Hit, ...]:
        """Return all candidates as hits, with or without their items."""
        return tuple(
            Hit(
                catalogue.id(row),
                float(self.recall_scores[position]),
                channel_scores=scores_at(self.channel_scores, position),
                channel_ranks=self.ranks_at(position),
                recall_score=float(self.recall_scores[position]),
                item=catalogue.item(row) if with_items else None,
            )
            for position, row in enumerate(self.rows.tolist())
        )

    def at(self, positions: Int64[np.ndarray, " positions"]) -> "Candidates":
        """Return the candidates at some positions."""
        return Candidates(
            self.rows[positions],
            self.recall_scores[positions],
            {name: of_channel[positions] for name, of_channel in self.channel_scores.items()},
            {name: of_channel[positions] for name, of_channel in self.ranks.items()},
            self.plan,
        )

    def ranks_at(self, position: int) -> dict[str, int]:
        """Return the rank of a candidate in each channel that found it, by channel name."""
        ranks = {channel: int(ranks[position]) for channel, ranks in self.ranks.items()}
        return {channel: rank for channel, rank in ranks.items() if rank}


def scores_at(scores: ChannelScores, position: int) -> dict[str, float]:
    """Return one item's score in each channel that scored it, by channel name."""
    of_item = {channel: float(of_channel[position]) for channel, of_channel in scores.items()}
    return {channel: score for channel, score in of_item.items() if not np.isnan(score)}
