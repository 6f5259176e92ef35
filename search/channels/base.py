"""What a recall channel is.

A channel finds items for a query in its own way and can score any item. To add one: write its class
in a file of this folder, list it in `search.channels.CHANNELS`, and add a value of that name to the
contract's `Channel` enum.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int32

from catalog.catalogue import Catalogue
from catalog.items import Item
from lexical.index import LexicalIndex

# Which rows may be found: those that pass a filter. None: all rows, which must be alive.
Allowed: TypeAlias = Bool[np.ndarray, " items"] | None


@dataclass(frozen=True)
class Query:
    """A query as channels read it.

    Attributes:
        text: The text in its normal form; "" for a query that is a vector alone.
        vector: Its unit vector.
    """

    text: str
    vector: Float32[np.ndarray, " dim"]


@dataclass(frozen=True)
class ChannelHits:
    """What one channel finds, best first.

    Attributes:
        rows: Rows of the items, each once.
        scores: The channel's scores of them; falling.
        plan: How the channel searched within a filter (see `filtered.Plan`); else "".
    """

    rows: Int32[np.ndarray, " hits"]
    scores: Float32[np.ndarray, " hits"]
    plan: str = ""


@dataclass(frozen=True)
class AddedRows:
    """Rows that were added behind those of a channel.

    Attributes:
        items: The items, in the order of their rows.
        vectors: Their unit vectors.
        lexical: A lexical index of all rows, those before and the added ones.
    """

    items: Sequence[Item]
    vectors: Float32[np.ndarray, "added dim"]
    lexical: LexicalIndex


@runtime_checkable
class Channel(Protocol):
    """A recall channel.

    Its best scores are about 1, so that weights can set channels against each other. A score
    depends on query and item alone: neither on a filter, nor on what else is found.
    """

    name: ClassVar[str]  # in results, weights and, as CHANNEL_NAME, in the contract
    default_weight: ClassVar[float]  # of its scores in the recall score, in units of cosine

    @classmethod
    def open(cls, bundle: Path, catalogue: Catalogue) -> "Channel":
        """Open the channel of a bundle.

        Args:
            bundle: The directory of the bundle, which is known to be sound.
            catalogue: Its items.
        """

    def search(self, query: Query, depth: int, allowed: Allowed = None) -> ChannelHits:
        """Return the `depth` best items; fewer where the channel finds fewer.

        With `allowed`, only items for which it is true are found.
        """

    def scores(
        self, query: Query, rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        """Return the scores of any items, whether or not `search` would find them."""

    def extended(self, added: AddedRows) -> "Channel":
        """Return the channel with more rows. Only one thread at a time may extend a channel."""

    def warm_up(self, depth: int) -> None:
        """Compile or load whatever a first search at that depth would wait for."""
