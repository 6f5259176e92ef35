"""Fit both stages of recommendation on the events before a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32

from base.errors import InputError
from behaviour.cases import Case, cold_user_cases, window_case
from behaviour.interactions import SECONDS_PER_DAY, Interactions
from behaviour.recall.blend import GROUPS, Blend, Lists
from behaviour.recall.candidates import CandidateLists, candidate_lists
from behaviour.recall.models import RecallConfig, RecallModels
from rerank.recommend.features import Candidates, candidate_features, feature_names
from rerank.recommend.ranker import Ranker
from rerank.recommend.recommender import Recommender, Stages, groups_of
from train.recommend.ranker import RankerFitConfig, fit_ranker

COLD_SHOWN = (0, 1, 2, 3)  # items of a first basket that training shows of new users
_SEED = 0  # of the users of large windows, and of the items that new users show
_DEPTH = 20  # ranks that decide whether a ranker is better than the blend alone


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
        """Whether the ranker is better than the blend, for each group."""
        return np.asarray(self.ranker > self.blend)

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
    windows: Sequence["Window"] | None = None,
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
    stages = _fit_stages(windows, catalogue, config, seed, choice.ranked)
    return Recommender(models, stages, catalogue.prices, config.depth)


def choose_ranked(
    windows: Sequence["Window"], catalogue: Catalogue, config: RecommenderConfig, seed: int
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
    stages = _fit_stages(earlier, catalogue, config, seed, np.ones(len(GROUPS), np.bool_))
    recommender = Recommender(last.models, stages, catalogue.prices, config.depth)
    groups, values = [], []
    for case, lists in zip(last.cases, last.lists, strict=True):
        candidates = _candidates(last.models, stages.blend, catalogue.prices, lists, case, config)
        targets = np.diff(case.targets.indptr)
        right = _right(case, candidates.rows)
        orders = (candidates.recall_scores, recommender.rank(candidates))
        values.append([_ndcg(scores, right, candidates.rows, targets) for scores in orders])
        groups.append(groups_of(case.histories))
    group, value = np.concatenate(groups), np.concatenate(values, axis=1)
    counts = np.bincount(group, minlength=len(GROUPS))
    sums = (np.bincount(group, of_order, len(GROUPS)) for of_order in value)
    means = (np.where(counts > 0, total / np.maximum(counts, 1), np.nan) for total in sums)
    return Choice(*means)


def _fit_stages(
    windows: Sequence["Window"],
    catalogue: Catalogue,
    config: RecommenderConfig,
    seed: int,
    ranked: Bool[np.ndarray, " groups"],
) -> Stages:
    """Fit the blend, and the rankers of the groups that are ranked."""
    names = windows[0].models.names
    blend = Blend.fit(names, [lists for window in windows for lists in window.blend_lists()])
    last = len(GROUPS) - 1
    new = known = None
    if ranked[:last].any():
        new = _fit_ranker(windows, blend, catalogue, config, seed, new_users=True)
    if ranked[last]:
        known = _fit_ranker(windows, blend, catalogue, config, seed, new_users=False)
    rankers = (*[new] * last, known)
    return Stages(blend, tuple(r if use else None for r, use in zip(rankers, ranked, strict=True)))


def _fit_ranker(
    windows: Sequence["Window"],
    blend: Blend,
    catalogue: Catalogue,
    config: RecommenderConfig,
    seed: int,
    *,
    new_users: bool,
) -> Ranker | None:
    """Fit a ranker on the windows, for users with a history or for new users.

    The result is None if no list has a right item, so that there is nothing to learn.
    """
    features, targets, where = zip(
        *(
            window.ranker_lists(blend, catalogue.prices, config, new_users=new_users)
            for window in windows
        ),
        strict=True,
    )
    is_right = _joined(targets, False)
    if not is_right.any():
        return None
    names = feature_names(blend.channels, windows[0].models.popularity.windows_days.tolist())
    matrix, is_item = _joined(features, np.nan), _joined(where, False)
    return fit_ranker(names, matrix, is_right, is_item, config.ranker, seed)


def known_lists(events: Interactions, now: int, config: RecommenderConfig) -> int:
    """Return the number of lists of users with a history that the windows before `now` have."""
    starts = [cut for cut in _starts(now, config) if (events.time < cut).any()]
    cases = (
        window_case(events, cut, config.window_days, first_basket=False, new_items=False)
        for cut in starts
    )
    return sum(min(case.histories.users, config.max_users) for case in cases)


def window_cuts(events: Interactions, now: int, config: RecommenderConfig) -> list[int]:
    """Return the starts of the windows before `now` that have events before them, latest first.

    Raises:
        InputError: there is no such window.
    """
    cuts = [cut for cut in _starts(now, config) if (events.time < cut).any()]
    if not cuts:
        raise InputError(
            f"events: none is more than {config.window_days} days before the cut; give a longer "
            "history"
        )
    return cuts


def _starts(now: int, config: RecommenderConfig) -> list[int]:
    back = (config.window_days + n * config.stride_days for n in range(config.windows))
    return [now - days * SECONDS_PER_DAY for days in back]


def fit_window(
    events: Interactions,
    cut: int,
    catalogue: Catalogue,
    config: RecommenderConfig,
    *,
    new_items: bool,
    models: RecallModels | None = None,
) -> "Window":
    """Fit the channels before a window, and recall for the window's users.

    The users are those with a history and, at most once for each number of shown items, those
    without. `models` are the channels before the window, if the caller has them.
    """
    days = config.window_days
    known = window_case(events, cut, days, first_basket=False, new_items=new_items)
    cases = [known, *cold_user_cases(events, cut, days, COLD_SHOWN, _SEED)]
    cases = [_read_by_day(_sample(case, config.max_users)) for case in cases]
    if models is None:
        models = RecallModels.fit(events, cut, config.recall, catalogue.vectors)
    lists = [
        candidate_lists(models, case.histories, cut, config.depth, case.excluded) for case in cases
    ]
    return Window(cut, models, cases, lists)


@dataclass(frozen=True)
class Window:
    """The channels at the start of a window, and the questions of the window."""

    cut: int  # start of the window, in seconds since 1970
    models: RecallModels
    cases: Sequence[Case]  # the first case has users with a history
    lists: Sequence[CandidateLists]

    def blend_lists(self) -> list[Lists]:
        """Return the lists to learn the blend from."""
        return [
            Lists(
                lists.scores,
                _right(case, lists.rows),
                lists.where,
                np.bincount(case.histories.user, minlength=case.histories.users),
            )
            for case, lists in zip(self.cases, self.lists, strict=True)
        ]

    def ranker_lists(
        self,
        blend: Blend,
        prices: Float32[np.ndarray, " items"],
        config: RecommenderConfig,
        *,
        new_users: bool,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return features, targets and mask of the lists to learn a ranker from.

        Args:
            blend: The blend that chooses the candidates.
            prices: Price of each item; NaN if missing.
            config: The number of candidates of a list.
            new_users: Whether to take the lists of new users; otherwise of users with a history.
        """
        features, targets, where = [], [], []
        used = slice(1, None) if new_users else slice(0, 1)
        for case, lists in zip(self.cases[used], self.lists[used], strict=True):
            inputs = _candidates(self.models, blend, prices, lists, case, config)
            features.append(candidate_features(inputs))
            targets.append(_right(case, inputs.rows))
            where.append(inputs.rows >= 0)
        return _joined(features, np.nan), _joined(targets, False), _joined(where, False)


def _read_by_day(case: Case) -> Case:
    """Return a case whose histories are in the form that the recommender reads."""
    return Case(case.now, case.past, case.histories.by_day(), case.targets, case.excluded)


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
    case: Case,
    config: RecommenderConfig,
) -> Candidates:
    """Keep the candidates of each user with the best blended scores."""
    actions = np.bincount(case.histories.user, minlength=case.histories.users)
    blended = blend.scores(lists.scores, actions)
    blended = np.where(lists.where, blended, np.float32(-np.inf))
    few = min(config.depth, blended.shape[1])
    best = np.argsort(-blended, axis=1, kind="stable")[:, :few]
    return Candidates(
        case.histories,
        case.now,
        np.take_along_axis(lists.rows, best, axis=1),
        np.take_along_axis(lists.scores, best[..., None], axis=1),
        np.take_along_axis(np.where(lists.where, blended, 0), best, axis=1),
        models.popularity,
        prices,
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
