"""Both stages of recommendation, fitted on the events before a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32, Int32
from scipy import sparse

from base.errors import InputError
from behaviour.blend import Blend, Lists
from behaviour.interactions import SECONDS_PER_DAY, Interactions
from behaviour.recall import CandidateLists, RecallConfig, RecallModels, candidate_lists
from rerank.recommend.features import Candidates, candidate_features, feature_names
from rerank.recommend.ranker import Ranker
from train.evaluation.recommend.protocol import Case, cold_user_cases, window_case
from train.recommend.ranker import RankerFitConfig, fit_ranker

COLD_SHOWN = (0, 1, 2, 3)  # items of a first basket that training shows of new users


@dataclass(frozen=True)
class RecommenderConfig:
    """How both stages are fitted."""

    recall: RecallConfig = field(default_factory=RecallConfig)
    ranker: RankerFitConfig = field(default_factory=RankerFitConfig)
    windows: int = 4  # earlier windows that the blend and the ranker learn from
    window_days: int = 30  # length of a window
    depth: int = 200  # items that each channel recalls, and items that are ranked
    max_users: int = 4_000  # users of a window that are learned from, at most


@dataclass(frozen=True)
class Ranked:
    """Candidates of a batch of users with their scores; -inf for padding.

    Attributes:
        rows: Item row of each candidate; -1 for padding.
        scores: The score of each candidate.
    """

    rows: Int32[np.ndarray, "users candidates"]
    scores: Float32[np.ndarray, "users candidates"]

    def dense(self, items: int) -> Float32[np.ndarray, "users items"]:
        """Return the scores of all items; items that are no candidates have tied, lowest scores."""
        floor = np.float32(np.min(self.scores, initial=0, where=np.isfinite(self.scores)) - 1)
        scores = np.full((len(self.rows), items + 1), floor)  # the last column takes the padding
        np.put_along_axis(scores, self.rows.astype(np.int64), self.scores, axis=1)
        return scores[:, :-1]


@dataclass(frozen=True)
class Recommender:
    """Both stages: channels, their blend, and a ranker of the best candidates."""

    models: RecallModels
    blend: Blend
    ranker: Ranker
    prices: Float32[np.ndarray, " items"]
    depth: int

    def recall(
        self, histories: Interactions, now: int, excluded: sparse.csr_matrix | None = None
    ) -> Ranked:
        """Return the candidates of all channels with their blended scores."""
        lists = candidate_lists(self.models, histories, now, self.depth, excluded)
        return _blended(self.blend, lists, histories)

    def recommend(
        self, histories: Interactions, now: int, excluded: sparse.csr_matrix | None = None
    ) -> Ranked:
        """Return the `depth` best candidates of recall, scored by the ranker."""
        lists = candidate_lists(self.models, histories, now, self.depth, excluded)
        inputs = _candidates(
            self.models, self.blend, self.prices, lists, histories, now, self.depth
        )
        scores = self.ranker.scores(candidate_features(inputs))
        return Ranked(inputs.rows, np.where(inputs.rows < 0, -np.inf, scores))


def fit_recommender(
    events: Interactions,
    now: int,
    prices: Float32[np.ndarray, " items"],
    config: RecommenderConfig,
    *,
    new_items: bool,
    seed: int,
    vectors: Float32[np.ndarray, "items dim"] | None = None,
) -> Recommender:
    """Fit both stages on the events before `now` (seconds since 1970).

    For each earlier window, the channels are fitted on the events before the window. So the blend
    and the ranker learn from scores that never saw the outcomes.

    Args:
        events: The purchases of all users.
        now: The time of the recommendations.
        prices: Price of each item; NaN if missing.
        config: How to fit.
        new_items: Whether the stages rank only items that are new to the user.
        seed: Seed of the ranker, and of the users of large windows.
        vectors: Unit text vectors of the items; None leaves out the channel of similar texts.

    Raises:
        InputError: no user with a history has an event in one of the windows.
    """
    past = events.before(now)
    windows = []
    for back in range(1, config.windows + 1):
        cut = now - back * config.window_days * SECONDS_PER_DAY
        if len(past.before(cut)):
            windows.append(_window(past, cut, config, new_items, seed, vectors))
    if not windows:
        raise InputError(
            f"events: none is more than {config.window_days} days before the cut; give a longer "
            "history"
        )
    names = windows[0].models.names
    blend = Blend.fit(names, [lists for window in windows for lists in window.blend_lists()])
    features, targets, where = zip(
        *(window.ranker_lists(blend, prices, config.depth) for window in windows), strict=True
    )
    popularity = windows[0].models.popularity
    ranker = fit_ranker(
        feature_names(names, popularity.windows_days.tolist()),
        _joined(features, np.float32(np.nan)),
        _joined(targets, False),
        _joined(where, False),
        config.ranker,
        seed,
    )
    models = RecallModels.fit(past, now, config.recall, vectors)
    return Recommender(models, blend, ranker, prices, config.depth)


@dataclass(frozen=True)
class _Window:
    """The channels at the start of a window, and the questions of the window."""

    models: RecallModels
    cases: Sequence[Case]  # the first case has users with a history
    lists: Sequence[CandidateLists]

    def blend_lists(self) -> list[Lists]:
        return [
            Lists(lists.scores, _right(case, lists.rows), lists.where, _actions(case.histories))
            for case, lists in zip(self.cases, self.lists, strict=True)
        ]

    def ranker_lists(
        self, blend: Blend, prices: Float32[np.ndarray, " items"], depth: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        features, targets, where = [], [], []
        for case, lists in zip(self.cases, self.lists, strict=True):
            inputs = _candidates(self.models, blend, prices, lists, case.histories, case.now, depth)
            features.append(candidate_features(inputs))
            targets.append(_right(case, inputs.rows))
            where.append(inputs.rows >= 0)
        nan = np.float32(np.nan)
        return _joined(features, nan), _joined(targets, False), _joined(where, False)


def _window(
    past: Interactions,
    cut: int,
    config: RecommenderConfig,
    new_items: bool,
    seed: int,
    vectors: Float32[np.ndarray, "items dim"] | None,
) -> _Window:
    """Fit the channels before a window, and recall for the window's users with and without past."""
    known = window_case(past, cut, config.window_days, first_basket=False, new_items=new_items)
    cases = [known, *cold_user_cases(past, cut, config.window_days, COLD_SHOWN, seed)]
    cases = [_sample(case, config.max_users, seed) for case in cases]
    models = RecallModels.fit(past, cut, config.recall, vectors)
    lists = [
        candidate_lists(models, case.histories, cut, config.depth, case.excluded) for case in cases
    ]
    return _Window(models, cases, lists)


def _sample(case: Case, most: int, seed: int) -> Case:
    users = np.flatnonzero(np.diff(case.targets.indptr))
    if len(users) > most:
        users = np.sort(np.random.default_rng(seed).permutation(users)[:most])
    return case.of_users(users)


def _candidates(
    models: RecallModels,
    blend: Blend,
    prices: Float32[np.ndarray, " items"],
    lists: CandidateLists,
    histories: Interactions,
    now: int,
    depth: int,
) -> Candidates:
    """Keep the `depth` candidates of each user with the best blended scores."""
    blended = _blended(blend, lists, histories).scores
    few = min(depth, blended.shape[1])
    best = np.argsort(-blended, axis=1, kind="stable")[:, :few]
    return Candidates(
        histories,
        now,
        np.take_along_axis(lists.rows, best, axis=1),
        np.take_along_axis(lists.scores, best[..., None], axis=1),
        np.take_along_axis(np.where(lists.where, blended, 0), best, axis=1),
        models.popularity,
        prices,
    )


def _blended(blend: Blend, lists: CandidateLists, histories: Interactions) -> Ranked:
    scores = blend.scores(lists.scores, _actions(histories))
    return Ranked(lists.rows, np.where(lists.where, scores, np.float32(-np.inf)))


def _actions(histories: Interactions) -> np.ndarray:
    return np.bincount(histories.user, minlength=histories.users)


def _right(
    case: Case, rows: Int32[np.ndarray, "users candidates"]
) -> Bool[np.ndarray, "users candidates"]:
    right = np.zeros((len(rows), case.targets.shape[1] + 1), np.bool_)  # the last column: padding
    right[case.targets.nonzero()] = True
    return np.take_along_axis(right, rows.astype(np.int64), axis=1)


def _joined(parts: Sequence[np.ndarray], padding: float | bool) -> np.ndarray:
    """Join arrays along the first axis; pad the second axis to the widest array."""
    width = max(part.shape[1] for part in parts)
    wide = []
    for part in parts:
        filled = np.full((len(part), width, *part.shape[2:]), padding, part.dtype)
        filled[:, : part.shape[1]] = part
        wide.append(filled)
    return np.concatenate(wide)
