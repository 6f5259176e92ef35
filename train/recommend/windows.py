"""Windows before a time: what people did in them is what both stages learn from."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32, Int32

from base.errors import InputError
from behaviour.cases import Case, cold_user_cases, window_case
from behaviour.interactions import SECONDS_PER_DAY, Interactions
from behaviour.recall.blend import Blend, Lists
from behaviour.recall.candidates import CandidateLists, candidate_lists
from behaviour.recall.models import RecallConfig, RecallModels
from rerank.recommend.features import Candidates, candidate_features
from train.recommend.ranker import RankerFitConfig

COLD_SHOWN = (0, 1, 2, 3)  # items of a first basket that are shown of new users
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
    max_lists: int = 5_000  # lists that a ranker learns from, at most


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
                right_candidates(case, lists.rows),
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
            new_users: Whether to take the lists of new users who have shown an item; otherwise of
                users with a history.
        """
        features, targets, where = [], [], []
        used = slice(2, None) if new_users else slice(0, 1)  # the second case shows no item
        for case, lists in zip(self.cases[used], self.lists[used], strict=True):
            inputs = blended_candidates(self.models, blend, prices, lists, case, config)
            features.append(candidate_features(inputs))
            targets.append(right_candidates(case, inputs.rows))
            where.append(inputs.rows >= 0)
        return joined(features, np.nan), joined(targets, False), joined(where, False)


def _read_by_day(case: Case) -> Case:
    """Return a case whose histories are in the form that the recommender reads."""
    return Case(case.now, case.past, case.histories.by_day(), case.targets, case.excluded)


def _sample(case: Case, most: int) -> Case:
    users = np.flatnonzero(np.diff(case.targets.indptr))
    if len(users) > most:
        users = np.sort(np.random.default_rng(_SEED).permutation(users)[:most])
    return case.of_users(users)


def blended_candidates(
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


def right_candidates(
    case: Case, rows: Int32[np.ndarray, "users candidates"]
) -> Bool[np.ndarray, "users candidates"]:
    """Return whether each candidate is right; False for padding."""
    right = np.zeros((len(rows), case.targets.shape[1] + 1), np.bool_)  # the last column: padding
    right[case.targets.nonzero()] = True
    return np.take_along_axis(right, rows.astype(np.int64), axis=1)


def joined(parts: Sequence[np.ndarray], padding: float | bool) -> np.ndarray:
    """Join arrays along the first axis; pad the second axis to the widest array."""
    width = max(part.shape[1] for part in parts)
    wide = []
    for part in parts:
        filled = np.full((len(part), width, *part.shape[2:]), padding, part.dtype)
        filled[:, : part.shape[1]] = part
        wide.append(filled)
    return np.concatenate(wide)
