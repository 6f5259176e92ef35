"""The count channels of recommendation: models that recall items for a history without a network.

Every channel scores all items from 0 to 1. A score depends only on the history and the item.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float32
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
from behaviour.models.text_fill import TextFillConfig, text_fill

REPEAT, REPEAT_RECENT, SIMILAR_TEXT = "repeat", "repeat_recent", "similar_text"
_POPULAR = "popular"
_SETTINGS, _POPULARITY = "recall.json", "popularity.npz"
# Scores of a channel are long-tailed: the best item has many times the score of the hundredth. The
# logarithm log(1 + 50 x) / log(51) of the share x of the best score spreads them.
_SHARPNESS = 50.0
_FILL = ("neighbours", "power", "strength")
_MAX_NEIGHBOURS = 1_000


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
    text_fill: TextFillConfig = field(default_factory=TextFillConfig)
    popular_half_life_days: float = 14.0  # age at which an event counts one half in popularity
    repeat_half_life_days: float = 60.0  # the same, for the user's own items


@dataclass(frozen=True)
class RecallModels:
    """Fitted channels.

    Attributes:
        item_to_item: Models that score items by the history's items, by the name of the channel.
        popularity: Counts of the items; each window is a channel.
        repeat_half_life_days: Age at which an own item counts one half in `repeat_recent`.
        text_fill: How new items are filled from items with similar texts.
        added: For each item that is new to the models, the weights of the models' items that count
            instead; see `text_fill`.
    """

    item_to_item: Mapping[str, ItemToItem]
    popularity: Popularity
    repeat_half_life_days: float
    text_fill: TextFillConfig
    added: sparse.csr_matrix | None = None

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
        popularity = Popularity.fit(interactions, now, config.popular_half_life_days)
        if vectors is not None:
            models[SIMILAR_TEXT] = fit_similar_text(vectors, config.similar_text)
        return cls(models, popularity, config.repeat_half_life_days, config.text_fill)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the channels, in the order of `scores`."""
        windows = (f"{_POPULAR}_{days:g}" for days in self.popularity.windows_days)
        return (*self.item_to_item, REPEAT, REPEAT_RECENT, *windows)

    def scores(
        self, histories: Interactions, now: int
    ) -> Float32[np.ndarray, "channels users items"]:
        """Score all items by every channel for each history, at a time in seconds since 1970."""
        popular = self.popular[:, None]
        shape = (len(popular), histories.users, histories.items)
        return np.concatenate([self.personal(histories, now), np.broadcast_to(popular, shape)])

    def personal(
        self, histories: Interactions, now: int
    ) -> Float32[np.ndarray, "channels users items"]:
        """Score all items by the channels that read the history, which are the first ones."""
        models = self.item_to_item.values()
        repeats = (Repeat(), Repeat(self.repeat_half_life_days))
        scores = [model.scores(histories, now, self.added) for model in models]
        scores += [repeat.scores(histories, now) for repeat in repeats]
        return np.stack([_spread(of_channel) for of_channel in scores])

    @cached_property
    def popular(self) -> Float32[np.ndarray, "windows items"]:
        """The scores of all items by the channels that need no history, which are the last ones."""
        logs = np.log1p(self.popularity.counts)
        return np.asarray(logs / np.maximum(logs.max(axis=1, keepdims=True), 1), np.float32)

    def with_fill(self, vectors: Float32[np.ndarray, "items dim"] | None) -> "RecallModels":
        """Give items without events the scores of items with similar texts.

        The blend and the rankers learn without this step. An item that was in the catalogue before
        its first sale would teach them that new items do not sell.
        """
        if vectors is None:
            return self
        fill = text_fill(vectors, self.popularity.last >= 0, self.text_fill)
        models = {
            name: model if name == SIMILAR_TEXT else model.with_fill(fill)
            for name, model in self.item_to_item.items()
        }
        return replace(self, item_to_item=models, popularity=self.popularity.with_fill(fill))

    def extended(self, added: sparse.csr_matrix) -> "RecallModels":
        """Return the channels for further items, which have the last rows; see `added`."""
        return replace(self, popularity=self.popularity.extended(added), added=added)

    def save(self, directory: Path) -> None:
        """Write the channels to an existing directory."""
        for name, model in self.item_to_item.items():
            model.save(directory / f"{name}.npz")
        self.popularity.save(directory / _POPULARITY)
        settings = {
            "item_to_item": list(self.item_to_item),
            "repeat_half_life_days": self.repeat_half_life_days,
            "text_fill": asdict(self.text_fill),
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
            few, power, strength = (float(settings["text_fill"][name]) for name in _FILL)
            if not 1 <= few <= _MAX_NEIGHBOURS:
                raise ValueError(f"neighbours is {few}; it is 1 to {_MAX_NEIGHBOURS}")
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} cannot be read: {error}; train again") from error
        return cls(
            {name: ItemToItem.open(directory / f"{name}.npz", items) for name in names},
            Popularity.open(directory / _POPULARITY, items),
            half_life,
            TextFillConfig(int(few), power, strength),
        )


def _spread(scores: Float32[np.ndarray, "users items"]) -> Float32[np.ndarray, "users items"]:
    """Map scores to 0 to 1 by the logarithm of their share of the user's best score."""
    best = scores.max(axis=1, keepdims=True, initial=0)
    share = np.divide(np.maximum(scores, 0), best, out=np.zeros_like(scores), where=best > 0)
    return np.asarray(np.log1p(_SHARPNESS * share) / np.log1p(_SHARPNESS), np.float32)
