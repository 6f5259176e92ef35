"""Fit both stages of recommendation on the events before a time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32

from behaviour.interactions import SECONDS_PER_DAY, Interactions
from behaviour.recall.blend import GROUPS, Blend
from behaviour.recall.models import RecallModels
from rerank.recommend.features import feature_names
from rerank.recommend.ranker import Ranker
from rerank.recommend.recommender import Recommender, Stages, groups_of
from train.recommend.ranker import fit_ranker
from train.recommend.windows import (
    Catalogue,
    RecommenderConfig,
    Window,
    blended_candidates,
    fit_window,
    joined,
    right_candidates,
    window_cuts,
)

_PADDING = (np.nan, False, False)  # of features, targets and mask
_SEED = 0  # of the lists that a ranker learns from
_DEPTH = 20  # ranks that decide whether a ranker is better than the blend alone


@dataclass(frozen=True)
class Choice:
    """Whether the ranker is used for each group of users, and why.

    Attributes:
        blend: nDCG@20 of the blend for each group of `GROUPS`, on the last window; NaN without
            users.
        ranker: The same of the ranker that learned from the windows before the last one.
    """

    blend: Float64[np.ndarray, " groups"]
    ranker: Float64[np.ndarray, " groups"]

    @property
    def ranked(self) -> Bool[np.ndarray, " groups"]:
        """Whether the ranker is better than the blend, for each group.

        The first group has no events, so the ranker knows no more than the blend. On Online Retail,
        in the window before 2011-08-10, the blend alone was better.
        """
        return np.asarray((self.ranker > self.blend) & (np.arange(len(GROUPS)) > 0))

    def line(self) -> str:
        """Return a sentence about the groups whose users are not ranked."""
        left_out = [
            f"{name} ({blend:.4f}, ranker {ranker:.4f})"
            for name, blend, ranker, is_ranked in zip(
                _group_names(), self.blend, self.ranker, self.ranked, strict=True
            )
            if not is_ranked
        ]
        if not left_out:
            return "the ranker orders the lists of all users better than recall"
        return f"recall alone orders the lists of users with {', '.join(left_out)} events"


def fit_recommender(
    events: Interactions,
    now: int,
    catalogue: Catalogue,
    config: RecommenderConfig,
    *,
    new_items: bool,
    seed: int,
    windows: Sequence[Window] | None = None,
    lessons: "Lessons | None" = None,
    models: RecallModels | None = None,
    choice: Choice | None = None,
) -> Recommender:
    """Fit both stages on the events before `now` (seconds since 1970).

    The blend and the ranker learn from windows before `now`. For each window, the channels are
    fitted on the events before the window, so their scores never saw the outcomes.

    Args:
        events: The events of all users.
        now: The time of the recommendations.
        catalogue: What is known of the items besides their events.
        config: How to fit.
        new_items: Whether the stages rank only items that are new to the user.
        seed: Seed of the ranker.
        windows: The windows of `window_cuts`, if the caller keeps them; None fits them.
        lessons: The lessons of the windows, if the caller keeps them.
        models: The channels at `now`, if the caller keeps them; None fits them.
        choice: The users for whom the ranker is used; None chooses them.
    """
    if windows is None:
        cuts = window_cuts(events, now, config)
        windows = [fit_window(events, cut, catalogue, config, new_items=new_items) for cut in cuts]
    if models is None:
        models = RecallModels.fit(events, now, config.recall, catalogue.vectors)
    models = models.with_fill(catalogue.vectors)
    if choice is None:
        choice = choose_ranked(windows, catalogue, config, seed)
    if lessons is None:
        lessons = Lessons.of(windows, catalogue, config)
    stages = _fit_stages(lessons, config, seed, choice.ranked)
    return Recommender(models, stages, catalogue.prices, config.depth)


def choose_ranked(
    windows: Sequence[Window], catalogue: Catalogue, config: RecommenderConfig, seed: int
) -> Choice:
    """Compare the ranker with the blend on the last window, for each group of users.

    Both learn from the windows that end before the last window begins. Without such windows, no
    group is ranked.
    """
    last = windows[0]
    earlier = [w for w in windows if w.cut + config.window_days * SECONDS_PER_DAY <= last.cut]
    if not earlier:
        nothing = np.full(len(GROUPS), np.nan)
        return Choice(nothing, nothing)
    lessons = Lessons.of(earlier, catalogue, config)
    stages = _fit_stages(lessons, config, seed, np.ones(len(GROUPS), np.bool_))
    recommender = Recommender(last.models, stages, catalogue.prices, config.depth)
    groups, values = [], []
    prices = catalogue.prices
    for case, lists in zip(last.cases, last.lists, strict=True):
        candidates = blended_candidates(last.models, stages.blend, prices, lists, case, config)
        targets = np.diff(case.targets.indptr)
        right = right_candidates(case, candidates.rows)
        orders = (candidates.recall_scores, recommender.rank(candidates))
        values.append([_ndcg(scores, right, candidates.rows, targets) for scores in orders])
        groups.append(groups_of(case.histories))
    group, value = np.concatenate(groups), np.concatenate(values, axis=1)
    counts = np.bincount(group, minlength=len(GROUPS))
    sums = (np.bincount(group, of_order, len(GROUPS)) for of_order in value)
    means = (np.where(counts > 0, total / np.maximum(counts, 1), np.nan) for total in sums)
    return Choice(*means)


@dataclass(frozen=True)
class Examples:
    """The lists that one kind of ranker learns from.

    Attributes:
        features: The features of the candidates; NaN if missing.
        targets: Whether each candidate is right.
        where: False for padding.
    """

    features: Float32[np.ndarray, "lists candidates features"]
    targets: Bool[np.ndarray, "lists candidates"]
    where: Bool[np.ndarray, "lists candidates"]


@dataclass(frozen=True)
class Lessons:
    """What the stages learn from windows; it does not depend on the seed.

    Attributes:
        blend: The blend, which is already fitted.
        names: Names of the features.
        known_users: The lists of users with a history.
        new_users: The lists of new users.
    """

    blend: Blend
    names: tuple[str, ...]
    known_users: Examples
    new_users: Examples

    @classmethod
    def of(
        cls, windows: Sequence[Window], catalogue: Catalogue, config: RecommenderConfig
    ) -> "Lessons":
        """Fit the blend on the windows, and compute the features of its best candidates."""
        models = windows[0].models
        blend = Blend.fit(models.names, [one for window in windows for one in window.blend_lists()])
        names = feature_names(blend.channels, models.popularity.windows_days.tolist())
        examples = (
            _examples(windows, blend, catalogue.prices, config, new_users=new_users)
            for new_users in (False, True)
        )
        return cls(blend, names, *examples)


def _examples(
    windows: Sequence[Window],
    blend: Blend,
    prices: Float32[np.ndarray, " items"],
    config: RecommenderConfig,
    *,
    new_users: bool,
) -> Examples:
    parts = zip(
        *(window.ranker_lists(blend, prices, config, new_users=new_users) for window in windows),
        strict=True,
    )
    arrays = [joined(part, pad) for part, pad in zip(parts, _PADDING, strict=True)]
    chosen = np.random.default_rng(_SEED).permutation(len(arrays[0]))[: config.max_lists]
    return Examples(*(array[np.sort(chosen)] for array in arrays))


def _fit_stages(
    lessons: Lessons, config: RecommenderConfig, seed: int, ranked: Bool[np.ndarray, " groups"]
) -> Stages:
    """Fit the rankers of the groups that are ranked."""
    last = len(GROUPS) - 1
    new = (
        _fit_ranker(lessons.names, lessons.new_users, config, seed) if ranked[:last].any() else None
    )
    known = _fit_ranker(lessons.names, lessons.known_users, config, seed) if ranked[last] else None
    rankers = zip((*[new] * last, known), ranked, strict=True)
    return Stages(lessons.blend, tuple(ranker if use else None for ranker, use in rankers))


def _fit_ranker(
    names: Sequence[str], examples: Examples, config: RecommenderConfig, seed: int
) -> Ranker | None:
    """Fit a ranker; None if no list has a right item, so that there is nothing to learn."""
    if not (examples.targets & examples.where).any():
        return None
    return fit_ranker(
        names, examples.features, examples.targets, examples.where, config.ranker, seed
    )


def _ndcg(
    scores: Float32[np.ndarray, "users candidates"],
    right: Bool[np.ndarray, "users candidates"],
    rows: Int32[np.ndarray, "users candidates"],
    targets: np.ndarray,
) -> Float64[np.ndarray, " users"]:
    """Return nDCG@20 of each list; targets that are no candidates count as missed."""
    discounts = 1 / np.log2(np.arange(2, _DEPTH + 2))
    best = np.argsort(np.where(rows < 0, np.inf, -scores), axis=1, kind="stable")[:, :_DEPTH]
    gains = np.take_along_axis(right, best, axis=1) @ discounts[: best.shape[1]]
    ideal = np.cumsum(discounts)[np.clip(targets, 1, _DEPTH) - 1]
    return np.asarray(gains / ideal, np.float64)


def _group_names() -> list[str]:
    """Return the numbers of events of each group, such as "2 to 5"."""
    ends = [after - 1 for after in GROUPS[1:]]
    spans = zip(GROUPS[:-1], ends, strict=True)
    return [*(f"{a}" if a == b else f"{a} to {b}" for a, b in spans), f"{GROUPS[-1]} or more"]
