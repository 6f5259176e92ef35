"""The interface of recall channels.

A channel finds items for a query by a method of its own, and can score any item. To add a channel,
write its class in a file of this folder, add the class to `search.channels.CHANNELS`, and add the
name of the channel to the `Channel` enum of the contract (`channel.proto`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int32

from catalog.catalogue import Catalogue
from catalog.items import Item
from search.bundle import Manifest
from search.people.history import History, Interests
from search.people.live import Trends
from search.people.reasons import ReasonKind

# Mask of the rows that a search may return. None: all rows (only used if no row is deleted).
Allowed: TypeAlias = Bool[np.ndarray, " items"] | None


@dataclass(frozen=True)
class UserVector:
    """A person as the channel of the user tower reads one.

    Attributes:
        vector: The vector of the person from the user tower.
        of_own: The inner products with the items that have a block of their own.
        of_blocks: The part of these inner products that is due to the items' blocks.
        interests: Text vector and residual of each item of `History.interests`.
    """

    vector: Float32[np.ndarray, " dim"]
    of_own: Float32[np.ndarray, " own"]
    of_blocks: Float32[np.ndarray, " own"]
    interests: Float32[np.ndarray, "interests width"]


@dataclass(frozen=True)
class Query:
    """A query in the form that channels use.

    Attributes:
        text: The normalised text; "" for a query that is only a vector, and for recommendations.
        vector: The unit vector of the query; zeros for recommendations.
        lexical_text: The text for the lexical channel, without stop words; None: `text`.
        alternatives: Other texts that the lexical channel searches for too, each with the weight of
            its terms.
        language: The language of the query; "": not known.
        history: The history of the person; None if the request names no person and asks for no
            recommendations.
        user: The person as a vector of the user tower; None without one.
        context: The attributes of the situation, such as the country.
        trends: What is popular in the server's own events; None without such events.
    """

    text: str
    vector: Float32[np.ndarray, " dim"]
    lexical_text: str | None = None
    alternatives: tuple[tuple[str, float], ...] = ()
    language: str = ""
    history: History | None = None
    user: UserVector | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    trends: Trends | None = None


@dataclass(frozen=True)
class ChannelHits:
    """The items that one channel finds, best first.

    Attributes:
        rows: Rows of the items, without duplicates.
        scores: The channel's scores of the items; falling.
        plan: How the channel searched within a filter (see `filtered.Plan`); "" otherwise.
    """

    rows: Int32[np.ndarray, " hits"]
    scores: Float32[np.ndarray, " hits"]
    plan: str = ""


@dataclass(frozen=True)
class AddedRows:
    """New rows, which follow the rows that a channel already has.

    Attributes:
        first: The first new row, which is the number of earlier rows.
        items: The items, in the order of their rows.
        vectors: The unit vectors of the items.
        dead: Old and new rows that no search may return. A row can be listed in several calls. A
            channel may ignore dead rows, because searches also exclude them with a mask.
    """

    first: int
    items: Sequence[Item]
    vectors: Float32[np.ndarray, "added dim"]
    dead: Sequence[int]


@runtime_checkable
class Channel(Protocol):
    """A recall channel.

    The best scores of every channel are about 1, so that the weights of channels are comparable. A
    score depends only on the query and the item, not on a filter or on the other items found.
    """

    name: ClassVar[str]  # such as "dense" for CHANNEL_DENSE in the contract
    default_weight: ClassVar[float]  # default weight of the channel's scores in recall

    @classmethod
    def open(cls, bundle: Path, catalogue: Catalogue) -> "Channel":
        """Open the channel of a bundle.

        Args:
            bundle: The directory of a verified bundle.
            catalogue: The items of the bundle.

        Raises:
            InputError: a file is damaged, or has another number of rows than the catalogue.
        """

    def search(self, query: Query, depth: int, allowed: Allowed = None) -> ChannelHits:
        """Return the `depth` best items, or fewer if the channel finds fewer.

        With a mask `allowed`, the channel returns only rows for which the mask is true.
        """

    def scores(
        self, query: Query, rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        """Return the scores of any items, whether or not `search` would find them."""

    def writer(self, bundle: Path, manifest: Manifest, scratch: Path, /) -> "ChannelWriter":
        """Return a writer that adds rows to this channel, which `open` returned.

        A channel that keeps added rows in memory returns a `MemoryWriter`.

        Args:
            bundle: The directory of the bundle.
            manifest: The manifest of the bundle when it was loaded.
            scratch: A directory for temporary files. The writer creates it if necessary.

        Raises:
            BundleError: the bundle's files have changed.
            StorageError: a file cannot be written, for example because the disk is full.
        """

    def warm_up(self, depth: int) -> None:
        """Compile or load everything that a search for `depth` items needs."""


@runtime_checkable
class PersonalChannel(Channel, Protocol):
    """A channel that reads the history of a query; it takes no part in queries without one."""

    reason: ClassVar[ReasonKind]  # why the channel finds an item

    def causes(self, query: Query, row: int) -> Interests:
        """Return the items of the history because of which the channel scores an item.

        The weights are shares of the channel's score. The result is empty for a channel that finds
        the same items for every history.
        """


@runtime_checkable
class ChannelWriter(Protocol):
    """Adds rows to a channel. Only one thread at a time may use a writer.

    After an error, a writer cannot be used. Close it, open another one and add all rows again.
    """

    def extended(self, added: AddedRows) -> Channel:
        """Return the channel with more rows; earlier channels do not change.

        Raises:
            StorageError: a file cannot be written, for example because the disk is full.
        """

    def close(self) -> None:
        """Release the resources of the writer; its channels can still be searched."""


@runtime_checkable
class ExtendableChannel(Channel, Protocol):
    """A channel that keeps added rows in memory."""

    def extended(self, added: AddedRows) -> "ExtendableChannel":
        """Return a channel with more rows. Only one thread at a time may extend a channel."""


class MemoryWriter:
    """The writer of a channel that keeps added rows in memory."""

    def __init__(self, channel: ExtendableChannel) -> None:
        """Start from a channel."""
        self._channel = channel

    def extended(self, added: AddedRows) -> Channel:
        """Return the channel with more rows; earlier channels do not change."""
        self._channel = self._channel.extended(added)
        return self._channel

    def close(self) -> None:
        """Do nothing: there are no files."""
