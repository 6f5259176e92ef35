"""The compared systems: fixed baselines, and both stages of our recommender."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32

from behaviour.cases import Case
from behaviour.models.cooccurrence import CooccurrenceConfig, fit_cooccurrence
from behaviour.models.ease import EaseConfig, fit_ease
from behaviour.models.item_to_item import HistoryDecay, ItemToItem
from behaviour.models.popularity import Popularity
from rerank.recommend.recommender import Recommender

RECALL, RANKED = "recall", "ranked"
WEEK, MONTH = 7.0, 28.0
_TIE_HALF_LIFE_DAYS = 14.0
_TIE = 1e-6  # weight of popularity among items with equal scores


# Returns a score of each item for the users of a case; excluded items may have any score.
System: TypeAlias = Callable[[Case], Float32[np.ndarray, "users items"]]


def baselines(case: Case) -> dict[str, System]:
    """Fit the fixed baselines on what a case lets models read.

    Each baseline orders items with equal scores by decayed popularity.
    """
    past, now = case.past, case.now
    popularity = Popularity.fit(past, now, _TIE_HALF_LIFE_DAYS)
    untimed = HistoryDecay()
    models: Mapping[str, ItemToItem] = {
        "item_knn": fit_cooccurrence(
            past, now, CooccurrenceConfig("user", None, untimed, 0.0, 0.5, 0.5, 200)
        ),
        "ease": fit_ease(past, now, EaseConfig(500.0, None, untimed)),
        "ease_decayed": fit_ease(past, now, EaseConfig()),
    }
    week, month = popularity.window(WEEK), popularity.window(MONTH)

    def popular(case: Case) -> Float32[np.ndarray, "users items"]:
        return with_ties(np.tile(week, (case.histories.users, 1)), popularity)

    def repeat(case: Case) -> Float32[np.ndarray, "users items"]:
        counts = case.histories.matrix().toarray()
        return with_ties(counts + month / np.float32(max(month.max(), 1) * 2), popularity)

    def of(model: ItemToItem) -> System:
        return lambda case: with_ties(model.scores(case.histories, case.now), popularity)

    return {
        "popular_7_days": popular,
        "repeat": repeat,
        **{name: of(model) for name, model in models.items()},
    }


def stages(recommender: Recommender) -> dict[str, System]:
    """Return both stages of a recommender as systems."""
    return {
        RECALL: lambda case: recommender.recall(case.histories, case.now, case.excluded).dense(
            case.histories.items
        ),
        RANKED: lambda case: recommender.recommend(case.histories, case.now, case.excluded).dense(
            case.histories.items
        ),
    }


def with_ties(
    scores: Float32[np.ndarray, "users items"], popularity: Popularity
) -> Float32[np.ndarray, "users items"]:
    """Divide scores by each user's largest one, and order equal scores by decayed popularity."""
    largest = np.abs(scores).max(axis=1, keepdims=True, initial=0)
    ties = popularity.decayed / max(float(popularity.decayed.max()), 1e-9)
    return np.asarray(scores / np.where(largest > 0, largest, 1) + _TIE * ties, np.float32)
