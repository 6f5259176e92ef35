"""The recommender of a bundle on the rows of a catalogue, which writes change."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32
from scipy import sparse

from behaviour.interactions import Interactions
from behaviour.models.text_fill import TextFillConfig, fill_weights
from catalog.catalogue import Catalogue
from rerank.recommend import features
from rerank.recommend.recommender import Recommender, groups_of, open_recommenders
from search import bundle as bundle_files
from search.channels.also_bought import AlsoBoughtChannel
from search.channels.fusion import Channels
from search.channels.model_items import ModelItems
from search.people.history import History
from search.people.weights import ALSO_BOUGHT, HISTORY, POPULAR, REPEAT
from search.request import DENSE

RECOMMENDER = "recommender"  # directory of the recommender in `behaviour/` of a bundle
MICROSECONDS = 1_000_000
# The channel of the contract that each channel of the recommender belongs to. All channels that are
# not named here count purchases in a window.
_PUBLIC: Mapping[str, str] = {
    "also_bought": ALSO_BOUGHT,
    "same_users": ALSO_BOUGHT,
    "same_baskets": ALSO_BOUGHT,
    "similar_text": HISTORY,
    "repeat": REPEAT,
    "repeat_recent": REPEAT,
}


def public_channel(name: str) -> str:
    """Return the channel of the contract that a channel of the recommender belongs to."""
    return _PUBLIC.get(name, POPULAR)


@dataclass(frozen=True)
class Learned:
    """The recommenders of a bundle for the rows of one snapshot.

    A recommender numbers its items: first the items of the training, then the rows that are new.
    A new row counts like the items with the most similar vectors.

    Attributes:
        of_bundle: The recommenders of the bundle, by whether they rank only items that are new to
            the person.
        recommenders: The same with the new rows.
        row_of: The row of each item number; -1 for an item that the catalogue lacks.
        number_of: The item number of each row; -1 for a row that is deleted.
        neighbours: For each new row, the numbers and the cosines of the most similar items. All
            snapshots of a bundle share this object, because rows never change.
    """

    of_bundle: Mapping[bool, Recommender]
    recommenders: Mapping[bool, Recommender]
    row_of: Int32[np.ndarray, " numbers"]
    number_of: Int32[np.ndarray, " rows"]
    neighbours: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    @classmethod
    def open(cls, bundle: Path, channels: Channels, catalogue: Catalogue) -> "Learned | None":
        """Open the recommenders of a verified bundle; None if the bundle has none.

        Raises:
            InputError: a file is damaged.
        """
        directory = bundle / bundle_files.BEHAVIOUR / RECOMMENDER
        if ALSO_BOUGHT not in channels.personal or not directory.is_dir():
            return None
        items = _items(channels)
        of_bundle = open_recommenders(directory, len(items))
        opened = cls(of_bundle, of_bundle, items.row_of, items.number_of)
        return opened.over(channels, catalogue)

    def over(self, channels: Channels, catalogue: Catalogue) -> "Learned":
        """Return the recommenders for the rows of a changed catalogue."""
        items = _items(channels)
        new = np.flatnonzero((items.number_of < 0) & catalogue.all_alive).astype(np.int32)
        if not len(new):
            return replace(
                self,
                recommenders=self.of_bundle,
                row_of=items.row_of,
                number_of=items.number_of,
            )
        number_of = items.number_of.copy()
        number_of[new] = len(items) + np.arange(len(new))
        prices = catalogue.field_numbers("price", new).astype(np.float32)
        recommenders = {}
        for new_items, recommender in self.of_bundle.items():
            added = self._filled(channels, items, new, recommender.models.text_fill)
            recommenders[new_items] = recommender.extended(added, prices)
        row_of = np.concatenate([items.row_of, new])
        return replace(self, recommenders=recommenders, row_of=row_of, number_of=number_of)

    def interactions(self, history: History) -> Interactions:
        """Return the events of a person's history that count, as one user."""
        numbers = self.number_of[history.rows]
        counts = history.counts & (numbers >= 0)
        return Interactions.sorted_by_time(
            (None,),
            len(self.row_of),
            np.zeros(np.count_nonzero(counts), np.int32),
            numbers[counts],
            history.types[counts],
            history.times[counts] // MICROSECONDS,
            np.arange(np.count_nonzero(counts)),
        ).by_day()

    def by_number(self, values: Float32[np.ndarray, " rows"]) -> Float32[np.ndarray, " numbers"]:
        """Return the values of rows in the order of item numbers; 0 without a row."""
        return np.where(self.row_of >= 0, values[self.row_of], np.float32(0)).astype(np.float32)

    def _filled(
        self,
        channels: Channels,
        items: ModelItems,
        new: Int32[np.ndarray, " new"],
        config: TextFillConfig,
    ) -> sparse.csr_matrix:
        """Return the weights of the bundle's items that count instead of each new row."""
        rows, columns, values = [], [], []
        for place, row in enumerate(new.tolist()):
            if row not in self.neighbours:
                self.neighbours[row] = _neighbours(channels, items, row, config)
            numbers, cosines = self.neighbours[row]
            if len(numbers):
                rows += [place] * len(numbers)
                columns += numbers.tolist()
                values += fill_weights(cosines[None], config)[0].tolist()
        return sparse.csr_matrix((values, (rows, columns)), (len(new), len(items)), np.float32)


@dataclass(frozen=True)
class LearnedList:
    """The candidates of the bundle's recommender for a request.

    Attributes:
        recommender: The recommender.
        candidates: The candidates of the recommender, one user.
        rows: The catalogue rows of the candidates.
    """

    recommender: Recommender
    candidates: features.Candidates
    rows: Int32[np.ndarray, " candidates"]

    @property
    def ranked(self) -> int:
        """The number of candidates that the second stage ranks; 0 if it ranks no such person."""
        [group] = groups_of(self.candidates.histories).tolist()
        ranks = self.recommender.stages.rankers[group] is not None
        return min(self.recommender.depth, len(self.rows)) if ranks else 0


def _neighbours(
    channels: Channels, items: ModelItems, row: int, config: TextFillConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers and the cosines of the bundle's items that are most like a new row."""
    near = channels.nearest(channels.vector(row), 2 * config.neighbours)
    numbers = items.number_of[near.rows]
    known = np.flatnonzero(numbers >= 0)[: config.neighbours]
    return numbers[known], near.channel_scores[DENSE][known]


def _items(channels: Channels) -> ModelItems:
    channel = channels.personal[ALSO_BOUGHT]
    assert isinstance(channel, AlsoBoughtChannel)
    return channel.items
