"""The channel "repeat": the items that the person bought before."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Int32

from catalog.catalogue import Catalogue
from search.channels.base import AddedRows, Allowed, ChannelHits, MemoryWriter, Query
from search.people.history import NO_HISTORY, Interests
from search.people.reasons import ReasonKind
from search.people.weights import REPEAT

_SHARPNESS = np.float32(50.0)


@dataclass(frozen=True)
class RepeatChannel:
    """Finds the items of the person's purchases, by number and recency of the purchases.

    Repeated purchases dominate what people buy next (Hu et al., "Modeling personalized item
    frequency information for next-basket recommendation", 2020, arXiv 2006.00556). The score is
    log(1 + 50 x) / log(51) for the share x of the best item, because most shares are small.
    """

    name: ClassVar[str] = REPEAT
    default_weight: ClassVar[float] = 0.1  # in a search with a person; see `HistoryChannel`
    reason: ClassVar[ReasonKind] = ReasonKind.REPEAT

    @classmethod
    def open(cls, bundle: Path, catalogue: Catalogue) -> "RepeatChannel":
        """Return the channel, which needs no file; see `Channel.open`."""
        del bundle, catalogue
        return cls()

    def writer(self, *_: object) -> MemoryWriter:
        """Return a writer; the channel has no rows."""
        return MemoryWriter(self)

    def extended(self, added: AddedRows) -> "RepeatChannel":
        """Return the channel itself, because a history has the rows of its items."""
        del added
        return self

    def search(self, query: Query, depth: int, allowed: Allowed = None) -> ChannelHits:
        """Return the items that the person bought, the best `depth` of those that are allowed."""
        purchases = _purchases(query)
        is_found = np.ones(len(purchases), np.bool_) if allowed is None else allowed[purchases.rows]
        return ChannelHits(purchases.rows[is_found][:depth], _scores(purchases)[is_found][:depth])

    def scores(
        self, query: Query, rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        """Return the scores of items; 0 for items that the person did not buy."""
        purchases = _purchases(query)
        known = dict(zip(purchases.rows.tolist(), _scores(purchases).tolist(), strict=True))
        return np.fromiter((known.get(row, 0.0) for row in rows.tolist()), np.float32, len(rows))

    def causes(self, query: Query, row: int) -> Interests:
        """Return the item itself, if the person bought it."""
        purchases = _purchases(query)
        is_row = purchases.rows == row
        return Interests(purchases.rows[is_row], purchases.weights[is_row])

    def warm_up(self, depth: int) -> None:
        """Do nothing: there is nothing to load."""


def _scores(purchases: Interests) -> Float32[np.ndarray, " items"]:
    shares = purchases.weights / purchases.weights[:1]
    return np.asarray(np.log1p(_SHARPNESS * shares) / np.log1p(_SHARPNESS))


def _purchases(query: Query) -> Interests:
    return (query.history or NO_HISTORY).purchases
