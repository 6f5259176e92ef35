"""Compare reranking of the candidates of queries with other libraries."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.harness import inputs
from bench.harness.contest import Setups, Work, contest
from bench.harness.rows import OURS, Measurement, Row, Sizes, compare
from bench.models import exported_peers, exporting, ours, torch_peers

ROUNDS = 7
CANDIDATES = 50  # candidates of a query; equals the default `rerank_depth`
# Two rerankers give the same answers if they put at least this share of pairs in the same order.
_SAME_ORDER = 0.99
_REFERENCE = "CrossEncoder.predict, float32"


def reranking(work: Path, sizes: Sizes) -> Row:
    """Rerank the candidates of queries with each tool; compare the order of the scores."""
    rounds, queries = sizes.rounds or ROUNDS, candidates(sizes.reranked)
    setups: Setups = {
        name: (_one_by_one, (setup, arguments, queries))
        for name, (setup, arguments) in _setups(work, queries[0]).items()
    }
    results = contest(setups, rounds)
    exact = results[_REFERENCE].answer

    def agreement(scores: np.ndarray) -> tuple[bool, str]:
        share = float(np.mean([*map(pair_order_agreement, scores, exact)]))
        differences, spread = scores - exact, exact.std(axis=1).mean()
        error = float(np.sqrt(np.square(differences).mean()) / spread)
        return share >= _SAME_ORDER, (
            f"{share:.2%} of all pairs of candidates have the same order, and scores differ by "
            f"{error:.1%} of their standard deviation"
        )

    contestants = compare(results, exact.size, agreement)
    return Row(f"rerank {CANDIDATES} candidates of a query", "candidates", rounds, contestants)


def candidates(count: int) -> list[list[tuple[str, str]]]:
    """Return distinct queries, each paired with the titles that BM25 ranks highest."""
    from catalog.store import ItemStore
    from train.evaluation.baseline import Bm25

    store = ItemStore(inputs.dataset().items)
    bm25, titles = Bm25(store), store.text("title")
    queries = list(dict.fromkeys(query for query, *_ in inputs.judged(10 * count)))[:count]
    best = [np.argsort(-bm25.scores(query), kind="stable")[:CANDIDATES] for query in queries]
    return [
        [(query, titles[row]) for row in rows] for query, rows in zip(queries, best, strict=True)
    ]


def pair_order_agreement(scores: np.ndarray, exact: np.ndarray) -> float:
    """Return the share of item pairs that two lists of scores put in the same order."""
    first, second = np.triu_indices(len(exact), 1)
    return float(
        (np.sign(scores[first] - scores[second]) == np.sign(exact[first] - exact[second])).mean()
    )


def _setups(work: Path, sample: Sequence[tuple[str, str]]) -> Setups:
    model = exporting.source(work, "cross-encoder")
    return {
        OURS: (ours.rerank, (model,)),
        _REFERENCE: (torch_peers.rerank, (sample, model, "float32")),
        "CrossEncoder.predict, bfloat16": (torch_peers.rerank, (sample, model, "bfloat16")),
        "torch autocast, bfloat16": (torch_peers.rerank, (sample, model, "autocast")),
        "torch autocast and compile, bfloat16": (torch_peers.rerank, (sample, model, "compiled")),
        **exported_peers.setups(work, "cross-encoder", exported_peers.rerank, sample),
    }


def _one_by_one(
    setup: Callable[..., Work],
    arguments: tuple[Any, ...],
    queries: Sequence[Sequence[tuple[str, str]]],
) -> Work:
    """Return a function that reranks the candidates of one query after another."""
    rerank = setup(*arguments)

    def work() -> tuple[np.ndarray, np.ndarray]:
        seconds, scores = [], []
        for pairs in queries:
            start = time.perf_counter()
            scores.append(rerank(pairs))
            seconds.append(time.perf_counter() - start)
        return np.array(seconds), np.stack(scores)

    return work


RERANKING = Measurement("rerank", __name__, exported_peers.PACKAGES, reranking)
