"""Measure what the answers to preference questions are worth for new users.

    python -m bench.quality.recommend.questions --data $SHORTLIST_DATA/online_retail \
        --cuts 2011-05-12 2011-06-11 2011-07-11

For each cut, models are fitted on the purchases before it. The new users of the 30 days after the
cut are asked. A random half of a user's items decides the answers: the user picks up to three of
the shown items, those with the largest weights from this half. The other half is to be recommended,
without the items that any system shows. The command prints the mean Recall@20 over users, and the
95% interval of the difference from popularity.
"""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float64
from scipy import sparse

from behaviour.interactions import SECONDS_PER_DAY, Interactions
from behaviour.models.ease import EaseConfig, fit_ease
from behaviour.models.popularity import Popularity
from behaviour.questions import choose_questions
from catalog.dataset.reading import read_dataset
from train.evaluation.metrics import bootstrap

_WINDOW = 30 * SECONDS_PER_DAY
_TASTES = 200  # popular items that questions are chosen from
_PICKED = 3  # largest number of items that a user picks
_SEEDS = 3  # random halves of each user's items
_DEPTH = 20


@dataclass(frozen=True)
class QuestionsConfig:
    """Options of `python -m bench.quality.recommend.questions`."""

    data: str  # a dataset directory with the table `events`
    cuts: tuple[str, ...]  # days (UTC) before which models are fitted
    questions: int = 8  # number of questions


def main(config: QuestionsConfig) -> None:
    """Ask the new users of each cut, and print the results."""
    dataset = read_dataset(Path(config.data))
    assert dataset.events is not None
    item_ids = dataset.items["item_id"].to_pylist()
    events = Interactions.of_events(dataset.events, item_ids).of_types("purchase")
    results = np.concatenate([_of_cut(events, cut, config.questions) for cut in config.cuts])
    for name, values in zip(("popularity", "popular items", "questions"), results.T, strict=True):
        difference = bootstrap(values - results[:, 0])
        sys.stdout.write(
            f"{name:14} Recall@{_DEPTH} {values.mean():.4f}  difference {difference.low:+.4f} to "
            f"{difference.high:+.4f}  users {len(results)}\n"
        )


def _of_cut(events: Interactions, cut: str, count: int) -> Float64[np.ndarray, "users systems"]:
    """Return each new user's recall of popularity, after popular items, and after questions."""
    now = int(datetime.fromisoformat(cut).replace(tzinfo=UTC).timestamp())
    past, window = events.before(now), events.since(now).before(now + _WINDOW)
    popular = Popularity.fit(past, now, 7.0).decayed.astype(np.float64)
    weights = fit_ease(past, now, EaseConfig(half_life_days=45.0)).weights.maximum(0).tocsr()
    tastes = np.argsort(-popular, kind="stable")[:_TASTES]
    affinity = weights[tastes].toarray()
    affinity = affinity / np.maximum(affinity.max(axis=1, keepdims=True), 1e-9)
    affinity = np.maximum(affinity[:, tastes], np.eye(len(tastes)))
    informative = tastes[[item for item, _ in choose_questions(popular[tastes], affinity, count)]]
    sets = (tastes[:0], tastes[:count], informative)
    excluded = np.union1d(tastes[:count], informative)
    results = []
    for user in np.setdiff1d(window.user, past.user).tolist():
        items = np.unique(window.item[window.events_of(user)])
        recalls = []
        for seed in range(_SEEDS):
            half = np.random.default_rng(seed).permutation(items)
            own, others = np.split(half, [len(half) // 2])
            wanted = np.setdiff1d(others, excluded)
            if len(wanted) > 1:
                recalls.append([_recall(own, wanted, s, weights, popular, excluded) for s in sets])
        if recalls:
            results.append(np.mean(recalls, axis=0))
    return np.array(results)


def _recall(
    own: np.ndarray,
    wanted: np.ndarray,
    shown: np.ndarray,
    weights: sparse.csr_matrix,
    popular: np.ndarray,
    excluded: np.ndarray,
) -> float:
    """Return the recall of the wanted items after a user with some own items was asked."""
    liked = np.asarray(weights[own].sum(axis=0)).ravel()[shown] + np.isin(shown, own)
    order = np.argsort(-liked, kind="stable")[:_PICKED]
    picked = shown[order[liked[order] > 0]]
    scores = popular / popular.max() * max(0.2, 1 / (1 + len(picked)))
    if len(picked):
        also = np.asarray(weights[picked].sum(axis=0)).ravel()
        scores = scores + also / max(also.max(), 1e-9)
    scores[excluded] = -np.inf
    best = np.argsort(-scores, kind="stable")[:_DEPTH]
    return float(np.isin(wanted, best).mean())


if __name__ == "__main__":
    main(tyro.cli(QuestionsConfig, prog="python -m bench.quality.recommend.questions"))
