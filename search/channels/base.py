"""The channels of stage 1: each finds items for a query in its own way, and scores any item.

`fusion` combines them. One more channel is one more class, a
member of `Channel`, a weight in `EngineConfig.weights` and a place in `Snapshot.open`; for requests
to name it, a member of the contract's Channel, too.
"""

from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int32

# Which rows are looked at: items that pass a filter. None: all rows, which must be alive.
Allowed: TypeAlias = Bool[np.ndarray, " items"] | None


@dataclass(frozen=True)
class Query:
    """What is looked for.

    Attributes:
        text: What was typed, in its normal form.
        vector: Its unit vector.
    """

    text: str
    vector: Float32[np.ndarray, " dim"]


@dataclass(frozen=True)
class Ranked:
    """What one channel finds, best first.

    Attributes:
        rows: Rows of the items, each once.
        scores: The channel's scores of them; falling.
        plan: How it searched within a filter (see `filtered.Plan`); else "".
    """

    rows: Int32[np.ndarray, " found"]
    scores: Float32[np.ndarray, " found"]
    plan: str = ""


@runtime_checkable
class Retriever(Protocol):
    """A channel. Its best scores are about 1, so that weights can set channels against each other.

    A score depends on query and item alone: neither on a filter, nor on what else is found.
    """

    @property
    def name(self) -> str:
        """What results call it."""

    def search(self, query: Query, depth: int, allowed: Allowed = None) -> Ranked:
        """The `depth` best items for a query; fewer where the channel finds fewer.

        With `allowed`, only items that it is true of are found.
        """

    def scores(
        self, query: Query, rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        """The scores of any items, whether or not `search` would find them."""
