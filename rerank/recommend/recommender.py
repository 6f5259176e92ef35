"""Both stages of recommendation: the blend of the channels, and the rankers of its best items.

Evaluation and the server call this code. It needs a history, a time and the fitted models.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32
from scipy import sparse

from base.errors import InputError
from base.untrusted.small_files import read_object
from behaviour.interactions import Interactions
from behaviour.models.arrays import open_arrays, write_arrays
from behaviour.recall.blend import GROUPS, Blend, group_of
from behaviour.recall.models import RecallModels
from rerank.recommend.features import Candidates, candidate_features, feature_names
from rerank.recommend.ranker import Ranker, load_ranker, save_ranker

_BATCH = 256  # histories scored at a time
_PRICES, _STAGES = "prices.npz", "stages.json"
_RANKERS = ("new_users", "known_users")  # directories of the rankers
# Directories of the stages, by whether the stages rank only items that are new to the person.
_KINDS: Mapping[bool, str] = {True: "new_items", False: "all_items"}


@dataclass(frozen=True)
class Ranked:
    """Candidates of a batch of users with their scores; -inf for padding.

    Attributes:
        rows: Item row of each candidate; -1 for padding.
        scores: The score of each candidate.
    """

    rows: Int32[np.ndarray, "users candidates"]
    scores: Float32[np.ndarray, "users candidates"]

    @classmethod
    def of(
        cls, candidates: Candidates, scores: Float32[np.ndarray, "users candidates"]
    ) -> "Ranked":
        """Return candidates with their scores."""
        is_padding = candidates.rows < 0
        return cls(candidates.rows, np.where(is_padding, np.float32(-np.inf), scores))

    def dense(self, items: int) -> Float32[np.ndarray, "users items"]:
        """Return the scores of all items; items that are no candidates have tied, lowest scores."""
        floor = np.float32(np.min(self.scores, initial=0, where=np.isfinite(self.scores)) - 1)
        scores = np.full((len(self.rows), items + 1), floor)  # the last column takes the padding
        np.put_along_axis(scores, self.rows.astype(np.int64), self.scores, axis=1)
        return scores[:, :-1]


@dataclass(frozen=True)
class Stages:
    """What both stages learned from one kind of lists.

    Attributes:
        blend: The weights of the channels.
        rankers: The ranker of each group of users, see `GROUPS`; None: the blend alone is better.
    """

    blend: Blend
    rankers: tuple[Ranker | None, ...]

    def save(self, directory: Path) -> None:
        """Write the stages to an existing directory."""
        self.blend.save(directory)
        content = {"ranked": [ranker is not None for ranker in self.rankers]}
        (directory / _STAGES).write_text(json.dumps(content) + "\n")
        for name, groups in _groups_of_rankers().items():
            ranker = next((r for r in self.rankers[groups] if r is not None), None)
            if ranker is not None:
                (directory / name).mkdir()
                save_ranker(ranker, directory / name)

    @classmethod
    def open(cls, directory: Path, models: RecallModels) -> "Stages":
        """Open the stages of some channels.

        Raises:
            InputError: a file is missing or damaged, or belongs to other channels.
        """
        blend, path = Blend.open(directory, models.names), directory / _STAGES
        ranked = read_object(path).get("ranked")
        if not isinstance(ranked, list) or [type(is_ranked) for is_ranked in ranked] != [
            bool for _ in GROUPS
        ]:
            raise InputError(f"{path} has not one truth value per group; train again")
        features = feature_names(models.names, models.popularity.windows_days.tolist())
        rankers: list[Ranker | None] = [None] * len(GROUPS)
        for name, groups in _groups_of_rankers().items():
            if any(ranked[groups]):
                ranker = load_ranker(directory / name, features)
                rankers[groups] = [ranker if is_ranked else None for is_ranked in ranked[groups]]
        return cls(blend, tuple(rankers))


@dataclass(frozen=True)
class Recommender:
    """The channels, their blend, and rankers of the best candidates.

    Attributes:
        models: The channels.
        stages: The weights of the channels, and the rankers.
        prices: Price of each item; NaN if missing.
        depth: Number of candidates that are ranked.
    """

    models: RecallModels
    stages: Stages
    prices: Float32[np.ndarray, " items"]
    depth: int = 200

    def recall(
        self, histories: Interactions, now: int, excluded: sparse.csr_matrix | None = None
    ) -> Ranked:
        """Return the `depth` best items of the blend."""
        candidates = self.candidates(histories, now, excluded)
        return Ranked.of(candidates, candidates.recall_scores)

    def recommend(
        self, histories: Interactions, now: int, excluded: sparse.csr_matrix | None = None
    ) -> Ranked:
        """Return the `depth` best items of the blend in the order of the rankers."""
        candidates = self.candidates(histories, now, excluded)
        return Ranked.of(candidates, self.rank(candidates))

    def rank(self, candidates: Candidates) -> Float32[np.ndarray, "users candidates"]:
        """Return the rankers' scores; recall scores for users whose group has no ranker.

        An item without events keeps its rank: the rankers learned from items that were sold.
        """
        scores, groups = candidates.recall_scores.copy(), groups_of(candidates.histories)
        for group, ranker in enumerate(self.stages.rankers):
            users = np.flatnonzero(groups == group)
            if ranker is not None and len(users):
                chosen = candidates.of_users(users)
                ranked = ranker.scores(candidate_features(chosen))
                sold = self.models.popularity.has_events[chosen.rows]
                scores[users] = with_kept_ranks(ranked, sold, chosen.rows >= 0)
        return scores

    def candidates(
        self,
        histories: Interactions,
        now: int,
        excluded: sparse.csr_matrix | None = None,
        *,
        depth: int | None = None,
        bonus: Float32[np.ndarray, " items"] | None = None,
    ) -> Candidates:
        """Return the best items of the blend, the best first.

        Args:
            histories: The histories to recommend for.
            now: The time of the recommendation, in seconds since 1970.
            excluded: Items that are not recommended, as a users × items matrix; None: no item.
            depth: Number of items; None: the number of items that are ranked.
            bonus: A number that is added to the score of each item; None: 0.
        """
        histories = histories.by_day()
        few = min(depth or self.depth, histories.items)
        parts = []
        for start in range(0, max(histories.users, 1), _BATCH):
            users = np.arange(start, min(start + _BATCH, histories.users))
            batch = histories.of_users(users)
            without = None if excluded is None else excluded[users]
            parts.append(self._best(batch, now, without, few, bonus))
        rows, channels, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
        popularity, prices = self.models.popularity, self.prices
        return Candidates(histories, now, rows, channels, scores, popularity, prices)

    def _best(
        self,
        histories: Interactions,
        now: int,
        excluded: sparse.csr_matrix | None,
        few: int,
        bonus: Float32[np.ndarray, " items"] | None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the rows of the best items, their scores in the channels, and in the blend."""
        personal, popular = self.models.personal(histories, now), self.models.popular
        weights = self.stages.blend.weights[groups_of(histories)]
        own, shared = weights[:, : len(personal)], weights[:, len(personal) :]
        total = np.einsum("cui,uc->ui", personal, own) + shared @ popular
        if bonus is not None:
            total = total + bonus
        if excluded is not None:
            total[excluded.nonzero()] = -np.inf
        best = np.sort(np.argpartition(-total, few - 1, axis=1)[:, :few], axis=1)
        scores = np.take_along_axis(total, best, axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        scores = np.take_along_axis(scores, order, axis=1).astype(np.float32)
        of_channels = np.take_along_axis(personal, best[None], axis=2)
        channels = np.concatenate([of_channels, popular[:, best]]).transpose(1, 2, 0)
        is_out = np.isneginf(scores)
        rows = np.where(is_out, -1, best).astype(np.int32)
        channels = np.where(is_out[..., None], np.float32(0), channels).astype(np.float32)
        return rows, channels, np.where(is_out, np.float32(0), scores)

    def extended(
        self, added: sparse.csr_matrix, prices: Float32[np.ndarray, " added"]
    ) -> "Recommender":
        """Return the recommender for further items, which have the last rows.

        Args:
            added: For each further item, the weights of the items that count instead of its own
                events; see `text_fill`.
            prices: Price of each further item; NaN if missing.
        """
        models = self.models.extended(added)
        return replace(self, models=models, prices=np.concatenate([self.prices, prices]))


def with_kept_ranks(
    scores: Float32[np.ndarray, "users candidates"],
    is_ranked: Bool[np.ndarray, "users candidates"],
    where: Bool[np.ndarray, "users candidates"],
) -> Float32[np.ndarray, "users candidates"]:
    """Order some candidates by their scores, and keep the ranks of the others.

    Args:
        scores: New scores of the candidates, which are in the order of their ranks until now.
        is_ranked: Which candidates the new scores order.
        where: False for padding.

    Returns:
        The new scores. A candidate that keeps its rank has a score between those of the ranks
        before and after it.
    """
    with_kept = scores.copy()
    for user in np.flatnonzero((where & ~is_ranked).any(axis=1)):
        ranked = np.flatnonzero(where[user] & is_ranked[user])
        kept = np.flatnonzero(where[user] & ~is_ranked[user])
        falling = -np.sort(-scores[user, ranked])
        best, worst = (falling[0] + 1, falling[-1] - 1) if len(ranked) else (1.0, 0.0)
        places = [-1, *ranked, where.shape[1]]
        with_kept[user, kept] = np.interp(kept, places, [best, *falling, worst])
    return with_kept


def groups_of(histories: Interactions) -> Int[np.ndarray, " users"]:
    """Return the group of each user by the number of events, as an index into `GROUPS`."""
    return group_of(np.bincount(histories.user, minlength=histories.users))


def save_recommenders(recommenders: Mapping[bool, Recommender], directory: Path) -> None:
    """Write recommenders of the same channels to an existing directory.

    Args:
        recommenders: By whether they rank only items that are new to the person.
        directory: The directory.
    """
    for new_items, recommender in recommenders.items():
        (directory / _KINDS[new_items]).mkdir()
        recommender.stages.save(directory / _KINDS[new_items])
    recommender.models.save(directory)
    write_arrays(directory / _PRICES, {"prices": np.nan_to_num(recommender.prices, nan=-1.0)})


def open_recommenders(directory: Path, items: int) -> dict[bool, Recommender]:
    """Open what `save_recommenders` wrote for a number of items.

    Raises:
        InputError: a file is missing or damaged, or has another number of items.
    """
    models = RecallModels.open(directory, items)
    prices = open_arrays(directory / _PRICES, {"prices": (items,)})["prices"].astype(np.float32)
    prices = np.where(prices < 0, np.float32(np.nan), prices)
    return {
        new_items: Recommender(models, Stages.open(directory / name, models), prices)
        for new_items, name in _KINDS.items()
    }


def _groups_of_rankers() -> dict[str, slice]:
    """Return the groups of each ranker: the last group has users with a longer history."""
    new, known = _RANKERS
    return {new: slice(0, len(GROUPS) - 1), known: slice(len(GROUPS) - 1, len(GROUPS))}
