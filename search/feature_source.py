"""The source of the reranker's features: the items, and the channels that score them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Float32, Int32

from catalog.catalogue import Catalogue
from catalog.fields import value_of
from catalog.store import ItemStore
from rerank.features import FeatureInputs
from search.channels import CHANNELS, ChannelTypes
from search.channels.base import Query
from search.channels.fusion import Channels


@dataclass(frozen=True)
class FeatureSource:
    """The data from which the features of items are computed.

    Attributes:
        catalogue: The items.
        channels: The recall channels; None for items that are not indexed.
        as_of: The day on which item ages are computed; None makes ages unknown.
    """

    catalogue: Catalogue
    channels: Channels | None
    as_of: date | None

    @classmethod
    def open(
        cls,
        directory: Path,
        catalogue: Catalogue,
        as_of: date | None,
        names: Collection[str] | None = None,
        available: ChannelTypes = CHANNELS,
    ) -> "FeatureSource":
        """Open the recall channels of a directory, and use them as a source.

        Args:
            directory: A bundle, or the `index` step of a training run.
            catalogue: The indexed items.
            as_of: The day on which item ages are computed; None makes ages unknown.
            names: The names of the channels; None for all.
            available: All channels of this version.
        """
        return cls(catalogue, Channels.open(directory, catalogue, names, available), as_of)

    def inputs(
        self,
        query: Query,
        rows: Int32[np.ndarray, "candidates"],
        known: Mapping[str, Float32[np.ndarray, "candidates"]] = MappingProxyType({}),
    ) -> FeatureInputs:
        """Return the inputs of `feature_matrix` for some items.

        Args:
            query: The query.
            rows: The rows of the items.
            known: Channel scores that are already computed, by channel name.
        """
        scores = known if self.channels is None else self.channels.scores(query, rows, known)
        return FeatureInputs(query.text, rows, self.catalogue, scores, self.as_of)


def newest_release(store: ItemStore) -> date | None:
    """Return the release date of the newest item; None without dates.

    Item ages are computed for this day, so the answers of a bundle do not change from day to day.
    """
    days = store.number("released")
    if np.isnan(days).all():
        return None
    newest = value_of("released", float(np.nanmax(days)))
    assert isinstance(newest, date)
    return newest
