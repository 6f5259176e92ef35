"""The count channels of recommendation: models that recall items for a history without a network.

Every channel scores all items from 0 to 1. A score depends only on the history and the item.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32
from scipy import sparse

from base.errors import InputError
from base.untrusted.small_files import read_object
from behaviour.interactions import Interactions
from behaviour.models.cooccurrence import CooccurrenceConfig, fit_cooccurrence
from behaviour.models.ease import EaseConfig, fit_ease
from behaviour.models.item_to_item import HistoryDecay, ItemToItem
from behaviour.models.popularity import Popularity
from behaviour.models.repeat import Repeat
from behaviour.models.similar_text import SimilarTextConfig, fit_similar_text

REPEAT, REPEAT_RECENT = "repeat", "repeat_recent"
_POPULAR = "popular"
_SETTINGS, _POPULARITY = "recall.json", "popularity.npz"
# Scores of a channel are long-tailed: the best item has many times the score of the hundredth. The
# logarithm log(1 + 50 x) / log(51) of the share x of the best score spreads them.
_SHARPNESS = 50.0
_BATCH = 256  # histories scored at a time


@dataclass(frozen=True)
class RecallConfig:
    """Settings of the count channels. The defaults were chosen on Online Retail, see docs."""

    also_bought: EaseConfig = field(
        default_factory=lambda: EaseConfig(200.0, 90.0, HistoryDecay(half_life_days=180.0))
    )
    same_users: CooccurrenceConfig = field(default_factory=CooccurrenceConfig)
    same_baskets: CooccurrenceConfig = field(
        default_factory=lambda: CooccurrenceConfig("session", 60.0, HistoryDecay(30.0))
    )
    similar_text: SimilarTextConfig = field(default_factory=SimilarTextConfig)
    popular_half_life_days: float = 14.0  # age at which an event counts one half in popularity
    repeat_half_life_days: float = 60.0  # the same, for the user's own items


@dataclass(frozen=True)
class RecallModels:
    """Fitted channels.

    Attributes:
        item_to_item: Models that score items by the history's items, by the name of the channel.
        popularity: Counts of the items; each window is a channel.
        repeat_half_life_days: Age at which an own item counts one half in `repeat_recent`.
    """

    item_to_item: Mapping[str, ItemToItem]
    popularity: Popularity
    repeat_half_life_days: float

    @classmethod
    def fit(
        cls,
        interactions: Interactions,
        now: int,
        config: RecallConfig,
        vectors: Float32[np.ndarray, "items dim"] | None = None,
    ) -> "RecallModels":
        """Fit all channels on the events before `now` (seconds since 1970).

        Args:
            interactions: The events of all users.
            now: The time at which an event has age 0.
            config: Settings of the channels.
            vectors: Unit text vectors of the items; None leaves out the channel `similar_text`.
        """
        models = {
            "also_bought": fit_ease(interactions, now, config.also_bought),
            "same_users": fit_cooccurrence(interactions, now, config.same_users),
            "same_baskets": fit_cooccurrence(interactions, now, config.same_baskets),
        }
        if vectors is not None:
            models["similar_text"] = fit_similar_text(vectors, config.similar_text)
        popularity = Popularity.fit(interactions, now, config.popular_half_life_days)
        return cls(models, popularity, config.repeat_half_life_days)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the channels, in the order of `scores`."""
        windows = (f"{_POPULAR}_{days:g}" for days in self.popularity.windows_days)
        return (*self.item_to_item, REPEAT, REPEAT_RECENT, *windows)

    def scores(
        self, histories: Interactions, now: int
    ) -> Float32[np.ndarray, "channels users items"]:
        """Score all items by every channel for each history, at a time in seconds since 1970."""
        result = np.empty((len(self.names), histories.users, histories.items), np.float32)
        repeats = (Repeat(), Repeat(self.repeat_half_life_days))
        scorers: list[ItemToItem | Repeat] = [*self.item_to_item.values(), *repeats]
        for row, model in enumerate(scorers):
            result[row] = _spread(model.scores(histories, now))
        logs = np.log1p(self.popularity.counts)
        result[len(scorers) :] = (logs / np.maximum(logs.max(axis=1, keepdims=True), 1))[:, None, :]
        return result

    def save(self, directory: Path) -> None:
        """Write the channels to an existing directory."""
        for name, model in self.item_to_item.items():
            model.save(directory / f"{name}.npz")
        self.popularity.save(directory / _POPULARITY)
        settings = {
            "item_to_item": list(self.item_to_item),
            "repeat_half_life_days": self.repeat_half_life_days,
        }
        (directory / _SETTINGS).write_text(json.dumps(settings) + "\n")

    @classmethod
    def open(cls, directory: Path, items: int) -> "RecallModels":
        """Open the channels of a catalogue with a number of items.

        Raises:
            InputError: a file is missing or damaged.
        """
        path = directory / _SETTINGS
        try:
            settings = read_object(path)
            names = [str(name) for name in settings["item_to_item"]]
            if any(Path(name).name != name for name in names):
                raise ValueError("a name of a channel is a path")
            half_life = float(settings["repeat_half_life_days"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} cannot be read: {error}; train again") from error
        return cls(
            {name: ItemToItem.open(directory / f"{name}.npz", items) for name in names},
            Popularity.open(directory / _POPULARITY, items),
            half_life,
        )


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


def _spread(scores: Float32[np.ndarray, "users items"]) -> Float32[np.ndarray, "users items"]:
    """Map scores to 0 to 1 by the logarithm of their share of the user's best score."""
    best = scores.max(axis=1, keepdims=True, initial=0)
    share = np.divide(np.maximum(scores, 0), best, out=np.zeros_like(scores), where=best > 0)
    return np.asarray(np.log1p(_SHARPNESS * share) / np.log1p(_SHARPNESS), np.float32)
