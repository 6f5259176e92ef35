"""Both stages of recommendation, fitted on the events before a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32, Int32
from scipy import sparse

from base.errors import InputError
from behaviour.blend import GROUPS, Blend, Lists
from behaviour.cases import Case, cold_user_cases, window_case
from behaviour.interactions import SECONDS_PER_DAY, Interactions
from behaviour.recall import CandidateLists, RecallConfig, RecallModels, candidate_lists
from rerank.recommend.features import Candidates, candidate_features, feature_names
from rerank.recommend.ranker import Ranker
from train.recommend.ranker import RankerFitConfig, fit_ranker

COLD_SHOWN = (0, 1, 2, 3)  # items of a first basket that training shows of new users


_SEED = 0  # of the users of large windows, and of the items that new users show


@dataclass(frozen=True)
class Catalogue:
    """What is known of the items besides their events.

    Attributes:
        prices: Price of each item; NaN if missing.
        vectors: Unit text vector of each item; None leaves out the channel of similar texts.
    """

    prices: Float32[np.ndarray, " items"]
    vectors: Float32[np.ndarray, "items dim"] | None = None


@dataclass(frozen=True)
class RecommenderConfig:
    """How both stages are fitted."""

    recall: RecallConfig = field(default_factory=RecallConfig)
    ranker: RankerFitConfig = field(default_factory=RankerFitConfig)
    windows: int = 7  # earlier windows that the blend and the rankers learn from
    window_days: int = 30  # length of a window
    # days from the start of one window to the start of the next one; windows may overlap
    stride_days: int = 15
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
    """Both stages: channels, their blend, and rankers of the best candidates.

    Attributes:
        models: The channels.
        blend: The weights of the channels.
        ranker: Ranks for users with a history.
        new_user_ranker: Ranks for users with fewer actions than the last group of the blend.
        prices: Price of each item; NaN if missing.
        depth: Items that each channel recalls, and items that are ranked.
    """

    models: RecallModels
    blend: Blend
    ranker: Ranker
    new_user_ranker: Ranker
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
        inputs = self.candidates(histories, now, excluded)
        features = candidate_features(inputs)
        is_new = _actions(histories) < GROUPS[-1]
        scores = np.empty(inputs.rows.shape, np.float32)
        for chosen, ranker in ((is_new, self.new_user_ranker), (~is_new, self.ranker)):
            scores[chosen] = ranker.scores(features[chosen])
        return ranked(inputs, scores)

    def candidates(
        self, histories: Interactions, now: int, excluded: sparse.csr_matrix | None = None
    ) -> Candidates:
        """Return the `depth` candidates of each user that the second stage ranks."""
        lists = candidate_lists(self.models, histories, now, self.depth, excluded)
        return _candidates(self.models, self.blend, self.prices, lists, histories, now, self.depth)


def ranked(candidates: Candidates, scores: Float32[np.ndarray, "users candidates"]) -> Ranked:
    """Return candidates with their scores; padding gets -inf."""
    return Ranked(candidates.rows, np.where(candidates.rows < 0, np.float32(-np.inf), scores))


def fit_recommender(
    events: Interactions,
    now: int,
    catalogue: Catalogue,
    config: RecommenderConfig,
    *,
    new_items: bool,
    seed: int,
    windows: Sequence["Window"] | None = None,
) -> Recommender:
    """Fit both stages on the events before `now` (seconds since 1970).

    The blend and the ranker learn from windows before `now`. For each window, the channels are
    fitted on the events before the window, so their scores never saw the outcomes.

    Args:
        events: The purchases of all users.
        now: The time of the recommendations.
        catalogue: What is known of the items besides their events.
        config: How to fit.
        new_items: Whether the stages rank only items that are new to the user.
        seed: Seed of the ranker.
        windows: The windows of `window_cuts`, if the caller keeps them; None fits them.
    """
    if windows is None:
        cuts = window_cuts(events, now, config)
        windows = [fit_window(events, cut, catalogue, config, new_items=new_items) for cut in cuts]
    models = RecallModels.fit(events, now, config.recall, catalogue.vectors)
    blend = Blend.fit(models.names, [lists for window in windows for lists in window.blend_lists()])
    known, new = (
        _fit_ranker(windows, blend, catalogue, config, seed, new_users=new_users)
        for new_users in (False, True)
    )
    return Recommender(models, blend, known, new, catalogue.prices, config.depth)


def _fit_ranker(
    windows: Sequence["Window"],
    blend: Blend,
    catalogue: Catalogue,
    config: RecommenderConfig,
    seed: int,
    *,
    new_users: bool,
) -> Ranker:
    """Fit a ranker on the windows, for users with a history or for new users."""
    features, targets, where = zip(
        *(
            window.ranker_lists(blend, catalogue.prices, config.depth, new_users=new_users)
            for window in windows
        ),
        strict=True,
    )
    days = windows[0].models.popularity.windows_days.tolist()
    return fit_ranker(
        feature_names(blend.channels, days),
        _joined(features, np.nan),
        _joined(targets, False),
        _joined(where, False),
        config.ranker,
        seed,
    )


def window_cuts(events: Interactions, now: int, config: RecommenderConfig) -> list[int]:
    """Return the starts of the windows before `now` that have events before them.

    Raises:
        InputError: there is no such window.
    """
    back = (config.window_days + n * config.stride_days for n in range(config.windows))
    cuts = [now - days * SECONDS_PER_DAY for days in back]
    cuts = [cut for cut in cuts if (events.time < cut).any()]
    if not cuts:
        raise InputError(
            f"events: none is more than {config.window_days} days before the cut; give a longer "
            "history"
        )
    return cuts


def fit_window(
    events: Interactions,
    cut: int,
    catalogue: Catalogue,
    config: RecommenderConfig,
    *,
    new_items: bool,
) -> "Window":
    """Fit the channels before a window, and recall for the window's users.

    The users are those with a history and, at most once for each number of shown items, those
    without.
    """
    days = config.window_days
    known = window_case(events, cut, days, first_basket=False, new_items=new_items)
    cases = [known, *cold_user_cases(events, cut, days, COLD_SHOWN, _SEED)]
    cases = [_sample(case, config.max_users) for case in cases]
    models = RecallModels.fit(events, cut, config.recall, catalogue.vectors)
    lists = [
        candidate_lists(models, case.histories, cut, config.depth, case.excluded) for case in cases
    ]
    return Window(models, cases, lists)


@dataclass(frozen=True)
class Window:
    """The channels at the start of a window, and the questions of the window."""

    models: RecallModels
    cases: Sequence[Case]  # the first case has users with a history
    lists: Sequence[CandidateLists]

    def blend_lists(self) -> list[Lists]:
        """Return the lists to learn the blend from."""
        return [
            Lists(lists.scores, _right(case, lists.rows), lists.where, _actions(case.histories))
            for case, lists in zip(self.cases, self.lists, strict=True)
        ]

    def ranker_lists(
        self,
        blend: Blend,
        prices: Float32[np.ndarray, " items"],
        depth: int,
        *,
        new_users: bool,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return features, targets and mask of the lists to learn a ranker from.

        Args:
            blend: The blend that chooses the candidates.
            prices: Price of each item; NaN if missing.
            depth: Number of candidates of a list.
            new_users: Whether to take the lists of new users; otherwise of users with a history.
        """
        features, targets, where = [], [], []
        used = slice(1, None) if new_users else slice(0, 1)
        for case, lists in zip(self.cases[used], self.lists[used], strict=True):
            inputs = _candidates(self.models, blend, prices, lists, case.histories, case.now, depth)
            features.append(candidate_features(inputs))
            targets.append(_right(case, inputs.rows))
            where.append(inputs.rows >= 0)
        return _joined(features, np.nan), _joined(targets, False), _joined(where, False)


def _sample(case: Case, most: int) -> Case:
    users = np.flatnonzero(np.diff(case.targets.indptr))
    if len(users) > most:
        users = np.sort(np.random.default_rng(_SEED).permutation(users)[:most])
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
