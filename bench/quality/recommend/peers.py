"""Tuned peers: factor models and neighbours with decayed counts, and a two-stage LightGBM.

The settings were chosen on windows that end before the test cuts. `implicit` and `lightgbm` are
installed only for this benchmark (`bench/requirements.txt`).
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float32
from scipy import sparse

from behaviour.cases import Case
from behaviour.models.item_to_item import HistoryDecay, ItemToItem, scaled, sums
from behaviour.models.popularity import Popularity
from behaviour.models.similar_text import SimilarTextConfig, fit_similar_text
from rerank.recommend.features import candidate_features
from rerank.recommend.recommender import Ranked, Recommender
from train.evaluation.recommend.systems import System, with_ties
from train.recommend.recommender import Lessons
from train.recommend.windows import Catalogue

_HALF_LIFE_DAYS = 60.0
_TIES_DAYS = 14.0
Scores = Float32[np.ndarray, "users items"]


def peers(
    case: Case,
    lessons: Lessons,
    recommender: Recommender,
    seed: int,
    *,
    catalogue: Catalogue,
) -> dict[str, System]:
    """Fit all peers on the events that a case lets models read, for the first seed only."""
    if seed:
        return {}
    popularity = Popularity.fit(case.past, case.now, _TIES_DAYS)
    fitted: dict[str, Callable[[Case], Scores]] = {
        "als": _als(case, seed),
        "bpr": _bpr(case, seed),
        "item_knn_bm25": _item_knn(case),
        "rp3_beta": _rp3(case),
        "user_knn": _user_knn(case),
    }
    if catalogue.vectors is not None:
        fitted["text_kernel"] = _of(fit_similar_text(catalogue.vectors, SimilarTextConfig()))
    systems: dict[str, System] = {
        name: partial(_with_ties, scores=scores, popularity=popularity)
        for name, scores in fitted.items()
    }
    return systems | {"lightgbm": lightgbm(lessons, recommender, seed)}


def lightgbm(lessons: Lessons, recommender: Recommender, seed: int) -> System:
    """Fit LightGBM's LambdaRank on the lists of users with a history, as our ranker."""
    import lightgbm as lgb

    examples = lessons.known_users
    used = (examples.targets & examples.where).any(axis=1)
    where = examples.where[used]
    ranker = lgb.LGBMRanker(
        objective="lambdarank", n_estimators=300, learning_rate=0.03, num_leaves=15,
        min_child_samples=100, colsample_bytree=0.5, subsample=0.7, subsample_freq=1,
        reg_lambda=5.0, lambdarank_truncation_level=40, random_state=seed, n_jobs=1, verbose=-1,
    )  # fmt: skip
    labels = examples.targets[used][where].astype(np.int32)
    ranker.fit(examples.features[used][where], labels, group=where.sum(axis=1))

    def system(case: Case) -> Scores:
        candidates = recommender.candidates(case.histories, case.now, case.excluded)
        matrix = candidate_features(candidates)
        scores = ranker.predict(matrix.reshape(-1, matrix.shape[-1])).reshape(matrix.shape[:2])
        return Ranked.of(candidates, scores.astype(np.float32)).dense(case.histories.items)

    return system


def _with_ties(case: Case, *, scores: Callable[[Case], Scores], popularity: Popularity) -> Scores:
    return with_ties(scores(case), popularity)


def _of(model: ItemToItem) -> Callable[[Case], Scores]:
    return lambda case: model.scores(case.histories, case.now)


def _decayed(case: Case) -> sparse.csr_matrix:
    return case.past.matrix(case.now, _HALF_LIFE_DAYS, strongest=True)


def _als(case: Case, seed: int) -> Callable[[Case], Scores]:
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=64, regularization=0.1, alpha=2.0, iterations=20, num_threads=1, random_state=seed
    )
    model.fit(_decayed(case), show_progress=False)

    def scores(case: Case) -> Scores:
        histories = _history(case)
        users = model.recalculate_user(np.arange(histories.shape[0]), histories)
        return np.asarray(users @ model.item_factors.T, np.float32)

    return scores


def _bpr(case: Case, seed: int) -> Callable[[Case], Scores]:
    """Fit BPR; a user who is not among the fitted ones gets the mean of all users."""
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    model = BayesianPersonalizedRanking(
        factors=64, learning_rate=0.05, regularization=0.01, iterations=100, num_threads=1,
        random_state=seed,
    )  # fmt: skip
    model.fit(case.past.matrix(), show_progress=False)
    number = {user: code for code, user in enumerate(case.past.user_ids)}
    known = np.bincount(case.past.user, minlength=case.past.users) > 0

    def scores(case: Case) -> Scores:
        rows = np.array([number[user] for user in case.histories.user_ids])
        factors = np.where(
            known[rows, None], model.user_factors[rows], model.user_factors[known].mean(axis=0)
        )
        return np.asarray(factors @ model.item_factors.T, np.float32)

    return scores


def _item_knn(case: Case) -> Callable[[Case], Scores]:
    from implicit.nearest_neighbours import BM25Recommender

    model = BM25Recommender(K=200, K1=0.3, B=0.9, num_threads=1)
    model.fit(case.past.matrix().astype(np.float64), show_progress=False)
    weights = sparse.csr_matrix(model.similarity, dtype=np.float32)
    return _of(ItemToItem(weights, HistoryDecay(_HALF_LIFE_DAYS)))


def _rp3(case: Case) -> Callable[[Case], Scores]:
    """Fit RP3β (Paudel et al., 2017): random walks of three steps, divided by popularity."""
    events = _decayed(case)
    of_users, of_items = sums(events, 1), sums(events, 0)
    ones = np.ones_like(of_users)
    to_items = scaled(events, of_users, 1.0, np.ones_like(of_items), 0.0)
    to_users = scaled(events, ones, 0.0, of_items, 1.0).T.tocsr()
    weights = scaled((to_users @ to_items).tocsr(), np.ones_like(of_items), 0.0, of_items, 0.4)
    weights.setdiag(0)
    return _of(ItemToItem(weights, HistoryDecay(_HALF_LIFE_DAYS)))


def _user_knn(
    case: Case, neighbours: int = 500, half_life_days: float = 7.0
) -> Callable[[Case], Scores]:
    """Add the recent items of the most similar users, weighed by squared cosines."""
    users = _unit(case.past.matrix(case.now, _HALF_LIFE_DAYS, strongest=True))
    recent = case.past.matrix(case.now, half_life_days, strongest=True)

    def scores(case: Case) -> Scores:
        cosines = (_unit(_history(case)) @ users.T).toarray()
        few = min(neighbours, cosines.shape[1]) - 1
        least = -np.partition(-cosines, few, axis=1)[:, few, None]
        near = np.where(cosines >= least, cosines, 0) ** 2
        return np.asarray((sparse.csr_matrix(near) @ recent).toarray(), np.float32)

    return scores


def _history(case: Case) -> sparse.csr_matrix:
    return case.histories.matrix(case.now, _HALF_LIFE_DAYS, strongest=True)


def _unit(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    norms = sums(matrix.multiply(matrix).tocsr(), 1)
    return scaled(matrix, norms, 0.5, np.ones(matrix.shape[1], np.float32), 0.0)
